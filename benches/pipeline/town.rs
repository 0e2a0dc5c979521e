//! Who does what at the platform: a pinned mix in which every limit of the shipped policy is real and nothing escalates.
//!
//! Each tresor goes through one life: created by a new employee, then shared and the guest removed, eight times over, as
//! often as its creator may share within an hour; then another takes its place. Every twentieth share is with an outsider,
//! which is rejected. One client at a time works on a tresor, so no approval conflicts.

use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::Simulator;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const SHARES: u8 = 8;

pub(crate) const MIX: &str = "6 % creations, 47 % shares (one in twenty with an outsider: rejected), 47 % kicks; no conflicts";

/// A tresor in its life.
pub(crate) struct Tresor {
    id: TresorId,
    creator: UserId,
    guest: UserId,
    shares_left: u8,
}

/// One operation to be reported.
pub(crate) struct Act {
    pub(crate) id: String,
    pub(crate) body: String,
    /// The state that it must come to.
    pub(crate) end: &'static str,
    /// The tresor as it is then; nothing where another takes its place.
    after: Life,
}

enum Life {
    Created(Tresor),
    Shared(Tresor),
    Kicked(Tresor),
    Refused(Tresor),
}

pub(crate) struct Town {
    simulator: Simulator,
    free: Mutex<VecDeque<Life>>,
    unborn: AtomicU64,
    insiders: Vec<UserId>,
    outsider: UserId,
    number: AtomicU64,
}

impl Town {
    pub(crate) fn new(simulator: Simulator, tresors: u64) -> Self {
        let (insiders, outsider) = {
            let mut world = simulator.world();
            let insiders = (0..500).map(|_| world.add_user().unwrap()).collect();
            (insiders, world.add_user().unwrap())
        };
        Self { simulator, free: Mutex::default(), unborn: AtomicU64::new(tresors), insiders, outsider, number: AtomicU64::new(0) }
    }

    /// The next thing that somebody does; nothing while everybody is busy.
    pub(crate) fn next(&self) -> Option<Act> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let life = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match life {
            None => {
                let take = |left: u64| left.checked_sub(1);
                self.unborn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
                Some(self.create(number))
            }
            Some(Life::Shared(tresor)) => Some(self.kick(tresor)),
            Some(Life::Created(tresor) | Life::Kicked(tresor) | Life::Refused(tresor)) if tresor.shares_left > 0 => {
                Some(self.share(tresor, number))
            }
            Some(_) => Some(self.create(number)),
        }
    }

    /// What was done has come to its end; whether that was the right one. If not, another tresor takes its place.
    pub(crate) fn ended(&self, act: Act, state: &str) -> bool {
        if act.end == state {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(act.after);
        } else {
            self.unborn.fetch_add(1, Ordering::Relaxed);
        }
        act.end == state
    }

    fn create(&self, number: u64) -> Act {
        let mut world = self.simulator.world();
        let creator = world.add_user().unwrap();
        let id = world.create_tresor(&creator).unwrap();
        drop(world);
        let people = [(&creator, "example.com")];
        let body = body(Kind::TresorCreation, id.as_str(), &creator, &people);
        let insiders = u64::try_from(self.insiders.len()).unwrap();
        let guest = self.insiders[usize::try_from(number % insiders).unwrap()].clone();
        let name = id.to_string();
        Act { id: name, body, end: "approved", after: Life::Created(Tresor { id, creator, guest, shares_left: SHARES }) }
    }

    fn share(&self, mut tresor: Tresor, number: u64) -> Act {
        let is_refused = number.is_multiple_of(20);
        let (guest, domain) = if is_refused { (&self.outsider, "elsewhere.example") } else { (&tresor.guest, "example.com") };
        let now = self.simulator.now();
        let id = self.simulator.world().share(&tresor.creator, guest, &tresor.id, now).unwrap();
        let people = [(&tresor.creator, "example.com"), (guest, domain)];
        let body = body(Kind::Share, &id, &tresor.creator, &people);
        if is_refused {
            return Act { id, body, end: "rejected", after: Life::Refused(tresor) };
        }
        tresor.shares_left -= 1;
        Act { id, body, end: "approved", after: Life::Shared(tresor) }
    }

    fn kick(&self, tresor: Tresor) -> Act {
        let now = self.simulator.now();
        let id = self.simulator.world().kick(&tresor.creator, &tresor.guest, &tresor.id, now).unwrap();
        let people = [(&tresor.creator, "example.com"), (&tresor.guest, "example.com")];
        let body = body(Kind::Kick, &id, &tresor.creator, &people);
        Act { id, body, end: "approved", after: Life::Kicked(tresor) }
    }
}

/// A notification as the web app writes it.
fn body(kind: Kind, id: &str, requester: &UserId, people: &[(&UserId, &str)]) -> String {
    let field = if kind == Kind::TresorCreation { "tresor_id" } else { "operation_id" };
    let person = |(user, domain): &(&UserId, &str)| {
        (user.to_string(), json!({ "email": format!("someone@{domain}"), "groups": ["staff"] }))
    };
    let users: serde_json::Map<String, Value> = people.iter().map(person).collect();
    let data = json!({ "kind": kind, field: id, "requester_id": requester, "users": users, "context": { "ip": "192.0.2.1" } });
    json!({ "type": "operation.pending", "timestamp": "2026-03-02T10:00:00Z", "data": data }).to_string()
}
