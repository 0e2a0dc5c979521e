//! One step of an operation: `(phase, event) -> step`. Every pair is a step or a named illegal transition.
//!
//! The rules that must hold whatever happens: a verdict is never contradicted, an approval whose fate is not known is
//! sent again only after the platform was found not to have applied it, and only once; a rejection may always be sent
//! again; what cannot be established ends `unknown`.

use super::ending::Ending;
use super::state::State;
use crate::domain::disposition::Disposition;
use crate::domain::kind::Kind;
use crate::domain::verdict::{Outcome, Verdict};

/// What is known of an operation that is being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No call with a verdict is out whose fate is not known.
    Deciding,
    /// A verdict was committed and may have reached the platform.
    Sent {
        /// The kind of the operation.
        kind: Kind,
        /// The committed verdict.
        verdict: Verdict,
        /// How many calls may have reached it, this one included.
        sends: u32,
        /// What a conflict means for its flow.
        after_conflict: AfterConflict,
    },
}

/// What becomes of an operation whose approval conflicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterConflict {
    /// Its client starts again when it is its flow's turn.
    TakeTurns,
    /// Nobody here waits for a client: an operator decided by hand.
    Supersede,
    /// Its flow has spent its attempts.
    Fail,
}

/// What to do with a fresh decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// Send it.
    Enforce,
    /// Record it only.
    Observe,
    /// An earlier attempt at this operation committed another verdict; neither may be sent now.
    Contradiction,
}

/// What the platform shows of an operation whose verdict may have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The effect is there, and was not before the call.
    Applied,
    /// The effect is not there.
    NotApplied,
    /// The platform cannot tell.
    CannotTell,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Reading the platform failed.
    ReadFailed {
        /// What the failure means.
        disposition: Disposition,
        /// The platform's code, or ours.
        code: String,
    },
    /// The budget of tries is spent.
    BudgetSpent {
        /// The last failure.
        code: String,
    },
    /// It was reported by somebody who did not start it.
    Refused,
    /// The policy decided.
    Decided {
        /// What it decided.
        verdict: Verdict,
        /// The kind of the operation.
        kind: Kind,
        /// What to do with it.
        mode: SendMode,
    },
    /// The platform accepted the verdict.
    Accepted,
    /// The platform answered the verdict otherwise.
    Answered {
        /// What the answer means.
        disposition: Disposition,
        /// The platform's code, or ours.
        code: String,
    },
    /// The platform was read to find out what became of the verdict.
    Found {
        /// What was found.
        finding: Finding,
        /// Whether the quiet period after the call was over when it was read.
        quiet: bool,
        /// The answer that led here, if there was one: a crash leaves none.
        after: Option<(Disposition, String)>,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call the platform with the committed verdict.
    Send,
    /// Run again from the details after a back-off; nothing is at the platform.
    Retry,
    /// Read the platform now.
    Reconcile,
    /// Read the platform again when the quiet period is over.
    AwaitQuiet,
    /// Commit that the verdict goes out once more, then send it.
    Resend,
    /// Leave it to a person.
    AwaitReview,
    /// Record the end; of an approval that conflicted, that it waits for its turn.
    End(Ending),
}

/// An event that cannot happen in a phase: a bug, never an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event:?} cannot happen in phase {phase:?}")]
pub struct IllegalTransition {
    /// The phase.
    pub phase: Phase,
    /// The event.
    pub event: Event,
}

/// The next step.
///
/// # Errors
/// The event cannot happen in this phase.
pub fn step(phase: Phase, event: Event) -> Result<Step, IllegalTransition> {
    match (phase, event) {
        (Phase::Deciding, Event::ReadFailed { disposition, code }) => Ok(after_failed_read(disposition, code)),
        (Phase::Deciding, Event::BudgetSpent { code }) => {
            let ending = Ending::new(Outcome::Failed, None).code(code).detail("the budget of tries is spent");
            Ok(Step::End(ending.alerting()))
        }
        (Phase::Deciding, Event::Refused) => {
            let detail = "the operation was started by somebody other than the requester";
            Ok(Step::End(Ending::new(Outcome::Refused, None).detail(detail)))
        }
        (Phase::Deciding, Event::Decided { verdict, kind, mode }) => Ok(after_decision(verdict, kind, mode)),
        (Phase::Sent { verdict, .. }, Event::Accepted) => Ok(Step::End(Ending::new(Outcome::Applied, Some(verdict)))),
        (Phase::Sent { kind, verdict, sends, after_conflict }, Event::Answered { disposition, code }) => {
            Ok(match after_answer(kind, verdict, sends, disposition, code) {
                Step::End(ending) => Step::End(conflicted(ending, after_conflict)),
                step => step,
            })
        }
        (Phase::Sent { kind, verdict, sends, after_conflict }, Event::Found { finding, quiet, after }) => {
            Ok(match after_finding(kind, verdict, sends, finding, quiet, after) {
                Step::End(ending) => Step::End(conflicted(ending, after_conflict)),
                step => step,
            })
        }
        (Phase::Sent { verdict, .. }, Event::BudgetSpent { code }) => {
            let detail = "what became of the verdict cannot be established";
            Ok(Step::End(Ending::new(Outcome::Unknown, Some(verdict)).code(code).detail(detail).alerting()))
        }
        // Reading failed while reconciling: nothing new is known, so it is tried again.
        (Phase::Sent { .. }, Event::ReadFailed { .. }) => Ok(Step::AwaitQuiet),
        (phase, event) => Err(IllegalTransition { phase, event }),
    }
}

/// What a conflict means for the flow; every other ending stays as it is.
fn conflicted(ending: Ending, after_conflict: AfterConflict) -> Ending {
    match (ending.outcome, after_conflict) {
        (Outcome::Superseded, AfterConflict::TakeTurns) => ending.waiting(),
        (Outcome::Superseded, AfterConflict::Fail) => Ending {
            outcome: Outcome::Failed,
            state: State::Failed,
            ..ending.detail("the approval conflicted, and its flow has spent its attempts")
        },
        _ => ending,
    }
}

fn after_failed_read(disposition: Disposition, code: String) -> Step {
    let failed = Ending::new(Outcome::Failed, None).code(code);
    match disposition {
        Disposition::Transient | Disposition::Uncertain | Disposition::Conflict => Step::Retry,
        Disposition::Gone => Step::End(failed.detail("the platform knows no such pending operation")),
        Disposition::Denied | Disposition::Already => Step::End(failed.detail("the platform refused to show the operation")),
        Disposition::Misconfigured => Step::End(failed.detail("the platform refuses this daemon's access").alerting()),
    }
}

fn after_decision(verdict: Verdict, kind: Kind, mode: SendMode) -> Step {
    match (mode, verdict) {
        (SendMode::Contradiction, _) => {
            let detail = "the policy now says otherwise than the verdict that was committed before; neither was sent";
            Step::End(Ending::new(Outcome::Failed, None).code("VerdictChanged").detail(detail).alerting())
        }
        (_, Verdict::Escalate) => Step::AwaitReview,
        (SendMode::Observe, _) => {
            let detail = "observe mode: the verdict was recorded, not sent";
            Step::End(Ending::new(Outcome::Unknown, None).detail(detail))
        }
        (SendMode::Enforce, Verdict::Reject) if kind == Kind::UserValidation => {
            let detail = "the platform has no rejection of a validation; the user stays unvalidated";
            Step::End(Ending::new(Outcome::Applied, Some(verdict)).detail(detail))
        }
        (SendMode::Enforce, _) => Step::Send,
    }
}

fn after_answer(kind: Kind, verdict: Verdict, sends: u32, disposition: Disposition, code: String) -> Step {
    let failed = || Ending::new(Outcome::Failed, Some(verdict)).code(code.clone());
    match (verdict, disposition) {
        (Verdict::Reject, Disposition::Gone) if sends > 1 => {
            let detail = "the platform no longer knows the operation after a rejection whose answer was lost";
            Step::End(Ending::new(Outcome::Applied, Some(verdict)).code(code).detail(detail).reconciled())
        }
        (_, Disposition::Uncertain) | (Verdict::Reject, Disposition::Conflict) => Step::Reconcile,
        // The proof that a lost first approval was applied; without one before, somebody else did it.
        (Verdict::Approve, Disposition::Already) if kind == Kind::TresorCreation && sends > 1 => {
            Step::End(Ending::new(Outcome::Applied, Some(verdict)).code(code).reconciled())
        }
        (Verdict::Approve, Disposition::Already) if sends > 1 || kind.changes_members() => Step::Reconcile,
        // The answer to a second call says nothing of the first: only the platform's own lists do.
        (
            _,
            Disposition::Conflict | Disposition::Gone | Disposition::Denied | Disposition::Already | Disposition::Misconfigured,
        ) if sends > 1 => Step::Reconcile,
        (_, Disposition::Conflict) => Step::End(Ending::new(Outcome::Superseded, Some(verdict)).code(code)),
        (_, Disposition::Transient) if sends > 1 => Step::Reconcile,
        (_, Disposition::Transient) => Step::Retry,
        (_, Disposition::Gone) => Step::End(failed().detail("the platform knows no such pending operation")),
        (_, Disposition::Denied | Disposition::Already) => Step::End(failed().detail("the platform refused the verdict")),
        (_, Disposition::Misconfigured) => Step::End(failed().detail("the platform refuses this daemon's access").alerting()),
    }
}

fn after_finding(
    kind: Kind,
    verdict: Verdict,
    sends: u32,
    finding: Finding,
    quiet: bool,
    after: Option<(Disposition, String)>,
) -> Step {
    if verdict == Verdict::Reject {
        // Nothing shows a rejection, and sending it again can do no harm.
        return if quiet { Step::Resend } else { Step::AwaitQuiet };
    }
    let code = after.as_ref().map(|(_, code)| code.clone());
    let ending = |outcome| Ending { error_code: code.clone(), ..Ending::new(outcome, Some(verdict)).reconciled() };
    match (finding, after.map(|(disposition, _)| disposition)) {
        (Finding::Applied, _) => Step::End(ending(Outcome::Applied)),
        (Finding::NotApplied, Some(Disposition::Conflict)) => Step::End(ending(Outcome::Superseded)),
        // Consumed by the first call, whose answer was lost, and without an effect: it lost to another approval. What the
        // platform forgets for another reason starts again in vain, and not for ever.
        (Finding::NotApplied, Some(Disposition::Gone)) if sends > 1 && !quiet => Step::AwaitQuiet,
        (Finding::NotApplied, Some(Disposition::Gone)) if sends > 1 => Step::End(
            ending(Outcome::Superseded).detail("the answer was lost; the platform forgot the operation, without an effect"),
        ),
        (Finding::NotApplied, Some(Disposition::Already | Disposition::Gone | Disposition::Denied)) => {
            Step::End(ending(Outcome::Failed).detail("the platform refused the verdict, and shows no effect"))
        }
        // The one call there was did nothing, whatever was there before it.
        (Finding::CannotTell, Some(Disposition::Already)) if sends < 2 => {
            Step::End(ending(Outcome::Failed).detail("it was done before, and not by this operation"))
        }
        (Finding::NotApplied | Finding::CannotTell, _) if !quiet => Step::AwaitQuiet,
        (Finding::NotApplied, _) if sends < 2 => Step::Resend,
        // A creation shows itself only in the answer to the same approval: done, or already done.
        (Finding::CannotTell, _) if kind == Kind::TresorCreation && sends < 2 => Step::Resend,
        (Finding::NotApplied | Finding::CannotTell, _) => {
            let detail = "what became of the approval cannot be established from what the platform shows";
            Step::End(ending(Outcome::Unknown).detail(detail).alerting())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISPOSITIONS: [Disposition; 7] = [
        Disposition::Conflict,
        Disposition::Transient,
        Disposition::Already,
        Disposition::Uncertain,
        Disposition::Gone,
        Disposition::Denied,
        Disposition::Misconfigured,
    ];

    fn answered(kind: Kind, verdict: Verdict, sends: u32, disposition: Disposition) -> Step {
        step(
            Phase::Sent { kind, verdict, sends, after_conflict: AfterConflict::TakeTurns },
            Event::Answered { disposition, code: "X".into() },
        )
        .unwrap()
    }

    fn outcome(step: &Step) -> Option<Outcome> {
        if let Step::End(ending) = step { Some(ending.outcome) } else { None }
    }

    #[test]
    fn an_approval_is_never_called_applied_by_an_answer_that_is_not_a_success() {
        for kind in Kind::ALL {
            for sends in 1..4 {
                for disposition in DISPOSITIONS {
                    let step = answered(kind, Verdict::Approve, sends, disposition);
                    let is_proof = kind == Kind::TresorCreation && disposition == Disposition::Already && sends > 1;
                    assert_eq!(outcome(&step) == Some(Outcome::Applied), is_proof, "{kind} {sends} {disposition:?}");
                }
            }
        }
    }

    #[test]
    fn the_answer_to_a_second_approval_is_not_taken_for_the_first() {
        for disposition in DISPOSITIONS {
            assert_eq!(answered(Kind::Share, Verdict::Approve, 2, disposition), Step::Reconcile, "{disposition:?}");
        }
        // Nor is the answer to a second rejection, unless the platform has forgotten the operation.
        for disposition in DISPOSITIONS {
            let step = answered(Kind::Share, Verdict::Reject, 2, disposition);
            assert_eq!(step == Step::Reconcile, disposition != Disposition::Gone, "{disposition:?}");
        }
    }

    #[test]
    fn an_approval_goes_out_a_second_time_only_when_found_not_applied_after_the_quiet_period_and_never_a_third() {
        let found = |finding, quiet, sends| {
            let phase =
                Phase::Sent { kind: Kind::Share, verdict: Verdict::Approve, sends, after_conflict: AfterConflict::TakeTurns };
            step(phase, Event::Found { finding, quiet, after: None }).unwrap()
        };
        assert_eq!(found(Finding::NotApplied, false, 1), Step::AwaitQuiet);
        assert_eq!(found(Finding::NotApplied, true, 1), Step::Resend);
        assert_eq!(outcome(&found(Finding::NotApplied, true, 2)), Some(Outcome::Unknown));
        assert_eq!(outcome(&found(Finding::Applied, false, 1)), Some(Outcome::Applied));
        assert_eq!(outcome(&found(Finding::CannotTell, true, 1)), Some(Outcome::Unknown));
    }

    #[test]
    fn an_approval_whose_lost_answer_was_a_conflict_starts_again() {
        let found = |sends| {
            let phase =
                Phase::Sent { kind: Kind::Share, verdict: Verdict::Approve, sends, after_conflict: AfterConflict::TakeTurns };
            let after = Some((Disposition::Gone, "BadInput".to_owned()));
            outcome(&step(phase, Event::Found { finding: Finding::NotApplied, quiet: true, after }).unwrap())
        };
        assert_eq!((found(1), found(2)), (Some(Outcome::Failed), Some(Outcome::Superseded)));
    }

    #[test]
    fn a_lost_rejection_may_always_be_sent_again() {
        for sends in 1..9 {
            let phase = Phase::Sent {
                kind: Kind::InvitationLinkCreation,
                verdict: Verdict::Reject,
                sends,
                after_conflict: AfterConflict::TakeTurns,
            };
            let event = Event::Found { finding: Finding::CannotTell, quiet: true, after: None };
            assert_eq!(step(phase, event).unwrap(), Step::Resend);
        }
    }

    #[test]
    fn a_conflict_is_a_matter_of_turns_unless_the_attempts_are_spent_or_nobody_comes_back() {
        let state = |after_conflict| {
            let phase = Phase::Sent { kind: Kind::Share, verdict: Verdict::Approve, sends: 1, after_conflict };
            let event = Event::Answered { disposition: Disposition::Conflict, code: "X".into() };
            let Step::End(ending) = step(phase, event).unwrap() else { panic!() };
            (ending.outcome, ending.state)
        };
        assert_eq!(state(AfterConflict::TakeTurns), (Outcome::Superseded, State::Waiting));
        assert_eq!(state(AfterConflict::Supersede), (Outcome::Superseded, State::Superseded));
        assert_eq!(state(AfterConflict::Fail), (Outcome::Failed, State::Failed));
    }

    #[test]
    fn events_that_cannot_happen_are_named() {
        assert!(step(Phase::Deciding, Event::Accepted).is_err());
        let sent =
            Phase::Sent { kind: Kind::Share, verdict: Verdict::Approve, sends: 1, after_conflict: AfterConflict::TakeTurns };
        assert!(step(sent, Event::Refused).is_err());
        assert!(step(sent, Event::Decided { verdict: Verdict::Reject, kind: Kind::Share, mode: SendMode::Enforce }).is_err());
    }
}
