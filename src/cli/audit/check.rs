//! Checks pages on all processors: the hash of every row, and every decision decided again.

use super::line;
use super::source::{Entry, Row};
use crate::audit::{Record, SeenLeaf, Stream, TreeHash, hashed, leaf_hash};
use crate::engine::{Recheck, Rechecked};
use std::sync::Arc;

/// An entry that was checked.
pub(super) struct Checked {
    pub(super) seen: SeenLeaf,
    pub(super) again: Option<Rechecked>,
}

/// Checks a page; the order stays.
pub(super) fn page(mut entries: Vec<Entry>, recheck: &Arc<Recheck>) -> Vec<Checked> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = entries.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !entries.is_empty() {
        let rest = entries.split_off(share.min(entries.len()));
        shares.push(std::mem::replace(&mut entries, rest));
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(|| share.into_iter().map(|entry| one(entry, recheck)).collect::<Vec<_>>()))
            .collect();
        // A thread that panicked has checked nothing, and a row that is not checked must not pass.
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn one(entry: Entry, recheck: &Recheck) -> Checked {
    let Entry { mut seen, bytes, row } = entry;
    let (bytes, record) = match row {
        Row::None => (None, None),
        Row::Record(record) => (Some(record.leaf()), Some(*record)),
        Row::Sealed(sealed) => {
            let text = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
            let record = text.and_then(|text| line::record(seen.stream, &seen.id, text, sealed));
            // What says something else than the line around it was changed.
            let is_changed = bytes.is_some() && record.is_none();
            (if is_changed { Some(Vec::new()) } else { bytes }, record)
        }
    };
    let is_whole = record.as_ref().is_none_or(has_its_ciphertexts);
    seen.row = bytes.map(|bytes| if is_whole { leaf_hash(&bytes) } else { TreeHash([0; 32]) });
    let again = record.filter(|record| record.stream == Stream::Decision).map(|record| recheck.decision(&record));
    Checked { seen, again }
}

/// Whether the ciphertexts beside a row are those whose hashes stand in it.
fn has_its_ciphertexts(record: &Record) -> bool {
    record.sealed.as_ref().is_none_or(|sealed| record.fields.get("facts_personal") == Some(&hashed(sealed)))
}
