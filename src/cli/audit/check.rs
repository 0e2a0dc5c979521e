//! Checks pages on all processors: the hash of every row, and every decision decided again.

use super::line;
use super::source::{Entry, Page};
use crate::audit::{
    Checkpoint, DecisionLeaf, DroppedBy, Finding, LeafRecord, SeenLeaf, SeenRow, Stream, Tally, audit_time, hashed, leaf_hash,
    month_of, stored_json,
};
use crate::cli::Failure;
use crate::engine::{PersonKeys, Recheck, Rechecked};
use crate::store::Stray;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// An entry that was checked.
pub(super) struct Checked {
    pub(super) seen: SeenLeaf,
    pub(super) again: Option<Rechecked>,
}

/// What a page came to; the order stays.
#[derive(Default)]
pub(super) struct CheckedPage {
    pub(super) leaves: Vec<Checked>,
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) findings: Vec<Finding>,
    /// The decisions that stand in the log.
    pub(super) tally: Tally,
    /// The months of which rows stand in the log, of those that can be dropped.
    pub(super) months: BTreeSet<String>,
    /// The months that somebody says to have dropped.
    pub(super) dropped: Vec<DroppedBy>,
}

/// A page that is being checked, each processor its share of it.
pub(super) struct Checking {
    checked: CheckedPage,
    shares: Vec<JoinHandle<CheckedPage>>,
}

impl Checking {
    /// Begins with a page.
    pub(super) fn of(page: Page, recheck: &Arc<Recheck>, persons: Arc<PersonKeys>) -> Self {
        let Page { entries, checkpoints, mut findings, strays, lines } = page;
        findings.extend(strays.into_iter().map(added));
        let by = By { recheck: Arc::clone(recheck), persons };
        let mut shares: Vec<_> = shared(entries, &by, CheckedPage::of).collect();
        shares.extend(shared(lines, &by, CheckedPage::of_lines));
        Self { checked: CheckedPage { checkpoints, findings, ..CheckedPage::default() }, shares }
    }

    /// What it came to.
    pub(super) async fn end(self) -> Result<CheckedPage, Failure> {
        let Self { mut checked, shares } = self;
        for share in shares {
            // Whoever panicked has checked nothing, and a row that is not checked must not pass.
            checked.add(share.await.map_err(|_| Failure::no("a row could not be checked; this is a bug"))?);
        }
        Ok(checked)
    }
}

/// What decisions are decided again by.
#[derive(Clone, Default)]
pub(super) struct By {
    recheck: Arc<Recheck>,
    persons: Arc<PersonKeys>,
}

/// Has every processor do a share; they stand in the order of what went in.
fn shared<T: Send + 'static>(
    mut items: Vec<T>,
    by: &By,
    check: fn(Vec<T>, &By) -> CheckedPage,
) -> impl Iterator<Item = JoinHandle<CheckedPage>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    std::iter::from_fn(move || {
        let rest = items.split_off(share.min(items.len()));
        let (some, by) = (std::mem::replace(&mut items, rest), by.clone());
        (!some.is_empty()).then(|| tokio::task::spawn_blocking(move || check(some, &by)))
    })
}

/// A row in a table that nobody sealed.
pub(super) fn added(stray: Stray) -> Finding {
    Finding::Added { table: stray.stream.table(), id: stray.id }
}

impl CheckedPage {
    pub(super) fn of(entries: Vec<Entry>, by: &By) -> Self {
        let mut checked = Self { leaves: Vec::with_capacity(entries.len()), ..Self::default() };
        entries.into_iter().for_each(|entry| checked.check(entry, by));
        checked
    }

    fn of_lines(lines: Vec<Vec<u8>>, by: &By) -> Self {
        let mut page = Page { lines, ..Page::default() };
        page.read();
        page.findings.extend(page.strays.into_iter().map(added));
        Self { checkpoints: page.checkpoints, findings: page.findings, ..Self::of(page.entries, by) }
    }

    fn add(&mut self, share: Self) {
        self.leaves.extend(share.leaves);
        self.checkpoints.extend(share.checkpoints);
        self.findings.extend(share.findings);
        self.tally.add_all(share.tally);
        self.months.extend(share.months);
        self.dropped.extend(share.dropped);
    }

    fn check(&mut self, entry: Entry, by: &By) {
        let Entry { mut seen, row, found_at } = entry;
        let again = row.and_then(|mut row| {
            let sealed = row.sealed.take();
            self.row(&mut seen, &row, sealed, found_at, by)
        });
        self.leaves.push(Checked { seen, again });
    }

    /// The hash of a row, and what it says; how it was decided again.
    fn row<'r>(
        &mut self,
        seen: &mut SeenLeaf,
        row: &'r LeafRecord,
        sealed: Option<Value>,
        found_at: Option<Timestamp>,
        by: &By,
    ) -> Option<Rechecked> {
        // What says something else than the line around it was changed.
        seen.row = SeenRow::Odd;
        if row.is_unreadable() {
            return (seen.stream == Stream::Decision).then_some(Rechecked::Unreadable);
        }
        let text = |row: &'r LeafRecord| std::str::from_utf8(&row.bytes).ok();
        let found_at = found_at.map(audit_time);
        let at = if found_at.is_some() { found_at.as_deref() } else { line::itself(seen.stream, seen.id, text(row)?)? };
        let stands_in_the_log = seen.missing_at.is_none();
        if let Some(month) = at.filter(|_| seen.stream.has_months() && stands_in_the_log).map(month_of)
            && !self.months.contains(month)
        {
            self.months.insert(month.to_owned());
        }
        let hash = leaf_hash(&row.bytes);
        if seen.stream != Stream::Decision {
            // Nothing of these is sealed by itself.
            if sealed.is_none() {
                seen.row = SeenRow::Hashed(hash);
            }
            if seen.stream == Stream::OperatorAction && seen.row == SeenRow::Hashed(seen.sealed) {
                self.dropped.extend(row.clone().record().as_ref().and_then(DroppedBy::of));
            }
            return None;
        }
        // Where ciphertexts are missing there were none.
        let sealed = sealed.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let Some(leaf) = DecisionLeaf::of(row) else {
            if stored_json(text(row)?).get("facts_personal") == Some(&hashed(&sealed)) {
                seen.row = SeenRow::Hashed(hash);
            }
            return Some(Rechecked::Unreadable);
        };
        // A row of the database was made a leaf with them just now.
        if found_at.is_some() || leaf.has_ciphertexts(&sealed) {
            seen.row = SeenRow::Hashed(hash);
        }
        if let Some(counted) = leaf.counted_as().filter(|_| stands_in_the_log) {
            self.tally.add(counted, 1);
        }
        Some(by.recheck.decision(leaf, sealed, &by.persons))
    }
}
