//! What is asked for, and in how many ways it may hold: each has an index.

use super::spans::Span;
use crate::store::search::{Cursor, DecisionQuery};

/// Conditions of which one must hold, with what each asks for.
pub(super) type Choice = Vec<(&'static Alternative, String)>;

/// What is asked for, with what may hold in several ways.
pub(super) struct Asked<'q> {
    pub(super) query: &'q DecisionQuery,
    pub(super) after: Option<&'q Cursor>,
    pub(super) choices: Vec<Choice>,
    pub(super) spans: Vec<Span>,
}

impl<'q> Asked<'q> {
    /// `policies` are those that begin as the one that is asked for.
    pub(super) fn new(query: &'q DecisionQuery, after: Option<&'q Cursor>, policies: Vec<String>) -> Self {
        fn of(alternatives: &'static [Alternative], value: Option<String>) -> Choice {
            value.into_iter().flat_map(|value| alternatives.iter().map(move |one| (one, value.clone()))).collect()
        }
        let choices = vec![
            of(&REVIEWER, query.reviewer.clone()),
            of(&DOMAIN, query.domain.as_ref().map(|domain| domain.to_lowercase())),
            of(&RULE, query.rule.clone()),
            policies.into_iter().map(|hash| (&POLICY, hash)).collect(),
        ];
        let spans = vec![(query.since, query.until)];
        Self { query, after, spans, choices: choices.into_iter().filter(|choice| !choice.is_empty()).collect() }
    }
}

/// One of the conditions of which any may hold, in both dialects; `?` is what was asked for.
pub(super) struct Alternative {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
    /// Its index knows no order: all that it finds is sorted, rather than all that is in order tried.
    pub(super) is_unordered: bool,
}

const fn ordered(postgres: &'static str, sqlite: &'static str) -> Alternative {
    Alternative { postgres, sqlite, is_unordered: false }
}

const fn unordered(postgres: &'static str, sqlite: &'static str) -> Alternative {
    Alternative { postgres, sqlite, is_unordered: true }
}

const RULE: [Alternative; 5] = [
    ordered(" and d.rules ->> 0 = ?", " and d.rules ->> 0 = ?"),
    ordered(" and d.rules ->> 1 is not null and d.rules ->> 1 = ?", " and d.rules ->> 1 = ?"),
    ordered(" and d.rules ->> 2 is not null and d.rules ->> 2 = ?", " and d.rules ->> 2 = ?"),
    ordered(" and d.rules ->> 3 is not null and d.rules ->> 3 = ?", " and d.rules ->> 3 = ?"),
    unordered(
        " and d.rules ->> 4 is not null and d.rules @> to_jsonb(?::text)",
        " and d.rules ->> 4 is not null and exists (select 1 from json_each(d.rules) r where r.value = ?)",
    ),
];
const DOMAIN: [Alternative; 3] = [
    ordered(
        " and d.facts #>> '{subject.email_domain,value}' = ?",
        " and json_extract(d.facts, '$.\"subject.email_domain\".value') = ?",
    ),
    ordered(
        " and d.facts #>> '{actor.email_domain,value}' = ?",
        " and json_extract(d.facts, '$.\"actor.email_domain\".value') = ?",
    ),
    ordered(
        " and d.facts #>> '{requester.email_domain,value}' = ?",
        " and json_extract(d.facts, '$.\"requester.email_domain\".value') = ?",
    ),
];
const REVIEWER: [Alternative; 2] = [
    ordered(" and d.decided_by <> 'policy' and d.decided_by = 'reviewer:' || ?", " and d.decided_by = 'reviewer:' || ?"),
    unordered(
        " and d.id in (select r.decision_id from reviews r where r.reviewer = ?)",
        " and d.id in (select r.decision_id from reviews r where r.reviewer = ?)",
    ),
];
const POLICY: Alternative =
    ordered(" and substr(d.policy_hash, 1, 20) = substr(?, 1, 20) and d.policy_hash = ?", " and d.policy_hash = ?");
