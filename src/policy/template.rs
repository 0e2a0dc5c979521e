//! Reasons and messages: text that quotes facts in braces. Only public facts can be quoted.

use crate::domain::diagnostic::{Diagnostic, nearest};
use crate::domain::fact::{FactName, FactSet, FactState};
use crate::domain::fact_catalogue;
use crate::domain::kind::KindSet;
use crate::domain::yaml::{Node, Problems};
use std::collections::BTreeSet;

/// A checked text.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Fact(FactName),
}

impl Template {
    /// Checks a text: braces in pairs, every fact known to all the kinds and public.
    pub(super) fn parse(problems: &mut Problems<'_>, node: &Node, what: &str, on: KindSet) -> Option<Self> {
        let text = problems.text(node, what)?;
        let mut parts = Vec::new();
        let mut rest = text;
        let mut sound = true;
        while let Some((before, after)) = rest.split_once('{') {
            parts.push(Part::Text(before.to_owned()));
            let Some((name, tail)) = after.split_once('}') else {
                problems.error("bad-template", node.spot, format!("`{what}` opens a brace that is never closed"));
                return None;
            };
            sound &= check_quoted(problems, node, name, on);
            parts.push(Part::Fact(FactName::new(name)));
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        sound.then_some(Self(parts))
    }

    pub(super) fn facts(&self, needed: &mut BTreeSet<FactName>) {
        for part in &self.0 {
            if let Part::Fact(name) = part {
                needed.insert(name.clone());
            }
        }
    }

    pub(super) fn render(&self, facts: &FactSet) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::Fact(name) => match facts.get(name) {
                    FactState::Known(value, _) => text.push_str(&value.display()),
                    FactState::Absent => text.push_str("(absent)"),
                    FactState::Unknown(_) => text.push_str("(unknown)"),
                },
            }
        }
        text
    }
}

fn check_quoted(problems: &mut Problems<'_>, node: &Node, name: &str, on: KindSet) -> bool {
    let file = problems.file();
    let Some(spec) = fact_catalogue::find(name) else {
        let problem = Diagnostic::error("unknown-fact", file, node.spot, format!("there is no fact `{name}` to quote"));
        let near = nearest(name, fact_catalogue::names());
        let help = near
            .map_or_else(|| "a text in braces is the name of a fact".to_owned(), |near| format!("did you mean `{{{near}}}`?"));
        problems.add(problem.with_help(help));
        return false;
    };
    if spec.personal.is_some() {
        problems.add(
            Diagnostic::error(
                "personal-fact",
                file,
                node.spot,
                format!("`{name}` is personal and cannot be quoted in a text that is kept"),
            )
            .with_help("quote an id or a domain instead"),
        );
        return false;
    }
    if let Some(kind) = on.iter().find(|kind| !spec.kinds().contains(*kind)) {
        problems.error("fact-not-on-kind", node.spot, format!("`{kind}` operations have no fact `{name}`"));
        return false;
    }
    true
}
