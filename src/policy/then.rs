//! Reads the part `then` of a rule: effects on users that follow once the rule's verdict took effect.

use super::condition::{Names, Reader};
use super::model::Then;
use crate::domain::diagnostic::Diagnostic;
use crate::domain::effect::Action;
use crate::domain::fact::FactName;
use crate::domain::fact_catalogue::{self, USER_FACTS};
use crate::domain::kind::KindSet;
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{Node, Problems, Value};

/// Reads the list; `None` where something is wrong with it, which has been reported.
pub(super) fn read_then(
    problems: &mut Problems<'_>,
    names: &mut Names,
    node: &Node,
    on: KindSet,
    effect: Verdict,
) -> Option<Vec<Then>> {
    if effect == Verdict::Escalate {
        let problem = Diagnostic::error("then-on-escalate", problems.file(), node.spot, "an escalation has no verdict to follow");
        problems.add(problem.with_help("`then` belongs to rules that approve or reject"));
        return None;
    }
    let items = problems.list(node, "then")?;
    if items.is_empty() {
        problems.error("empty-value", node.spot, "`then` nothing has no effect");
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| read_one(problems, names, item, on)).collect();
    read.into_iter().collect()
}

fn read_one(problems: &mut Problems<'_>, names: &mut Names, node: &Node, on: KindSet) -> Option<Then> {
    let (action, value) = read_action(problems, node)?;
    let fields = problems.mapping(value, &format!("`{action}`"), &["user", "enable"])?;
    let (Some(user), Some(enable)) = (fields.get("user"), fields.get("enable")) else {
        problems.error("missing-key", value.spot, format!("`{action}` must have `user` and `enable`"));
        return None;
    };
    let enable = read_enable(problems, enable)?;
    let name = problems.text(user, "user")?;
    let spec = fact_catalogue::find(name);
    if spec.is_none_or(|_| !USER_FACTS.contains(&name)) {
        let problem =
            Diagnostic::error("unknown-fact", problems.file(), user.spot, format!("`{name}` is no fact that names a user"));
        let near = crate::domain::diagnostic::nearest(name, USER_FACTS);
        let help = near.map_or_else(
            || format!("the facts that do are {}", USER_FACTS.map(|fact| format!("`{fact}`")).join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.add(problem.with_help(help));
        return None;
    }
    // Also checks that every kind of the rule has it.
    Reader { problems, names, on }.spec(name, user.spot)?;
    Some(Then { action, user: FactName::new(name), enable })
}

/// The one key of an item, which is the action, and what stands under it.
pub(super) fn read_action<'n>(problems: &mut Problems<'_>, node: &'n Node) -> Option<(Action, &'n Node)> {
    let Value::Map(entries) = &node.value else {
        problems.error("wrong-type", node.spot, format!("an effect must be a mapping, and is {}", node.type_name()));
        return None;
    };
    let [(key, value)] = entries.as_slice() else {
        problems.error("bad-value", node.spot, "an effect has one key, which says what is set");
        return None;
    };
    let action = Action::parse(&key.name);
    if action.is_none() {
        let names = Action::ALL.map(Action::as_str);
        let problem =
            Diagnostic::error("unknown-effect", problems.file(), key.spot, format!("there is no effect `{}`", key.name));
        let near = crate::domain::diagnostic::nearest(&key.name, names);
        let help = near.map_or_else(
            || format!("the effects are {}", names.map(|name| format!("`{name}`")).join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.add(problem.with_help(help));
    }
    action.map(|action| (action, value))
}

pub(super) fn read_enable(problems: &mut Problems<'_>, node: &Node) -> Option<bool> {
    match node.value {
        Value::Bool(enable) => Some(enable),
        _ => {
            problems.error("wrong-type", node.spot, format!("`enable` must be `true` or `false`, and is {}", node.type_name()));
            None
        }
    }
}
