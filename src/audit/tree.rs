//! The tree over the leaves (RFC 6962): what is kept of it, how it grows, its root, and proofs.
//!
//! Kept are the leaves' hashes and the root of every full group of 256 of them, of 256 such roots, and so on: the tiers. All
//! between two tiers is computed from at most 256 hashes below. Nothing that is kept ever changes.

use std::collections::HashMap;
use std::ops::Range;
use tlog_tiles::{Error, Hash, HashReader, node_hash, prove_record, prove_tree, split_stored_hash_index, tree_hash};

/// How many levels of the tree lie between two tiers.
const LEVELS: u8 = 8;
/// How many hashes of a tier make one of the next.
const WIDTH: u64 = 1 << LEVELS;
/// The tiers that a tree can have: more than any database will hold.
const MOST_TIERS: u8 = 5;

/// A hash that is kept: tier 0 are the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which tier.
    pub tier: u8,
    /// Which hash of it, from 0.
    pub index: u64,
}

/// Hashes of a tier that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which tier.
    pub tier: u8,
    /// Which of its hashes.
    pub indices: Range<u64>,
}

/// A part of what is kept, enough for one question.
#[derive(Debug, Default)]
pub struct Nodes(HashMap<Place, Hash>);

/// What must be known to add to a tree of this size, or to tell its root.
#[must_use]
pub fn edge(size: u64) -> Vec<Run> {
    runs(|tier| {
        let (below, above) = (LEVELS * tier, LEVELS * (tier + 1));
        ((size >> above) << LEVELS)..(size >> below)
    })
}

/// What must be known to prove that a leaf, or the tree up to it, is in a tree of this size.
#[must_use]
pub fn path(index: u64, size: u64) -> Vec<Run> {
    let mut runs = runs(|tier| {
        let (below, above) = (LEVELS * tier, LEVELS * (tier + 1));
        let first = (index >> above) << LEVELS;
        first..(first + WIDTH).min(size >> below)
    });
    runs.extend(edge(size));
    runs
}

fn runs(indices: impl Fn(u8) -> Range<u64>) -> Vec<Run> {
    (0..MOST_TIERS).map(|tier| Run { tier, indices: indices(tier) }).filter(|run| !run.indices.is_empty()).collect()
}

impl Nodes {
    /// Takes in a hash that is kept.
    pub fn put(&mut self, place: Place, hash: Hash) {
        self.0.insert(place, hash);
    }

    /// Adds a leaf to a tree of `size` whose [`edge`] is known; the roots of groups that it fills, to be kept.
    ///
    /// # Errors
    /// The edge is not known.
    pub fn add(&mut self, size: u64, leaf: Hash) -> Result<Vec<(Place, Hash)>, Error> {
        self.put(Place { tier: 0, index: size }, leaf);
        let mut filled = Vec::new();
        let mut count = size.saturating_add(1);
        for tier in 1..MOST_TIERS {
            if !count.is_multiple_of(WIDTH) {
                break;
            }
            count /= WIDTH;
            let place = Place { tier, index: count - 1 };
            let root = self.subtree(LEVELS * (tier - 1), LEVELS, place.index)?;
            self.put(place, root);
            filled.push((place, root));
        }
        Ok(filled)
    }

    /// The root of a tree of `size` whose [`edge`] is known.
    ///
    /// # Errors
    /// The edge is not known.
    pub fn root(&self, size: u64) -> Result<Hash, Error> {
        tree_hash(size, self)
    }

    /// The proof that a leaf is in a tree of `size`, where its [`path`] is known.
    ///
    /// # Errors
    /// The path is not known, or the tree has no such leaf.
    pub fn prove_leaf(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        prove_record(size, index, self)
    }

    /// The proof that a tree of `size` begins with the one of `older`, where the [`path`] to the last leaf of that is known.
    ///
    /// # Errors
    /// The path is not known, or the older tree is the larger one.
    pub fn prove_growth(&self, older: u64, size: u64) -> Result<Vec<Hash>, Error> {
        prove_tree(size, older, self)
    }

    /// The hash `height` levels above those of `base`, a level that is kept.
    fn subtree(&self, base: u8, height: u8, index: u64) -> Result<Hash, Error> {
        if height == 0 {
            let place = Place { tier: base / LEVELS, index };
            return self.0.get(&place).copied().ok_or(Error::IndexesNotInTree);
        }
        let left = self.subtree(base, height - 1, index.saturating_mul(2))?;
        let right = self.subtree(base, height - 1, index.saturating_mul(2).saturating_add(1))?;
        Ok(node_hash(left, right))
    }
}

impl HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let (level, n) = split_stored_hash_index(*index);
            self.subtree(level - level % LEVELS, level % LEVELS, n)
        };
        indexes.iter().map(read).collect()
    }
}

/// A tree of which only the right edge is kept: to follow a log from its first leaf in little memory.
#[derive(Debug, Default, Clone)]
pub struct Frontier {
    size: u64,
    /// Full subtrees from the left, the largest first.
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn add(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut full = self.size;
        while full % 2 == 1 {
            let Some(left) = self.subtrees.pop() else { break };
            hash = node_hash(left, hash);
            full /= 2;
        }
        self.subtrees.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let from_the_right = self.subtrees.iter().rev().copied().reduce(|right, left| node_hash(left, right));
        from_the_right.unwrap_or(tlog_tiles::EMPTY_HASH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tlog_tiles::{check_record, check_tree, record_hash};

    fn leaf(index: u64) -> Hash {
        record_hash(&index.to_be_bytes())
    }

    /// All that is kept of a tree, and its root at every size.
    fn grown(size: u64) -> (HashMap<Place, Hash>, Vec<Hash>) {
        let (mut nodes, mut frontier) = (Nodes::default(), Frontier::default());
        let mut roots = vec![frontier.root()];
        for index in 0..size {
            nodes.add(index, leaf(index)).unwrap();
            frontier.add(leaf(index));
            roots.push(frontier.root());
        }
        (nodes.0, roots)
    }

    fn known(all: &HashMap<Place, Hash>, runs: &[Run]) -> Nodes {
        let places = runs.iter().flat_map(|run| run.indices.clone().map(|index| Place { tier: run.tier, index }));
        Nodes(places.map(|place| (place, all[&place])).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_enough_for_root_and_proofs(size in 1_u64..70_000, a in any::<u64>(), b in any::<u64>()) {
            let (all, roots) = {
                static GROWN: std::sync::LazyLock<(HashMap<Place, Hash>, Vec<Hash>)> = std::sync::LazyLock::new(|| grown(70_000));
                (&GROWN.0, &GROWN.1)
            };
            let root = |size: u64| roots[usize::try_from(size).unwrap()];
            prop_assert_eq!(known(all, &edge(size)).root(size).unwrap(), root(size));
            let index = a % size;
            let proof = known(all, &path(index, size)).prove_leaf(index, size).unwrap();
            prop_assert!(check_record(&proof, size, root(size), index, leaf(index)).is_ok());
            let older = b % size + 1;
            let proof = known(all, &path(older - 1, size)).prove_growth(older, size).unwrap();
            prop_assert!(check_tree(&proof, size, root(size), older, root(older)).is_ok());
            prop_assert!(check_tree(&proof, size, root(size), older, leaf(older)).is_err());
        }
    }

    #[test]
    fn a_tree_grows_from_its_edge_alone() {
        let (all, roots) = grown(1_000);
        for size in [0, 1, 255, 256, 257, 511, 512, 999] {
            let mut nodes = known(&all, &edge(size));
            let filled = nodes.add(size, leaf(size)).unwrap();
            assert_eq!(filled.is_empty(), !(size + 1).is_multiple_of(256));
            assert_eq!(nodes.root(size + 1).unwrap(), roots[usize::try_from(size + 1).unwrap()]);
        }
        assert!(Nodes::default().root(3).is_err());
    }
}
