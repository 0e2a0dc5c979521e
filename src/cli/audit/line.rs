//! The lines of an export that can be checked: a leaf with its row, a checkpoint after the last leaf that it covers, and what is
//! in the tables without being in the tree. This is a format that others read; docs/audit.md describes it.

use crate::audit::{LeafRecord, Stream, TreeHash, audit_id, is_canonical};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// A line as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'t> {
    pub(super) index: Option<u64>,
    pub(super) table: Option<&'t str>,
    pub(super) id: Option<std::borrow::Cow<'t, str>>,
    pub(super) hash: Option<&'t str>,
    /// The row's time, where there is no row.
    pub(super) at: Option<&'t str>,
    /// In canonical form: its bytes are the leaf.
    #[serde(borrow)]
    pub(super) record: Option<&'t RawValue>,
    /// The ciphertexts whose hashes stand in the record.
    pub(super) sealed: Option<Value>,
    pub(super) checkpoint: Option<String>,
    pub(super) unsealed: Option<bool>,
    /// How many leaves stand outside of the tree.
    pub(super) outside: Option<u64>,
}

#[derive(Serialize)]
struct LeafLine<'l> {
    index: u64,
    table: &'l str,
    id: Uuid,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'l str>,
    record: Option<&'l RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<&'l Value>,
}

/// A leaf and its row, or the time of one that is not there.
pub(super) fn leaf(index: u64, stream: Stream, id: Uuid, hash: TreeHash, row: Option<&LeafRecord>, at: Option<&str>) -> String {
    let record = row.and_then(|row| serde_json::from_slice(&row.bytes).ok());
    let sealed = row.and_then(|row| row.sealed.as_ref()).filter(|sealed| sealed.as_object().is_none_or(|map| !map.is_empty()));
    let line = LeafLine { index, table: stream.as_str(), id, hash: STANDARD.encode(hash.0), at, record, sealed };
    to_raw_value(&line).map(|line| line.get().to_owned()).unwrap_or_default()
}

/// A checkpoint.
pub(super) fn checkpoint(note: &str) -> String {
    serde_json::json!({ "checkpoint": note }).to_string()
}

/// A row that is no leaf and does not wait to be one.
pub(super) fn stray(stream: Stream, id: &str) -> String {
    serde_json::json!({ "unsealed": true, "table": stream.as_str(), "id": id }).to_string()
}

/// Leaves that stand where the tree has no place.
pub(super) fn outside(count: u64) -> String {
    serde_json::json!({ "outside": count }).to_string()
}

/// A hash of the tree.
pub(super) fn hash(text: &str) -> Option<TreeHash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(TreeHash)
}

/// The time of a line's row, if that is in canonical form, of this table and of this id: else what is hashed is not what is
/// looked at.
pub(super) fn itself(stream: Stream, id: Uuid, raw: &str) -> Option<Option<&str>> {
    #[derive(Deserialize)]
    struct Named<'r> {
        leaf: &'r str,
        #[serde(borrow)]
        id: &'r RawValue,
        at: Option<&'r str>,
        decided_at: Option<&'r str>,
    }
    let named: Named<'_> = serde_json::from_str(raw).ok()?;
    let own_id = match named.id.get().parse::<u64>() {
        Ok(number) => Uuid::from_u128(number.into()),
        Err(_) => audit_id(named.id.get().trim_matches('"'))?,
    };
    let of_stream = named.leaf.strip_prefix("assent.").and_then(|leaf| leaf.strip_suffix(".v1"));
    let is_itself = own_id == id && of_stream == Some(stream.as_str()) && is_canonical(raw);
    is_itself.then(|| named.decided_at.or(named.at))
}
