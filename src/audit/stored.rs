//! JSON as it stands in a table, read so that no two texts that a database tells apart have one leaf.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What was stored; text where it is no JSON that we write. A name that stands twice is none, and no name means anything special, as
/// some do to the library's own reader.
#[must_use]
pub fn stored_json(text: &str) -> Value {
    serde_json::from_str(text).map_or_else(|_| Value::String(text.to_owned()), |StoredValue(value)| value)
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
        let magic = r#"{"$serde_json::private::RawValue":"[\"r1\"]"}"#;
        assert_eq!(stored_json(magic).as_object().unwrap()["$serde_json::private::RawValue"], "[\"r1\"]");
    }
}
