//! The leaves of the tree: which tables are sealed, which of their columns, and the one form of bytes that a row has.
//!
//! A leaf is the row as JSON in canonical form (RFC 8785), with a member `leaf` that says which table and which version of this
//! form it is, so that no row can be taken for one of another table. Of sealed personal facts it holds hashes only: they can be
//! erased, and the leaf stays what it is. A form never changes; columns that come later need a new version.

use super::canonical::canonical;
use aws_lc_rs::digest;
use serde_json::{Map, Value};
use tlog_tiles::{Hash, record_hash};

/// What a column holds, and so how it stands in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text, or an id.
    Text,
    /// A time (RFC 3339, UTC, microseconds).
    Time,
    /// A whole number.
    Integer,
    /// Yes or no.
    Flag,
    /// JSON.
    Json,
    /// Ciphertexts by person; in the leaf the SHA-256 of each.
    Sealed,
}

/// A column by its name.
pub type Column = (&'static str, Form);

/// A table whose rows become leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// `decisions`.
    Decision,
    /// `outcomes`.
    Outcome,
    /// `reviews`.
    Review,
    /// `operator_actions`.
    OperatorAction,
    /// `policy_activations`.
    PolicyActivation,
    /// `configuration_changes`.
    ConfigurationChange,
}

impl Stream {
    /// All of them.
    pub const ALL: [Stream; 6] = [
        Stream::Decision,
        Stream::Outcome,
        Stream::Review,
        Stream::OperatorAction,
        Stream::PolicyActivation,
        Stream::ConfigurationChange,
    ];

    /// The name in leaves, exports and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stream::Decision => "decision",
            Stream::Outcome => "outcome",
            Stream::Review => "review",
            Stream::OperatorAction => "operator_action",
            Stream::PolicyActivation => "policy_activation",
            Stream::ConfigurationChange => "configuration_change",
        }
    }

    /// The table.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Stream::Decision => "decisions",
            Stream::Outcome => "outcomes",
            Stream::Review => "reviews",
            Stream::OperatorAction => "operator_actions",
            Stream::PolicyActivation => "policy_activations",
            Stream::ConfigurationChange => "configuration_changes",
        }
    }

    /// Whether it is kept by months, which can be dropped.
    #[must_use]
    pub const fn has_months(self) -> bool {
        matches!(self, Stream::Decision | Stream::Outcome)
    }

    /// The number in the database; it never changes.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Stream::Decision => 1,
            Stream::Outcome => 2,
            Stream::Review => 3,
            Stream::OperatorAction => 4,
            Stream::PolicyActivation => 5,
            Stream::ConfigurationChange => 6,
        }
    }

    /// The one with this number.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.number() == number)
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.as_str() == name)
    }

    /// The columns that are sealed, in the order in which the store reads them.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        use Form::{Flag, Integer, Json, Sealed, Text, Time};
        match self {
            Stream::Decision => &[
                ("id", Text),
                ("decided_at", Time),
                ("tenant", Text),
                ("kind", Text),
                ("operation_id", Text),
                ("flow_id", Text),
                ("attempt", Integer),
                ("tresor_id", Text),
                ("actor_id", Text),
                ("subject_id", Text),
                ("requester_id", Text),
                ("verdict", Text),
                ("decided_by", Text),
                ("rules", Json),
                ("reason", Text),
                ("policy_hash", Text),
                ("evaluator_version", Text),
                ("facts", Json),
                ("facts_personal", Sealed),
                ("trace", Json),
                ("shadow", Json),
            ],
            Stream::Outcome => &[
                ("id", Text),
                ("decision_id", Text),
                ("at", Time),
                ("kind", Text),
                ("operation_id", Text),
                ("outcome", Text),
                ("error_code", Text),
                ("detail", Text),
                ("reconciled", Flag),
            ],
            Stream::Review => &[
                ("id", Text),
                ("at", Time),
                ("decision_id", Text),
                ("kind", Text),
                ("operation_id", Text),
                ("flow_id", Text),
                ("verdict", Text),
                ("reviewer", Text),
                ("user_id", Text),
                ("comment", Text),
                ("valid_until", Time),
            ],
            Stream::OperatorAction => {
                &[("id", Text), ("at", Time), ("operator", Text), ("action", Text), ("target", Text), ("comment", Text)]
            }
            Stream::PolicyActivation => &[("id", Integer), ("at", Time), ("hash", Text), ("replica", Text)],
            Stream::ConfigurationChange => &[("id", Text), ("at", Time), ("replica", Text), ("version", Text), ("body", Json)],
        }
    }
}

/// A row of an audit table, as it is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which table.
    pub stream: Stream,
    /// The leaf: every sealed column, and `leaf`.
    pub fields: Map<String, Value>,
    /// The ciphertexts whose hashes stand in the leaf, by column.
    pub sealed: Option<Value>,
}

impl Record {
    /// From the values of [`Stream::columns`], in their order.
    #[must_use]
    pub fn new(stream: Stream, values: Vec<Value>) -> Self {
        let mut fields = Map::new();
        fields.insert("leaf".to_owned(), Value::String(format!("assent.{}.v1", stream.as_str())));
        let mut sealed = None;
        for ((name, form), value) in stream.columns().iter().zip(values) {
            let value = if *form == Form::Sealed {
                let hashed = hashed(&value);
                sealed = Some(value);
                hashed
            } else {
                told_apart(value)
            };
            fields.insert((*name).to_owned(), value);
        }
        Self { stream, fields, sealed }
    }

    /// The bytes of the leaf.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        canonical(&self.fields)
    }

    /// A column as text; nothing where it is null, or is none.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&str> {
        self.fields.get(column).and_then(Value::as_str)
    }
}

/// Whole numbers that a double does not hold as text, since their canonical forms are the same for different ones.
fn told_apart(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|double| double.abs() >= 9_007_199_254_740_992.0) => {
            number.to_string().into()
        }
        Value::Array(items) => items.into_iter().map(told_apart).collect(),
        Value::Object(entries) => Value::Object(entries.into_iter().map(|(name, value)| (name, told_apart(value))).collect()),
        other => other,
    }
}

/// The hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    record_hash(leaf)
}

/// Ciphertexts by person as hashes by person; whatever else stands there as one hash.
#[must_use]
pub fn hashed(sealed: &Value) -> Value {
    let hash = |text: &str| Value::String(format!("sha256:{}", hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))));
    match sealed {
        Value::Object(persons) => {
            let hashed = persons
                .iter()
                .map(|(person, sealed)| (person.clone(), sealed.as_str().map_or_else(|| hash(&format!("json {sealed}")), hash)));
            Value::Object(hashed.collect())
        }
        other => hash(&format!("json {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_has_one_form_whatever_order_its_json_has() {
        let values = |json: &str| vec![json!("1"), json!("t"), json!("r"), json!("0.1.0"), serde_json::from_str(json).unwrap()];
        let one = Record::new(Stream::ConfigurationChange, values(r#"{"b": 1.0, "a": "\u00e9", "aa": [true, null]}"#));
        let other = Record::new(Stream::ConfigurationChange, values(r#"{"aa":[true,null],"a":"é","b":1}"#));
        assert_eq!(
            String::from_utf8(one.leaf()).unwrap(),
            r#"{"at":"t","body":{"a":"é","aa":[true,null],"b":1},"id":"1","leaf":"assent.configuration_change.v1","replica":"r","version":"0.1.0"}"#
        );
        assert_eq!(one.leaf(), other.leaf());
    }

    #[test]
    fn of_what_is_personal_a_leaf_holds_the_hash_alone() {
        let sealed = json!({"ann": "AAAA"});
        let mut values = vec![Value::Null; Stream::Decision.columns().len()];
        values[18] = sealed.clone();
        let record = Record::new(Stream::Decision, values);
        assert_eq!(record.sealed, Some(sealed));
        let leaf = String::from_utf8(record.leaf()).unwrap();
        assert!(
            leaf.contains(
                r#""facts_personal":{"ann":"sha256:63c1dd951ffedf6f7fd968ad4efa39b8ed584f162f46e715114ee184f8de9201"}"#
            ),
            "{leaf}"
        );
    }

    #[test]
    fn no_two_values_have_one_leaf() {
        let leaf = |text: &str| {
            let values = vec![Value::Null, Value::Null, Value::Null, Value::Null, serde_json::from_str(text).unwrap()];
            Record::new(Stream::ConfigurationChange, values).leaf()
        };
        for (one, other) in
            [("9007199254740993", "9007199254740992"), ("{\"a\": 18446744073709551615}", "{\"a\": 18446744073709551614}")]
        {
            assert_ne!(leaf(one), leaf(other));
        }
        assert_ne!(hashed(&json!({"ann": "{}"})), hashed(&json!({"ann": {}})));
    }

    #[test]
    fn numbers_and_names_are_of_one_table_each() {
        for stream in Stream::ALL {
            assert_eq!(Stream::of_number(stream.number()), Some(stream));
            assert_eq!(Stream::parse(stream.as_str()), Some(stream));
        }
    }
}
