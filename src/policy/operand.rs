//! Reads what an operator compares with: literals of every type, other facts, lists in place and by name.

use super::calendar::read_time;
use super::condition::{Asked, Reader};
use super::question::{Operand, Reference, Set, Word, Words};
use super::sets::{DomainSet, TextSet};
use crate::domain::diagnostic::{Diagnostic, nearest};
use crate::domain::domain_name::{DomainName, DomainPattern};
use crate::domain::duration::parse_duration;
use crate::domain::fact::{FactName, FactValue};
use crate::domain::fact_catalogue::{self, FactSpec, FactType};
use crate::domain::size::parse_size;
use crate::domain::yaml::{Key, Node, Value};
use FactType::{Bool, Domain, Duration, Int, List, Scalar, Text, Time};
use std::sync::Arc;

impl Reader<'_, '_> {
    pub(super) fn operand(&mut self, asked: Asked<'_>, node: &Node) -> Option<Operand> {
        let Some((reference, other)) = self.reference(node)? else {
            return self.literal(asked, node).map(Operand::Value);
        };
        // What the web app chose can be anything but a list here; it is seen when it is read.
        let is_open = |fact_type| fact_type == Scalar;
        let can_be_equal = other.fact_type == asked.fact_type && asked.fact_type != List
            || is_open(asked.fact_type) && other.fact_type != List
            || is_open(other.fact_type) && asked.fact_type != List;
        if !can_be_equal {
            let message = format!(
                "`{}` is {}, and `{}` is {}: they can never be equal",
                asked.name,
                asked.fact_type.name(),
                reference.fact,
                other.fact_type.name()
            );
            self.problems.error("wrong-type", node.spot, message);
            return None;
        }
        Some(Operand::Fact(reference))
    }

    /// What comes before or after something else: a number, a time, a duration or an amount of data.
    pub(super) fn ordered(&mut self, asked: Asked<'_>, operator: &Key, node: &Node) -> Option<Operand> {
        if asked.fact_type == Scalar
            && let Value::Text(text) = &node.value
        {
            let time = read_time(text).map(|time| Operand::Value(FactValue::Time(time)));
            let duration = || parse_duration(text).map(|length| Operand::Value(FactValue::Duration(length)));
            let found = time.or_else(duration).or_else(|| parse_size(text).map(Operand::Bytes));
            if found.is_none() {
                let message = format!("`{}` compares numbers, times, durations and sizes", operator.name);
                let problem = Diagnostic::error("wrong-type", self.problems.file(), node.spot, message);
                self.problems.add(problem.with_help("write `3`, `2026-03-02T10:00:00Z`, `24h` or `10MiB`"));
            }
            return found;
        }
        let operand = self.operand(asked, node)?;
        let has_order = match &operand {
            Operand::Value(value) => matches!(value, FactValue::Int(_) | FactValue::Time(_) | FactValue::Duration(_)),
            Operand::Bytes(_) => true,
            Operand::Fact(other) => {
                let spec = fact_catalogue::find(other.fact.as_str());
                spec.is_some_and(|spec| matches!(spec.fact_type, Int | Time | Duration | Scalar))
            }
        };
        if !has_order {
            let message = format!("`{}` compares numbers, times, durations and sizes", operator.name);
            self.problems.error("wrong-type", node.spot, message);
        }
        has_order.then_some(operand)
    }

    /// `{fact: name}` on the right-hand side; the outer `None` is a mistake that was reported.
    #[expect(clippy::option_option, reason = "a reported mistake and no reference at all are different things")]
    fn reference(&mut self, node: &Node) -> Option<Option<(Reference, &'static FactSpec)>> {
        if !matches!(node.value, Value::Map(_)) {
            return Some(None);
        }
        let fields = self.problems.mapping(node, "a value", &["fact"])?;
        let Some(name) = fields.get("fact") else {
            self.problems.error("wrong-type", node.spot, "a value must be a scalar or `{fact: name}`");
            return None;
        };
        let text = self.problems.text(name, "fact")?;
        let spec = self.spec(text, name.spot)?;
        let fact = FactName::new(text);
        let slot = self.names.slot(&fact);
        Some(Some((Reference { slot, fact }, spec)))
    }

    /// Reports a text that is the name of a fact: what the fact holds is not meant by that. Whether it is one.
    fn is_fact_as_text(&mut self, code: &'static str, text: &str, node: &Node) -> bool {
        let name = text.trim_start_matches('{').trim_end_matches('}');
        let Some(spec) = fact_catalogue::find(name) else { return false };
        let message = format!("`{text}` names a fact, and a text is compared with it letter by letter");
        let problem = Diagnostic::error(code, self.problems.file(), node.spot, message);
        let help = match (code, spec.fact_type) {
            ("fact-as-text", _) => format!("write `{{fact: {name}}}` for what the fact holds"),
            (_, List) => {
                format!("write `{{fact: {name}}}` in place of the list for what the fact holds; a text is one of a named list")
            }
            _ => format!(
                "compare with `{{fact: {name}}}` for what the fact holds; where the text is meant, put it in a named list"
            ),
        };
        self.problems.add(problem.with_help(help));
        true
    }

    pub(super) fn literal(&mut self, asked: Asked<'_>, node: &Node) -> Option<FactValue> {
        if let (Value::Text(text), Text | Scalar) = (&node.value, asked.fact_type)
            && self.is_fact_as_text("fact-as-text", text, node)
        {
            return None;
        }
        let value = match (&node.value, asked.fact_type) {
            (Value::Bool(value), Bool | Scalar) => Some(FactValue::Bool(*value)),
            (Value::Int(value), Int | Scalar) => Some(FactValue::Int(*value)),
            (Value::Text(value), Text | Scalar) => Some(FactValue::Text(value.clone())),
            (Value::Text(value), Time) => read_time(value).map(FactValue::Time),
            (Value::Text(value), Duration) => parse_duration(value).map(FactValue::Duration),
            (Value::Text(value), Domain) => {
                let name = DomainName::parse(value);
                if name.is_none() {
                    let problem =
                        Diagnostic::error("bad-domain", self.problems.file(), node.spot, format!("`{value}` is no domain name"));
                    self.problems.add(match DomainPattern::parse(value) {
                        Some(_) => problem.with_help(format!("names below another one are looked up: `{{in: [\"{value}\"]}}`")),
                        None => problem,
                    });
                    return None;
                }
                name.map(FactValue::Domain)
            }
            _ => None,
        };
        if value.is_none() {
            let message = format!("`{}` is {}, and is compared with {}", asked.name, asked.fact_type.name(), node.type_name());
            let problem = Diagnostic::error("wrong-type", self.problems.file(), node.spot, message);
            let help = match (asked.fact_type, &node.value) {
                (Text, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => Some("write the value in quotes"),
                (Bool, _) => Some("write `true` or `false`"),
                (Int, Value::Text(text)) if text.parse::<i64>().is_ok() => Some("write the number without quotes"),
                (List, _) => Some("ask what is in the list: `{contains: ...}`, or `{any: ...}` for a condition on its elements"),
                (Time, _) => Some("write a time such as `2026-03-02T10:00:00Z`, or a day such as `2026-03-02`"),
                (Duration, _) => Some("write a whole number and a unit, such as `30s`, `15m`, `24h` or `7d`"),
                _ => None,
            };
            self.problems.add(match help {
                Some(help) => problem.with_help(help),
                None => problem,
            });
        }
        value
    }

    pub(super) fn word(&mut self, operator: &Key, node: &Node) -> Option<String> {
        let text = self.problems.text(node, &operator.name)?;
        if text.is_empty() {
            self.problems.error("empty-value", node.spot, format!("`{}` of an empty text is always true", operator.name));
            return None;
        }
        self.is_fact_as_text("fact-as-word", text, node);
        Some(text.to_owned())
    }

    pub(super) fn contained(&mut self, operator: &Key, node: &Node) -> Option<Word> {
        match self.reference(node)? {
            None => self.word(operator, node).map(Word::Text),
            Some((reference, other)) if matches!(other.fact_type, Text | Scalar) => Some(Word::Fact(reference)),
            Some((reference, other)) => {
                let message = format!("`{}` is {}, and cannot be contained in anything", reference.fact, other.fact_type.name());
                self.problems.error("wrong-type", node.spot, message);
                None
            }
        }
    }

    pub(super) fn words(&mut self, node: &Node) -> Option<Words> {
        if let Some(reference) = self.list_reference(node)? {
            return Some(Words::Fact(reference));
        }
        self.text_set(node).map(Words::Texts)
    }

    /// A set of texts; one for all the rules that use the same list.
    fn text_set(&mut self, node: &Node) -> Option<Arc<TextSet>> {
        let name = named_list(node);
        if let Some(set) = name.and_then(|name| self.names.text_sets.get(name)) {
            return Some(Arc::clone(set));
        }
        let (label, texts) = self.texts(node)?;
        if let Value::List(items) = &node.value {
            for (item, text) in items.iter().zip(&texts) {
                self.is_fact_as_text("fact-as-word", text, item);
            }
        }
        let set = Arc::new(TextSet::new(label, texts));
        if let Some(name) = name {
            self.names.text_sets.insert(name.to_owned(), Arc::clone(&set));
        }
        Some(set)
    }

    /// A set of domain patterns; one for all the rules that use the same list.
    fn domain_set(&mut self, node: &Node) -> Option<Arc<DomainSet>> {
        let name = named_list(node);
        if let Some(set) = name.and_then(|name| self.names.domain_sets.get(name)) {
            return Some(Arc::clone(set));
        }
        let (label, texts) = self.texts(node)?;
        let mut patterns = Vec::with_capacity(texts.len());
        for text in &texts {
            match DomainPattern::parse(text) {
                Some(pattern) => patterns.push(pattern),
                None => {
                    let message = format!("`{text}` in {label} is no domain name");
                    let problem = Diagnostic::error("bad-domain", self.problems.file(), node.spot, message);
                    self.problems.add(
                        problem.with_help("write `example.com` for that name alone, or `*.example.org` for every name below it"),
                    );
                }
            }
        }
        if patterns.len() < texts.len() {
            return None;
        }
        let set = Arc::new(DomainSet::new(label, patterns));
        if let Some(name) = name {
            self.names.domain_sets.insert(name.to_owned(), Arc::clone(&set));
        }
        Some(set)
    }

    /// `{fact: name}` of a list.
    #[expect(clippy::option_option, reason = "a reported mistake and no reference at all are different things")]
    fn list_reference(&mut self, node: &Node) -> Option<Option<Reference>> {
        let Value::Map(entries) = &node.value else { return Some(None) };
        if !entries.iter().any(|(key, _)| key.name == "fact") {
            return Some(None);
        }
        let (reference, other) = self.reference(node)??;
        if !matches!(other.fact_type, List | Scalar) {
            let message = format!("`{}` is {}, and no list to look things up in", reference.fact, other.fact_type.name());
            self.problems.error("wrong-type", node.spot, message);
            return None;
        }
        Some(Some(reference))
    }

    pub(super) fn set(&mut self, asked: Asked<'_>, node: &Node) -> Option<Set> {
        if let Some(reference) = self.list_reference(node)? {
            if !matches!(asked.fact_type, Text | Scalar) {
                let message = format!("`{}` is {}, and `{}` holds texts", asked.name, asked.fact_type.name(), reference.fact);
                self.problems.error("wrong-type", node.spot, message);
                return None;
            }
            return Some(Set::Fact(reference));
        }
        let all_are_numbers = |items: &[Node]| !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Int(_)));
        let is_numbers = matches!(&node.value, Value::List(items) if all_are_numbers(items));
        if asked.fact_type == Int || asked.fact_type == Scalar && is_numbers {
            let items = self.list_in_place(node)?;
            if items.is_empty() {
                self.problems.error("empty-value", node.spot, "nothing is in an empty list");
                return None;
            }
            let numbers: Vec<_> = items.iter().map(|item| self.problems.int(item, "in")).collect();
            let mut numbers: Vec<i64> = numbers.into_iter().collect::<Option<_>>()?;
            numbers.sort_unstable();
            return Some(Set::Ints(numbers));
        }
        if asked.fact_type == Domain { self.domain_set(node).map(Set::Domains) } else { self.text_set(node).map(Set::Texts) }
    }

    /// A list in brackets: a single word may be the name of a list, and must not be taken for its one entry.
    fn list_in_place<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        let message = format!("a list is needed here, and this is {}", node.type_name());
        let problem = Diagnostic::error("wrong-type", self.problems.file(), node.spot, message);
        self.problems.add(match &node.value {
            Value::Text(text) => problem.with_help(format!("write `[{text}]`, or `{{list: {text}}}` for a named list")),
            _ => problem.with_help("write the values in brackets, or `{list: name}`"),
        });
        None
    }

    /// A list written in place, or `{list: name}`; with what to call it.
    fn texts(&mut self, node: &Node) -> Option<(String, Vec<String>)> {
        if !matches!(node.value, Value::Map(_)) {
            let items = self.list_in_place(node)?;
            if items.is_empty() {
                self.problems.error("empty-value", node.spot, "nothing is in an empty list");
                return None;
            }
            let texts: Vec<_> = items.iter().map(|item| self.problems.text(item, "in").map(str::to_owned)).collect();
            let texts: Vec<String> = texts.into_iter().collect::<Option<_>>()?;
            return Some((format!("[{}]", texts.join(", ")), texts));
        }
        let fields = self.problems.mapping(node, "a list", &["list", "fact"])?;
        let Some(name) = fields.get("list") else {
            self.problems.error("wrong-type", node.spot, "write the values, `{list: name}` or `{fact: name}`");
            return None;
        };
        let text = self.problems.text(name, "list")?;
        if let Some(list) = self.names.lists.get_mut(text) {
            list.is_used = true;
            let entries = list.entries.clone()?;
            if entries.is_empty() {
                // A list that was cut short must not turn a rule into its contrary.
                let problem =
                    Diagnostic::error("empty-value", self.problems.file(), name.spot, format!("list `{text}` is empty"));
                self.problems.add(problem.with_help("fill it, or take the rule out"));
                return None;
            }
            return Some((format!("list `{text}`"), entries));
        }
        let problem = Diagnostic::error("unknown-list", self.problems.file(), name.spot, format!("there is no list `{text}`"));
        self.problems.add(match nearest(text, self.names.lists.keys().map(String::as_str)) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem.with_help("name it under `lists:` at the top of a rule file"),
        });
        None
    }
}

fn named_list(node: &Node) -> Option<&str> {
    match &node.value {
        // With any other key it is read in full, and that key is reported.
        Value::Map(entries) => match entries.as_slice() {
            [(key, Node { value: Value::Text(name), .. })] if key.name == "list" => Some(name.as_str()),
            _ => None,
        },
        _ => None,
    }
}
