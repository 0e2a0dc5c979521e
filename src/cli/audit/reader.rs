//! Reads a log from the database, page by page: leaves in their order, and the rows of the large tables in the order of their times,
//! which is nearly the same. Whatever row does not come by itself is looked for by its leaf, so that nothing depends on that order.

use super::source::{Entry, Page};
use crate::audit::{Checkpoint, Finding, LeafRecord, SeenLeaf, SeenRow, Stream, audit_time};
use crate::cli::Failure;
use crate::store::{LEAVES_AT_ONCE, LeafRow, RowPlace, RowsInOrder, RowsSeen, Store, StoreError, Stray};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How many leaves are read at once.
pub(super) const PAGE: u64 = LEAVES_AT_ONCE as u64;
/// How many pages are read before they are asked for.
const AHEAD: usize = 2;
/// How many rows are read at once.
const ROWS: u32 = 4_000;
/// How many pages of rows one of leaves waits for at most: a leaf may say that its row is of the end of time.
const MOST_PAGES: usize = 4;
/// How many rows wait for their leaves, of each table. What is sealed together is sealed in the order of times.
const MOST_WAITING: usize = 10_000;
/// How many rows without a leaf are remembered, of each table.
const MOST_UNCLAIMED: usize = 100_000;
/// How many rows without a leaf are named, of each table.
const MOST_STRAYS: u32 = 100;

/// Pages of a database, of which some are read while one is looked at.
pub(super) struct Reader {
    store: Arc<dyn Store>,
    /// The first leaf that was not handed over, the first that nobody reads yet, and the one to end before.
    taken: u64,
    next: u64,
    end: u64,
    reading: VecDeque<JoinHandle<Result<Leaves, StoreError>>>,
    rows: [RowsAhead; 2],
}

/// Leaves that follow each other, and the checkpoints among them.
type Leaves = (Vec<LeafRow>, Vec<Result<Checkpoint, u64>>);

/// A page of rows, if they are to be had in their order.
type Rows = Result<Option<RowsInOrder>, StoreError>;

/// Rows of a table that were read before their leaves.
struct RowsAhead {
    stream: Stream,
    /// Nothing before the first leaf of the table was seen.
    coming: Option<mpsc::Receiver<Rows>>,
    /// Where to look on; nothing at the end of the table.
    reached: Option<RowPlace>,
    /// In the order of their places; of those that were taken only the place, until it is the first.
    waiting: VecDeque<(RowPlace, Option<LeafRecord>)>,
    /// The newest row of all.
    newest: Option<RowPlace>,
    /// What can be said of the table besides its leaves.
    seen: Option<RowsSeen>,
    /// Rows that stand there twice.
    doubled: Vec<Stray>,
}

impl Reader {
    pub(super) fn new(store: Arc<dyn Store>, from: u64, end: u64) -> Self {
        let rows = [Stream::Decision, Stream::Outcome].map(RowsAhead::new);
        Self { store, taken: from, next: from, end, reading: VecDeque::new(), rows }
    }

    /// The first leaf that was not handed over.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The next leaves; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Failure> {
        while self.reading.len() < AHEAD && self.next < self.end {
            let (from, to) = (self.next, self.next.saturating_add(PAGE).min(self.end));
            let store = Arc::clone(&self.store);
            self.reading.push_back(tokio::spawn(async move {
                // Where leaves are missing, the next one that is there says so.
                Ok((store.leaves(from, to).await?, store.checkpoints(from, to).await?))
            }));
            self.next = to;
        }
        let Some(page) = self.reading.pop_front() else { return Ok(None) };
        let (leaves, checkpoints) = page.await.map_err(|_| Failure::no("a page could not be read; this is a bug"))??;
        self.taken = self.taken.saturating_add(PAGE).min(self.end);
        for rows in &mut self.rows {
            rows.reach(&self.store, &leaves).await?;
        }
        let entries = self.entries(leaves).await?;
        let strays = self.rows.iter_mut().flat_map(|rows| std::mem::take(&mut rows.doubled)).collect();
        let mut page = Page { entries, strays, ..Page::default() };
        for checkpoint in checkpoints {
            match checkpoint {
                Ok(checkpoint) => page.checkpoints.push(checkpoint),
                Err(size) => {
                    let why = "was put out of its row of `checkpoints`, or changed there".to_owned();
                    page.findings.push(Finding::BadSignature { size, is_given: false, why });
                }
            }
        }
        Ok(Some(page))
    }

    /// Rows that are no leaf and do not wait to become one, once all leaves were handed over: some of them.
    pub(super) async fn strays(&mut self) -> Result<Vec<Stray>, Failure> {
        let (mut strays, mut seen) = (Vec::new(), Vec::new());
        for rows in &mut self.rows {
            // The last row that was read may stand there twice, too.
            if let Some(last) = rows.reached
                && let Some(RowsInOrder { rows: again, .. }) = self.store.rows_from(rows.stream, last, 2).await?
            {
                rows.arrived(again.await.map_err(|_| unread())??, None);
            }
            strays.append(&mut rows.doubled);
            seen.extend(rows.seen());
        }
        strays.extend(self.store.strays(&seen, MOST_STRAYS).await?);
        Ok(strays)
    }

    async fn entries(&mut self, leaves: Vec<LeafRow>) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<_> =
            leaves.iter().map(|leaf| self.rows.iter_mut().find(|rows| rows.stream == leaf.stream)?.take(leaf.place)).collect();
        let missing: Vec<_> = leaves.iter().zip(&rows).filter(|(_, row)| row.is_none()).map(|(leaf, _)| leaf.clone()).collect();
        let mut found = if missing.is_empty() { Vec::new() } else { self.store.rows(&missing).await? }.into_iter();
        let entry = |(leaf, row): (LeafRow, Option<LeafRecord>)| {
            let row = row.or_else(|| found.next().flatten());
            let (found_at, missing_at) =
                if row.is_some() { (Some(leaf.place.at), None) } else { (None, Some(audit_time(leaf.place.at))) };
            let seen = SeenLeaf {
                index: leaf.index,
                stream: leaf.stream,
                id: leaf.place.id,
                sealed: leaf.hash,
                row: SeenRow::Gone,
                missing_at,
            };
            Entry { seen, row, found_at }
        };
        Ok(leaves.into_iter().zip(rows).map(entry).collect())
    }
}

impl RowsAhead {
    fn new(stream: Stream) -> Self {
        Self { stream, coming: None, reached: None, waiting: VecDeque::new(), newest: None, seen: None, doubled: Vec::new() }
    }

    /// Waits until the rows of these leaves were read, where they stand in the order of their times.
    async fn reach(&mut self, store: &Arc<dyn Store>, leaves: &[LeafRow]) -> Result<(), StoreError> {
        let times = || leaves.iter().filter(|leaf| leaf.stream == self.stream).map(|leaf| leaf.place.at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
        if self.coming.is_none() {
            let begin = RowPlace { at: first, id: Uuid::nil() };
            self.reached = Some(begin);
            self.coming = Some(follow(Arc::clone(store), self.stream, begin));
            self.seen = Some(RowsSeen { stream: self.stream, after: first, before: first, unclaimed: Vec::new() });
        }
        for _ in 0..MOST_PAGES {
            if self.reached.is_none_or(|reached| reached.at > last) {
                break;
            }
            let page = match &mut self.coming {
                Some(coming) => coming.recv().await,
                None => None,
            };
            let page = page.unwrap_or_else(|| Err(StoreError::Corrupt("a table ended before its end".into())))?;
            let read = match page {
                Some(RowsInOrder { rows, last }) => {
                    let rows = rows.await.map_err(|_| unread())?;
                    rows.ok().map(|rows| (rows, last))
                }
                None => None,
            };
            match read {
                Some((rows, last)) => self.arrived(rows, last),
                // From here on each is looked for by itself, and whatever has no leaf in the whole table.
                None => (self.reached, self.seen) = (None, None),
            }
        }
        while self.waiting.len() > MOST_WAITING {
            self.pass();
        }
        Ok(())
    }

    fn arrived(&mut self, rows: Vec<(RowPlace, LeafRecord)>, last: Option<RowPlace>) {
        // Each page begins with the last row of the one before, so that none of the same place is left out between them.
        for (number, (place, row)) in rows.into_iter().enumerate() {
            if self.newest != Some(place) {
                self.newest = Some(place);
                self.waiting.push_back((place, Some(row)));
            } else if number > 0 {
                self.doubled.push(Stray { stream: self.stream, id: place.id.to_string() });
            }
        }
        // More than a page of one place would be read again and again.
        self.reached = last.filter(|last| self.reached != Some(*last));
        if let Some(seen) = &mut self.seen {
            seen.before = self.newest.map_or(seen.before, |newest| newest.at);
        }
    }

    /// Gives up waiting for the leaf of the first row.
    fn pass(&mut self) {
        let Some((place, Some(_))) = self.waiting.pop_front() else { return };
        if let Some(seen) = &mut self.seen {
            seen.unclaimed.push(place);
        }
        // Then it takes less to look through the whole table.
        self.seen.take_if(|seen| seen.unclaimed.len() > MOST_UNCLAIMED);
    }

    fn take(&mut self, place: RowPlace) -> Option<LeafRecord> {
        // Nearly always it is the first.
        let index = match self.waiting.front() {
            Some((first, _)) if *first == place => 0,
            _ => self.waiting.binary_search_by_key(&place, |(place, _)| *place).ok()?,
        };
        let row = self.waiting.get_mut(index)?.1.take();
        while self.waiting.front().is_some_and(|(_, row)| row.is_none()) {
            self.waiting.pop_front();
        }
        row
    }

    fn seen(&mut self) -> Option<RowsSeen> {
        while !self.waiting.is_empty() {
            self.pass();
        }
        self.seen.take()
    }
}

fn unread() -> StoreError {
    StoreError::Corrupt("a row could not be read; this is a bug".into())
}

/// Reads a table on and on, some pages ahead of who takes them.
fn follow(store: Arc<dyn Store>, stream: Stream, begin: RowPlace) -> mpsc::Receiver<Rows> {
    let (pages, coming) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut next = Some(begin);
        while let Some(place) = next.take() {
            let page = store.rows_from(stream, place, ROWS).await;
            next = page.as_ref().ok().and_then(|page| page.as_ref()?.last).filter(|last| *last != place);
            if pages.send(page).await.is_err() {
                return;
            }
        }
    });
    coming
}
