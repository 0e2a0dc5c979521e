//! A decision's leaf as it is checked: what decides it again, and what it is counted as. The rest of it, which is most, is read past.

use super::canonical::canonical;
use super::leaf::hashed;
use super::recorded_facts::RecordedFacts;
use super::tally::CountedAs;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A decision as its leaf tells it.
#[derive(Debug, Deserialize)]
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
    #[serde(borrow)]
    pub rules: &'l RawValue,
    /// The public facts.
    pub facts: RecordedFacts,
    /// What every rule saw, as JSON.
    #[serde(borrow)]
    pub trace: &'l RawValue,
    #[serde(borrow)]
    facts_personal: &'l RawValue,
}

impl<'l> DecisionLeaf<'l> {
    /// From the bytes of a leaf in canonical form. Nothing where they are no decision that this program wrote.
    #[must_use]
    pub fn parse(text: &'l str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether these are the ciphertexts whose hashes stand in it.
    #[must_use]
    pub fn has_ciphertexts(&self, sealed: &Value) -> bool {
        let hashes = match hashed(sealed) {
            Value::Object(hashes) => canonical(&hashes),
            one => one.to_string().into_bytes(),
        };
        hashes == self.facts_personal.get().as_bytes()
    }

    /// What it is counted as.
    #[must_use]
    pub fn counted_as(&self) -> Option<CountedAs> {
        let [kind, verdict] = [&self.kind, &self.verdict].map(|text| text.as_ref().to_owned());
        Some(CountedAs { day: self.decided_at.get(..10)?.to_owned(), kind, verdict, rules: self.rules.get().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::{Record, Stream};
    use super::*;
    use serde_json::json;

    fn leaf(sealed: &Value) -> Vec<u8> {
        let columns = Stream::Decision.columns().iter().map(|(name, _)| match *name {
            "rules" => json!(["\"one\"\n", "two"]),
            "facts" => json!({}),
            "facts_personal" => sealed.clone(),
            "decided_at" => "2026-03-01T00:00:00.000000Z".into(),
            "trace" | "shadow" => json!([]),
            name => name.into(),
        });
        Record::new(Stream::Decision, columns.collect()).leaf()
    }

    #[test]
    fn ciphertexts_are_those_that_were_sealed() {
        for sealed in [json!({}), json!({ "ann": "AAAA", "bob": "BBBB" }), json!([1]), json!("no JSON"), json!({ "ann": 1 })] {
            let bytes = leaf(&sealed);
            let read = DecisionLeaf::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
            assert!(read.has_ciphertexts(&sealed), "{sealed}");
            for other in [json!({ "ann": "AAAB", "bob": "BBBB" }), json!({ "ann": "AAAA" }), json!("other"), json!(null)] {
                assert!(!read.has_ciphertexts(&other), "{sealed} and {other}");
            }
        }
    }

    #[test]
    fn it_is_counted_as_what_the_database_counts() {
        let bytes = leaf(&json!({}));
        let read = DecisionLeaf::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
        let kept = CountedAs::new("2026-03-01", "kind", "verdict", &json!(["\"one\"\n", "two"]));
        assert_eq!(read.counted_as(), Some(kept));
    }
}
