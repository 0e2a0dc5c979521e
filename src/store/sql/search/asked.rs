//! What is asked for, and in how many ways it may hold: each has an index.

use super::spans::Span;
use crate::store::search::{Cursor, DecisionQuery};
use std::collections::BTreeSet;

/// Conditions of which one must hold, with what each asks for.
pub(super) type Choice = Vec<(&'static Alternative, String)>;

/// What is asked for, with what may hold in several ways.
#[derive(Clone)]
pub(super) struct Asked<'q> {
    pub(super) query: &'q DecisionQuery,
    pub(super) after: Option<&'q Cursor>,
    pub(super) choices: Vec<Choice>,
    pub(super) spans: Vec<Span>,
    /// The reasons that have the text, where they are known and not too many.
    pub(super) reasons: Option<Listed>,
    /// Only among so many of the last decisions of each time.
    pub(super) newest: Option<i64>,
}

/// Reasons by their hashes. A hash is no text: what it finds is held against that, too.
#[derive(Clone)]
pub(super) struct Listed {
    /// As an array.
    pub(super) hashes: String,
    pub(super) count: usize,
}

impl Listed {
    pub(super) fn new(hashes: &BTreeSet<i64>) -> Self {
        let listed = hashes.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        Self { hashes: format!("{{{listed}}}"), count: hashes.len() }
    }
}

impl<'q> Asked<'q> {
    /// `policies` are those that begin as the one that is asked for.
    pub(super) fn new(query: &'q DecisionQuery, after: Option<&'q Cursor>, policies: Vec<String>) -> Self {
        fn of(alternatives: &'static [Alternative], value: Option<String>) -> Choice {
            value.into_iter().flat_map(|value| alternatives.iter().map(move |one| (one, value.clone()))).collect()
        }
        let choices = vec![
            of(&REVIEWER, query.reviewer.as_ref().map(|name| format!("reviewer:{name}"))),
            of(&DOMAIN, query.domain.as_ref().map(|domain| domain.to_lowercase())),
            of(&RULE, query.rule.clone()),
            policies.into_iter().map(|hash| (&POLICY, hash)).collect(),
        ];
        let spans = vec![(query.since, query.until)];
        let (reasons, newest) = (None, None);
        Self { query, after, spans, reasons, newest, choices: choices.into_iter().filter(|choice| !choice.is_empty()).collect() }
    }
}

impl Asked<'_> {
    /// Whether nothing but a text is asked for, of whatever time.
    pub(super) fn is_text_alone(&self) -> bool {
        let DecisionQuery { since, until, text, .. } = self.query.clone();
        *self.query == DecisionQuery { since, until, text, ..DecisionQuery::default() }
    }
}

/// How much of a text stands in an index; of a longer one the beginning finds it, and the rest is looked at.
const INDEXED: usize = 100;

/// One of the conditions of which any may hold, in both dialects; `?` is what was asked for.
pub(super) struct Alternative {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
    /// What a text that is longer than its place in the index must be in addition.
    pub(super) whole: &'static str,
    /// Its index knows no order: all that it finds is sorted, rather than all that is in order tried.
    pub(super) is_unordered: bool,
}

impl Alternative {
    /// What must hold in addition for a value.
    pub(super) fn whole_of(&self, value: &str) -> Option<&'static str> {
        (!self.whole.is_empty() && value.chars().count() >= INDEXED).then_some(self.whole)
    }
}

/// An expression of which the beginning stands in an index, after what its rows have in common.
macro_rules! begins {
    ($common:literal, $expression:literal, $sqlite:literal) => {
        Alternative {
            postgres: concat!($common, " and left(", $expression, ", 100) = left(?, 100)"),
            sqlite: concat!(" and ", $sqlite, " = ?"),
            whole: concat!(" and ", $expression, " = ?"),
            is_unordered: false,
        }
    };
}

const fn unordered(postgres: &'static str, sqlite: &'static str) -> Alternative {
    Alternative { postgres, sqlite, whole: "", is_unordered: true }
}

const RULE: [Alternative; 5] = [
    begins!("", "d.rules ->> 0", "d.rules ->> 0"),
    begins!(" and d.rules ->> 1 is not null", "d.rules ->> 1", "d.rules ->> 1"),
    begins!(" and d.rules ->> 2 is not null", "d.rules ->> 2", "d.rules ->> 2"),
    begins!(" and d.rules ->> 3 is not null", "d.rules ->> 3", "d.rules ->> 3"),
    unordered(
        " and d.rules ->> 4 is not null and d.rules @> to_jsonb(?::text)",
        " and d.rules ->> 4 is not null and exists (select 1 from json_each(d.rules) r where r.value = ?)",
    ),
];
const DOMAIN: [Alternative; 3] = [
    begins!(
        " and d.facts #>> '{subject.email_domain,value}' is not null",
        "d.facts #>> '{subject.email_domain,value}'",
        "json_extract(d.facts, '$.\"subject.email_domain\".value')"
    ),
    begins!(
        " and d.facts #>> '{actor.email_domain,value}' is not null",
        "d.facts #>> '{actor.email_domain,value}'",
        "json_extract(d.facts, '$.\"actor.email_domain\".value')"
    ),
    begins!(
        " and d.facts #>> '{requester.email_domain,value}' is not null",
        "d.facts #>> '{requester.email_domain,value}'",
        "json_extract(d.facts, '$.\"requester.email_domain\".value')"
    ),
];
/// The value is `reviewer:` and a name.
const REVIEWER: [Alternative; 2] = [
    begins!(" and d.decided_by <> 'policy'", "d.decided_by", "d.decided_by"),
    unordered(
        " and d.id in (select r.decision_id from reviews r where left(r.reviewer, 100) = left(substr(?, 10), 100) and r.reviewer = substr(?, 10))",
        " and d.id in (select r.decision_id from reviews r where r.reviewer = substr(?, 10))",
    ),
];
/// So much of a hash is of no other.
const POLICY: Alternative = Alternative {
    postgres: " and substr(d.policy_hash, 1, 20) = substr(?, 1, 20)",
    sqlite: " and d.policy_hash = ?",
    whole: "",
    is_unordered: false,
};
