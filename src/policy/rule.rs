//! Reads one rule of a file. Every part is read even if an earlier one is wrong, so that all mistakes are shown at once.

use super::calendar::read_time;
use super::condition::{Names, Reader};
use super::kinds::read_kinds;
use super::model::{Exception, Rule, RuleMode};
use super::read_limit::read_limit;
use super::review::{StatedTerms, read_review};
use super::template::Template;
use super::then::read_then;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::kind::{Kind, KindSet};
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{Fields, Node, Problems, Value};
use jiff::Timestamp;
use serde_json::Value as Json;

/// The keys of a rule.
pub(super) const KEYS: [&str; 15] = [
    "id",
    "description",
    "mode",
    "owner",
    "expires",
    "on",
    "effect",
    "when",
    "except",
    "limit",
    "reason",
    "message",
    "then",
    "additional_info",
    "review",
];

/// Reads a rule; `None` where something is wrong with it, which has been reported.
pub(super) fn read_rule(problems: &mut Problems<'_>, names: &mut Names, node: &Node) -> Option<Rule> {
    let fields = problems.mapping(node, "a rule", &KEYS)?;
    let id = match fields.get("id") {
        Some(node) => read_id(problems, node),
        None => {
            problems.error("missing-key", node.spot, "a rule must have an `id`");
            None
        }
    };
    let name = id.clone().unwrap_or_else(|| "without a name".to_owned());
    let on = match fields.get("on") {
        Some(node) => read_kinds(problems, node),
        None => {
            problems.error("missing-key", node.spot, format!("rule `{name}` must say `on` which kinds it speaks"));
            None
        }
    };
    let effect = match fields.get("effect") {
        Some(node) => problems.choice(
            node,
            "effect",
            &[("approve", Verdict::Approve), ("reject", Verdict::Reject), ("escalate", Verdict::Escalate)],
        ),
        None => {
            problems.error("missing-key", node.spot, format!("rule `{name}` must have an `effect`"));
            None
        }
    };
    if let Some(description) = fields.get("description") {
        problems.text(description, "description");
    }
    let life = read_life(problems, fields, &name);
    // Without kinds only what does not depend on them can be said.
    let kinds = on.unwrap_or_default();
    let when = fields.get("when").map(|when| Reader { problems, names, on: kinds }.condition(when));
    let except = fields.get("except").map(|except| read_exceptions(problems, names, except, kinds));
    let limit = fields.get("limit").map(|limit| read_limit(problems, names, limit, kinds, effect, &name));
    let reason = fields.get("reason").map(|reason| Template::parse(problems, reason, "reason", kinds));
    let message = fields.get("message").map(|message| Template::parse(problems, message, "message", kinds));
    let then = fields.get("then").map(|then| read_then(problems, names, then, kinds, effect.unwrap_or(Verdict::Reject)));
    let info = fields.get("additional_info").map(|info| read_additional_info(problems, info, kinds, effect));
    let review = fields.get("review").map(|review| read_review_of(problems, review, effect));
    let is_filled = problems.filled("empty-value", fields);
    let part = |name: &str| fields.get(name).map(|part| canonical(part.to_json()));
    let written = serde_json::json!([part("when"), part("except"), part("then"), part("additional_info")]).to_string();
    if !is_filled {
        return None;
    }
    let (mode, owner, expires) = life?;
    Some(Rule {
        spot: fields.get("id")?.spot,
        id: id?,
        file: problems.file().to_owned(),
        on: on?,
        effect: effect?,
        mode,
        owner,
        expires,
        // A part that was there and is wrong makes no rule: an outer `Some` with nothing in it.
        when: whole(when)?,
        written,
        except: whole(except)?.unwrap_or_default(),
        limit: whole(limit)?,
        reason: whole(reason)?,
        message: whole(message)?,
        then: whole(then)?.unwrap_or_default(),
        additional_info: whole(info)?,
        review: whole(review)?.unwrap_or_default(),
    })
}

#[expect(clippy::option_option, reason = "a part that is wrong and a part that is not there are different things")]
fn whole<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    part.map_or(Some(None), |part| part.map(Some))
}

/// The parts of `all` and `any` in an order of their own, so that equal conditions are written equally.
fn canonical(json: Json) -> Json {
    match json {
        Json::Object(entries) => Json::Object(entries.into_iter().map(|(key, value)| (key, canonical(value))).collect()),
        Json::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(canonical).collect();
            items.sort_by_cached_key(Json::to_string);
            Json::Array(items)
        }
        other => other,
    }
}

/// Mode, owner and end: a shadow must have all three.
fn read_life(
    problems: &mut Problems<'_>,
    fields: Fields<'_>,
    name: &str,
) -> Option<(RuleMode, Option<String>, Option<Timestamp>)> {
    let modes = [("enforce", RuleMode::Enforce), ("shadow", RuleMode::Shadow), ("off", RuleMode::Off)];
    let mode = match fields.get("mode") {
        Some(node) => problems.choice(node, "mode", &modes),
        None => Some(RuleMode::Enforce),
    };
    let owner = fields.get("owner").map(|node| problems.text(node, "owner").map(str::to_owned));
    let expires = fields.get("expires").map(|node| read_expiry(problems, node));
    let is_shadow = mode == Some(RuleMode::Shadow);
    for (key, is_there) in [("owner", owner.is_some()), ("expires", expires.is_some())] {
        if is_shadow && !is_there {
            let message = format!("rule `{name}` is a shadow and must have `{key}`");
            let problem = Diagnostic::error("missing-key", problems.file(), fields.spot, message);
            problems.add(problem.with_help("a shadow without an owner and an end stays for ever"));
        }
    }
    if is_shadow && (owner.is_none() || expires.is_none()) {
        return None;
    }
    if let (Some(node), false, Some(_)) = (fields.get("expires"), is_shadow, mode) {
        let problem =
            Diagnostic::error("misplaced-key", problems.file(), node.spot, "`expires` belongs to a rule with `mode: shadow`");
        problems.add(problem.with_help("a rule that counts ends when somebody takes it out, not in a quiet night"));
        return None;
    }
    Some((mode?, whole(owner)?, whole(expires)?))
}

fn read_expiry(problems: &mut Problems<'_>, node: &Node) -> Option<Timestamp> {
    let time = read_time(problems.text(node, "expires")?);
    if time.is_none() {
        let problem = Diagnostic::error("bad-time", problems.file(), node.spot, "`expires` must be a day or a time");
        problems.add(problem.with_help("write `2027-12-01`, which ends as that day begins in UTC, or `2027-12-01T18:00:00Z`"));
    }
    time
}

fn read_exceptions(problems: &mut Problems<'_>, names: &mut Names, node: &Node, on: KindSet) -> Option<Vec<Exception>> {
    let items = match &node.value {
        Value::List(items) => items,
        _ => {
            problems.error("wrong-type", node.spot, format!("`except` must be a list, and is {}", node.type_name()));
            return None;
        }
    };
    let read: Vec<_> = items.iter().map(|item| read_exception(problems, names, item, on)).collect();
    read.into_iter().collect()
}

fn read_exception(problems: &mut Problems<'_>, names: &mut Names, node: &Node, on: KindSet) -> Option<Exception> {
    let fields = problems.mapping(node, "an exception", &["when", "owner", "reason", "ticket", "expires"])?;
    if !problems.filled("empty-value", fields) {
        return None;
    }
    for key in ["when", "owner", "reason", "expires"] {
        if fields.get(key).is_none() {
            let problem = Diagnostic::error("missing-key", problems.file(), node.spot, format!("an exception must have `{key}`"));
            problems.add(problem.with_help("who asked for it, why, and until when: an auditor will want to know"));
        }
    }
    let when = fields.get("when").and_then(|when| Reader { problems, names, on }.condition(when));
    let mut text = |key: &str| fields.get(key).and_then(|node| problems.text(node, key)).map(str::to_owned);
    let (owner, reason) = (text("owner"), text("reason"));
    let ticket = fields.get("ticket").map(|_| text("ticket"));
    let expires = fields.get("expires").and_then(|node| read_expiry(problems, node));
    Some(Exception { spot: node.spot, when: when?, owner: owner?, reason: reason?, ticket: whole(ticket)?, expires: expires? })
}

/// What is shown with an invitation link; only its approval carries it.
fn read_additional_info(problems: &mut Problems<'_>, node: &Node, on: KindSet, effect: Option<Verdict>) -> Option<Template> {
    if effect.is_some_and(|effect| effect != Verdict::Approve) || !on.contains(Kind::InvitationLinkCreation) && !on.is_empty() {
        let message = "`additional_info` is sent with the approval of a link creation, and this rule makes none";
        let problem = Diagnostic::error("misplaced-key", problems.file(), node.spot, message);
        problems.add(problem.with_help("put it into a rule `on: [invitation_link_creation]` with `effect: approve`"));
        return None;
    }
    Template::parse(problems, node, "additional_info", KindSet::default().with(Kind::InvitationLinkCreation))
}

/// The terms of a review; only an escalation has one.
fn read_review_of(problems: &mut Problems<'_>, node: &Node, effect: Option<Verdict>) -> Option<StatedTerms> {
    if effect.is_some_and(|effect| effect != Verdict::Escalate) {
        let message = "`review` says how an escalation waits for a person, and this rule makes none";
        let problem = Diagnostic::error("misplaced-key", problems.file(), node.spot, message);
        problems.add(problem.with_help("for what `on_unknown` escalates, put it into `defaults`"));
        return None;
    }
    read_review(problems, node)
}

fn read_id(problems: &mut Problems<'_>, node: &Node) -> Option<String> {
    let id = problems.text(node, "id")?;
    let sound = id.len() <= 64
        && id.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if !sound {
        problems.error(
            "bad-id",
            node.spot,
            format!("`{id}` is no rule id: use up to 64 lower-case letters, digits, `-` and `_`"),
        );
    }
    sound.then(|| id.to_owned())
}
