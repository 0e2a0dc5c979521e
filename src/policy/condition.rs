//! Reads the `when` of a rule: every leaf is checked against the fact catalogue, with its place in the file.

use super::calendar::{Calendar, Calendars};
use super::question::{Comparison, Condition, Leaf, Operand, Question, Test};
use super::range::is_impossible;
use super::sets::{DomainSet, Lists, TextSet};
use super::tree::{Slot, Tree};
use crate::domain::diagnostic::{Diagnostic, Spot, nearest};
use crate::domain::fact::FactName;
use crate::domain::fact_catalogue::{self, FactSpec, FactType};
use crate::domain::kind::KindSet;
use crate::domain::yaml::{Key, Node, Problems, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What the rules of a policy can name, and the slots of the facts that they have named so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) lists: Lists,
    pub(super) calendars: Calendars,
    pub(super) slots: Vec<FactName>,
    index: HashMap<FactName, Slot>,
    /// The sets that were made of named lists.
    pub(super) text_sets: HashMap<String, Arc<TextSet>>,
    pub(super) domain_sets: HashMap<String, Arc<DomainSet>>,
}

impl Names {
    pub(super) fn slot(&mut self, fact: &FactName) -> Slot {
        if let Some(slot) = self.index.get(fact) {
            return *slot;
        }
        let slot = Slot::try_from(self.slots.len()).unwrap_or(Slot::MAX);
        self.slots.push(fact.clone());
        self.index.insert(fact.clone(), slot);
        slot
    }
}

/// What a condition is read against.
pub(super) struct Reader<'r, 'f> {
    pub(super) problems: &'r mut Problems<'f>,
    pub(super) names: &'r mut Names,
    pub(super) on: KindSet,
}

/// What a question is asked of: a fact, or an element of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) fact_type: FactType,
}

/// Reads what stands under a key that is not `all`, `any` or `not`.
type ReadLeaf<'l, R, Q> = dyn FnMut(&mut R, &Key, &Node) -> Option<Tree<Q>> + 'l;

/// What was probably meant by a name below a person or a tresor that is far from every fact: an attribute.
fn attribute_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('.')?;
    let has_attributes = ["actor", "subject", "requester", "tresor"].contains(&prefix);
    let of_prefix = || fact_catalogue::names().filter_map(|known| known.strip_prefix(prefix)?.strip_prefix('.'));
    // A slip of the pen is nearer to the fact itself.
    let is_far = of_prefix().all(|known| strsim::osa_distance(known, rest) > 2 && !known.starts_with(rest));
    let rest = rest.strip_prefix("attribute.").unwrap_or(rest);
    (has_attributes && is_far && !rest.is_empty()).then(|| format!("{prefix}.attributes.{rest}"))
}

impl Reader<'_, '_> {
    /// Several keys in one mapping are `all`.
    pub(super) fn condition(&mut self, node: &Node) -> Option<Condition> {
        self.tree(node, &mut |reader, key, value| match key.name.as_str() {
            "time" => reader.time(value),
            _ => reader.fact(key, value),
        })
    }

    /// A mapping whose keys are `all`, `any`, `not`, or what `leaf` reads.
    pub(super) fn tree<Q>(&mut self, node: &Node, leaf: &mut ReadLeaf<'_, Self, Q>) -> Option<Tree<Q>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("a condition must be a mapping, and is {}", node.type_name());
            let problem = Diagnostic::error("wrong-type", self.problems.file(), node.spot, message);
            self.problems.add(problem.with_help("write `{fact: {operator: value}}`, or `all`, `any` or `not`"));
            return None;
        };
        if entries.is_empty() {
            self.problems.error("empty-condition", node.spot, "an empty condition says nothing");
            return None;
        }
        let parts: Vec<_> = entries
            .iter()
            .map(|(key, value)| match key.name.as_str() {
                "all" => self.parts(key, value, leaf).and_then(Tree::all),
                "any" => self.parts(key, value, leaf).and_then(Tree::any),
                "not" => self.tree(value, leaf).map(|part| Tree::Not(Box::new(part))),
                _ => leaf(self, key, value),
            })
            .collect();
        Tree::all(parts.into_iter().collect::<Option<_>>()?)
    }

    fn parts<Q>(&mut self, key: &Key, node: &Node, leaf: &mut ReadLeaf<'_, Self, Q>) -> Option<Vec<Tree<Q>>> {
        let Value::List(items) = &node.value else {
            let message = format!("`{}` must be a list of conditions, and is {}", key.name, node.type_name());
            self.problems.error("wrong-type", node.spot, message);
            return None;
        };
        if items.is_empty() {
            self.problems.error("empty-condition", node.spot, format!("`{}` of nothing says nothing", key.name));
            return None;
        }
        let parts: Vec<_> = items.iter().map(|item| self.tree(item, leaf)).collect();
        parts.into_iter().collect()
    }

    fn time(&mut self, node: &Node) -> Option<Condition> {
        let fields = self.problems.mapping(node, "`time`", &["within", "outside"])?;
        let mut parts = Vec::new();
        let mut is_sound = true;
        for (key, within) in [("within", true), ("outside", false)] {
            let Some(node) = fields.get(key) else { continue };
            match self.calendar(node, key) {
                Some(calendar) => parts.push(Tree::Leaf(Question::Time { calendar, within })),
                None => is_sound = false,
            }
        }
        // What stands there under another name was reported already.
        if parts.is_empty() && fields.entries.is_empty() {
            let problem = Diagnostic::error("empty-condition", self.problems.file(), node.spot, "`time` is asked nothing");
            self.problems.add(problem.with_help("write `{within: calendar}` or `{outside: calendar}`"));
        }
        if is_sound && !parts.is_empty() { Tree::all(parts) } else { None }
    }

    fn calendar(&mut self, node: &Node, key: &str) -> Option<Arc<Calendar>> {
        let name = self.problems.text(node, key)?;
        if let Some(calendar) = self.names.calendars.get(name) {
            return calendar.clone();
        }
        let problem =
            Diagnostic::error("unknown-calendar", self.problems.file(), node.spot, format!("there is no calendar `{name}`"));
        self.problems.add(match nearest(name, self.names.calendars.keys().map(String::as_str)) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem.with_help("name it under `calendars:` at the top of a rule file"),
        });
        None
    }

    fn fact(&mut self, key: &Key, node: &Node) -> Option<Condition> {
        let spec = self.spec(&key.name, key.spot)?;
        let asked = Asked { name: &key.name, fact_type: spec.fact_type };
        let tests = self.tests(asked, node)?;
        let fact = FactName::new(key.name.as_str());
        let slot = self.names.slot(&fact);
        let leaf =
            |test| Tree::Leaf(Question::Fact(Leaf { slot, fact: fact.clone(), is_personal: spec.personal.is_some(), test }));
        Tree::all(tests.into_iter().map(leaf).collect())
    }

    /// What is asked of one fact or element: operators in a mapping, or a value that it must be equal to.
    pub(super) fn tests(&mut self, asked: Asked<'_>, node: &Node) -> Option<Vec<Test>> {
        let tests = match &node.value {
            Value::Map(entries) if entries.is_empty() => {
                self.problems.error("empty-condition", node.spot, format!("`{}` is asked nothing", asked.name));
                return None;
            }
            Value::Map(entries) => {
                let tests: Vec<_> = entries.iter().map(|(operator, operand)| self.test(asked, operator, operand)).collect();
                tests.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()
            }
            Value::List(_) | Value::Null => {
                let message = format!("`{}` is compared with {}", asked.name, node.type_name());
                let problem = Diagnostic::error("wrong-type", self.problems.file(), node.spot, message);
                self.problems.add(problem.with_help("write an operator, such as `{in: [...]}` or `{exists: true}`"));
                return None;
            }
            _ => vec![Test::Compare(Comparison::Eq, Operand::Value(self.literal(asked, node)?))],
        };
        if is_impossible(asked.fact_type, tests.iter()) {
            let message = format!("no value of `{}` can be all of this, so it never holds", asked.name);
            self.problems.error("impossible-range", node.spot, message);
            return None;
        }
        Some(tests)
    }

    /// The catalogue's entry, if every kind of the rule has the fact.
    pub(super) fn spec(&mut self, name: &str, spot: Spot) -> Option<&'static FactSpec> {
        let file = self.problems.file();
        let Some(spec) = fact_catalogue::find(name) else {
            let problem = Diagnostic::error("unknown-fact", file, spot, format!("there is no fact `{name}`"));
            let near = nearest(name, fact_catalogue::names().chain(["all", "any", "not", "time"]));
            let near = match name.to_lowercase().as_str() {
                "and" | "&&" => Some("all"),
                "or" | "||" => Some("any"),
                _ => near,
            };
            let near = attribute_of(name).or_else(|| near.map(str::to_owned));
            let help = near.map_or_else(
                || "the facts begin with `operation.`, `requester.`, `actor.`, `subject.`, `tresor.` or `context.`; `assent policy facts` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.problems.add(problem.with_help(help));
            return None;
        };
        let kinds = spec.kinds();
        let without: Vec<_> = self.on.iter().filter(|kind| !kinds.contains(*kind)).map(|kind| format!("`{kind}`")).collect();
        if without.is_empty() {
            return Some(spec);
        }
        let with: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let message = format!("{} operations have no fact `{name}`", without.join(" and "));
        self.problems.add(Diagnostic::error("fact-not-on-kind", file, spot, message).with_help(format!(
            "it exists on {}; take the other kinds out of `on`, or put them into a rule of their own",
            with.join(", ")
        )));
        None
    }
}
