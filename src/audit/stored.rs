//! JSON as it stands in a table, read so that no two texts that a database tells apart have one leaf.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What was stored; text where it is no JSON that we write. A name that stands twice is none, nor is what is spelled otherwise than we and
/// our databases do, which somebody who looks for a word would miss; and no name means anything special, as some do to the library's
/// own reader.
#[must_use]
pub fn stored_json(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(StoredValue(value)) if is_spelled_as_ever(text) => value,
        _ => Value::String(text.to_owned()),
    }
}

/// Whether the texts and numbers in JSON are spelled in the one way; in which order it is, and with which spaces, says a database.
fn is_spelled_as_ever(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = rest.find(|letter: char| letter == '"' || letter == '-' || letter.is_ascii_digit()) {
        let from = rest.get(at..).unwrap_or_default();
        let (token, is_ever) = if from.starts_with('"') {
            let text = from.get(..text_length(from)).unwrap_or(from);
            (text, is_text_as_ever(text))
        } else {
            let end = from.find(|letter: char| !matches!(letter, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
            let number = from.get(..end.unwrap_or(from.len())).unwrap_or(from);
            (number, is_number_as_ever(number))
        };
        if !is_ever {
            return false;
        }
        rest = from.get(token.len()..).unwrap_or_default();
    }
    true
}

/// How long a text is that JSON begins with, with its quotes.
fn text_length(json: &str) -> usize {
    let mut is_escaped = true;
    let end = json.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end.saturating_add(1))
}

fn is_text_as_ever(text: &str) -> bool {
    let again = |text: &str| serde_json::to_string(&serde_json::from_str::<String>(text).ok()?).ok();
    !text.contains('\\') || again(text).is_some_and(|again| again == text)
}

/// As RFC 8785 has it, or without an exponent, as Postgres does; whole numbers as they are.
fn is_number_as_ever(number: &str) -> bool {
    if number != "-0" && (number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()) {
        return true;
    }
    let double = number.parse::<f64>().ok().filter(|double| *double != 0.0);
    double.is_some_and(|double| {
        double.to_string() == number || serde_json_canonicalizer::to_string(&double).is_ok_and(|canonical| canonical == number)
    })
}

/// A value that is read like that wherever it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredValue(
    /// The value.
    pub Value,
);

impl<'de> Deserialize<'de> for StoredValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(StoredValue)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(StoredValue(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let StoredValue(value) = entries.next_value()?;
            if read.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_text_is_itself_and_no_other() {
        assert_eq!(stored_json(r#"{"a": [1, -2, 0.5, "é", null, true]}"#), json!({ "a": [1, -2, 0.5, "é", null, true] }));
        for odd in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"a":1}}]"#, "{", ""] {
            assert_eq!(stored_json(odd), Value::String(odd.to_owned()));
        }
        for (written, otherwise) in [
            (r#"{"a": "mallory\n"}"#, r#"{"a": "\u006dallory\n"}"#),
            (r#"{"a": "x"}"#, r#"{"\u0061": "x"}"#),
            (r#"["a\\", "b/"]"#, r#"["a\\", "b\/"]"#),
            (r#"["\u001f"]"#, r#"["\u001F"]"#),
            (r#"["1.0"]"#, "[1.0]"),
            ("[3, -3]", "[3, -3.0]"),
            ("[3, 0]", "[3e0, 0]"),
            ("[0, 1.5]", "[-0, 1.5]"),
            ("[0.0000001, 1e-7, 1e+21, 0.1]", "[1E-7]"),
            ("[3, 2.5]", "[2.9999999999999999999, 2.5]"),
            ("[18446744073709551615]", "[18446744073709551617]"),
        ] {
            assert_ne!(stored_json(written), Value::String(written.to_owned()));
            assert_eq!(stored_json(otherwise), Value::String(otherwise.to_owned()));
        }
        let magic = r#"{"$serde_json::private::RawValue":"[\"r1\"]"}"#;
        assert_eq!(stored_json(magic).as_object().unwrap()["$serde_json::private::RawValue"], "[\"r1\"]");
    }
}
