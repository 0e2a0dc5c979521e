//! Follows a log from its first leaf and holds everything against everything: rows against leaves, leaves against checkpoints,
//! checkpoints against signatures and against those that somebody kept elsewhere. Little memory, whatever the log's size.
//!
//! It is given what is there and says what does not fit; it reads nothing itself.

use super::checkpoint::{Checkpoint, LogVerifier, check_any};
use super::finding::Finding;
use super::leaf::Stream;
use super::retention::{DroppedBy, MonthDigest, month_of};
use super::tree::Frontier;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tlog_tiles::Hash;
use uuid::Uuid;

/// How many findings are kept; more are counted.
const MOST_FINDINGS: usize = 1_000;

/// A row as it is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SeenRow {
    /// There is none.
    Gone,
    /// One that cannot have been sealed, whatever its leaf says: it cannot be read, or says something else than stands around it.
    Odd,
    /// One with this hash.
    Hashed(Hash),
}

/// One leaf as it is kept, and its row as it is found.
#[derive(Debug, Clone)]
pub struct SeenLeaf {
    /// Its place.
    pub index: u64,
    /// Of which table.
    pub stream: Stream,
    /// The row.
    pub id: Uuid,
    /// The hash that was sealed.
    pub sealed: Hash,
    /// The row as it is now, in the log or where it was taken to.
    pub row: SeenRow,
    /// Where the log has no row: its time, as the tree keeps it.
    pub missing_at: Option<String>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many leaves.
    pub leaves: u64,
    /// The root over them, in base64.
    pub root: String,
    /// How many checkpoints of the log were held against it.
    pub checkpoints: u64,
    /// Whether one from elsewhere was.
    pub anchored: bool,
    /// The months whose rows are not in the log, and why.
    pub dropped: Vec<Dropped>,
    /// What does not fit.
    pub findings: Vec<Finding>,
    /// How many more do not.
    pub more_findings: u64,
}

/// A month whose rows are not in the log, as an operator wrote down, or because all of them were found in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The month.
    pub month: String,
    /// How many rows.
    pub rows: u64,
    /// How many of them were checked in an archive.
    pub archived: u64,
    /// Who dropped it, and when; nothing where nobody says so.
    pub by: Option<(String, String)>,
}

/// Leaves of a month that have no row in the log.
#[derive(Default)]
struct Missing {
    digest: MonthDigest,
    leaves: u64,
    archived: u64,
    /// The first of them.
    some: Vec<Finding>,
}

/// How many rows that are gone are named, of each month.
const MOST_NAMED: usize = 100;

/// One run.
pub struct Verification {
    keys: Vec<LogVerifier>,
    tree: Frontier,
    next: u64,
    /// Up to where a checkpoint fitted.
    fitting: u64,
    /// The sizes of checkpoints that did not fit since; of the first that was said at once.
    doubted: Vec<u64>,
    /// Up to where a checkpoint was seen.
    signed: u64,
    checkpoints: u64,
    /// Those from elsewhere, the smallest last.
    outside: Vec<Checkpoint>,
    anchored: bool,
    /// By month.
    missing: BTreeMap<String, Missing>,
    /// The months of which rows are in the log.
    present: BTreeSet<String>,
    /// What operators wrote down of the months that they dropped.
    dropped: Vec<DroppedBy>,
    /// The months of which there is an archive.
    archives: BTreeSet<String>,
    findings: Vec<Finding>,
    more_findings: u64,
}

impl Verification {
    /// Begins; `outside` are checkpoints that were kept where nobody could change them with the log.
    #[must_use]
    pub fn new(keys: Vec<LogVerifier>, mut outside: Vec<Checkpoint>) -> Self {
        outside.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let mut begun = Self {
            keys,
            tree: Frontier::default(),
            next: 0,
            fitting: 0,
            doubted: Vec::new(),
            signed: 0,
            checkpoints: 0,
            outside: Vec::new(),
            anchored: false,
            missing: BTreeMap::new(),
            present: BTreeSet::new(),
            dropped: Vec::new(),
            archives: BTreeSet::new(),
            findings: Vec::new(),
            more_findings: 0,
        };
        // What the log's key did not sign says nothing of the log.
        outside.retain(|checkpoint| begun.check_signature(checkpoint, true));
        begun.anchored = !outside.is_empty();
        begun.outside = outside;
        begun.reached();
        begun
    }

    /// Takes in something that does not fit.
    pub fn found(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings = self.more_findings.saturating_add(1);
        }
    }

    /// The next leaf; in the order of their places.
    pub fn leaf(&mut self, leaf: &SeenLeaf) {
        let (index, table, id) = (leaf.index, leaf.stream.table(), || leaf.id.to_string());
        if index != self.next {
            self.found(Finding::Gap { index: self.next, next: index });
        }
        self.next = index.saturating_add(1);
        if leaf.row != SeenRow::Gone && leaf.row != SeenRow::Hashed(leaf.sealed) {
            self.found(Finding::Changed { index, table, id: id() });
        }
        if leaf.row == SeenRow::Gone || leaf.missing_at.is_some() {
            let removed = Finding::Removed { index, table, id: id() };
            if let Some(at) = leaf.missing_at.as_ref().filter(|_| leaf.stream.has_months()) {
                let missing = self.missing.entry(month_of(at).to_owned()).or_default();
                missing.digest.add(index, leaf.sealed);
                missing.leaves = missing.leaves.saturating_add(1);
                missing.archived = missing.archived.saturating_add(u64::from(leaf.row != SeenRow::Gone));
                if missing.some.len() < MOST_NAMED {
                    missing.some.push(removed);
                }
            } else {
                self.found(removed);
            }
        }
        self.tree.add(leaf.sealed);
        self.reached();
    }

    /// What an operator wrote down, of a row that is what was sealed.
    pub fn month_dropped(&mut self, dropped: DroppedBy) {
        self.dropped.push(dropped);
    }

    /// Rows of a month are in the log.
    pub fn has_rows_of(&mut self, month: String) {
        self.present.insert(month);
    }

    /// There is an archive of a month, which must have all of it.
    pub fn has_archive_of(&mut self, month: String) {
        self.archives.insert(month);
    }

    /// Rows that are gone are no mistake where an operator dropped just these, and the whole month, or where each of them was found
    /// in an archive.
    fn settle(&mut self) -> Vec<Dropped> {
        let mut settled = Vec::new();
        for (month, missing) in std::mem::take(&mut self.missing) {
            let Missing { digest, leaves, archived, some } = missing;
            let by = self.who_dropped(&month, digest).map(|dropped| (dropped.operator.clone(), dropped.at.clone()));
            let is_whole = !self.present.contains(&month);
            if archived < leaves && self.archives.contains(&month) {
                let why = format!("the archive of {month} lacks {} of its {leaves} rows", leaves.saturating_sub(archived));
                self.found(Finding::Export { why });
            }
            if archived == leaves || (by.is_some() && is_whole) {
                settled.push(Dropped { month, rows: leaves, archived, by });
                continue;
            }
            let unnamed = leaves.saturating_sub(some.len() as u64);
            some.into_iter().for_each(|removed| self.found(removed));
            self.more_findings = self.more_findings.saturating_add(unnamed);
        }
        settled
    }

    /// What an operator wrote down of just these rows of a month.
    fn who_dropped(&self, month: &str, missing: MonthDigest) -> Option<&DroppedBy> {
        let written = missing.finish(month);
        self.dropped.iter().find(|dropped| dropped.month == written)
    }

    /// The log's name.
    #[must_use]
    pub fn log(&self) -> &str {
        self.keys.first().map_or("?", LogVerifier::name)
    }

    /// One more checkpoint that the log must have come to, from what is being checked itself: no anchor.
    pub fn expect(&mut self, checkpoint: Checkpoint) {
        if !self.check_signature(&checkpoint, false) {
            return;
        }
        self.outside.push(checkpoint);
        self.outside.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        self.reached();
    }

    /// Whether the rows until now are those that were sealed.
    #[must_use]
    pub fn has_its_rows(&self) -> bool {
        let is_of_rows = |finding: &Finding| matches!(finding, Finding::Changed { .. } | Finding::Gap { .. });
        let is_dropped = |(month, missing): (&String, &Missing)| {
            missing.archived == missing.leaves || self.who_dropped(month, missing.digest.clone()).is_some()
        };
        self.more_findings == 0 && !self.findings.iter().any(is_of_rows) && self.missing.iter().all(is_dropped)
    }

    /// The root over the leaves that were taken in.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// How many leaves were taken in.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// A checkpoint of the log, once as many leaves were taken in.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.checkpoints = self.checkpoints.saturating_add(1);
        self.signed = checkpoint.size;
        self.check_signature(checkpoint, false);
        if checkpoint.size == self.tree.size() && checkpoint.root == self.tree.root() {
            // Then it was not the leaves that did not fit, but each of these checkpoints by itself.
            for to in std::mem::take(&mut self.doubted).into_iter().skip(1) {
                self.found(Finding::Rewritten { from: self.fitting, to });
            }
            self.fitting = checkpoint.size;
            return;
        }
        // No tree comes back from a change of its leaves, so that one change is one finding.
        if self.doubted.is_empty() {
            self.found(Finding::Rewritten { from: self.fitting, to: checkpoint.size });
        }
        if self.doubted.len() < MOST_FINDINGS {
            self.doubted.push(checkpoint.size);
        }
    }

    fn check_signature(&mut self, checkpoint: &Checkpoint, is_given: bool) -> bool {
        let checked = check_any(&self.keys, checkpoint);
        if let Err(error) = &checked {
            self.found(Finding::BadSignature { size: checkpoint.size, is_given, why: error.to_string() });
        }
        checked.is_ok()
    }

    /// Holds those from elsewhere against the tree that have its size.
    fn reached(&mut self) {
        while self.outside.last().is_some_and(|checkpoint| checkpoint.size == self.tree.size()) {
            let Some(checkpoint) = self.outside.pop() else { return };
            if checkpoint.root != self.tree.root() {
                self.found(Finding::OtherHistory { size: checkpoint.size });
            }
        }
    }

    /// What came out.
    #[must_use]
    pub fn finish(mut self) -> Verified {
        let leaves = self.tree.size();
        let dropped = self.settle();
        if self.signed < leaves {
            self.found(Finding::Unsigned { from: self.signed, to: leaves });
        }
        // One for all of them: whoever keeps every checkpoint has very many. Where leaves are gone before its end, that was said.
        let largest = self.outside.iter().map(|checkpoint| checkpoint.size).max();
        if let Some(size) = largest.filter(|size| *size > self.next) {
            self.found(Finding::Shorter { leaves: self.next, size });
        }
        Verified {
            leaves,
            root: self.tree.root().to_string(),
            checkpoints: self.checkpoints,
            anchored: self.anchored,
            dropped,
            findings: self.findings,
            more_findings: self.more_findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::LogKey;
    use tlog_tiles::record_hash;

    fn seen(index: u64, text: &str) -> SeenLeaf {
        let sealed = record_hash(text.as_bytes());
        SeenLeaf {
            index,
            stream: Stream::Decision,
            id: Uuid::from_u128(index.into()),
            sealed,
            row: SeenRow::Hashed(sealed),
            missing_at: None,
        }
    }

    fn checked(leaves: &[SeenLeaf], signed: &[(u64, Hash)], outside: &[(u64, Hash)]) -> Vec<String> {
        let key = LogKey::new("log", [1; 32]).unwrap();
        let sign = |of: &[(u64, Hash)]| of.iter().map(|(size, root)| key.sign(*size, *root).unwrap()).collect::<Vec<_>>();
        let mut run = Verification::new(vec![key.verifier().unwrap()], sign(outside));
        let mut checkpoints = sign(signed).into_iter().peekable();
        for leaf in leaves {
            run.leaf(leaf);
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size == run.size()) {
                run.checkpoint(&checkpoint);
            }
        }
        checkpoints.for_each(|checkpoint| run.checkpoint(&checkpoint));
        run.finish().findings.iter().map(ToString::to_string).collect()
    }

    fn roots(leaves: &[SeenLeaf]) -> Vec<Hash> {
        let mut tree = Frontier::default();
        let root = |leaf: &SeenLeaf| {
            tree.add(leaf.sealed);
            tree.root()
        };
        leaves.iter().map(root).collect()
    }

    #[test]
    fn every_way_not_to_fit_has_its_sentence() {
        let leaves: Vec<_> = (0..8).map(|index| seen(index, &format!("row {index}"))).collect();
        let roots = roots(&leaves);
        let signed = [(4, roots[3]), (8, roots[7])];
        assert_eq!(checked(&leaves, &signed, &[(6, roots[5])]), [""; 0]);

        let mut changed = leaves.clone();
        changed[2].row = SeenRow::Hashed(record_hash(b"other"));
        (changed[5].row, changed[5].missing_at) = (SeenRow::Gone, Some("2026-03-01T00:00:00Z".into()));
        assert_eq!(
            checked(&changed, &signed, &[]),
            [
                "row `00000000-0000-0000-0000-000000000002` of `decisions` (leaf 2) was changed after it was sealed",
                "row `00000000-0000-0000-0000-000000000005` of `decisions` (leaf 5) is gone, or its time was changed"
            ]
        );
        let mut resealed = leaves.clone();
        resealed[5] = seen(5, "other");
        assert_eq!(
            checked(&resealed, &signed, &[]),
            ["leaves 4 to 7 are not those that the checkpoint of size 8 was signed over"]
        );
        let resigned = [(4, roots[3]), (8, super::tests::roots(&resealed)[7])];
        assert_eq!(checked(&resealed, &resigned, &[]), [""; 0], "only somebody who kept a checkpoint can tell");
        assert_eq!(
            checked(&resealed, &resigned, &[(6, roots[5])]),
            ["history was rewritten: the first 6 leaves are not those of the checkpoint that was given"]
        );
        assert_eq!(
            checked(&leaves[..4], &signed[..1], &[(8, roots[7])]),
            ["the end of the log is gone: it has 4 leaves, and the checkpoint that was given has 8"]
        );
        let kept = [(3, roots[2]), (6, roots[5]), (8, roots[7]), (7, roots[6])];
        assert_eq!(
            checked(&leaves[..4], &signed[..1], &kept),
            ["the end of the log is gone: it has 4 leaves, and the checkpoint that was given has 8"],
            "once, however many were kept"
        );
        assert_eq!(checked(&leaves, &signed[..1], &[]), ["leaves 4 to 7 are under no checkpoint"]);
        let gap = [&leaves[..2], &leaves[4..]].concat();
        assert_eq!(
            checked(&gap, &[(8, roots[7])], &[]),
            ["leaves 2 to 3 are gone", "leaves 0 to 7 are not those that the checkpoint of size 8 was signed over"]
        );
        let every: Vec<_> = (1..).zip(roots.iter().copied()).collect();
        assert_eq!(
            checked(&gap, &every, &[(8, roots[7])]),
            ["leaves 2 to 3 are gone", "leaves 2 to 2 are not those that the checkpoint of size 3 was signed over"],
            "once, and nothing is gone from the end"
        );
        let mut replaced = every.clone();
        (replaced[2].1, replaced[4].1) = (roots[0], roots[0]);
        assert_eq!(
            checked(&leaves, &replaced, &[]),
            [
                "leaves 2 to 2 are not those that the checkpoint of size 3 was signed over",
                "leaves 4 to 4 are not those that the checkpoint of size 5 was signed over"
            ]
        );
        (replaced[3].1, replaced[5].1) = (roots[0], roots[0]);
        assert_eq!(checked(&leaves, &replaced, &[]).len(), 4, "each of them by itself");
        let (key, forger) = (LogKey::new("log", [1; 32]).unwrap(), LogKey::new("log", [2; 32]).unwrap());
        let forged = vec![forger.sign(99, roots[0]).unwrap()];
        let told = Verification::new(vec![key.verifier().unwrap()], forged).finish();
        assert_eq!((told.findings.len(), told.anchored), (1, false), "what is not signed is not believed: {told:?}");
    }
}
