//! The emulated platform as one piece, shared by everything that serves or drives it.

use super::contents::Contents;
use super::fault::{Fault, Faults};
use super::signature::Door;
use super::world::World;
use crate::domain::clock::Clock;
use crate::domain::ids::TresorId;
use crate::zerokit::{AdminKey, Endpoint, TenantId};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many calls are remembered.
const REMEMBERED_CALLS: usize = 100_000;

/// A running emulated platform; clones share it.
#[derive(Clone)]
pub struct Simulator {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) latency: Duration,
    pub(super) world: Mutex<World>,
    pub(super) contents: Mutex<Contents>,
    pub(super) faults: Mutex<Faults>,
    flight: Mutex<Flight>,
    pub(super) calls: Mutex<VecDeque<CallRecord>>,
}

/// One call as `GET /_simulator/calls` shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CallRecord {
    /// The how-manieth call it is.
    #[serde(skip)]
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) verb: String,
    pub(super) path: String,
    /// Nothing where the path is none of an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<&'static str>,
    /// What was answered; nothing while it is under way, and for a connection that broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<&'static str>,
    /// The planned fault that it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<&'static str>,
    /// Why it was not let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
}

/// How many verdicts were under way at the same time, by tresor.
#[derive(Default)]
struct Flight {
    now: BTreeMap<TresorId, u32>,
    most: BTreeMap<TresorId, u32>,
    /// Which verdicts were ever told on an operation, whatever came of them.
    told: BTreeMap<String, Told>,
}

struct Told {
    verdicts: BTreeSet<&'static str>,
    since: Timestamp,
}

/// One verdict under way; ends when dropped.
pub(super) struct Flying<'f> {
    flight: &'f Mutex<Flight>,
    tresor: TresorId,
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        if let Some(count) = lock(self.flight).now.get_mut(&self.tresor) {
            *count -= 1;
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulator {
    /// A platform with one tenant. Each call takes `latency`, as a network would.
    #[must_use]
    pub fn new(tenant: TenantId, key: AdminKey, clock: Arc<dyn Clock>, invalidates: bool, latency: Duration) -> Self {
        let world = World::new(tenant.to_string(), invalidates);
        Self {
            shared: Arc::new(Shared {
                door: Door { tenant, key },
                clock,
                latency,
                world: Mutex::new(world),
                contents: Mutex::default(),
                faults: Mutex::default(),
                flight: Mutex::default(),
                calls: Mutex::default(),
            }),
        }
    }

    /// The platform's state, to act on as a browser or to look at. Do not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// The present, as the platform sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The next `count` calls of an endpoint meet a fault.
    pub fn plan_fault(&self, endpoint: Endpoint, fault: Fault, count: usize) {
        lock(&self.shared.faults).plan(endpoint.name, fault, count);
    }

    /// The most verdicts that were ever under way at the same time on one tresor: that could still take effect.
    #[must_use]
    pub fn most_in_flight(&self) -> u32 {
        lock(&self.shared.flight).most.values().copied().max().unwrap_or(0)
    }

    /// The operations that were told more than one verdict: to approve, and to reject.
    #[must_use]
    pub fn contradicted(&self) -> Vec<String> {
        let flight = lock(&self.shared.flight);
        flight.told.iter().filter(|(_, told)| told.verdicts.len() > 1).map(|(operation, _)| operation.clone()).collect()
    }

    /// When the platform was first told a verdict on an operation.
    #[must_use]
    pub fn told_at(&self, operation: &str) -> Option<Timestamp> {
        lock(&self.shared.flight).told.get(operation).map(|told| told.since)
    }

    /// The names of all endpoints that were called and let in, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.shared.calls).iter().filter(|call| call.refused.is_none()).filter_map(|call| call.endpoint).collect()
    }

    /// How many calls there were, also those that are not remembered any more.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        lock(&self.shared.calls).back().map_or(0, |last| last.number + 1)
    }

    /// Back to an empty tenant without faults, contents and calls.
    pub fn clear(&self) {
        self.world().clear();
        lock(&self.shared.contents).clear();
        lock(&self.shared.faults).clear();
        lock(&self.shared.calls).clear();
    }
}

impl Shared {
    /// Notes the call; its number. The oldest are forgotten.
    pub(super) fn remember(&self, record: CallRecord) -> u64 {
        let mut calls = lock(&self.calls);
        let number = calls.back().map_or(0, |last| last.number + 1);
        if calls.len() == REMEMBERED_CALLS {
            calls.pop_front();
        }
        calls.push_back(CallRecord { number, ..record });
        number
    }

    /// Notes that a verdict on an operation is under way, until what is returned is dropped.
    pub(super) fn begin_flight(&self, operation: &str, verdict: &'static str) -> Option<Flying<'_>> {
        let since = self.clock.now();
        let first = || Told { verdicts: BTreeSet::new(), since };
        lock(&self.flight).told.entry(operation.to_owned()).or_insert_with(first).verdicts.insert(verdict);
        let tresor = lock(&self.world).tresor_of(operation)?;
        let mut flight = lock(&self.flight);
        let now = flight.now.entry(tresor.clone()).or_default();
        *now += 1;
        let now = *now;
        let most = flight.most.entry(tresor.clone()).or_default();
        *most = now.max(*most);
        Some(Flying { flight: &self.flight, tresor })
    }
}
