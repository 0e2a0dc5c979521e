//! Reads one operator and its operand: which types it can be asked of, and what it is compared with.

use super::condition::{Asked, Reader};
use super::question::{Comparison, Operand, Quantifier, Reference, Set, Test, Word, Words, read_time};
use super::sets::{DomainSet, TextSet};
use super::tree::Tree;
use crate::domain::diagnostic::{Diagnostic, nearest};
use crate::domain::domain_name::{DomainName, DomainPattern};
use crate::domain::duration::parse_duration;
use crate::domain::fact::{FactName, FactValue};
use crate::domain::fact_catalogue::{FactSpec, FactType};
use crate::domain::size::parse_size;
use crate::domain::yaml::{Key, Node, Value};
use FactType::{Bool, Domain, Duration, Int, List, Scalar, Text, Time};
use std::sync::Arc;

/// Every operator, the types it can be asked of, and what it asks.
pub(super) const OPERATORS: [(&str, &[FactType], &str); 19] = [
    ("eq", &[Bool, Int, Text, Domain, Time, Duration, Scalar], "is equal"),
    ("ne", &[Bool, Int, Text, Domain, Time, Duration, Scalar], "is not equal"),
    ("in", &[Int, Text, Domain, Scalar], "is in the list"),
    ("not_in", &[Int, Text, Domain, Scalar], "is not in the list"),
    ("gt", &[Int, Time, Duration, Scalar], "is more, later or longer"),
    ("gte", &[Int, Time, Duration, Scalar], "is as much or more"),
    ("lt", &[Int, Time, Duration, Scalar], "is less, earlier or shorter"),
    ("lte", &[Int, Time, Duration, Scalar], "is as much or less"),
    ("contains", &[List, Text, Scalar], "the list has this element, or the text this part"),
    ("contains_any", &[List, Scalar], "the list has one of these elements"),
    ("contains_all", &[List, Scalar], "the list has all of these elements"),
    ("starts_with", &[Text, Scalar], "the text begins so"),
    ("ends_with", &[Text, Scalar], "the text ends so"),
    ("matches", &[Text, Scalar], "the regular expression is found in the text"),
    ("exists", &[Bool, Int, Text, Domain, List, Time, Duration, Scalar], "the fact is known (true) or absent (false)"),
    ("size", &[List, Text, Scalar], "how many elements the list or characters the text has"),
    ("any", &[List, Scalar], "one element of the list holds"),
    ("every", &[List, Scalar], "every element of the list holds"),
    ("none", &[List, Scalar], "no element of the list holds"),
];

/// A regular expression that compiles to more than this is a mistake.
const MAX_PATTERN_BYTES: usize = 1 << 20;

impl Reader<'_, '_> {
    /// One operator; `size` may ask several things at once.
    pub(super) fn test(&mut self, asked: Asked<'_>, operator: &Key, operand: &Node) -> Option<Vec<Test>> {
        let name = operator.name.as_str();
        let Some((_, types, _)) = OPERATORS.iter().find(|(known, _, _)| *known == name) else {
            self.unknown_operator(operator);
            return None;
        };
        if !types.contains(&asked.fact_type) {
            self.not_allowed(asked, operator);
            return None;
        }
        let test = match name {
            "eq" => Test::Compare(Comparison::Eq, self.operand(asked, operand)?),
            "ne" => Test::Compare(Comparison::Ne, self.operand(asked, operand)?),
            "gt" => Test::Compare(Comparison::Gt, self.ordered(asked, operator, operand)?),
            "gte" => Test::Compare(Comparison::Gte, self.ordered(asked, operator, operand)?),
            "lt" => Test::Compare(Comparison::Lt, self.ordered(asked, operator, operand)?),
            "lte" => Test::Compare(Comparison::Lte, self.ordered(asked, operator, operand)?),
            "in" | "not_in" => Test::Member { set: self.set(asked, operand)?, negated: name == "not_in" },
            "contains" => Test::Contains(self.contained(operator, operand)?),
            "contains_any" => Test::ContainsAny(self.words(operand)?),
            "contains_all" => Test::ContainsAll(self.words(operand)?),
            "starts_with" => Test::StartsWith(self.word(operator, operand)?),
            "ends_with" => Test::EndsWith(self.word(operator, operand)?),
            "matches" => Test::Matches(self.pattern(operand)?),
            "size" => return self.size(operand),
            "any" => Test::Each(Quantifier::Any, Box::new(self.elements(asked, operand)?)),
            "every" => Test::Each(Quantifier::Every, Box::new(self.elements(asked, operand)?)),
            "none" => Test::Each(Quantifier::None, Box::new(self.elements(asked, operand)?)),
            _ => match operand.value {
                Value::Bool(wanted) => Test::Exists(wanted),
                _ => {
                    self.problems.error("wrong-type", operand.spot, "`exists` must be `true` or `false`");
                    return None;
                }
            },
        };
        Some(vec![test])
    }

    fn unknown_operator(&mut self, operator: &Key) {
        let message = format!("there is no operator `{}`", operator.name);
        let problem = Diagnostic::error("unknown-operator", self.problems.file(), operator.spot, message);
        let names = OPERATORS.map(|(name, _, _)| name);
        let help = nearest(&operator.name, names)
            .map_or_else(|| format!("the operators are {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        self.problems.add(problem.with_help(help));
    }

    fn not_allowed(&mut self, asked: Asked<'_>, operator: &Key) {
        let message = format!("`{}` cannot be asked of `{}`, which is {}", operator.name, asked.name, asked.fact_type.name());
        let problem = Diagnostic::error("wrong-type", self.problems.file(), operator.spot, message);
        let allowed = OPERATORS.iter().filter(|(_, types, _)| types.contains(&asked.fact_type));
        let allowed: Vec<_> = allowed.map(|(name, _, _)| format!("`{name}`")).collect();
        let mut help = format!("what can be asked of it is {}", allowed.join(", "));
        if asked.fact_type == Domain {
            help.push_str("; `*.example.org` in a list is every name below it");
        }
        self.problems.add(problem.with_help(help));
    }

    fn operand(&mut self, asked: Asked<'_>, node: &Node) -> Option<Operand> {
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
    fn ordered(&mut self, asked: Asked<'_>, operator: &Key, node: &Node) -> Option<Operand> {
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
                let spec = crate::domain::fact_catalogue::find(other.fact.as_str());
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

    pub(super) fn literal(&mut self, asked: Asked<'_>, node: &Node) -> Option<FactValue> {
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

    fn word(&mut self, operator: &Key, node: &Node) -> Option<String> {
        let text = self.problems.text(node, &operator.name)?;
        if text.is_empty() {
            self.problems.error("empty-value", node.spot, format!("`{}` of an empty text is always true", operator.name));
            return None;
        }
        Some(text.to_owned())
    }

    fn contained(&mut self, operator: &Key, node: &Node) -> Option<Word> {
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

    fn words(&mut self, node: &Node) -> Option<Words> {
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

    fn pattern(&mut self, node: &Node) -> Option<regex::Regex> {
        let text = self.problems.text(node, "matches")?;
        match regex::RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let error = error.to_string();
                let cause = error.lines().last().unwrap_or("it cannot be compiled").trim_start_matches("error: ");
                let message = format!("`{text}` is no regular expression: {cause}");
                let problem = Diagnostic::error("bad-pattern", self.problems.file(), node.spot, message);
                self.problems
                    .add(problem.with_help("the syntax is that of the `regex` crate: no look-around, no back-references"));
                None
            }
        }
    }

    fn size(&mut self, node: &Node) -> Option<Vec<Test>> {
        const SIZE: Asked<'_> = Asked { name: "size", fact_type: Int };
        let as_size = |test: Test| match test {
            Test::Compare(comparison, Operand::Value(FactValue::Int(than))) => Some(Test::Size(comparison, than)),
            _ => None,
        };
        let tests = self.tests(SIZE, node)?;
        let sizes: Option<Vec<_>> = tests.into_iter().map(as_size).collect();
        if sizes.is_none() {
            let problem =
                Diagnostic::error("wrong-type", self.problems.file(), node.spot, "`size` is compared with whole numbers");
            self.problems.add(problem.with_help("write `{size: 3}` or `{size: {gt: 3}}`"));
        }
        sizes
    }

    /// What is asked of each element of a list.
    fn elements(&mut self, asked: Asked<'_>, node: &Node) -> Option<Tree<Test>> {
        let name = format!("an element of {}", asked.name);
        let element = Asked { name: &name, fact_type: Text };
        if !matches!(node.value, Value::Map(_)) {
            return Tree::all(self.tests(element, node)?.into_iter().map(Tree::Leaf).collect());
        }
        self.tree(node, &mut |reader, operator, operand| {
            if operator.name == "exists" {
                reader.problems.error("wrong-type", operator.spot, "an element of a list is always there; `exists` asks nothing");
                return None;
            }
            Tree::all(reader.test(element, operator, operand)?.into_iter().map(Tree::Leaf).collect())
        })
    }

    fn set(&mut self, asked: Asked<'_>, node: &Node) -> Option<Set> {
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
            let items = self.problems.list(node, "in")?;
            if items.is_empty() {
                self.problems.error("empty-value", node.spot, "nothing is in an empty list");
                return None;
            }
            let numbers: Vec<_> = items.iter().map(|item| self.problems.int(item, "in")).collect();
            return numbers.into_iter().collect::<Option<_>>().map(Set::Ints);
        }
        if asked.fact_type == Domain { self.domain_set(node).map(Set::Domains) } else { self.text_set(node).map(Set::Texts) }
    }

    /// A list written in place, or `{list: name}`; with what to call it.
    fn texts(&mut self, node: &Node) -> Option<(String, Vec<String>)> {
        if !matches!(node.value, Value::Map(_)) {
            let items = self.problems.list(node, "in")?;
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
        Value::Map(entries) => entries.iter().find(|(key, _)| key.name == "list").and_then(|(_, node)| match &node.value {
            Value::Text(name) => Some(name.as_str()),
            _ => None,
        }),
        _ => None,
    }
}
