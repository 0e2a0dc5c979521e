//! Reads one rule of a file.

use super::condition::Reader;
use super::limit::Limit;
use super::model::Rule;
use super::sets::Lists;
use super::template::Template;
use super::then::read_then;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::fact::FactName;
use crate::domain::fact_catalogue::FactType;
use crate::domain::kind::{Kind, KindSet};
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{Node, Problems};

const KEYS: [&str; 10] = ["id", "description", "on", "effect", "when", "limit", "reason", "message", "then", "additional_info"];

/// Reads a rule; `None` where something is wrong with it, which has been reported.
pub(super) fn read_rule(problems: &mut Problems<'_>, lists: &Lists, node: &Node) -> Option<Rule> {
    let fields = problems.mapping(node, "a rule", &KEYS)?;
    let Some(id_node) = fields.get("id") else {
        problems.error("missing-key", node.spot, "a rule must have an `id`");
        return None;
    };
    let id = read_id(problems, id_node)?;
    let Some(on) = fields.get("on") else {
        problems.error("missing-key", node.spot, format!("rule `{id}` must say `on` which kinds it speaks"));
        return None;
    };
    let on = read_kinds(problems, on)?;
    let Some(effect) = fields.get("effect") else {
        problems.error("missing-key", node.spot, format!("rule `{id}` must have an `effect`"));
        return None;
    };
    let effect = problems.choice(
        effect,
        "effect",
        &[("approve", Verdict::Approve), ("reject", Verdict::Reject), ("escalate", Verdict::Escalate)],
    )?;
    if let Some(description) = fields.get("description") {
        problems.text(description, "description");
    }
    let when = fields.get("when").map(|when| Reader { problems, lists, on }.condition(when));
    let limit = fields.get("limit").map(|limit| read_limit(problems, lists, limit, on, effect));
    let reason = fields.get("reason").map(|reason| Template::parse(problems, reason, "reason", on));
    let message = fields.get("message").map(|message| Template::parse(problems, message, "message", on));
    let then = fields.get("then").map(|then| read_then(problems, lists, then, on, effect));
    let info = fields.get("additional_info").map(|info| read_additional_info(problems, info, on, effect));
    if fields.entries.iter().any(|(key, node)| key.name == "when" && node.value == crate::domain::yaml::Value::Null) {
        problems.error(
            "empty-condition",
            fields.spot,
            format!("the `when` of rule `{id}` is empty; write a condition or leave it out"),
        );
        return None;
    }
    // An outer `Some` with nothing in it is a part that was there and is wrong: no rule is made without it.
    let when = when.map_or(Some(None), |part| part.map(Some))?;
    let limit = limit.map_or(Some(None), |part| part.map(Some))?;
    let reason = reason.map_or(Some(None), |part| part.map(Some))?;
    let message = message.map_or(Some(None), |part| part.map(Some))?;
    let then = then.map_or(Some(Vec::new()), |part| part)?;
    let additional_info = info.map_or(Some(None), |part| part.map(Some))?;
    let (file, spot) = (problems.file().to_owned(), id_node.spot);
    Some(Rule { id, file, spot, on, effect, when, limit, reason, message, then, additional_info })
}

/// What is shown with an invitation link; only its approval carries it.
fn read_additional_info(problems: &mut Problems<'_>, node: &Node, on: KindSet, effect: Verdict) -> Option<Template> {
    if effect != Verdict::Approve || !on.contains(Kind::InvitationLinkCreation) {
        let message = "`additional_info` is sent with the approval of a link creation, and this rule makes none";
        let problem = Diagnostic::error("misplaced-key", problems.file(), node.spot, message);
        problems.add(problem.with_help("put it into a rule `on: [invitation_link_creation]` with `effect: approve`"));
        return None;
    }
    Template::parse(problems, node, "additional_info", KindSet::default().with(Kind::InvitationLinkCreation))
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

fn read_kinds(problems: &mut Problems<'_>, node: &Node) -> Option<KindSet> {
    let items = problems.list(node, "on")?;
    if items.is_empty() {
        problems.error("empty-value", node.spot, "a rule `on` nothing never speaks");
        return None;
    }
    let kinds: Vec<_> = items.iter().map(|item| read_kind(problems, item, "on")).collect();
    kinds.into_iter().collect()
}

pub(super) fn read_kind(problems: &mut Problems<'_>, node: &Node, what: &str) -> Option<Kind> {
    let text = problems.text(node, what)?;
    let kind = Kind::parse(text);
    if kind.is_none() {
        let problem = Diagnostic::error("unknown-kind", problems.file(), node.spot, format!("there is no kind `{text}`"));
        problems.add(problem.suggesting(text, Kind::ALL.map(Kind::as_str)));
    }
    kind
}

fn read_limit(problems: &mut Problems<'_>, lists: &Lists, node: &Node, on: KindSet, effect: Verdict) -> Option<Limit> {
    let fields = problems.mapping(node, "a limit", &["count", "per", "within", "max"])?;
    let mut required = |name: &str| {
        let found = fields.get(name);
        if found.is_none() {
            problems.error("missing-key", node.spot, format!("a limit must have `{name}`"));
        }
        found
    };
    let (count, per, within, max) = (required("count"), required("per"), required("within"), required("max"));
    let (count_node, per_node, within, max) = (count?, per?, within?, max?);
    if effect == Verdict::Approve {
        problems.add(
            Diagnostic::error(
                "limit-on-approve",
                problems.file(),
                node.spot,
                "a limit matches once it is used up, so it cannot approve",
            )
            .with_help("put the limit into a rule of its own with `effect: reject` or `effect: escalate`"),
        );
        return None;
    }
    let count = read_kind(problems, count_node, "count")?;
    let within = problems.duration(within, "within")?;
    if within.is_zero() {
        problems.error(
            "bad-duration",
            fields.get("within").map_or(node.spot, |within| within.spot),
            "a window of nothing counts nothing",
        );
        return None;
    }
    let max_value = problems.int(max, "max")?;
    let Ok(max_value) = u64::try_from(max_value) else {
        problems.error("bad-value", max.spot, "`max` must not be negative");
        return None;
    };
    let per = problems.text(per_node, "per")?;
    // The fact must be there on the operation that asks and on those that are counted.
    let spec = Reader { problems, lists, on: on.with(count) }.spec(per, per_node.spot)?;
    if spec.personal.is_some() || !matches!(spec.fact_type, FactType::Text | FactType::Domain | FactType::Int | FactType::Bool) {
        problems.add(
            Diagnostic::error("bad-per", problems.file(), per_node.spot, format!("operations cannot be counted per `{per}`"))
                .with_help("count per a public fact with one value, such as `actor.id`, `tresor.id` or `subject.email_domain`"),
        );
        return None;
    }
    Some(Limit { count, per: FactName::new(per), within, max: max_value })
}
