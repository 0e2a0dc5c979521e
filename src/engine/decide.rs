//! Brings an operation to its decision: gather, then one transaction in which the pure core judges under the locks.

use super::Engine;
use super::arrival::Arriving;
use super::gather::{Gathered, NotGathered};
use super::hold::Hold;
use super::payload::Payload;
use super::review::{escalation, with_grant};
use super::settings::Mode;
use crate::audit::{DecisionRecord, MasterKey, PersonKey, WrappedKey, personal_facts, public_facts};
use crate::domain::disposition::Disposition;
use crate::domain::ids::{DecisionId, UserId};
use crate::domain::verdict::Verdict;
use crate::fault;
use crate::flow::{Ending, Event, Phase, SendMode, Step, step};
use crate::policy::{EVALUATOR_VERSION, Evaluation, Input, LimitKey, Policy, RuleMode, RuleTrace};
use crate::store::{ByHand, Claimed, Decided, Deciding, Ground, LastFailure, NoRuling, Passed, Person, Ruling, Sent, StoreError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Where the way to a decision led.
pub(super) enum Reached {
    /// A ruling that was written; with the committed verdict if there is one to send.
    Ruled { ruling: Box<Ruling>, sent: Option<Sent>, passed: Passed },
    /// The operation ends without a decision.
    Ended(Box<Ending>),
    /// It is tried again later, and not before the platform wants to be asked again.
    Retry { asked: Option<Duration>, failure: Option<LastFailure> },
    /// It waits in line for its lane.
    Parked(Passed),
}

impl Engine {
    pub(super) async fn reach_decision(&self, claimed: &Claimed, payload: &Payload, hold: &Hold) -> Result<Reached, StoreError> {
        // Only once: whatever is tried again is stored by then.
        let mut arriving = hold.arriving();
        loop {
            let policy = self.policy();
            // To read is no promise: it may begin before the operation is stored.
            let begun = Instant::now();
            let gathered = tokio::select! {
                biased;
                lost = hold.is_lost() => return Err(lost),
                gathered = self.gather(claimed, payload, &policy, arriving.is_some()) => gathered,
            };
            self.decisions.took(begun.elapsed());
            let arrived = match (arriving.take(), &gathered) {
                (Some(arriving), Ok(gathered)) => self.decide_arriving(claimed, &policy, gathered, arriving).await,
                _ => Ok(None),
            };
            match arrived {
                Ok(Some(reached)) => return Ok(reached),
                Ok(None) => hold.is_taken().await?,
                // Whoever gives it back finds it stored.
                Err(error) => return hold.is_taken().await.and(Err(error)),
            }
            let gathered = match gathered {
                Ok(gathered) => gathered,
                Err(NotGathered::Store(error)) => return Err(error),
                Err(NotGathered::NotTheInitiator) => return ended(step(Phase::Deciding, Event::Refused), None, None),
                Err(NotGathered::Read(failure)) => {
                    let (disposition, code) = (failure.on_read(), failure.code().to_owned());
                    if disposition == Disposition::Transient {
                        tracing::debug!(record.id = %claimed.lease.id, error.message = %failure, "the platform could not be read");
                    }
                    let asked = failure.retry_after();
                    let remembered = Some((disposition, code.clone()));
                    return ended(step(Phase::Deciding, Event::ReadFailed { disposition, code }), asked, remembered);
                }
            };
            let decided = match self.judge(claimed, &policy, &gathered, None).await {
                // Nothing was written: what counts is the policy that is in force when the decision is made.
                Err(StoreError::PolicyMoved) => continue,
                decided => decided?,
            };
            match decided {
                Decided::Ruled { ruling, sent, passed } => return Ok(Reached::Ruled { ruling, sent, passed }),
                Decided::Parked(passed) => return Ok(Reached::Parked(passed)),
                // The lane is ours now, so the facts cannot age a second time. It may have joined a flow, and ended what waited there.
                Decided::Stale => self.events_due.notify_one(),
            }
        }
    }

    /// Decides what is not stored yet, and stores it with that; nothing where it has to be stored first, or is being stored.
    async fn decide_arriving(
        &self,
        claimed: &Claimed,
        policy: &Policy,
        gathered: &Gathered,
        arriving: Arriving,
    ) -> Result<Option<Reached>, StoreError> {
        arriving.wait_for_turn();
        let decided = match self.judge(claimed, policy, gathered, Some(&arriving)).await {
            Err(StoreError::PolicyMoved | StoreError::BeingStored) => return Ok(None),
            decided => decided?,
        };
        let Decided::Ruled { ruling, sent, passed } = decided else { return Ok(None) };
        let view = arriving.notification().view(ruling.record.flow);
        arriving.tell(view);
        Ok(Some(Reached::Ruled { ruling, sent, passed }))
    }

    async fn judge(
        &self,
        claimed: &Claimed,
        policy: &Policy,
        gathered: &Gathered,
        arriving: Option<&Arriving>,
    ) -> Result<Decided, StoreError> {
        let kind = claimed.key.kind;
        let by_hand = claimed.by_hand.as_ref();
        let queries: Vec<_> = policy
            .limit_queries(kind, &gathered.facts)
            .into_iter()
            .map(|query| (query.window, self.counter(&query.key), query.within))
            .collect();
        let mut places: Vec<_> = policy.limit_places(kind, &gathered.facts).iter().map(|key| self.counter(key)).collect();
        places.sort();
        let personal = personal_facts(&gathered.facts, &gathered.intent, claimed.requester.as_ref());
        let persons = personal.keys().map(|person| {
            let fresh_key = self.master_key.new_person_key(person.as_str())?;
            Ok(Person { id: person.clone(), fresh_key })
        });
        let persons = persons.collect::<Result<Vec<_>, crate::audit::VaultError>>();
        let persons = persons.map_err(|error| StoreError::Judge(error.to_string()))?;
        let deciding = Deciding {
            lease: claimed.lease,
            key: &claimed.key,
            intent: &gathered.intent,
            lane: &gathered.lane,
            seen_version: gathered.lane_version,
            requested_flow: claimed.requested_flow,
            fresh_flow: gathered.fresh_flow,
            rules: self.settings.lanes,
            queries: &queries,
            places: &places,
            persons: &persons,
            policy: (&policy.hash.0, &policy.body),
            members_before: gathered.members.as_deref().filter(|_| kind.changes_members()),
            pausable: !by_hand.is_some_and(ByHand::is_operators),
        };
        let rule = |ground: Ground| -> Result<Ruling, NoRuling> {
            // Not before: whoever waits for its turn can still be stored without.
            if arriving.is_some_and(|arriving| !arriving.take()) {
                return Err(NoRuling::BeingStored);
            }
            if self.policy().hash != policy.hash {
                return Err(NoRuling::PolicyMoved);
            }
            let input = Input { kind, facts: &gathered.facts, counts: &ground.counts, now: ground.now };
            let (mut evaluation, reviewer) = match by_hand {
                Some(by_hand) => (said_by_hand(by_hand), None),
                None => with_grant(policy, input, ground.grant.as_ref(), &self.master_key),
            };
            if evaluation.verdict == Verdict::Escalate && fault::is_planted("escalation-is-approval") {
                evaluation.verdict = Verdict::Approve;
            }
            let mode = match (ground.committed, self.settings.mode) {
                (Some(committed), _) if committed != evaluation.verdict => SendMode::Contradiction,
                // What a person said is sent, whatever the daemon's own verdicts are good for.
                (_, Mode::Observe) if !by_hand.is_some_and(ByHand::is_operators) => SendMode::Observe,
                (_, Mode::Observe | Mode::Enforce) => SendMode::Enforce,
            };
            let event = Event::Decided { verdict: evaluation.verdict, kind, mode };
            let next = step(Phase::Deciding, event).map_err(|error| error.to_string())?;
            let id = DecisionId::generate();
            let escalation = match next {
                Step::AwaitReview => Some(escalation(policy, kind, &evaluation, &gathered.facts, &self.master_key)?),
                _ => None,
            };
            let facts_personal = seal_personal(&self.master_key, id, &personal, &ground.person_keys)?;
            let message = evaluation.message.clone();
            let (additional_info, effects) = (evaluation.additional_info.clone(), evaluation.effects.clone());
            let mut record = self.record(id, claimed, policy, gathered, &ground, evaluation, facts_personal)?;
            record.decided_by = reviewer.unwrap_or(record.decided_by);
            Ok(Ruling { record, message, additional_info, effects, step: next, escalation })
        };
        match arriving {
            Some(arriving) => {
                let decided = self.store.decide_arrival(arriving.notification(), deciding, &rule).await?;
                decided.ok_or(StoreError::BeingStored)
            }
            None => self.store.decide(deciding, &rule).await,
        }
    }

    /// The name of a counter in the database; of a personal value only a keyed hash.
    fn counter(&self, key: &LimitKey) -> String {
        if key.is_personal {
            format!("{}|hmac:{}", key.counter, self.master_key.fingerprint(key.value.as_bytes()))
        } else {
            key.to_string()
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one row is made of all of it")]
    fn record(
        &self,
        id: DecisionId,
        claimed: &Claimed,
        policy: &Policy,
        gathered: &Gathered,
        ground: &Ground,
        evaluation: Evaluation,
        facts_personal: Value,
    ) -> Result<DecisionRecord, String> {
        let is_shadow = |trace: &RuleTrace| trace.mode == RuleMode::Shadow;
        let (shadow, trace): (Vec<_>, Vec<_>) = evaluation.trace.into_iter().partition(is_shadow);
        Ok(DecisionRecord {
            id,
            decided_at: ground.now,
            tenant: self.settings.tenant.clone(),
            key: claimed.key.clone(),
            flow: ground.flow,
            attempt: ground.attempt,
            intent: gathered.intent.clone(),
            requester: claimed.requester.clone(),
            verdict: evaluation.verdict,
            decided_by: claimed.by_hand.as_ref().map_or_else(|| "policy".to_owned(), ByHand::decided_by),
            rules: evaluation.rules,
            reason: evaluation.reason,
            policy_hash: policy.hash.to_string(),
            evaluator_version: EVALUATOR_VERSION.to_owned(),
            facts: public_facts(&gathered.facts).map_err(|error| error.to_string())?,
            facts_personal: facts_personal.to_string(),
            trace: serde_json::to_string(&trace).map_err(|error| error.to_string())?,
            shadow: serde_json::to_string(&shadow).map_err(|error| error.to_string())?,
        })
    }
}

/// An operator's verdict in the form of the policy's: no rule decided, and no rule's trace tells why.
fn said_by_hand(by_hand: &ByHand) -> Evaluation {
    Evaluation {
        verdict: by_hand.verdict,
        rules: Vec::new(),
        reason: by_hand.reason(),
        message: None,
        unknown: Vec::new(),
        shadow: Vec::new(),
        additional_info: by_hand.additional_info.clone(),
        effects: Vec::new(),
        trace: Vec::new(),
    }
}

fn ended(
    next: Result<Step, crate::flow::IllegalTransition>,
    asked: Option<Duration>,
    failure: Option<LastFailure>,
) -> Result<Reached, StoreError> {
    match next {
        Ok(Step::End(ending)) => Ok(Reached::Ended(Box::new(ending))),
        Ok(Step::Retry) => Ok(Reached::Retry { asked, failure }),
        Ok(step) => Err(StoreError::Judge(format!("{step:?} does not end the way to a decision"))),
        Err(illegal) => Err(StoreError::Judge(illegal.to_string())),
    }
}

/// Each person's facts under that person's key, bound to the decision.
fn seal_personal(
    master: &MasterKey,
    decision: DecisionId,
    personal: &BTreeMap<UserId, Value>,
    keys: &BTreeMap<UserId, WrappedKey>,
) -> Result<Value, String> {
    let mut sealed = Map::new();
    for (person, facts) in personal {
        let wrapped = keys.get(person).ok_or("a person's key is missing")?;
        let key: PersonKey = master.person_key(person.as_str(), wrapped).map_err(|error| error.to_string())?;
        let text = key.seal(&format!("decision {decision}"), facts.to_string().as_bytes()).map_err(|error| error.to_string())?;
        sealed.insert(person.to_string(), Value::String(text));
    }
    Ok(Value::Object(sealed))
}
