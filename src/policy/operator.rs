//! Reads one operator and its operand: which types it can be asked of, and what it is compared with.

use super::condition::{Asked, Reader};
use super::question::{Comparison, Operand, Quantifier, Test};
use super::tree::Tree;
use crate::domain::diagnostic::{Diagnostic, nearest};
use crate::domain::fact::FactValue;
use crate::domain::fact_catalogue::FactType;
use crate::domain::yaml::{Key, Node, Value};
use FactType::{Bool, Domain, Duration, Int, List, Scalar, Text, Time};

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

/// What other languages call our operators.
const HABITS: [(&str, &str); 17] = [
    ("=", "eq"),
    ("==", "eq"),
    ("is", "eq"),
    ("equals", "eq"),
    ("!=", "ne"),
    (">", "gt"),
    (">=", "gte"),
    ("<", "lt"),
    ("<=", "lte"),
    ("includes", "contains"),
    ("has", "contains"),
    ("regex", "matches"),
    ("like", "matches"),
    ("length", "size"),
    ("count", "size"),
    ("some", "any"),
    ("all", "every"),
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
        let habit = HABITS.iter().find(|(habit, _)| *habit == operator.name).map(|(_, ours)| *ours);
        let help = match (operator.name.as_str(), habit.or_else(|| nearest(&operator.name, names))) {
            ("fact", _) => "a fact is compared by an operator: `{eq: {fact: ...}}`".to_owned(),
            ("list", _) => "a list is looked up by an operator: `{in: {list: ...}}`".to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (_, None) => format!("the operators are {}", names.join(", ")),
        };
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

    fn pattern(&mut self, node: &Node) -> Option<regex::Regex> {
        let text = self.problems.text(node, "matches")?;
        if text.is_empty() {
            self.problems.error("empty-pattern", node.spot, "`matches` of an empty pattern is always true");
        }
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
}
