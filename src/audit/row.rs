//! Rows as a database gives them, made leaves: nearly always straight from their text, without reading it into values first.
//!
//! What cannot be made so is made by [`Record`]; both make the same bytes.

use super::canonical::canonical;
use super::leaf::{Form, Record, Stream, hashed};
use super::plain::{Rewriting, is_plain_text, ordinary};
use super::stored::stored_json;
use super::time::{audit_time, spelled};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::LazyLock;
use uuid::Uuid;

/// One column of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stored<'r> {
    /// Nothing.
    Null,
    /// A whole number, or a flag as one.
    Number(i64),
    /// Text; JSON, too.
    Text(&'r str),
    /// An id, where the database has a type for it.
    Id(Uuid),
    /// A time, where the database has a type for it.
    Time(Timestamp),
}

/// An id in text, where it is spelled as we spell it: the same in other letters is another text under a hash.
#[must_use]
pub fn audit_id(text: &str) -> Option<Uuid> {
    let id: Uuid = text.parse().ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// A row that is a leaf, or will be.
#[derive(Debug, Clone)]
pub struct LeafRecord {
    /// Which table.
    pub stream: Stream,
    /// The bytes of the leaf.
    pub bytes: Vec<u8>,
    /// The ciphertexts whose hashes stand in the leaf.
    pub sealed: Option<Value>,
    /// Where the values of the leaf's members end, in the order of [`MEMBERS`]; nothing where it was not written member by member.
    ends: Vec<usize>,
}

impl LeafRecord {
    /// From a leaf as it was written elsewhere.
    #[must_use]
    pub const fn read(stream: Stream, bytes: Vec<u8>, sealed: Option<Value>) -> Self {
        Self { stream, bytes, sealed, ends: Vec::new() }
    }

    /// Of a row that nobody can read, as this program would not have written it: without bytes.
    #[must_use]
    pub const fn unreadable(stream: Stream) -> Self {
        Self::read(stream, Vec::new(), None)
    }

    /// Whether it is of a row that nobody can read.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        self.bytes.is_empty()
    }

    /// From [`Stream::columns`], in their order.
    #[must_use]
    pub fn new(stream: Stream, columns: &[Stored<'_>]) -> Self {
        // Names, ids and times come on top of the texts.
        let texts = columns.iter().map(|column| if let Stored::Text(text) = column { text.len() } else { 0 });
        let mut bytes = Vec::with_capacity(texts.sum::<usize>().saturating_add(700));
        let mut ends = Vec::with_capacity(columns.len().saturating_add(1));
        if let Some(sealed) = write(stream, columns, &mut bytes, &mut ends) {
            return Self { stream, bytes, sealed, ends };
        }
        let values = stream.columns().iter().zip(columns).map(|((_, form), column)| value(*form, *column)).collect();
        let record = Record::new(stream, values);
        Self::read(stream, record.leaf(), record.sealed)
    }

    /// Whether its JSON is so plain that nobody can spell it in another way than in another order of its names.
    pub(super) const fn is_plain(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The leaf as text, and its members' values as they stand there, by the places of their names in `names`, which are in the order
    /// of the alphabet. Nothing where that would take reading it.
    pub(super) fn members<const N: usize>(&self, names: &[&str; N]) -> Option<[&str; N]> {
        let (text, mut names) = (std::str::from_utf8(&self.bytes).ok()?, names.iter().enumerate().peekable());
        let mut values = [""; N];
        let mut begin = 1;
        for ((name, _), end) in members_of(self.stream)?.iter().zip(&self.ends) {
            if let Some((place, _)) = names.next_if(|(_, wanted)| *wanted == name) {
                // After the name, its quotes and the colon.
                *values.get_mut(place)? = text.get(begin + name.len() + 3..*end)?;
            }
            begin = end + 1;
        }
        names.next().is_none().then_some(values)
    }

    /// The row by its columns. Nothing where the bytes are no leaf.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        let Value::Object(fields) = stored_json(std::str::from_utf8(&self.bytes).ok()?) else { return None };
        Some(Record { stream: self.stream, fields, sealed: self.sealed })
    }
}

fn value(form: Form, column: Stored<'_>) -> Value {
    match (form, column) {
        (_, Stored::Null) => Value::Null,
        (Form::Flag, Stored::Number(0)) => Value::Bool(false),
        (Form::Flag, Stored::Number(1)) => Value::Bool(true),
        // SQLite has numbers for flags, and another number is another value.
        (_, Stored::Number(number)) => number.into(),
        // What is no JSON was not written by us; as text it fits no leaf.
        (Form::Json | Form::Sealed, Stored::Text(text)) => stored_json(text),
        (_, Stored::Text(text)) => text.into(),
        (_, Stored::Id(id)) => id.to_string().into(),
        (_, Stored::Time(time)) => audit_time(time).into(),
    }
}

/// The members of a leaf in the order of their names: the form of a column, and which it is; `leaf` is none.
type Members = Vec<(&'static str, Option<(Form, usize)>)>;

static MEMBERS: LazyLock<Vec<Members>> = LazyLock::new(|| {
    let members = |stream: &Stream| {
        let columns = stream.columns().iter().enumerate().map(|(place, (name, form))| (*name, Some((*form, place))));
        let mut members: Members = columns.chain([("leaf", None)]).collect();
        members.sort_by_key(|(name, _)| *name);
        members
    };
    Stream::ALL.iter().map(members).collect()
});

/// Writes the leaf; the ciphertexts. Nothing where it has to be read first.
fn write(stream: Stream, columns: &[Stored<'_>], out: &mut Vec<u8>, ends: &mut Vec<usize>) -> Option<Option<Value>> {
    let (mut sealed, mut rewriting) = (None, Rewriting::new());
    for (name, column) in members_of(stream)? {
        if !out.is_empty() {
            ends.push(out.len());
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        quoted(&[name.as_bytes()], out);
        out.push(b':');
        let Some((form, place)) = column else {
            quoted(&[b"assent.", stream.as_str().as_bytes(), b".v1"], out);
            continue;
        };
        match (form, columns.get(*place)?) {
            // Most decisions have nothing that is personal.
            (Form::Sealed, Stored::Text("{}")) => {
                out.extend(b"{}");
                sealed = Some(Value::Object(serde_json::Map::new()));
            }
            (Form::Sealed, Stored::Text(json)) => {
                let ciphertexts = stored_json(json);
                let Value::Object(hashes) = hashed(&ciphertexts) else { return None };
                out.extend(canonical(&hashes));
                sealed = Some(ciphertexts);
            }
            (Form::Sealed, _) => return None,
            (_, Stored::Null) => out.extend(b"null"),
            (Form::Text | Form::Time, Stored::Text(plain)) => text(plain, out)?,
            (Form::Text, Stored::Id(id)) => {
                quoted(&[id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes()], out);
            }
            (Form::Time, Stored::Time(time)) => quoted(&[&spelled(*time)?], out),
            // As it was written, where a database keeps it like that.
            (Form::Json, Stored::Text(json)) if is_plain_text(json) => out.extend_from_slice(json.as_bytes()),
            (Form::Json, Stored::Text(json)) => rewriting.rewrite(json, out)?,
            (Form::Flag, Stored::Number(0)) => out.extend(b"false"),
            (Form::Flag, Stored::Number(1)) => out.extend(b"true"),
            (Form::Integer, Stored::Number(number @ -999_999_999_999_999..=999_999_999_999_999)) => {
                out.extend(number.to_string().as_bytes());
            }
            _ => return None,
        }
    }
    ends.push(out.len());
    out.push(b'}');
    Some(sealed)
}

fn members_of(stream: Stream) -> Option<&'static Members> {
    Stream::ALL.iter().position(|one| *one == stream).and_then(|place| MEMBERS.get(place))
}

/// Text that has nothing in it that JSON escapes.
fn quoted(plain: &[&[u8]], out: &mut Vec<u8>) {
    out.push(b'"');
    plain.iter().for_each(|part| out.extend_from_slice(part));
    out.push(b'"');
}

fn text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if ordinary(text.as_bytes()) == text.len() {
        quoted(&[text.as_bytes()], out);
        return Some(());
    }
    serde_json::to_writer(out, text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::canonical::tests::json;
    use super::*;
    use proptest::prelude::*;

    /// JSON as we write it, most of it plain.
    fn our_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-99_i64..99).prop_map(Value::from),
            "[a-z\"\n]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec(("[a-z]{0,3}", inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    /// As Postgres writes it: short names first, and spaces.
    fn as_in_postgres(value: &Value) -> String {
        match value {
            Value::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(name, _)| (name.len(), name.as_bytes()));
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), as_in_postgres(value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Value::Array(items) => format!("[{}]", items.iter().map(as_in_postgres).collect::<Vec<_>>().join(", ")),
            other => other.to_string(),
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_makes_the_bytes_of_the_slow_one(
            texts in proptest::collection::vec(proptest::option::of(any::<String>()), 21),
            number in any::<i64>(), flag in 0_i64..3, value_of in prop_oneof![json(), our_json()], is_odd in any::<bool>(), odd in any::<String>(),
        ) {
            let json_text = if is_odd { odd } else { as_in_postgres(&value_of) };
            for stream in Stream::ALL {
                let columns: Vec<_> = stream.columns().iter().zip(&texts).map(|((_, form), text)| match form {
                    Form::Integer => Stored::Number(number),
                    Form::Flag => Stored::Number(flag),
                    Form::Json => Stored::Text(&json_text),
                    Form::Sealed => Stored::Text("{}"),
                    Form::Text | Form::Time => text.as_deref().map_or(Stored::Null, Stored::Text),
                }).collect();
                let values = stream.columns().iter().zip(&columns).map(|((_, form), column)| value(*form, *column)).collect();
                let slow = Record::new(stream, values);
                let made = LeafRecord::new(stream, &columns);
                let leaf = slow.leaf();
                prop_assert_eq!(String::from_utf8_lossy(&made.bytes), String::from_utf8_lossy(&leaf));
                prop_assert_eq!(&made.sealed, &slow.sealed);
                prop_assert_eq!(made.record().unwrap().leaf(), slow.leaf());
            }
        }
    }

    proptest! {
        #[test]
        fn an_id_and_a_time_are_what_their_text_is(id in any::<u128>(), micros in -99_999_999_999_999_999_i64..253_402_207_200_000_000) {
            let (id, time) = (Uuid::from_u128(id), Timestamp::from_microsecond(micros).unwrap());
            let (id_text, time_text) = (id.to_string(), audit_time(time));
            let leaf = |id, time| {
                let columns = [id, time, Stored::Null, Stored::Text("approve"), Stored::Text("{}")];
                LeafRecord::new(Stream::ConfigurationChange, &columns).bytes
            };
            let typed = leaf(Stored::Id(id), Stored::Time(time));
            prop_assert_eq!(&typed, &leaf(Stored::Text(&id_text), Stored::Text(&time_text)));
            // Where a table has other types than it was made with.
            let columns = [Stored::Id(id), Stored::Time(time), Stored::Id(id), Stored::Time(time), Stored::Id(id)];
            let odd = LeafRecord::new(Stream::ConfigurationChange, &columns).bytes;
            let odd_text = Stored::Text(&id_text);
            let columns = [odd_text, Stored::Text(&time_text), odd_text, Stored::Text(&time_text), odd_text];
            prop_assert_eq!(odd, LeafRecord::new(Stream::ConfigurationChange, &columns).bytes);
        }
    }

    #[test]
    fn ciphertexts_stand_beside_the_leaf_that_has_their_hashes() {
        let mut columns = vec![Stored::Null; Stream::Decision.columns().len()];
        for (odd, is_kept) in [(r#"{"ann": "AAAA"}"#, true), ("{}", true), ("[1]", true), ("no JSON", true), ("{", true)] {
            columns[18] = Stored::Text(odd);
            let values =
                Stream::Decision.columns().iter().zip(&columns).map(|((_, form), column)| value(*form, *column)).collect();
            let (made, slow) = (LeafRecord::new(Stream::Decision, &columns), Record::new(Stream::Decision, values));
            assert_eq!((made.bytes, made.sealed.is_some()), (slow.leaf(), is_kept), "{odd}");
        }
    }

    #[test]
    fn what_we_write_needs_no_reading() {
        let json = r#"{"at": {"b": [1, "x\"y"], "aa": true}, "b": null, "aaa": {"é": "no: its name is not in ASCII"}}"#;
        assert!(Rewriting::new().rewrite(json, &mut Vec::new()).is_none());
        let mut out = Vec::new();
        let plain = json.replace('é', "e");
        Rewriting::new().rewrite(&plain, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"aaa":{"e":"no: its name is not in ASCII"},"at":{"aa":true,"b":[1,"x\"y"]},"b":null}"#
        );
    }
}
