//! Reads the `limit` of a rule: what is counted, per what, in which windows.

use super::condition::{Names, Reader};
use super::kinds::read_kind;
use super::limit::{Limit, Window};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::fact::FactName;
use crate::domain::fact_catalogue::FactType;
use crate::domain::kind::KindSet;
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{Fields, Node, Problems, Value};

/// `None` where something is wrong with it, which has been reported.
pub(super) fn read_limit(
    problems: &mut Problems<'_>,
    names: &mut Names,
    node: &Node,
    on: KindSet,
    effect: Option<Verdict>,
    rule: &str,
) -> Option<Limit> {
    let fields = problems.mapping(node, "a limit", &["count", "per", "within", "max", "windows"])?;
    if !problems.filled("empty-value", fields) {
        return None;
    }
    if effect == Some(Verdict::Approve) {
        let message = "a limit matches once it is used up, so it cannot approve";
        let problem = Diagnostic::error("limit-on-approve", problems.file(), node.spot, message);
        problems.add(problem.with_help("put the limit into a rule of its own with `effect: reject` or `effect: escalate`"));
        return None;
    }
    let mut required = |name: &str| {
        let found = fields.get(name);
        if found.is_none() {
            problems.error("missing-key", node.spot, format!("a limit must have `{name}`"));
        }
        found
    };
    let (count, per) = (required("count"), required("per"));
    let count = count.and_then(|node| read_kind(problems, node, "count"));
    let windows = match fields.get("windows") {
        None => read_window(problems, fields, rule, false).map(|window| vec![window]),
        Some(list) => {
            for key in ["within", "max"] {
                if let Some(node) = fields.get(key) {
                    problems.error("misplaced-key", node.spot, format!("`{key}` belongs into each of `windows`"));
                }
            }
            read_windows(problems, list, rule)
        }
    };
    let items = per.and_then(|node| problems.list(node, "per"))?;
    if !(1..=2).contains(&items.len()) {
        problems.error("bad-per", node.spot, "operations are counted per one fact or a pair of facts");
        return None;
    }
    // The facts must be there on the operation that asks and on those that are counted.
    let on = count.map_or(on, |count| on.with(count));
    let per: Vec<_> = items.iter().map(|item| read_per(problems, names, item, on)).collect();
    Some(Limit { count: count?, per: per.into_iter().collect::<Option<_>>()?, windows: windows? })
}

fn read_per(problems: &mut Problems<'_>, names: &mut Names, node: &Node, on: KindSet) -> Option<FactName> {
    let per = problems.text(node, "per")?;
    let spec = Reader { problems, names, on }.spec(per, node.spot)?;
    if matches!(spec.fact_type, FactType::List | FactType::Duration) || matches!(per, "operation.id" | "operation.kind") {
        let problem =
            Diagnostic::error("bad-per", problems.file(), node.spot, format!("operations cannot be counted per `{per}`"));
        problems.add(problem.with_help("count per a fact with one value, such as `actor.id`, `tresor.id` or `context.ip`"));
        return None;
    }
    Some(FactName::new(per))
}

fn read_windows(problems: &mut Problems<'_>, node: &Node, rule: &str) -> Option<Vec<Window>> {
    let items = match &node.value {
        Value::List(items) if !items.is_empty() => items,
        _ => {
            let problem = Diagnostic::error("wrong-type", problems.file(), node.spot, "`windows` must be a list of windows");
            problems.add(problem.with_help("write `[{within: 1h, max: 5}, {within: 24h, max: 20}]`"));
            return None;
        }
    };
    let is_several = items.len() > 1;
    let mut windows: Vec<Window> = Vec::new();
    for item in items {
        let fields = problems.mapping(item, "a window", &["within", "max"])?;
        if !problems.filled("empty-value", fields) {
            return None;
        }
        let window = read_window(problems, fields, rule, is_several)?;
        if windows.iter().any(|other| other.within == window.within) {
            problems.error("duplicate-window", item.spot, "two windows of the same length: only the smaller `max` can matter");
            return None;
        }
        windows.push(window);
    }
    Some(windows)
}

fn read_window(problems: &mut Problems<'_>, fields: Fields<'_>, rule: &str, is_one_of_several: bool) -> Option<Window> {
    let mut required = |name: &str| {
        let found = fields.get(name);
        if found.is_none() {
            problems.error("missing-key", fields.spot, format!("a limit must have `{name}`"));
        }
        found
    };
    let (within_node, max_node) = (required("within"), required("max"));
    let within = within_node.and_then(|node| problems.duration(node, "within"));
    if let (Some(node), Some(true)) = (within_node, within.map(|within| within.is_zero())) {
        problems.error("bad-duration", node.spot, "a window of nothing counts nothing");
        return None;
    }
    let max = problems.int(max_node?, "max")?;
    let Ok(max) = u64::try_from(max) else {
        problems.error("bad-value", max_node?.spot, "`max` must not be negative");
        return None;
    };
    Some(Window::new(rule, within?, max, is_one_of_several))
}
