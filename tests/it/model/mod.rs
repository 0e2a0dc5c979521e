//! A model of two replicas, one lane, a platform whose answers can be lost, and clients that start again, checked exhaustively.
//! The steps are the real ones of `flow`; what a transaction writes and what fences it is modelled.

mod world;

use assent::domain::disposition::Disposition;
use assent::domain::verdict::{Outcome, Verdict};
use stateright::{Checker as _, HasDiscoveries, Model, Property};
use world::{ATTEMPTS, Act, At, Call, MISFORTUNES, Planted, System, Worker, World, operation};

impl Model for System {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            operations: vec![operation(0, 1, 0), operation(1, 1, 0)],
            workers: [None, None],
            calls: Vec::new(),
            holder: None,
            lane_version: 0,
            tresor_version: 0,
            is_member: [false; 2],
            misfortunes: 0,
        }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        for (index, worker) in world.workers.iter().enumerate() {
            match worker {
                None => {
                    for (id, row) in world.operations.iter().enumerate() {
                        let is_free = !row.is_parked || world.holder.is_none();
                        if row.ended.is_none() && !row.is_leased && is_free {
                            acts.push(Act::Claim(index, id));
                        }
                    }
                }
                Some(worker) => {
                    // To look again and again before the quiet period is over shows nothing new.
                    let is_too_early = worker.at == At::Reconcile
                        && !world.is_member[world.operations[worker.operation].flow]
                        && world.calls.iter().any(|call| call.operation == worker.operation && call.answer.is_none());
                    if worker.at != At::Wait && !is_too_early {
                        acts.push(Act::Work(index));
                    }
                    if matches!(worker.at, At::Judge { .. }) && worker.operation == 0 {
                        acts.push(Act::WorkAndReject(index));
                    }
                    if world.misfortunes < self.1 {
                        acts.push(Act::Crash(index));
                    }
                }
            }
        }
        for (index, call) in world.calls.iter().enumerate() {
            acts.push(if call.answer.is_none() { Act::Arrive(index) } else { Act::Answer(index) });
            if world.misfortunes < self.1 {
                acts.push(Act::Lose(index));
            }
        }
        for (id, row) in world.operations.iter().enumerate() {
            let is_in_hand = world.workers.iter().flatten().any(|worker| worker.operation == id && worker.fence == row.fence);
            let may_end = !is_in_hand || world.misfortunes < self.1;
            if row.is_leased && row.ended.is_none() && may_end && self.0 != Planted::LeaseNeverEnds {
                acts.push(Act::Expire(id));
            }
            let is_last = !world.operations.iter().any(|other| other.flow == row.flow && other.attempt > row.attempt);
            if row.ended == Some(Outcome::Superseded) && is_last && row.attempt < ATTEMPTS {
                acts.push(Act::StartAgain(id));
            }
        }
    }

    fn next_state(&self, before: &World, act: Act) -> Option<World> {
        let mut world = before.clone();
        match act {
            Act::Claim(index, id) => {
                let row = &mut world.operations[id];
                row.fence += 1;
                (row.is_leased, row.is_parked) = (true, false);
                let at = if row.sends > 0 && row.verdict.is_some() { At::Reconcile } else { At::Gather };
                let worker = Worker {
                    operation: id,
                    fence: row.fence,
                    sends: row.sends,
                    verdict: row.verdict,
                    last_answer: row.last_answer,
                    at,
                };
                world.workers[index] = Some(worker);
            }
            Act::Work(index) => self.work(&mut world, index, Verdict::Approve),
            Act::WorkAndReject(index) => self.work(&mut world, index, Verdict::Reject),
            Act::Arrive(index) => self.arrive(&mut world, index),
            Act::Answer(index) => {
                let answer = world.calls[index].answer.flatten();
                Self::answer(&mut world, index, answer);
                world.calls.remove(index);
            }
            Act::Lose(index) => {
                world.misfortunes += 1;
                Self::answer(&mut world, index, Some(Disposition::Uncertain));
                // Before it arrived, or after.
                world.calls.remove(index);
            }
            Act::Crash(index) => {
                world.misfortunes += 1;
                world.workers[index] = None;
            }
            Act::Expire(id) => {
                let fence = world.operations[id].fence;
                if world.workers.iter().flatten().any(|worker| worker.operation == id && worker.fence == fence) {
                    world.misfortunes += 1;
                }
                world.operations[id].is_leased = false;
            }
            Act::StartAgain(id) => {
                let (flow, attempt) = (world.operations[id].flow, world.operations[id].attempt + 1);
                // The platform's own client starts nothing that is done.
                if world.is_member[flow] {
                    return None;
                }
                world.operations.push(operation(flow, attempt, world.tresor_version));
            }
        }
        Some(world.in_order())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no operation is told two verdicts", |_, world: &World| {
                world.operations.iter().all(|row| !(row.told_approval && row.told_rejection))
            }),
            Property::always("nothing takes effect twice", |_, world: &World| {
                world.operations.iter().all(|row| row.effects <= 1)
            }),
            Property::always("every end is recorded once", |_, world: &World| world.operations.iter().all(|row| row.ends <= 1)),
            Property::always("what is recorded is what happened", |_, world: &World| {
                world.operations.iter().all(|row| match row.ended {
                    Some(Outcome::Applied) => row.effects == 1,
                    Some(Outcome::Superseded | Outcome::Failed | Outcome::Refused) => row.effects == 0,
                    Some(Outcome::Unknown) | None => true,
                })
            }),
            Property::always("one verdict in flight a lane", |_, world: &World| {
                let current = |call: &&Call| world.operations[call.operation].fence == call.fence && call.answer.is_none();
                let mut flying: Vec<_> = world.calls.iter().filter(current).map(|call| call.operation).collect();
                flying.dedup();
                flying.len() <= 1
            }),
            Property::always("nothing is stuck", |system: &System, world: &World| {
                let mut acts = Vec::new();
                system.actions(world, &mut acts);
                acts.retain(|act| system.next_state(world, act.clone()).is_some_and(|next| next != *world));
                !acts.is_empty() || world.operations.iter().all(|row| row.ended.is_some())
            }),
            Property::sometimes("both are approved in the end", |_, world: &World| world.is_member == [true; 2]),
            Property::sometimes("a stopped worker acts after another one took over", |_, world: &World| {
                world.calls.iter().any(|call| world.operations[call.operation].fence != call.fence)
            }),
            Property::sometimes("an approval is sent a second time", |_, world: &World| {
                world.operations.iter().any(|row| row.sends > 1 && row.effects == 1)
            }),
        ]
    }
}

#[test]
fn no_order_of_crashes_pauses_and_lost_answers_breaks_a_promise() {
    let most = std::env::var("SOAK_MISFORTUNES").ok().and_then(|text| text.parse().ok()).unwrap_or(MISFORTUNES);
    let checker = System(Planted::Nothing, most).checker().threads(2).spawn_bfs().join();
    println!(
        "the model with {most} misfortunes has {} states, all of them checked, {} deep",
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
    assert!(checker.is_done() && checker.unique_state_count() > 10_000, "too small to show anything");
}

#[test]
fn the_model_catches_what_is_broken_on_purpose() {
    for planted in [
        Planted::NoFence,
        Planted::NoIntent,
        Planted::NoLane,
        Planted::LostAnswerIsConsent,
        Planted::LostAnswerIsRefusal,
        Planted::OtherVerdict,
        Planted::LeaseNeverEnds,
    ] {
        let checker =
            System(planted, MISFORTUNES).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let broken = checker.model().properties().into_iter().find(|property| {
            property.expectation == stateright::Expectation::Always && checker.discovery(property.name).is_some()
        });
        println!("{planted:?} breaks: {}", broken.as_ref().map_or("nothing", |property| property.name));
        assert!(broken.is_some(), "{planted:?} breaks no promise");
    }
}
