//! Reads the kinds that a rule, a limit or a test names.

use crate::domain::diagnostic::{Diagnostic, nearest};
use crate::domain::kind::{Kind, KindSet};
use crate::domain::yaml::{Node, Problems};

pub(super) fn read_kinds(problems: &mut Problems<'_>, node: &Node) -> Option<KindSet> {
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
        let names = Kind::ALL.map(Kind::as_str);
        let help = nearest(text, names)
            .map_or_else(|| format!("the kinds are {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        problems.add(problem.with_help(help));
    }
    kind
}
