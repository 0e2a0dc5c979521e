//! Sets of texts and of domain patterns, as lists in a policy become them: one look-up, however long the list.

use crate::domain::domain_name::{DomainName, DomainPattern};
use std::collections::{BTreeMap, HashSet};

/// Lists by name; nothing for one that could not be read, which has been reported.
pub(super) type Lists = BTreeMap<String, Option<Vec<String>>>;

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
        if self.exact.contains(name.as_str()) {
            return true;
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if self.below.contains(parent) {
                return true;
            }
            rest = parent;
        }
        false
    }
}
