//! What the model is made of, and one step of each of its parts: replicas, database, network and platform.

use assent::domain::disposition::Disposition;
use assent::domain::kind::Kind;
use assent::domain::verdict::{Outcome, Verdict};
use assent::flow::{AfterConflict, Event, Finding, Phase, SendMode, Step, step};

/// How many misfortunes there are at most, of any kinds: a crash, a worker that is stopped past its lease, a lost answer. Every
/// order of them is tried; the long form tries more.
pub(super) const MISFORTUNES: u8 = 3;
pub(super) const ATTEMPTS: u8 = 2;

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    Nothing,
    NoFence,
    NoIntent,
    NoLane,
    LostAnswerIsConsent,
    LostAnswerIsRefusal,
    OtherVerdict,
    LeaseNeverEnds,
}

/// One operation, at the platform and in the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Operation {
    pub(super) flow: usize,
    pub(super) attempt: u8,
    // At the platform.
    pub(super) built_on: u8,
    pub(super) is_pending: bool,
    pub(super) told_approval: bool,
    pub(super) told_rejection: bool,
    pub(super) effects: u8,
    // In the database.
    pub(super) fence: u8,
    pub(super) is_leased: bool,
    pub(super) sends: u8,
    pub(super) verdict: Option<Verdict>,
    pub(super) decisions: u8,
    pub(super) last_answer: Option<Disposition>,
    pub(super) is_parked: bool,
    pub(super) ended: Option<Outcome>,
    pub(super) ends: u8,
}

/// Where a worker stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum At {
    Gather,
    Judge { seen: u8 },
    Send,
    Wait,
    Answered(Option<Disposition>),
    Reconcile,
    Resend,
    GiveBack { is_unsent: bool },
    Finish(Outcome),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Worker {
    pub(super) operation: usize,
    pub(super) fence: u8,
    /// What it knows to be committed.
    pub(super) sends: u8,
    pub(super) verdict: Option<Verdict>,
    pub(super) last_answer: Option<Disposition>,
    pub(super) at: At,
}

/// A call on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) operation: usize,
    pub(super) fence: u8,
    pub(super) verdict: Verdict,
    /// What the platform answered, once it has: nothing is consent.
    pub(super) answer: Option<Option<Disposition>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) operations: Vec<Operation>,
    pub(super) workers: [Option<Worker>; 2],
    pub(super) calls: Vec<Call>,
    pub(super) holder: Option<usize>,
    pub(super) lane_version: u8,
    pub(super) tresor_version: u8,
    pub(super) is_member: [bool; 2],
    pub(super) misfortunes: u8,
}

impl World {
    /// Which of two equal workers is the first does not matter.
    pub(super) fn in_order(mut self) -> Self {
        self.workers.sort();
        self.calls.sort();
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Claim(usize, usize),
    Work(usize),
    /// The policy rejects this time: facts may have changed since it was asked before.
    WorkAndReject(usize),
    Arrive(usize),
    Answer(usize),
    Lose(usize),
    Crash(usize),
    /// The lease of a worker that says nothing ends, whether it is dead or only stopped.
    Expire(usize),
    StartAgain(usize),
}

/// What is broken, and how many misfortunes there are at most.
pub(super) struct System(pub(super) Planted, pub(super) u8);

pub(super) fn operation(flow: usize, attempt: u8, built_on: u8) -> Operation {
    Operation {
        flow,
        attempt,
        built_on,
        is_pending: true,
        told_approval: false,
        told_rejection: false,
        effects: 0,
        fence: 0,
        is_leased: false,
        sends: 0,
        verdict: None,
        decisions: 0,
        last_answer: None,
        is_parked: false,
        ended: None,
        ends: 0,
    }
}

impl System {
    /// What the real state machine says to do next.
    pub(super) fn next(&self, worker: &mut Worker, event: Event) {
        let phase = Phase::Sent {
            kind: Kind::Share,
            verdict: worker.verdict.unwrap(),
            sends: u32::from(worker.sends),
            after_conflict: AfterConflict::TakeTurns,
        };
        worker.at = match step(phase, event).unwrap() {
            Step::Send => At::Send,
            Step::Retry => At::GiveBack { is_unsent: true },
            Step::AwaitQuiet => At::GiveBack { is_unsent: false },
            Step::Reconcile => At::Reconcile,
            Step::Resend => At::Resend,
            Step::End(ending) => At::Finish(ending.outcome),
            Step::AwaitReview => unreachable!("a sent verdict is nobody's to review"),
        };
    }

    /// One step of a worker; every write is fenced.
    pub(super) fn work(&self, world: &mut World, index: usize, wants: Verdict) {
        let mut worker = world.workers[index].clone().unwrap();
        let id = worker.operation;
        let is_fenced = self.0 != Planted::NoFence && world.operations[id].fence != worker.fence;
        let is_over = world.operations[id].ended.is_some() && self.0 != Planted::NoFence;
        let mut stays = true;
        match worker.at.clone() {
            At::Gather => worker.at = At::Judge { seen: world.lane_version },
            At::Judge { seen } => {
                let is_taken = world.holder.is_some_and(|holder| holder != id) && self.0 != Planted::NoLane;
                if is_fenced || is_over {
                    stays = false;
                } else if is_taken {
                    let row = &mut world.operations[id];
                    (row.is_parked, row.is_leased) = (true, false);
                    stays = false;
                } else {
                    world.holder = Some(id);
                    if seen != world.lane_version {
                        worker.at = At::Gather;
                    } else {
                        self.decide(world, &mut worker, wants);
                    }
                }
            }
            At::Send => {
                let verdict = match (self.0, worker.sends) {
                    (Planted::OtherVerdict, 2..) => Verdict::Reject,
                    _ => worker.verdict.unwrap(),
                };
                world.calls.push(Call { operation: id, fence: worker.fence, verdict, answer: None });
                worker.at = At::Wait;
            }
            At::Wait => {}
            At::Answered(answer) => {
                let event = match (answer, self.0) {
                    (None, _) | (Some(Disposition::Uncertain), Planted::LostAnswerIsConsent) => Event::Accepted,
                    (Some(Disposition::Uncertain), Planted::LostAnswerIsRefusal) => {
                        Event::Answered { disposition: Disposition::Denied, code: String::new() }
                    }
                    (Some(disposition), _) => Event::Answered { disposition, code: String::new() },
                };
                worker.last_answer = answer;
                self.next(&mut worker, event);
            }
            At::Reconcile => {
                let is_there = world.is_member[world.operations[id].flow];
                let finding = match (worker.verdict, is_there) {
                    (Some(Verdict::Reject), _) => Finding::CannotTell,
                    (_, true) => Finding::Applied,
                    (_, false) => Finding::NotApplied,
                };
                // The quiet period is as long as the platform needs for a call that it got.
                let quiet = !world.calls.iter().any(|call| call.operation == id && call.answer.is_none());
                let after = worker.last_answer.map(|disposition| (disposition, String::new()));
                self.next(&mut worker, Event::Found { finding, quiet, after });
            }
            At::Resend if is_fenced || is_over => stays = false,
            At::Resend => {
                let row = &mut world.operations[id];
                row.sends += 1;
                row.last_answer = None;
                (worker.sends, worker.last_answer) = (row.sends, None);
                worker.at = At::Send;
            }
            At::GiveBack { is_unsent } => {
                let row = &mut world.operations[id];
                if !is_fenced && !is_over {
                    row.is_leased = false;
                    row.last_answer = worker.last_answer.or(row.last_answer);
                    if is_unsent {
                        row.sends = 0;
                    }
                }
                stays = false;
            }
            At::Finish(outcome) => {
                if !is_fenced && !is_over {
                    let row = &mut world.operations[id];
                    row.ended = Some(outcome);
                    row.ends += 1;
                    row.is_leased = false;
                    if world.holder == Some(id) {
                        world.holder = None;
                    }
                    world.lane_version += 1;
                }
                stays = false;
            }
        }
        world.workers[index] = stays.then_some(worker);
    }

    /// The deciding transaction: verdict, intent and lane together.
    pub(super) fn decide(&self, world: &mut World, worker: &mut Worker, wants: Verdict) {
        let row = &mut world.operations[worker.operation];
        let mode =
            if row.verdict.is_some_and(|committed| committed != wants) { SendMode::Contradiction } else { SendMode::Enforce };
        row.decisions += 1;
        match step(Phase::Deciding, Event::Decided { verdict: wants, kind: Kind::Share, mode }).unwrap() {
            Step::Send => {
                if self.0 != Planted::NoIntent {
                    (row.verdict, row.sends, row.last_answer) = (Some(wants), 1, None);
                }
                (worker.verdict, worker.sends, worker.last_answer) = (Some(wants), 1, None);
                worker.at = At::Send;
            }
            Step::End(ending) => worker.at = At::Finish(ending.outcome),
            other => unreachable!("{other:?}"),
        }
    }

    /// The platform gets a call.
    pub(super) fn arrive(&self, world: &mut World, index: usize) {
        let call = &mut world.calls[index];
        let row = &mut world.operations[call.operation];
        match call.verdict {
            Verdict::Approve => row.told_approval = true,
            _ => row.told_rejection = true,
        }
        call.answer = Some(if !row.is_pending {
            Some(Disposition::Gone)
        } else {
            row.is_pending = false;
            if call.verdict == Verdict::Approve && row.built_on != world.tresor_version {
                Some(Disposition::Conflict)
            } else {
                row.effects += 1;
                if call.verdict == Verdict::Approve {
                    world.is_member[row.flow] = true;
                    world.tresor_version += 1;
                }
                None
            }
        });
    }

    /// An answer reaches its worker, if that still waits for it.
    pub(super) fn answer(world: &mut World, index: usize, answer: Option<Disposition>) {
        let call = world.calls[index].clone();
        let is_asking =
            |worker: &&mut Worker| (worker.operation, worker.fence, &worker.at) == (call.operation, call.fence, &At::Wait);
        if let Some(worker) = world.workers.iter_mut().flatten().find(is_asking) {
            worker.at = At::Answered(answer);
        }
    }
}
