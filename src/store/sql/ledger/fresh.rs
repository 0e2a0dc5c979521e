//! The leaves of decisions that this process has just written: whoever wrote a row need not read it to seal it. What is not here is
//! read, so nothing here is a promise; and it never holds more than the last few thousand.

use crate::audit::{Stream, TreeHash, leaf_hash};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::store::ledger::{LeafRow, RowPlace};
use crate::store::types::Decided;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How many are kept in one generation; there are two of them. The sealer comes several times a second.
const AT_MOST: usize = 2_048;

/// What becomes a leaf, and what it is counted as.
#[derive(Clone)]
pub(super) struct FreshLeaf {
    pub(super) hash: TreeHash,
    pub(super) kind: Kind,
    pub(super) verdict: Verdict,
    /// As JSON.
    pub(super) rules: String,
}

#[derive(Default)]
struct Kept {
    young: HashMap<Uuid, (RowPlace, FreshLeaf)>,
    old: HashMap<Uuid, (RowPlace, FreshLeaf)>,
}

/// Leaves by the ids of their rows.
#[derive(Default)]
pub(in crate::store::sql) struct FreshLeaves {
    kept: Mutex<Kept>,
    /// Where another replica seals, nobody here asks for them.
    is_sealer: AtomicBool,
}

impl FreshLeaves {
    /// Whether what is written here is sealed here, too.
    pub(super) fn seals_here(&self, is_sealer: bool) {
        self.is_sealer.store(is_sealer, Ordering::Relaxed);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written and committed.
    pub(in crate::store::sql) fn note(&self, decided: &Decided) {
        let Decided::Ruled { ruling, .. } = decided else { return };
        if !self.is_sealer.load(Ordering::Relaxed) {
            return;
        }
        let record = &ruling.record;
        let Some(leaf) = record.leaf() else { return };
        let leaf = FreshLeaf {
            hash: leaf_hash(&leaf.bytes),
            kind: record.key.kind,
            verdict: record.verdict,
            rules: record.rules_json(),
        };
        let place = RowPlace { at: record.decided_at, id: record.id.0 };
        let mut kept = self.kept();
        if kept.young.len() >= AT_MOST {
            kept.old = std::mem::take(&mut kept.young);
        }
        kept.young.insert(place.id, (place, leaf));
    }

    /// What is known of a row.
    pub(super) fn get(&self, LeafRow { stream, place, .. }: &LeafRow) -> Option<FreshLeaf> {
        let kept = self.kept();
        let (written, leaf) = kept.young.get(&place.id).or_else(|| kept.old.get(&place.id))?;
        (*stream == Stream::Decision && written == place).then(|| leaf.clone())
    }

    /// These are sealed, and nobody asks for them again.
    pub(super) fn forget(&self, leaves: &[LeafRow]) {
        let mut kept = self.kept();
        for leaf in leaves {
            if kept.young.remove(&leaf.place.id).is_none() {
                kept.old.remove(&leaf.place.id);
            }
        }
    }
}
