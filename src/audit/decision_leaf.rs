//! A decision's leaf as it is checked: what decides it again, and what it is counted as. The rest of it, which is most, is read past.

use super::canonical::canonical;
use super::leaf::hashed;
use super::recorded_facts::RecordedFacts;
use super::row::LeafRecord;
use super::tally::CountedAs;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The members that are looked at.
const NAMES: [&str; 10] =
    ["decided_at", "decided_by", "facts", "facts_personal", "id", "kind", "policy_hash", "rules", "trace", "verdict"];

/// Text in JSON.
fn plain(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"')?.strip_suffix('"')? {
        text if text.contains('\\') => serde_json::from_str(value).ok().map(Cow::Owned),
        text => Some(Cow::Borrowed(text)),
    }
}

/// A decision as its leaf tells it.
#[derive(Debug, PartialEq, Deserialize)]
pub struct DecisionLeaf<'l> {
    /// Which.
    #[serde(borrow)]
    pub id: Cow<'l, str>,
    /// When, RFC 3339.
    #[serde(borrow)]
    pub decided_at: Cow<'l, str>,
    /// The kind of the operation.
    #[serde(borrow)]
    pub kind: Cow<'l, str>,
    /// What was decided.
    #[serde(borrow)]
    pub verdict: Cow<'l, str>,
    /// `policy`, or who decided by hand.
    #[serde(borrow)]
    pub decided_by: Cow<'l, str>,
    /// Which policy.
    #[serde(borrow)]
    pub policy_hash: Cow<'l, str>,
    /// The rules that decided, as JSON.
    #[serde(borrow, deserialize_with = "as_it_stands")]
    pub rules: &'l str,
    /// The public facts.
    pub facts: RecordedFacts,
    /// What every rule saw, as JSON.
    #[serde(borrow, deserialize_with = "as_it_stands")]
    pub trace: &'l str,
    #[serde(borrow, deserialize_with = "as_it_stands")]
    facts_personal: &'l str,
}

fn as_it_stands<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de str, D::Error> {
    <&RawValue>::deserialize(deserializer).map(RawValue::get)
}

impl<'l> DecisionLeaf<'l> {
    /// From a leaf in canonical form. Nothing where it is no decision that this program wrote.
    #[must_use]
    pub fn of(record: &'l LeafRecord) -> Option<Self> {
        // Most of it need not be read at all where it is known what stands where.
        match record.members(&NAMES) {
            Some(values) => Self::of_members(values),
            None => serde_json::from_slice(&record.bytes).ok(),
        }
    }

    fn of_members(values: [&'l str; 10]) -> Option<Self> {
        let [decided_at, decided_by, facts, facts_personal, id, kind, policy_hash, rules, trace, verdict] = values;
        Some(Self {
            id: plain(id)?,
            decided_at: plain(decided_at)?,
            kind: plain(kind)?,
            verdict: plain(verdict)?,
            decided_by: plain(decided_by)?,
            policy_hash: plain(policy_hash)?,
            rules,
            facts: serde_json::from_str(facts).ok()?,
            trace,
            facts_personal,
        })
    }

    /// Whether these are the ciphertexts whose hashes stand in it.
    #[must_use]
    pub fn has_ciphertexts(&self, sealed: &Value) -> bool {
        let hashes = match hashed(sealed) {
            Value::Object(hashes) => canonical(&hashes),
            one => one.to_string().into_bytes(),
        };
        hashes == self.facts_personal.as_bytes()
    }

    /// What it is counted as.
    #[must_use]
    pub fn counted_as(&self) -> Option<CountedAs> {
        let [kind, verdict] = [&self.kind, &self.verdict].map(|text| text.as_ref().to_owned());
        Some(CountedAs { day: self.decided_at.get(..10)?.to_owned(), kind, verdict, rules: self.rules.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::Stream;
    use super::super::row::Stored;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// With this text wherever there is text, and these ciphertexts.
    fn record(text: Option<&str>, facts: &str, sealed: &Value) -> LeafRecord {
        let sealed = sealed.to_string();
        let columns = Stream::Decision.columns().iter().map(|(name, _)| match *name {
            "rules" => Stored::Text(r#"["\"one\"\n", "two"]"#),
            "facts" => Stored::Text(facts),
            "facts_personal" => Stored::Text(&sealed),
            "decided_at" => Stored::Text("2026-03-01T00:00:00.000000Z"),
            "trace" | "shadow" => Stored::Text("[]"),
            "attempt" => Stored::Number(1),
            name => Stored::Text(text.unwrap_or(name)),
        });
        LeafRecord::new(Stream::Decision, &columns.collect::<Vec<_>>())
    }

    #[test]
    fn ciphertexts_are_those_that_were_sealed() {
        for sealed in [json!({}), json!({ "ann": "AAAA", "bob": "BBBB" }), json!([1]), json!("no JSON"), json!({ "ann": 1 })] {
            let record = record(None, "{}", &sealed);
            let read = DecisionLeaf::of(&record).unwrap();
            assert!(read.has_ciphertexts(&sealed), "{sealed}");
            for other in [json!({ "ann": "AAAB", "bob": "BBBB" }), json!({ "ann": "AAAA" }), json!("other"), json!(null)] {
                assert!(!read.has_ciphertexts(&other), "{sealed} and {other}");
            }
        }
    }

    #[test]
    fn it_is_counted_as_what_the_database_counts() {
        let record = record(None, "{}", &json!({}));
        let kept = CountedAs::new("2026-03-01", "kind", "verdict", &json!(["\"one\"\n", "two"]));
        assert_eq!(DecisionLeaf::of(&record).unwrap().counted_as(), Some(kept));
    }

    proptest! {
        #[test]
        fn what_stands_where_it_was_written_is_what_is_read(text in any::<String>(), facts in r#"(\{\}|\[\]|\{"a": \{"value": [0-9]\}\}|x)"#) {
            let record = record(Some(&text), &facts, &json!({}));
            let read = LeafRecord::read(record.stream, record.bytes.clone(), record.sealed.clone());
            prop_assert_eq!(DecisionLeaf::of(&record), DecisionLeaf::of(&read));
            prop_assert_eq!(DecisionLeaf::of(&record).is_some(), facts.starts_with('{'));
        }
    }
}
