//! Questions about facts, compiled: what a leaf of a condition asks, and how a value answers it.
//!
//! A value that a question cannot be asked of is an answer of its own, never a `no`.

use super::calendar::{Calendar, read_time};
use super::sets::{DomainSet, TextSet};
use super::tree::{Answer, Slot, Tree, every, some};
use crate::domain::domain_name::DomainName;
use crate::domain::duration::parse_duration;
use crate::domain::fact::{FactName, FactState, FactValue};
use crate::domain::fact_catalogue::{self, FactType};
use crate::domain::size::parse_size;
use jiff::Timestamp;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// What a rule asks.
pub(super) type Condition = Tree<Question>;

/// One leaf of a condition.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// About a fact.
    Fact(Leaf),
    /// About the time of the decision.
    Time { calendar: Arc<Calendar>, within: bool },
}

/// One question about one fact.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) slot: Slot,
    pub(super) fact: FactName,
    pub(super) is_personal: bool,
    pub(super) test: Test,
}

/// A fact on the right-hand side.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) slot: Slot,
    pub(super) fact: FactName,
}

/// The question itself.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Compare(Comparison, Operand),
    Member { set: Set, negated: bool },
    Contains(Word),
    ContainsAny(Words),
    ContainsAll(Words),
    StartsWith(String),
    EndsWith(String),
    Matches(regex::Regex),
    Size(Comparison, i64),
    Exists(bool),
    Each(Quantifier, Box<Tree<Test>>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Comparison {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Comparison::Eq => "eq",
            Comparison::Ne => "ne",
            Comparison::Gt => "gt",
            Comparison::Gte => "gte",
            Comparison::Lt => "lt",
            Comparison::Lte => "lte",
        }
    }

    /// Nothing where the values are not of one type, or have no order and are asked for it.
    fn between(self, left: Seen<'_>, right: Seen<'_>) -> Option<bool> {
        let has_order = |seen| matches!(seen, Seen::Int(_) | Seen::Time(_) | Seen::Duration(_));
        let can_be_asked = matches!(self, Comparison::Eq | Comparison::Ne) || has_order(left) || has_order(right);
        order(left, right).filter(|_| can_be_asked).map(|order| self.holds(order))
    }

    pub(super) const fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Gt => order.is_gt(),
            Comparison::Gte => order.is_ge(),
            Comparison::Lt => order.is_lt(),
            Comparison::Lte => order.is_le(),
        }
    }
}

/// How many elements of a list must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    Every,
    None,
}

impl Quantifier {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Quantifier::Any => "any",
            Quantifier::Every => "every",
            Quantifier::None => "none",
        }
    }
}

/// What a fact is compared with.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Value(FactValue),
    /// A number of bytes, written with its unit.
    Bytes(i64),
    Fact(Reference),
}

/// What a fact is looked up in.
#[derive(Debug, Clone)]
pub(super) enum Set {
    Texts(Arc<TextSet>),
    /// In order.
    Ints(Vec<i64>),
    Domains(Arc<DomainSet>),
    Fact(Reference),
}

/// What a list or text must contain.
#[derive(Debug, Clone)]
pub(super) enum Word {
    Text(String),
    Fact(Reference),
}

/// Some of what a list must contain.
#[derive(Debug, Clone)]
pub(super) enum Words {
    Texts(Arc<TextSet>),
    Fact(Reference),
}

/// A value as it is looked at, without being copied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen<'v> {
    Bool(bool),
    Int(i64),
    Text(&'v str),
    Domain(&'v DomainName),
    List(&'v [String]),
    Time(Timestamp),
    Duration(Duration),
}

impl<'v> From<&'v FactValue> for Seen<'v> {
    fn from(value: &'v FactValue) -> Self {
        match value {
            FactValue::Bool(value) => Seen::Bool(*value),
            FactValue::Int(value) => Seen::Int(*value),
            FactValue::Text(value) => Seen::Text(value),
            FactValue::Domain(value) => Seen::Domain(value),
            FactValue::List(value) => Seen::List(value),
            FactValue::Time(value) => Seen::Time(*value),
            FactValue::Duration(value) => Seen::Duration(*value),
        }
    }
}

/// The facts of one operation by slot, and the time.
#[derive(Debug)]
pub(super) struct View<'f> {
    pub(super) states: Vec<&'f FactState>,
    /// The facts' names, for explanations.
    pub(super) names: &'f [FactName],
    pub(super) now: Timestamp,
}

impl<'f> View<'f> {
    pub(super) fn state(&self, slot: Slot) -> &'f FactState {
        usize::try_from(slot).ok().and_then(|slot| self.states.get(slot)).copied().unwrap_or(&FactState::Absent)
    }

    fn known(&self, reference: &Reference) -> Result<Seen<'f>, Answer> {
        match self.state(reference.slot) {
            FactState::Known(value, _) => Ok(value.into()),
            FactState::Absent | FactState::Unknown(_) => Err(Answer::Missing(reference.slot)),
        }
    }

    pub(super) fn ask(&self, condition: &Condition) -> Answer {
        condition.ask(&mut |question| self.answer(question))
    }

    pub(super) fn answer(&self, question: &Question) -> Answer {
        let leaf = match question {
            Question::Time { calendar, within } => return Answer::of(calendar.contains(self.now) == *within),
            Question::Fact(leaf) => leaf,
        };
        match (&leaf.test, self.state(leaf.slot)) {
            (Test::Exists(wanted), FactState::Known(_, _)) => Answer::of(*wanted),
            (Test::Exists(wanted), FactState::Absent) => Answer::of(!*wanted),
            (test, FactState::Known(value, _)) => test.answer(value.into(), self, leaf.slot),
            (_, FactState::Absent | FactState::Unknown(_)) => Answer::Missing(leaf.slot),
        }
    }
}

fn is_of_any_type(fact: &FactName) -> bool {
    fact_catalogue::find(fact.as_str()).is_some_and(|spec| matches!(spec.fact_type, FactType::Scalar))
}

impl Test {
    /// How a known value answers. `slot` is the value's own, to be named if its type does not fit.
    pub(super) fn answer(&self, value: Seen<'_>, view: &View<'_>, slot: Slot) -> Answer {
        match self.try_answer(value, view, slot) {
            Ok(Some(holds)) => Answer::of(holds),
            Ok(None) => Answer::OtherType(slot),
            Err(missing) => missing,
        }
    }

    /// Nothing where the question cannot be asked of such a value; an error where the other side is missing.
    fn try_answer(&self, value: Seen<'_>, view: &View<'_>, slot: Slot) -> Result<Option<bool>, Answer> {
        Ok(match (self, value) {
            (Test::Compare(comparison, operand), _) => match operand {
                Operand::Value(other) => comparison.between(value, other.into()),
                // What the web app chose the type of is the one that does not fit.
                Operand::Fact(reference) => match comparison.between(value, view.known(reference)?) {
                    None if is_of_any_type(&reference.fact) => return Err(Answer::OtherType(reference.slot)),
                    compared => compared,
                },
                Operand::Bytes(bytes) => match value {
                    Seen::Int(number) => Some(comparison.holds(number.cmp(bytes))),
                    Seen::Text(text) => parse_size(text).map(|number| comparison.holds(number.cmp(bytes))),
                    _ => None,
                },
            },
            (Test::Member { set, negated }, _) => {
                let is_in = match (set, value) {
                    (Set::Texts(set), Seen::Text(text)) => Some(set.contains(text)),
                    (Set::Ints(set), Seen::Int(number)) => Some(set.binary_search(&number).is_ok()),
                    (Set::Domains(set), Seen::Domain(domain)) => Some(set.contains(domain)),
                    (Set::Fact(reference), Seen::Text(text)) => Some(holds_item(list(view, reference)?, text)),
                    _ => None,
                };
                is_in.map(|is_in| is_in != *negated)
            }
            (Test::Contains(word), Seen::List(items)) => Some(holds_item(items, word.text(view)?)),
            (Test::Contains(word), Seen::Text(text)) => Some(text.contains(word.text(view)?)),
            (Test::ContainsAny(Words::Texts(set)), Seen::List(items)) => Some(items.iter().any(|item| set.contains(item))),
            (Test::ContainsAny(Words::Fact(reference)), Seen::List(items)) => {
                Some(list(view, reference)?.iter().any(|word| holds_item(items, word)))
            }
            (Test::ContainsAll(Words::Texts(set)), Seen::List(items)) => Some(set.iter().all(|word| holds_item(items, word))),
            (Test::ContainsAll(Words::Fact(reference)), Seen::List(items)) => match list(view, reference)? {
                [] => return Err(Answer::Empty(reference.slot)),
                words => Some(words.iter().all(|word| holds_item(items, word))),
            },
            (Test::StartsWith(word), Seen::Text(text)) => Some(text.starts_with(word.as_str())),
            (Test::EndsWith(word), Seen::Text(text)) => Some(text.ends_with(word.as_str())),
            (Test::Matches(pattern), Seen::Text(text)) => Some(pattern.is_match(text)),
            (Test::Size(comparison, than), Seen::List(items)) => Some(comparison.holds(count(items.len()).cmp(than))),
            (Test::Size(comparison, than), Seen::Text(text)) => Some(comparison.holds(count(text.chars().count()).cmp(than))),
            (Test::Each(quantifier, condition), Seen::List(items)) => {
                let ask = |item: &String| condition.ask(&mut |test: &Test| test.answer(Seen::Text(item), view, slot));
                return match quantifier {
                    Quantifier::Any => some(items, ask),
                    Quantifier::Every => every(items, ask),
                    Quantifier::None => every(items, |item| ask(item).not()),
                }
                .known();
            }
            _ => None,
        })
    }
}

impl Word {
    fn text<'w>(&'w self, view: &View<'w>) -> Result<&'w str, Answer> {
        match self {
            Word::Text(text) => Ok(text),
            Word::Fact(reference) => match view.known(reference)? {
                Seen::Text("") => Err(Answer::Empty(reference.slot)),
                Seen::Text(text) => Ok(text),
                _ => Err(Answer::OtherType(reference.slot)),
            },
        }
    }
}

fn list<'f>(view: &View<'f>, reference: &Reference) -> Result<&'f [String], Answer> {
    match view.known(reference)? {
        Seen::List(items) => Ok(items),
        _ => Err(Answer::OtherType(reference.slot)),
    }
}

fn holds_item(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == wanted)
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// How two values stand to each other; `None` where they are not of one type. A text that the web app chose is read as
/// a domain, a time or a duration where it is compared with one.
fn order(left: Seen<'_>, right: Seen<'_>) -> Option<Ordering> {
    match (left, right) {
        (Seen::Int(left), Seen::Int(right)) => Some(left.cmp(&right)),
        (Seen::Text(left), Seen::Text(right)) => Some(left.cmp(right)),
        (Seen::Bool(left), Seen::Bool(right)) => Some(left.cmp(&right)),
        (Seen::Domain(left), Seen::Domain(right)) => Some(left.cmp(right)),
        (Seen::Time(left), Seen::Time(right)) => Some(left.cmp(&right)),
        (Seen::Duration(left), Seen::Duration(right)) => Some(left.cmp(&right)),
        (Seen::Text(left), Seen::Domain(right)) => DomainName::parse(left).map(|left| left.cmp(right)),
        (Seen::Domain(left), Seen::Text(right)) => DomainName::parse(right).map(|right| left.cmp(&right)),
        (Seen::Text(left), Seen::Time(right)) => read_time(left).map(|left| left.cmp(&right)),
        (Seen::Time(left), Seen::Text(right)) => read_time(right).map(|right| left.cmp(&right)),
        (Seen::Text(left), Seen::Duration(right)) => parse_duration(left).map(|left| left.cmp(&right)),
        (Seen::Duration(left), Seen::Text(right)) => parse_duration(right).map(|right| left.cmp(&right)),
        _ => None,
    }
}
