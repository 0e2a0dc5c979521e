//! Reads the `when` of a rule: every leaf is checked against the fact catalogue, with its place in the file.

use super::model::{Comparison, Condition, Leaf, Operand, Set, Test};
use super::sets::{DomainSet, Lists, TextSet};
use crate::domain::diagnostic::{Diagnostic, Spot, nearest};
use crate::domain::domain_name::{DomainName, DomainPattern};
use crate::domain::fact::{FactName, FactValue};
use crate::domain::fact_catalogue::{self, FactSpec, FactType};
use crate::domain::kind::KindSet;
use crate::domain::yaml::{Key, Node, Problems, Value};
use std::sync::Arc;

const OPERATORS: [&str; 14] = [
    "eq",
    "ne",
    "in",
    "not_in",
    "gt",
    "gte",
    "lt",
    "lte",
    "contains",
    "contains_any",
    "contains_all",
    "starts_with",
    "ends_with",
    "exists",
];

/// What a condition is read against.
pub(super) struct Reader<'r, 'f> {
    pub(super) problems: &'r mut Problems<'f>,
    pub(super) lists: &'r Lists,
    pub(super) on: KindSet,
}

impl Reader<'_, '_> {
    /// Several keys in one mapping are `all`.
    pub(super) fn condition(&mut self, node: &Node) -> Option<Condition> {
        let Value::Map(entries) = &node.value else {
            self.problems.add(
                Diagnostic::error(
                    "wrong-type",
                    self.problems.file(),
                    node.spot,
                    format!("a condition must be a mapping, and is {}", node.type_name()),
                )
                .with_help("write `{fact: {operator: value}}`, or `all`, `any` or `not`"),
            );
            return None;
        };
        if entries.is_empty() {
            self.problems.error("empty-condition", node.spot, "an empty condition says nothing");
            return None;
        }
        let parts: Vec<_> = entries.iter().map(|(key, value)| self.entry(key, value)).collect();
        join(parts.into_iter().collect::<Option<_>>()?, Condition::All)
    }

    fn entry(&mut self, key: &Key, value: &Node) -> Option<Condition> {
        match key.name.as_str() {
            "all" => self.parts(key, value).and_then(|parts| join(parts, Condition::All)),
            "any" => self.parts(key, value).and_then(|parts| join(parts, Condition::Any)),
            "not" => self.condition(value).map(|part| Condition::Not(Box::new(part))),
            _ => self.fact(key, value),
        }
    }

    fn parts(&mut self, key: &Key, node: &Node) -> Option<Vec<Condition>> {
        let Value::List(items) = &node.value else {
            self.problems.error(
                "wrong-type",
                node.spot,
                format!("`{}` must be a list of conditions, and is {}", key.name, node.type_name()),
            );
            return None;
        };
        if items.is_empty() {
            self.problems.error("empty-condition", node.spot, format!("`{}` of nothing says nothing", key.name));
            return None;
        }
        let parts: Vec<_> = items.iter().map(|item| self.condition(item)).collect();
        parts.into_iter().collect()
    }

    fn fact(&mut self, key: &Key, node: &Node) -> Option<Condition> {
        let spec = self.spec(&key.name, key.spot)?;
        let fact = FactName::new(key.name.as_str());
        match &node.value {
            Value::Map(entries) if entries.is_empty() => {
                self.problems.error("empty-condition", node.spot, format!("`{}` is asked nothing", key.name));
                None
            }
            Value::Map(entries) => {
                let leaves: Vec<_> = entries
                    .iter()
                    .map(|(operator, operand)| {
                        let test = self.test(spec, operator, operand)?;
                        Some(Condition::Leaf(Leaf { fact: fact.clone(), test }))
                    })
                    .collect();
                join(leaves.into_iter().collect::<Option<_>>()?, Condition::All)
            }
            Value::List(_) | Value::Null => {
                self.problems.add(
                    Diagnostic::error(
                        "wrong-type",
                        self.problems.file(),
                        node.spot,
                        format!("`{}` is compared with {}", key.name, node.type_name()),
                    )
                    .with_help("write an operator, such as `{in: [...]}` or `{exists: true}`"),
                );
                None
            }
            _ => {
                let value = self.literal(spec, node)?;
                Some(Condition::Leaf(Leaf { fact, test: Test::Compare(Comparison::Eq, Operand::Value(value)) }))
            }
        }
    }

    /// The catalogue's entry, if every kind of the rule has the fact.
    pub(super) fn spec(&mut self, name: &str, spot: Spot) -> Option<&'static FactSpec> {
        let file = self.problems.file();
        let Some(spec) = fact_catalogue::find(name) else {
            let problem = Diagnostic::error("unknown-fact", file, spot, format!("there is no fact `{name}`"));
            let names = fact_catalogue::CATALOGUE.iter().map(|spec| spec.name);
            let near = nearest(name, names.chain(["all", "any", "not"]));
            let help = near.map_or_else(
                || "the facts begin with `operation.`, `requester.`, `actor.`, `subject.`, `tresor.` or `context.`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.problems.add(problem.with_help(help));
            return None;
        };
        let kinds = spec.kinds();
        let without: Vec<_> = self.on.iter().filter(|kind| !kinds.contains(*kind)).map(|kind| format!("`{kind}`")).collect();
        if !without.is_empty() {
            let with: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
            self.problems.add(
                Diagnostic::error(
                    "fact-not-on-kind",
                    file,
                    spot,
                    format!("{} operations have no fact `{name}`", without.join(" and ")),
                )
                .with_help(format!(
                    "it exists on {}; take the other kinds out of `on`, or put them into a rule of their own",
                    with.join(", ")
                )),
            );
            return None;
        }
        Some(spec)
    }

    fn test(&mut self, spec: &FactSpec, operator: &Key, operand: &Node) -> Option<Test> {
        use FactType::{Bool, Domain, Int, List, Scalar, Text};
        let compare = |comparison| move |operand| Test::Compare(comparison, operand);
        match operator.name.as_str() {
            "eq" => self
                .allowed(spec, operator, &[Bool, Int, Text, Domain, Scalar])?
                .operand(spec, operand)
                .map(compare(Comparison::Eq)),
            "ne" => self
                .allowed(spec, operator, &[Bool, Int, Text, Domain, Scalar])?
                .operand(spec, operand)
                .map(compare(Comparison::Ne)),
            "gt" => self.allowed(spec, operator, &[Int, Scalar])?.number(spec, operator, operand).map(compare(Comparison::Gt)),
            "gte" => self.allowed(spec, operator, &[Int, Scalar])?.number(spec, operator, operand).map(compare(Comparison::Gte)),
            "lt" => self.allowed(spec, operator, &[Int, Scalar])?.number(spec, operator, operand).map(compare(Comparison::Lt)),
            "lte" => self.allowed(spec, operator, &[Int, Scalar])?.number(spec, operator, operand).map(compare(Comparison::Lte)),
            "in" | "not_in" => {
                let negated = operator.name == "not_in";
                self.allowed(spec, operator, &[Int, Text, Domain, Scalar])?
                    .set(spec, operand)
                    .map(|set| Test::Member { set, negated })
            }
            "contains" => self.allowed(spec, operator, &[List, Text, Scalar])?.word(operator, operand).map(Test::Contains),
            "contains_any" => self
                .allowed(spec, operator, &[List])?
                .texts(operand)
                .map(|(label, texts)| Test::ContainsAny(Arc::new(TextSet::new(label, texts)))),
            "contains_all" => self.allowed(spec, operator, &[List])?.texts(operand).map(|(_, texts)| Test::ContainsAll(texts)),
            "starts_with" => self.allowed(spec, operator, &[Text, Scalar])?.word(operator, operand).map(Test::StartsWith),
            "ends_with" => self.allowed(spec, operator, &[Text, Scalar])?.word(operator, operand).map(Test::EndsWith),
            "exists" => match operand.value {
                Value::Bool(wanted) => Some(Test::Exists(wanted)),
                _ => {
                    self.problems.error("wrong-type", operand.spot, "`exists` must be `true` or `false`");
                    None
                }
            },
            unknown => {
                let problem = Diagnostic::error(
                    "unknown-operator",
                    self.problems.file(),
                    operator.spot,
                    format!("there is no operator `{unknown}`"),
                );
                let help = nearest(unknown, OPERATORS).map_or_else(
                    || format!("the operators are {}", OPERATORS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.problems.add(problem.with_help(help));
                None
            }
        }
    }

    fn allowed(&mut self, spec: &FactSpec, operator: &Key, types: &[FactType]) -> Option<&mut Self> {
        if types.contains(&spec.fact_type) {
            return Some(self);
        }
        let problem = Diagnostic::error(
            "wrong-type",
            self.problems.file(),
            operator.spot,
            format!("`{}` cannot be asked of `{}`, which is {}", operator.name, spec.name, spec.fact_type.name()),
        );
        self.problems.add(match spec.fact_type {
            FactType::Domain => problem.with_help(
                "domains are compared with `eq`, `ne`, `in` and `not_in`; `*.example.org` in a list is every name below it",
            ),
            FactType::List => problem.with_help("lists are asked with `contains`, `contains_any`, `contains_all` and `exists`"),
            _ => problem,
        });
        None
    }

    fn operand(&mut self, spec: &FactSpec, node: &Node) -> Option<Operand> {
        match self.reference(node)? {
            Some((name, other)) => {
                let same = other.fact_type == spec.fact_type
                    || [spec.fact_type, other.fact_type].contains(&FactType::Scalar) && other.fact_type != FactType::List;
                if !same {
                    self.problems.error(
                        "wrong-type",
                        node.spot,
                        format!(
                            "`{}` is {}, and `{name}` is {}: they can never be equal",
                            spec.name,
                            spec.fact_type.name(),
                            other.fact_type.name()
                        ),
                    );
                    return None;
                }
                Some(Operand::Fact(name))
            }
            None => self.literal(spec, node).map(Operand::Value),
        }
    }

    fn number(&mut self, spec: &FactSpec, operator: &Key, node: &Node) -> Option<Operand> {
        let operand = self.operand(spec, node)?;
        let is_number = match &operand {
            Operand::Value(value) => matches!(value, FactValue::Int(_)),
            Operand::Fact(name) => {
                fact_catalogue::find(name.as_str()).is_some_and(|spec| matches!(spec.fact_type, FactType::Int | FactType::Scalar))
            }
        };
        if !is_number {
            self.problems.error("wrong-type", node.spot, format!("`{}` compares whole numbers", operator.name));
        }
        is_number.then_some(operand)
    }

    /// `{fact: name}` on the right-hand side; the outer `None` is a mistake that was reported.
    #[expect(clippy::option_option, reason = "a reported mistake and no reference at all are different things")]
    fn reference(&mut self, node: &Node) -> Option<Option<(FactName, &'static FactSpec)>> {
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
        Some(Some((FactName::new(text), spec)))
    }

    fn literal(&mut self, spec: &FactSpec, node: &Node) -> Option<FactValue> {
        let value = match (&node.value, spec.fact_type) {
            (Value::Bool(value), FactType::Bool | FactType::Scalar) => Some(FactValue::Bool(*value)),
            (Value::Int(value), FactType::Int | FactType::Scalar) => Some(FactValue::Int(*value)),
            (Value::Text(value), FactType::Text | FactType::Scalar) => Some(FactValue::Text(value.clone())),
            (Value::Text(value), FactType::Domain) => {
                let name = DomainName::parse(value);
                if name.is_none() {
                    self.problems.error("bad-domain", node.spot, format!("`{value}` is no domain name"));
                    return None;
                }
                name.map(FactValue::Domain)
            }
            _ => None,
        };
        if value.is_none() {
            let problem = Diagnostic::error(
                "wrong-type",
                self.problems.file(),
                node.spot,
                format!("`{}` is {}, and is compared with {}", spec.name, spec.fact_type.name(), node.type_name()),
            );
            let help = match (spec.fact_type, &node.value) {
                (FactType::Text, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => Some("write the value in quotes"),
                (FactType::Bool, _) => Some("write `true` or `false`"),
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

    fn set(&mut self, spec: &FactSpec, node: &Node) -> Option<Set> {
        if let Value::Map(entries) = &node.value
            && entries.iter().any(|(key, _)| key.name == "fact")
        {
            let (name, other) = self.reference(node)??;
            if other.fact_type != FactType::List || !matches!(spec.fact_type, FactType::Text | FactType::Scalar) {
                self.problems.error(
                    "wrong-type",
                    node.spot,
                    format!("`{}` cannot be in `{name}`, which is {}", spec.name, other.fact_type.name()),
                );
                return None;
            }
            return Some(Set::Fact(name));
        }
        if spec.fact_type == FactType::Int {
            let items = self.problems.list(node, "in")?;
            if items.is_empty() {
                self.problems.error("empty-value", node.spot, "nothing is in an empty list");
                return None;
            }
            let numbers: Vec<_> = items.iter().map(|item| self.problems.int(item, "in")).collect();
            return numbers.into_iter().collect::<Option<_>>().map(Set::Ints);
        }
        let (label, texts) = self.texts(node)?;
        if spec.fact_type != FactType::Domain {
            return Some(Set::Texts(Arc::new(TextSet::new(label, texts))));
        }
        let mut patterns = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(pattern) = DomainPattern::parse(&text) else {
                self.problems.add(
                    Diagnostic::error(
                        "bad-domain",
                        self.problems.file(),
                        node.spot,
                        format!("`{text}` in {label} is no domain name"),
                    )
                    .with_help("write `example.com` for that name alone, or `*.example.org` for every name below it"),
                );
                return None;
            };
            patterns.push(pattern);
        }
        Some(Set::Domains(Arc::new(DomainSet::new(label, patterns))))
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
        if let Some(entries) = self.lists.get(text) {
            let entries = entries.clone()?;
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
        self.problems.add(match nearest(text, self.lists.keys().map(String::as_str)) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None => problem.with_help("name it under `lists:` at the top of a rule file"),
        });
        None
    }
}

/// One part stands for itself; several are joined.
fn join(mut parts: Vec<Condition>, several: fn(Vec<Condition>) -> Condition) -> Option<Condition> {
    if parts.len() == 1 { parts.pop() } else { Some(several(parts)) }
}
