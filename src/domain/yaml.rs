//! YAML as a tree that remembers where everything stands, and a reader that names what it expected.
//!
//! Configuration, policies and test cases are all read through it, so every mistake has a place and a suggestion.
//! It reports all problems of a file, not only the first.

use super::diagnostic::{Diagnostic, Spot};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Location, Spanned};
use std::fmt;

/// How deep lists and mappings may be nested.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub spot: Spot,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~` or an empty value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where it begins.
    pub spot: Spot,
    /// The key.
    pub name: String,
}

impl Node {
    /// What the node is, for messages.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a decimal number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The node as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Text(value) => Json::String(value.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect()),
        }
    }
}

fn spot(location: Location) -> Spot {
    let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
    Spot { line: narrow(location.line()), column: narrow(location.column()), len: narrow(location.span().len()).max(1) }
}

/// Reads one YAML document.
///
/// # Errors
/// A syntax error with its place.
pub fn parse(file: &str, text: &str) -> Result<Node, Box<Diagnostic>> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_depth: MAX_DEPTH, max_inclusion_depth: 0 },
        strict_booleans: true,
        with_snippet: false,
    };
    let parsed: Result<Spanned<Tree>, _> = serde_yaml::from_str_with_options(text, options);
    match parsed {
        Ok(tree) => Ok(Node { spot: spot(tree.referenced), value: tree.value.0 }),
        Err(error) => {
            let place = error.location().map(spot).unwrap_or_default();
            Err(Box::new(Diagnostic::error("yaml", file, place, plain_message(&error.to_string()))))
        }
    }
}

/// The parser's message without the place, which the code frame shows.
fn plain_message(message: &str) -> String {
    let first = message.lines().next().unwrap_or("not valid YAML");
    let cut = [" at line ", ", line ", ", set DuplicateKeyPolicy"].iter().filter_map(|tail| first.find(tail)).min();
    let text = first.get(..cut.unwrap_or(first.len())).unwrap_or(first);
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            list.push(Node { spot: spot(item.referenced), value: item.value.0 });
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map: Vec<(Key, Node)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value::<Spanned<Tree>>()?;
            let key = Key { spot: spot(key.referenced), name: key.value };
            if !names.insert(key.name.clone()) {
                return Err(A::Error::custom(format!("duplicate mapping key: {}", key.name)));
            }
            map.push((key, Node { spot: spot(node.referenced), value: node.value.0 }));
        }
        Ok(Value::Map(map))
    }
}

/// Collects the problems of one file while it is read.
#[derive(Debug)]
pub struct Problems<'f> {
    file: &'f str,
    found: Vec<Diagnostic>,
}

impl<'f> Problems<'f> {
    /// For one file.
    #[must_use]
    pub const fn of(file: &'f str) -> Self {
        Self { file, found: Vec::new() }
    }

    /// The file's name.
    #[must_use]
    pub const fn file(&self) -> &'f str {
        self.file
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: Diagnostic) {
        self.found.push(problem);
    }

    /// Adds an error at a place.
    pub fn error(&mut self, code: &'static str, spot: Spot, message: impl Into<String>) {
        self.add(Diagnostic::error(code, self.file, spot, message));
    }

    /// Everything found.
    #[must_use]
    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    /// The node as a text.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => self.mismatch(node, what, "a text"),
        }
    }

    /// The node as a whole number.
    pub fn int(&mut self, node: &Node, what: &str) -> Option<i64> {
        match node.value {
            Value::Int(value) => Some(value),
            _ => self.mismatch(node, what, "a whole number"),
        }
    }

    /// The node as a list; a single text counts as a list of one.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Text(_) => Some(std::slice::from_ref(node)),
            _ => self.mismatch(node, what, "a list"),
        }
    }

    /// The node as a duration such as `24h`.
    pub fn duration(&mut self, node: &Node, what: &str) -> Option<std::time::Duration> {
        let parsed = match &node.value {
            Value::Text(text) => super::duration::parse_duration(text),
            _ => None,
        };
        if parsed.is_none() {
            self.add(
                Diagnostic::error("bad-duration", self.file, node.spot, format!("`{what}` must be a duration"))
                    .with_help("write a whole number and a unit, such as `500ms`, `30s`, `15m`, `24h` or `7d`"),
            );
        }
        parsed
    }

    /// One of several words.
    pub fn choice<T: Copy>(&mut self, node: &Node, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let near = super::diagnostic::nearest(text, names.iter().copied());
            let help = near.map_or_else(|| format!("write one of {}", quoted(&names)), |near| format!("did you mean `{near}`?"));
            self.add(
                Diagnostic::error("bad-value", self.file, node.spot, format!("`{text}` is no value of `{what}`")).with_help(help),
            );
        }
        found
    }

    /// Reports every key that has nothing under it; whether all have something. A part that somebody began to write must
    /// not be taken for one that is not there.
    pub fn filled(&mut self, code: &'static str, fields: Fields<'_>) -> bool {
        let empty: Vec<_> = fields.entries.iter().filter(|(_, node)| node.value == Value::Null).collect();
        for (key, _) in &empty {
            let message = format!("`{}` is empty; write something or leave it out", key.name);
            self.error(code, key.spot, message);
        }
        empty.is_empty()
    }

    /// The node as a mapping whose keys are all among `known`; others are reported with the nearest one.
    pub fn mapping<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.error("wrong-type", node.spot, format!("{what} must be a mapping, and is {}", node.type_name()));
            return None;
        };
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let problem =
                    Diagnostic::error("unknown-key", self.file, key.spot, format!("unknown key `{}` in {what}", key.name));
                let near = super::diagnostic::nearest(&key.name, known.iter().copied());
                let is_condition = known.contains(&"when") && super::fact_catalogue::find(&key.name).is_some();
                let help = match near {
                    _ if is_condition => "a condition stands under `when:`, indented more than it".to_owned(),
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("the keys here are {}", quoted(known)),
                };
                self.add(problem.with_help(help));
            }
        }
        Some(Fields { spot: node.spot, entries })
    }

    fn mismatch<T>(&mut self, node: &Node, what: &str, wanted: &str) -> Option<T> {
        self.error("wrong-type", node.spot, format!("`{what}` must be {wanted}, and is {}", node.type_name()));
        None
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The entries of a mapping, by key.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n> {
    /// Where the mapping begins.
    pub spot: Spot,
    /// Its entries in the order of the file.
    pub entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// The value of a key, unless it is missing or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node).filter(|node| node.value != Value::Null)
    }
}
