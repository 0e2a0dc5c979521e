//! Works on one operation: to its decision, to the platform, to its outcome. Every turn is a step of the flow.

use super::decide::Reached;
use super::deliver::Fresh;
use super::hold::Hold;
use super::payload::Payload;
use super::settings::Mode;
use super::{Engine, Notice};
use crate::domain::disposition::Disposition;
use crate::domain::ids::{DecisionId, UserId};
use crate::domain::operation::Intent;
use crate::domain::verdict::{Outcome, Verdict};
use crate::fault;
use crate::flow::{AfterConflict, Ending, Event, Finding, Phase, State, Step, step};
use crate::store::{
    ByHand, Claimed, DecisionView, Finished, Finishing, LastFailure, OperationView, OutcomeView, Passed, Ruling, Sent, StoreError,
};
use crate::zerokit::VerdictCall;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the worker leaves behind.
#[derive(Debug, Default)]
pub(super) struct Worked {
    /// Whether the operation is final or escalated.
    pub(super) settled: Settled,
    /// What became of the lane.
    pub(super) passed: Passed,
    /// The event that tells of it, if it is to be delivered from here.
    pub(super) event: Option<Fresh>,
}

/// Whether requests that wait for the operation are answered now.
#[derive(Debug, Default)]
pub(super) enum Settled {
    /// They wait on.
    #[default]
    No,
    /// They are; with how it stands, where that is known without looking.
    Yes(Option<Box<OperationView>>),
}

/// One operation in a worker's hands.
struct Work<'w> {
    claimed: &'w Claimed,
    payload: &'w Payload,
    hold: &'w Hold,
    started: Instant,
    ruling: Option<Box<Ruling>>,
}

impl Engine {
    /// Works on an operation until it is settled, parked, or given back for later.
    pub(super) async fn work(&self, claimed: Claimed, hold: &Hold) -> Result<Worked, StoreError> {
        let opened = claimed.payload.as_ref().map(|sealed| Payload::open(&self.master_key, claimed.lease.id, sealed)).transpose();
        let (payload, is_readable) = match opened {
            Ok(payload) => (payload.unwrap_or_default(), true),
            Err(error) => {
                tracing::error!(record.id = %claimed.lease.id, error.message = %error, "a stored notification cannot be read");
                (Payload::default(), false)
            }
        };
        let started = Instant::now().checked_sub(claimed.age).unwrap_or_else(Instant::now);
        let mut work = Work { claimed: &claimed, payload: &payload, hold, started, ruling: None };
        // To find out what became of a verdict there are as many tries again as there were to come to it.
        let budget = self.settings.retry_budget.saturating_mul(if claimed.sent.is_some() { 2 } else { 1 });
        if claimed.tries >= budget {
            let phase = claimed.sent.as_ref().map_or(Phase::Deciding, |sent| self.sent_phase(&work, sent));
            // Whatever the budget says, a last look may still show what became of the verdict.
            let found = match &claimed.sent {
                Some(sent) => self.reconcile(&work, sent).await.ok(),
                None => None,
            };
            let event = match found {
                Some(finding @ Finding::Applied) => Event::Found { finding, quiet: true, after: None },
                _ => {
                    Event::BudgetSpent { code: claimed.last_failure.as_ref().map_or("BudgetSpent", |(_, code)| code).to_owned() }
                }
            };
            return match step(phase, event) {
                Ok(Step::End(ending)) => self.end(&work, claimed.decision, &ending).await,
                other => Err(StoreError::Judge(format!("{other:?} does not end a spent budget"))),
            };
        }
        if let Some(sent) = claimed.sent.clone() {
            return self.carry_out(&work, sent, Step::Reconcile).await;
        }
        if !is_readable {
            // Nothing was sent, and nothing can be decided without it. A verdict that was sent is found out above.
            let ending = Ending::new(Outcome::Failed, None).code("Unreadable").detail("the stored notification cannot be read");
            return self.end(&work, claimed.decision, &ending.alerting()).await;
        }
        match self.reach_decision(&claimed, &payload, hold).await? {
            Reached::Ended(ending) => self.end(&work, claimed.decision, &ending).await,
            Reached::Retry { asked, failure } => {
                self.again(&claimed, self.settings.delay(claimed.tries, asked), true, failure.as_ref()).await
            }
            Reached::Parked(passed) => Ok(Worked { passed, ..Worked::default() }),
            Reached::Ruled { ruling, sent: Some(sent), passed } => {
                // Of the flow that it joined.
                self.pass_on(&passed);
                work.ruling = Some(ruling);
                self.carry_out(&work, sent, Step::Send).await
            }
            Reached::Ruled { ruling, sent: None, passed } => {
                let ending = if let Step::End(ending) = &ruling.step { Some(ending.clone()) } else { None };
                work.ruling = Some(ruling);
                self.effects_due.notify_one();
                self.tell(&work, ending.as_ref().map_or(State::Escalated, |ending| ending.state), ending.as_ref());
                Ok(Worked { settled: Settled::Yes(None), passed, event: None })
            }
        }
    }

    /// Takes a committed verdict to its end.
    async fn carry_out(&self, work: &Work<'_>, mut sent: Sent, mut next: Step) -> Result<Worked, StoreError> {
        let claimed = work.claimed;
        let kind = claimed.key.kind;
        let mut sent_at = Instant::now();
        // The answer to the last call, remembered from one worker to the next.
        let mut after: Option<LastFailure> = claimed.last_failure.clone();
        loop {
            let age = sent.age + sent_at.elapsed();
            let observes = self.settings.mode == Mode::Observe && !claimed.by_hand.as_ref().is_some_and(ByHand::is_operators);
            if observes && matches!(next, Step::Send | Step::Resend) {
                // Committed before the operator switched to observing: nothing goes out any more.
                let detail = "observe mode: the verdict was not sent again";
                next = Step::End(Ending::new(Outcome::Unknown, Some(sent.verdict)).detail(detail).alerting());
            }
            let event = match next {
                Step::Send => {
                    match self.assure(work).await {
                        Ok(()) => {}
                        // Nothing has left this process yet, and so it is committed.
                        Err(error) if error.is_transient() && sent.sends == 1 && work.ruling.is_some() => {
                            return self.again(claimed, self.settings.backoff(claimed.tries), true, None).await;
                        }
                        Err(error) => return Err(error),
                    }
                    let registration = work.payload.registration.as_ref();
                    let call = VerdictCall {
                        kind,
                        operation_id: &claimed.key.operation_id,
                        verdict: if fault::is_planted("other-verdict") && sent.sends > 1 {
                            Verdict::Reject
                        } else {
                            sent.verdict
                        },
                        registration,
                        additional_info: sent.additional_info.as_deref(),
                    };
                    let answer = self.platform.send_verdict(call).await;
                    self.health.note(&answer);
                    match answer {
                        Ok(()) => Event::Accepted,
                        Err(_) if fault::is_planted("uncertain-is-applied") => Event::Accepted,
                        Err(failure) => {
                            let (mut disposition, code) = (failure.on_verdict(), failure.code().to_owned());
                            if disposition == Disposition::Conflict && fault::is_planted("conflict-is-failure")
                                || disposition == Disposition::Uncertain && fault::is_planted("uncertain-is-failed")
                            {
                                disposition = Disposition::Denied;
                            }
                            after = Some((disposition, code.clone()));
                            Event::Answered { disposition, code }
                        }
                    }
                }
                Step::Resend => {
                    self.assure(work).await?;
                    sent = Sent { sends: self.store.resend(&claimed.lease).await?, age: Duration::ZERO, ..sent };
                    (sent_at, after, next) = (Instant::now(), None, Step::Send);
                    continue;
                }
                Step::Reconcile => match self.reconcile(work, &sent).await {
                    Ok(finding) => Event::Found { finding, quiet: age >= self.settings.quiet_period, after: after.clone() },
                    Err((disposition, code)) => Event::ReadFailed { disposition, code },
                },
                Step::AwaitQuiet => {
                    let rest = self.settings.quiet_period.saturating_sub(age);
                    return self.again(claimed, rest.max(self.settings.backoff(claimed.tries)), false, after.as_ref()).await;
                }
                Step::Retry => return self.again(claimed, self.settings.backoff(claimed.tries), true, after.as_ref()).await,
                Step::End(ending) => return self.end(work, Some(sent.decision), &ending).await,
                Step::AwaitReview => return Err(StoreError::Judge("a sent verdict cannot be escalated".into())),
            };
            next = step(self.sent_phase(work, &sent), event).map_err(|illegal| StoreError::Judge(illegal.to_string()))?;
        }
    }

    /// Asks whether the lease stands where that is not certain for as long as the call may take: whoever was stopped for a
    /// while does not act on what it no longer has.
    async fn assure(&self, work: &Work<'_>) -> Result<(), StoreError> {
        if work.hold.covers(self.settings.call_timeout) {
            return Ok(());
        }
        let since = Instant::now();
        self.store.extend(&work.claimed.lease, self.settings.lease).await?;
        work.hold.renew(since);
        Ok(())
    }

    fn sent_phase(&self, work: &Work<'_>, sent: &Sent) -> Phase {
        let claimed = work.claimed;
        let attempt = work.ruling.as_ref().map_or(claimed.attempt, |ruling| ruling.record.attempt);
        let after_conflict = match &claimed.by_hand {
            Some(_) => AfterConflict::Supersede,
            None if attempt >= self.settings.max_attempts => AfterConflict::Fail,
            None => AfterConflict::TakeTurns,
        };
        let sends = if fault::is_planted("second-answer-for-the-first") { 1 } else { sent.sends };
        Phase::Sent { kind: claimed.key.kind, verdict: sent.verdict, sends, after_conflict }
    }

    /// What the platform shows; the intent is read again after a restart.
    async fn reconcile(&self, work: &Work<'_>, sent: &Sent) -> Result<Finding, (Disposition, String)> {
        let recorded = work.ruling.as_ref().map(|ruling| ruling.record.intent.clone());
        let intent = match recorded {
            Some(intent) => intent,
            None => self.store.intent_of(sent.decision).await.map_err(|error| (Disposition::Transient, error.to_string()))?,
        };
        self.find(&intent, sent).await.map_err(|failure| (failure.on_read(), failure.code().to_owned()))
    }

    async fn again(
        &self,
        claimed: &Claimed,
        delay: Duration,
        unsent: bool,
        failure: Option<&LastFailure>,
    ) -> Result<Worked, StoreError> {
        let counts = !self.health.is_outage();
        let lease = &claimed.lease;
        self.insist(|| self.store.reschedule(lease, delay, counts, unsent, failure)).await?;
        self.wake.notify_one();
        Ok(Worked::default())
    }

    async fn end(&self, work: &Work<'_>, decision: Option<DecisionId>, ending: &Ending) -> Result<Worked, StoreError> {
        let claimed = work.claimed;
        let ruling = work.ruling.as_deref();
        let room = self.room_to_deliver();
        let deliver_within = room.as_ref().and_then(|_| self.deliver_within());
        let (lease, key, rules) = (claimed.lease, &claimed.key, self.settings.lanes);
        let finishing =
            Finishing { lease, key, decision, ending, rules, ruling, replica: &self.settings.replica, deliver_within };
        let Finished { passed, at, event } = self.insist(|| self.store.finish(finishing)).await?;
        if ending.outcome == Outcome::Applied && ruling.is_none_or(|ruling| !ruling.effects.is_empty()) {
            self.effects_due.notify_one();
        }
        // Where nobody else is in line its turn has come at once.
        let is_told = passed.superseded.contains(&claimed.lease.id);
        let state = if is_told { State::Superseded } else { ending.state };
        self.tell(work, state, Some(ending));
        let settled = match state.is_final() {
            true => Settled::Yes(ruling.zip(at).map(|(ruling, at)| Box::new(view(claimed, ruling, ending, at)))),
            false => Settled::No,
        };
        Ok(Worked { settled, passed, event: event.zip(room) })
    }

    /// A write that carries a clear answer of the platform is tried again while the lease holds: forgetting the answer
    /// would make the unknown of what is known.
    async fn insist<T, W>(&self, write: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, StoreError>>,
    {
        for attempt in 0..6 {
            match write().await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(error.message = %error, "a write is tried again");
                    tokio::time::sleep(self.settings.backoff(attempt)).await;
                }
                written => return written,
            }
        }
        write().await
    }

    /// Says what became of an operation: once, in the log, and to whoever watches.
    fn tell(&self, work: &Work<'_>, state: State, ending: Option<&Ending>) {
        let claimed = work.claimed;
        let record = work.ruling.as_ref().map(|ruling| &ruling.record);
        let verdict = record.map(|record| record.verdict);
        let rules = record.map(|record| record.rules.clone()).unwrap_or_default();
        let code = ending.and_then(|ending| ending.error_code.as_deref());
        let elapsed = work.started.elapsed();
        let latency_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if ending.is_some_and(|ending| ending.alert) {
            tracing::error!(
                record.id = %claimed.lease.id, operation.kind = %claimed.key.kind, operation.id = %claimed.key.operation_id,
                operation.state = %state, error.code = code, error.message = ending.and_then(|ending| ending.detail.as_deref()),
                "an operation needs an operator's eye"
            );
        } else {
            tracing::info!(
                record.id = %claimed.lease.id, operation.kind = %claimed.key.kind, operation.id = %claimed.key.operation_id,
                operation.state = %state, decision.id = record.map(|record| record.id.to_string()),
                decision.verdict = verdict.map(Verdict::as_str), decision.rules = rules.join(","),
                error.code = code, operation.latency_ms = latency_ms, "operation settled"
            );
        }
        if self.notices.receiver_count() == 0 {
            return;
        }
        let intent = record.map(|record| &record.intent);
        let pick = |of: fn(&Intent) -> &Option<UserId>| intent.and_then(|intent| of(intent).clone());
        let notice = Notice {
            id: claimed.lease.id,
            kind: claimed.key.kind,
            attempt: record.map_or(1, |record| record.attempt),
            actor: pick(|intent| &intent.actor),
            subject: pick(|intent| &intent.subject),
            verdict,
            rules,
            reason: record
                .map(|record| record.reason.clone())
                .or_else(|| ending.and_then(|ending| ending.detail.clone()))
                .unwrap_or_default(),
            state,
            elapsed,
        };
        // Whoever watched may have gone.
        let _ = self.notices.send(Arc::new(notice));
    }
}

/// How an operation stands that has just ended, as the database would show it.
fn view(claimed: &Claimed, ruling: &Ruling, ending: &Ending, at: Timestamp) -> OperationView {
    let record = &ruling.record;
    OperationView {
        id: claimed.lease.id,
        flow_id: record.flow,
        attempt: record.attempt,
        kind: claimed.key.kind,
        operation_id: claimed.key.operation_id.to_string(),
        state: ending.state,
        decision: Some(DecisionView {
            id: record.id,
            verdict: record.verdict,
            rules: record.rules.clone(),
            reason: record.reason.clone(),
            message: ruling.message.clone(),
            policy_hash: record.policy_hash.clone(),
            decided_at: record.decided_at,
        }),
        outcome: Some(OutcomeView { outcome: ending.outcome, error_code: ending.error_code.clone(), at }),
    }
}
