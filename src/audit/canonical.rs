//! The one form of bytes that JSON has (RFC 8785): made, and recognised.

use super::plain::is_plain_text;
use super::stored::stored_json;
use serde_json::{Map, Value};

/// JSON in canonical form.
#[must_use]
pub fn canonical(fields: &Map<String, Value>) -> Vec<u8> {
    // A map keeps its names in the order of their bytes, and a whole number that a double holds is written as it is: so nearly
    // all of it is in canonical form as it stands, and the library is asked only for what is not. It takes ten times as long.
    let is_plain = fields.iter().all(|(name, value)| name.is_ascii() && is_plain(value));
    let bytes = if is_plain { serde_json::to_vec(fields) } else { serde_json_canonicalizer::to_vec(fields) };
    // What is no number of JSON cannot stand in a map of it, so nothing can fail here; and if it does, nothing fits the hash.
    bytes.unwrap_or_default()
}

fn is_plain(value: &Value) -> bool {
    const EXACT: i64 = 1 << 53;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.as_i64().is_some_and(|number| (-EXACT..=EXACT).contains(&number)),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(entries) => entries.iter().all(|(name, value)| name.is_ascii() && is_plain(value)),
    }
}

/// Whether text is JSON in canonical form: an object that [`canonical`] makes just these bytes of.
#[must_use]
pub fn is_canonical(text: &str) -> bool {
    // Nearly all of it can be seen as it is read, in a tenth of the time; whatever cannot is made anew and compared.
    if text.starts_with('{') && is_plain_text(text) {
        return true;
    }
    matches!(stored_json(text), Value::Object(fields) if canonical(&fields) == text.as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// JSON of every kind.
    pub(in crate::audit) fn json() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-99_i64..99).prop_map(Value::from)
        ];
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number, any::<String>().prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let name = prop_oneof!["[a-z]{0,3}", any::<String>()];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((name, inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_quick_way_gives_what_the_library_gives(value in json()) {
            let fields: Map<_, _> = [("a".to_owned(), value)].into_iter().collect();
            prop_assert_eq!(canonical(&fields), serde_json_canonicalizer::to_vec(&fields).unwrap());
        }
    }

    proptest! {
        #[test]
        fn what_is_canonical_is_known_and_nothing_else(value in json(), place in any::<prop::sample::Index>(), other in any::<char>()) {
            let fields: Map<_, _> = [("a".to_owned(), value)].into_iter().collect();
            let text = String::from_utf8(canonical(&fields)).unwrap();
            prop_assert!(is_canonical(&text), "{text}");
            // Another letter somewhere, as likely as not one that means something to JSON.
            let mut letters: Vec<char> = text.chars().collect();
            let place = place.index(letters.len());
            let meaning = ['"', '\\', ',', ':', '{', '}', '[', ']', ' ', '0', '-', '.', 'e', 'u', '\n'];
            letters[place] = *meaning.get(other as usize % 30).unwrap_or(&other);
            let changed: String = letters.into_iter().collect();
            let read = serde_json::from_str::<Map<String, Value>>(&changed);
            prop_assert_eq!(is_canonical(&changed), read.is_ok_and(|read| canonical(&read) == changed.as_bytes()), "{}", changed);
        }
    }

    #[test]
    fn what_only_looks_canonical_is_not() {
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":01}"#,
            r#"{"a":-0}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":1}}"#,
            r#"{"a":1} "#,
            r#"{"a":}"#,
            r#"{"a":[1,]}"#,
            r#"{"\u0061":1}"#,
            "[1]",
            "1",
            "",
            "{",
            r#"{"a":12345678901234567890}"#,
        ] {
            assert!(!is_canonical(text), "{text}");
        }
        for text in [r#"{"a":9007199254740991}"#, r#"{"a":"é\n\u0001","b":[],"c":{}}"#, r#"{"a":0.5}"#] {
            assert!(is_canonical(text), "{text}");
        }
    }
}
