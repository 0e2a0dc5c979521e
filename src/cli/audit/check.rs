//! Checks pages on all processors: the hash of every row, and every decision decided again.

use super::line;
use super::source::{self, Entry, Page};
use crate::audit::{
    Checkpoint, CountedAs, DroppedBy, Finding, LeafRecord, Record, SeenLeaf, Stream, TreeHash, has_its_ciphertexts, leaf_hash,
    month_of,
};
use crate::engine::{Recheck, Rechecked};
use std::sync::Arc;

/// An entry that was checked.
pub(super) struct Checked {
    pub(super) seen: SeenLeaf,
    pub(super) again: Option<Rechecked>,
    /// As what it is counted, where it stands in the log.
    pub(super) counted: Option<CountedAs>,
    /// The month of a row that stands in the log, of those that can be dropped.
    pub(super) month: Option<String>,
    /// A month that somebody dropped, if it says so.
    pub(super) dropped: Option<DroppedBy>,
}

/// What a page came to; the order stays.
#[derive(Default)]
pub(super) struct CheckedPage {
    pub(super) leaves: Vec<Checked>,
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) findings: Vec<Finding>,
}

/// Checks a page.
pub(super) fn page(page: Page, recheck: &Arc<Recheck>) -> CheckedPage {
    let Page { entries, checkpoints, findings, lines } = page;
    let mut checked = CheckedPage { leaves: Vec::new(), checkpoints, findings };
    let read = |lines: Vec<Vec<u8>>| {
        let mut page = Page::default();
        lines.iter().for_each(|line| source::take(&mut page, line));
        let leaves = page.entries.into_iter().map(|entry| one(entry, recheck)).collect();
        CheckedPage { leaves, checkpoints: page.checkpoints, findings: page.findings }
    };
    for share in shared(entries, |entries| entries.into_iter().map(|entry| one(entry, recheck)).collect::<Vec<_>>()) {
        checked.leaves.extend(share);
    }
    for share in shared(lines, read) {
        checked.leaves.extend(share.leaves);
        checked.checkpoints.extend(share.checkpoints);
        checked.findings.extend(share.findings);
    }
    checked
}

/// Has every processor do a share; what came out, in the order of what went in.
fn shared<T: Send, R: Send>(mut items: Vec<T>, work: impl Fn(Vec<T>) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !items.is_empty() {
        let rest = items.split_off(share.min(items.len()));
        shares.push(std::mem::replace(&mut items, rest));
    }
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || work(share))).collect();
        // A thread that panicked has checked nothing, and a row that is not checked must not pass.
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn one(entry: Entry, recheck: &Recheck) -> Checked {
    let Entry { mut seen, row } = entry;
    let Some(LeafRecord { bytes, sealed, .. }) = row else { return checked(seen, None, None, None, recheck) };
    let text = std::str::from_utf8(&bytes).ok();
    let itself = text.and_then(|text| line::itself(seen.stream, &seen.id, text));
    let text = text.filter(|_| itself.is_some());
    let month = month(&seen, itself.flatten());
    // What says something else than the line around it was changed.
    seen.row = Some(if text.is_some() { leaf_hash(&bytes) } else { NOTHING });
    // Of an outcome nothing more is asked.
    let asked = text.filter(|_| seen.stream != Stream::Outcome);
    let read = asked.and_then(|text| line::record(seen.stream, text, sealed));
    if asked.is_some() && read.is_none() {
        seen.row = Some(NOTHING);
    }
    let (record, trace) = read.unzip();
    checked(seen, record, trace, month, recheck)
}

/// The month of a row in the log, where its time is this.
fn month(seen: &SeenLeaf, at: Option<&str>) -> Option<String> {
    at.filter(|_| seen.stream.has_months() && seen.missing_at.is_none()).map(|at| month_of(at).to_owned())
}

/// The hash of no row.
const NOTHING: TreeHash = TreeHash([0; 32]);

fn checked(mut seen: SeenLeaf, record: Option<Record>, trace: Option<&str>, month: Option<String>, recheck: &Recheck) -> Checked {
    if !record.as_ref().is_none_or(has_its_ciphertexts) {
        seen.row = Some(NOTHING);
    }
    let counted = record.as_ref().filter(|_| seen.missing_at.is_none()).and_then(CountedAs::of);
    let dropped = record.as_ref().filter(|_| seen.row == Some(seen.sealed)).and_then(DroppedBy::of);
    let again = record.filter(|record| record.stream == Stream::Decision).map(|record| recheck.decision(record, trace));
    Checked { seen, again, counted, month, dropped }
}
