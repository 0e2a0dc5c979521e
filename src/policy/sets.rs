//! Sets of texts and of domain patterns, as lists in a policy become them: one look-up, however long the list.

use crate::domain::diagnostic::Spot;
use crate::domain::domain_name::{DomainName, DomainPattern};
use std::collections::{BTreeMap, HashSet};

/// The lists of a policy, by name.
pub(super) type Lists = BTreeMap<String, NamedList>;

/// A list under its name.
#[derive(Debug)]
pub(super) struct NamedList {
    pub(super) file: String,
    pub(super) spot: Spot,
    /// Nothing for one that could not be read, which has been reported.
    pub(super) entries: Option<Vec<String>>,
    /// Whether a rule looks something up in it.
    pub(super) is_used: bool,
}

/// Texts, and what to call them in a trace.
#[derive(Debug)]
pub(super) struct TextSet {
    pub(super) label: String,
    members: HashSet<String>,
}

impl TextSet {
    pub(super) fn new(label: String, members: impl IntoIterator<Item = String>) -> Self {
        Self { label, members: members.into_iter().collect() }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.members.contains(text)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(String::as_str)
    }
}

/// Domain patterns, and what to call them in a trace.
#[derive(Debug)]
pub(super) struct DomainSet {
    pub(super) label: String,
    exact: HashSet<String>,
    below: HashSet<String>,
}

impl DomainSet {
    pub(super) fn new(label: String, patterns: impl IntoIterator<Item = DomainPattern>) -> Self {
        let mut set = Self { label, exact: HashSet::new(), below: HashSet::new() };
        for pattern in patterns {
            match pattern {
                DomainPattern::Exact(name) => set.exact.insert(name.as_str().to_owned()),
                DomainPattern::Below(name) => set.below.insert(name.as_str().to_owned()),
            };
        }
        set
    }

    pub(super) fn contains(&self, name: &DomainName) -> bool {
        self.exact.contains(name.as_str()) || self.wildcard_above(name.as_str()).is_some()
    }

    /// Whether every name that this set covers is in another one.
    pub(super) fn is_covered_by(&self, other: &DomainSet) -> bool {
        let is_below = |name: &String| other.wildcard_above(name).is_some();
        self.exact.iter().all(|name| other.exact.contains(name) || is_below(name))
            && self.below.iter().all(|name| other.below.contains(name) || is_below(name))
    }

    /// A name that is covered, to try a condition with.
    pub(super) fn example(&self) -> Option<DomainName> {
        let below = self.below.iter().min().map(|parent| format!("www.{parent}"));
        self.exact.iter().min().cloned().or(below).and_then(|name| DomainName::parse(&name))
    }

    /// The name above this one of which the set holds everything below.
    pub(super) fn wildcard_above<'n>(&self, name: &'n str) -> Option<&'n str> {
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.below.contains(parent) {
                return Some(parent);
            }
            rest = parent;
        }
        None
    }
}
