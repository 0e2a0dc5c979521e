//! Recorded decisions, looked at again: what they stood on, and what another policy would have made of them.

use super::persons::{PersonKeys, Persons, opened};
use crate::audit::{MasterKey, RecordedFacts};
use crate::domain::duration::format_duration;
use crate::domain::fact::FactState;
use crate::domain::ids::{DecisionId, RecordId};
use crate::domain::kind::Kind;
use crate::domain::verdict::{Outcome, Verdict};
use crate::policy::{Difference, Input, Inquiry, LimitKey, Policy, RuleMode, judge, load_archived};
use crate::store::{Recorded, RecordedRange, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How many decisions are read at once.
const PAGE: u32 = 2_000;

/// The record, opened with a key if there is one.
pub struct History {
    store: Arc<dyn Store>,
    persons: Persons,
}

/// What to evaluate again.
#[derive(Debug, Clone, Copy)]
pub struct ReplayRange {
    /// Decisions from here on.
    pub since: Timestamp,
    /// How many at most.
    pub limit: Option<u64>,
}

impl History {
    /// Reads from a store. Without a key, or where a person's was destroyed, personal facts are unknown.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, master_key: Option<MasterKey>) -> Self {
        Self { store, persons: Persons::new(master_key) }
    }

    /// A decision.
    ///
    /// # Errors
    /// The database.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<Recorded>, StoreError> {
        self.store.recorded(id).await
    }

    /// The last decision on an operation, by the record's id.
    ///
    /// # Errors
    /// The database.
    pub async fn decision_of(&self, record: RecordId) -> Result<Option<Recorded>, StoreError> {
        let view = self.store.operation(record).await?;
        match view.and_then(|view| view.decision) {
            Some(decision) => self.store.recorded(decision.id).await,
            None => Ok(None),
        }
    }

    /// The policy that made a decision, from the archive.
    ///
    /// # Errors
    /// It is not there, or does not load any more.
    pub async fn policy_of(&self, recorded: &Recorded) -> Result<Policy, StoreError> {
        let hash = &recorded.policy_hash;
        let body = self.store.archived_policy(hash).await?;
        let body = body.ok_or_else(|| StoreError::Corrupt(format!("policy `{hash}` is not in the archive")))?;
        archived(hash, &body)
    }

    /// What a decision stood on. Facts that the policy uses and that were not recorded are unknown; whether there are any.
    ///
    /// # Errors
    /// The database.
    pub async fn inquiry(&mut self, recorded: &Recorded, policy: &Policy) -> Result<(Inquiry, bool), StoreError> {
        let persons = self.persons.of(std::iter::once(&recorded.facts_personal), self.store.as_ref()).await?;
        Ok(inquiry_on(recorded, policy, &persons))
    }

    fn next_page(&self, range: &RecordedRange) -> JoinHandle<Result<Vec<Recorded>, StoreError>> {
        let (store, range) = (Arc::clone(&self.store), range.clone());
        tokio::spawn(async move { store.recorded_page(&range).await })
    }

    /// Evaluates recorded decisions again by another policy; `progress` hears how many were read.
    ///
    /// # Errors
    /// The database.
    pub async fn replay(
        &mut self,
        policy: &Policy,
        range: ReplayRange,
        mut progress: impl FnMut(u64),
    ) -> Result<Difference, StoreError> {
        let mut difference = Difference::default();
        let limits = policy.rules.iter().filter_map(|rule| rule.limit.as_ref());
        let longest = limits.flat_map(|limit| &limit.windows).map(|window| window.within).max();
        let mut counters = Counters::default();
        // A window that reaches back before the range still counts what was approved there.
        let reach = longest.and_then(|longest| SignedDuration::try_from(longest).ok()).unwrap_or_default();
        let first = range.since.checked_sub(reach).unwrap_or(range.since);
        let mut page = RecordedRange { since: first, after: None, limit: PAGE, with_trace: longest.is_some() };
        let (mut read, mut coming) = (0, self.next_page(&page));
        loop {
            let decisions = coming.await.map_err(|_| StoreError::Corrupt("a page was not read to its end".into()))??;
            let Some(last) = decisions.last() else { break };
            page.after = Some((last.decided_at, last.id));
            // The database reads on while these are decided.
            coming = self.next_page(&page);
            let sealed = decisions.iter().map(|recorded| &recorded.facts_personal);
            let persons = self.persons.of(sealed, self.store.as_ref()).await?;
            for recorded in &decisions {
                let (mut inquiry, is_incomplete) = inquiry_on(recorded, policy, &persons);
                read += 1;
                // What somebody decided by hand takes places in limits, and is no rule's to decide again.
                if recorded.decided_at >= range.since && recorded.decided_by == "policy" {
                    counters.fill(policy, &mut inquiry);
                    let input = Input { kind: inquiry.kind, facts: &inquiry.facts, counts: &inquiry.counts, now: inquiry.now };
                    let evaluation = judge(policy, input);
                    difference.add((recorded.verdict, recorded.rules.clone()), evaluation, is_incomplete, || {
                        (recorded.id.to_string(), recorded.decided_at.to_string(), recorded.kind)
                    });
                }
                if longest.is_some() {
                    counters.note(policy, recorded, &inquiry, reach);
                }
                if range.limit.is_some_and(|limit| difference.evaluated >= limit) {
                    return Ok(difference.finish());
                }
            }
            progress(read);
        }
        Ok(difference.finish())
    }
}

fn inquiry_on(recorded: &Recorded, policy: &Policy, persons: &PersonKeys) -> (Inquiry, bool) {
    let (personal, _) = opened(recorded, persons);
    let traced = traced_text(&recorded.trace);
    inquiry_of(recorded.kind, recorded.decided_at, recorded.facts.clone(), policy, &personal, traced)
}

/// What a decision stood on, with the personal facts that could be opened; whether any fact is missing.
pub(super) fn inquiry_of(
    kind: Kind,
    now: Timestamp,
    recorded: RecordedFacts,
    policy: &Policy,
    personal: &RecordedFacts,
    traced: Vec<TracedRule<'_>>,
) -> (Inquiry, bool) {
    let asked = policy.facts_for(kind).iter().chain(policy.shadow_facts_for(kind));
    let missing: Vec<_> = asked.filter(|name| !recorded.has(name)).collect();
    let (mut facts, is_any_sealed) = recorded.with(personal);
    let is_incomplete = is_any_sealed || !missing.is_empty();
    for name in missing {
        facts.put(name.clone(), FactState::Unknown("not recorded with the decision".into()));
    }
    (Inquiry { kind, facts, counts: recorded_counts(traced, policy), now }, is_incomplete)
}

/// An archived policy by its text, which must be what its hash says.
pub(super) fn archived(hash: &str, body: &str) -> Result<Policy, StoreError> {
    let why = "is not what its hash says, or does not load with this version";
    load_archived(hash, body).ok_or_else(|| StoreError::Corrupt(format!("the archived policy `{hash}` {why}")))
}

/// The part of a trace that tells what limits saw; the rest of it is read past.
#[derive(Deserialize)]
pub(super) struct TracedRule<'t> {
    #[serde(borrow)]
    limit: Option<TracedLimit<'t>>,
}

#[derive(Deserialize)]
struct TracedLimit<'t> {
    #[serde(borrow)]
    count: Cow<'t, str>,
    #[serde(borrow)]
    per: Cow<'t, str>,
    #[serde(borrow)]
    windows: Vec<TracedWindow<'t>>,
}

#[derive(Deserialize)]
struct TracedWindow<'t> {
    #[serde(borrow)]
    within: Cow<'t, str>,
    seen: Option<u64>,
}

/// What limits saw, of a trace as text; most traces tell nothing of them.
pub(super) fn traced_text(trace: &str) -> Vec<TracedRule<'_>> {
    if trace.contains("\"windows\"") { serde_json::from_str(trace).unwrap_or_default() } else { Vec::new() }
}

/// What the limits of the recorded policy saw, where the other policy counts the same.
fn recorded_counts(traced: Vec<TracedRule<'_>>, policy: &Policy) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let live = || policy.rules.iter().filter(|rule| rule.mode != RuleMode::Off);
    let limits = || live().filter_map(|rule| rule.limit.as_ref());
    // A trace of an older evaluator tells nothing of windows, and then they are counted anew.
    let traced: Vec<_> = traced.into_iter().filter_map(|rule| rule.limit).collect();
    if traced.is_empty() {
        return counts;
    }
    for limit in limits() {
        let (count, per) = (limit.count.as_str(), limit.per());
        for window in &limit.windows {
            let within = format_duration(window.within);
            let same =
                traced.iter().filter(|traced| traced.count == count && traced.per == per).flat_map(|traced| &traced.windows);
            if let Some(seen) = same.filter(|traced| traced.within == within).find_map(|traced| traced.seen) {
                counts.insert(window.name.clone(), seen);
            }
        }
    }
    counts
}

/// Approvals as they went by, by counter: for limits that the recorded policy did not have.
#[derive(Default)]
struct Counters(HashMap<LimitKey, VecDeque<Timestamp>>);

impl Counters {
    /// Adds what was approved and took effect, or may have.
    fn note(&mut self, policy: &Policy, recorded: &Recorded, inquiry: &Inquiry, reach: SignedDuration) {
        let took_effect = matches!(recorded.outcome, None | Some(Outcome::Applied | Outcome::Unknown));
        if recorded.verdict == Verdict::Approve && took_effect {
            for key in policy.limit_places(recorded.kind, &inquiry.facts) {
                let times = self.0.entry(key).or_default();
                // What no window reaches any more is forgotten.
                let from = recorded.decided_at.checked_sub(reach).unwrap_or(Timestamp::MIN);
                while times.front().is_some_and(|time| *time <= from) {
                    times.pop_front();
                }
                times.push_back(recorded.decided_at);
            }
        }
    }

    /// Counts what the record does not tell.
    fn fill(&self, policy: &Policy, inquiry: &mut Inquiry) {
        for query in policy.limit_queries(inquiry.kind, &inquiry.facts) {
            let within = SignedDuration::try_from(query.within).unwrap_or(SignedDuration::MAX);
            let from = inquiry.now.checked_sub(within).unwrap_or(Timestamp::MIN);
            let times = self.0.get(&query.key);
            let seen = times.map_or(0, |times| times.len() - times.partition_point(|time| *time <= from));
            inquiry.counts.entry(query.window).or_insert_with(|| u64::try_from(seen).unwrap_or(u64::MAX));
        }
    }
}

/// How long ago a range begins.
#[must_use]
pub fn since(now: Timestamp, ago: Duration) -> Timestamp {
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    now.checked_sub(ago).unwrap_or(Timestamp::MIN)
}
