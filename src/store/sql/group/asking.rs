//! An operation on its way into a group of decisions, and whoever asked for it, who judges when it comes to that.

use super::super::decide::intent_key;
use super::Groups;
use super::looking::{self, Own};
use crate::domain::ids::{FlowId, UserId};
use crate::domain::kind::Kind;
use crate::store::group::{Answer, answered};
use crate::store::incoming::NewOperation;
use crate::store::types::{Decided, Deciding, Ground, Lease, Person, Ruling};
use crate::store::{Judge, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What [`Deciding`] says, without its borrows.
pub(super) struct Asking {
    pub(super) lease: Lease,
    pub(super) kind: Kind,
    pub(super) operation_id: String,
    pub(super) intent: String,
    pub(super) lane: String,
    pub(super) seen_version: i64,
    pub(super) requested_flow: Option<FlowId>,
    pub(super) fresh_flow: FlowId,
    pub(super) is_pausable: bool,
    pub(super) queries: Vec<(String, String, Duration)>,
    pub(super) places: Vec<String>,
    pub(super) persons: Vec<Person>,
    pub(super) members_before: Option<Vec<UserId>>,
    /// How long a flow waits for somebody like it.
    pub(super) join_window: Duration,
    /// Its notification, where that is stored with the ruling.
    pub(super) arrival: Option<NewOperation>,
}

impl Asking {
    /// The counters that it reads or takes a place in; each once, in order.
    pub(super) fn counters(&self) -> BTreeSet<&str> {
        self.queries.iter().map(|(_, key, _)| key.as_str()).chain(self.places.iter().map(String::as_str)).collect()
    }

    /// Whether it joins a flow that waits for somebody like it.
    pub(super) fn joins(&self) -> bool {
        !self.kind.is_link()
    }

    /// Nobody was asked how its lane stands: it is the first to come to a new tresor, or nothing is written.
    pub(super) fn guesses_lane(&self) -> bool {
        self.kind == Kind::TresorCreation && self.arrival.is_some() && self.seen_version == 0
    }

    /// Nobody has worked on it before, and it continues nothing.
    fn is_new(&self) -> bool {
        self.lease.fence == 1 && self.requested_flow.is_none()
    }
}

/// A request for a decision.
pub(in crate::store::sql) struct Request {
    pub(super) asking: Arc<Asking>,
    /// How it stands, where that was looked at; else it is new.
    pub(super) own: Option<Own>,
    pub(super) to_judge: Option<oneshot::Sender<Asked>>,
    pub(super) answer: Answer<Decided, StoreError>,
}

/// What whoever asked has to judge; where nothing is sent back, nothing is written.
pub(super) struct Asked {
    pub(super) ground: Ground,
    pub(super) ruling: oneshot::Sender<Ruling>,
}

/// Has an operation decided in a group, and stored with that where it has an `arrival`; nothing if it has to be decided by itself.
pub(in crate::store::sql) async fn ask(
    groups: &Groups,
    deciding: &Deciding<'_>,
    arrival: Option<&NewOperation>,
    judge: Judge<'_>,
) -> Result<Option<Decided>, StoreError> {
    let asking = Arc::new(Asking {
        lease: deciding.lease,
        kind: deciding.key.kind,
        operation_id: deciding.key.operation_id.to_string(),
        intent: intent_key(deciding.intent),
        lane: deciding.lane.as_str().to_owned(),
        seen_version: deciding.seen_version,
        requested_flow: deciding.requested_flow,
        fresh_flow: deciding.fresh_flow,
        is_pausable: deciding.pausable,
        queries: deciding.queries.to_vec(),
        places: deciding.places.to_vec(),
        persons: deciding.persons.to_vec(),
        members_before: deciding.members_before.map(<[_]>::to_vec),
        join_window: deciding.rules.join_window,
        arrival: arrival.cloned(),
    });
    let seen = &groups.seen;
    let is_free = || asking.is_new() && seen.lane_row(&asking).is_some();
    let is_known = || is_free() && seen.counted(&asking).is_some();
    let mut own = None;
    if !is_known() {
        // Of what is not stored nobody can see how it stands.
        if arrival.is_some() && !is_free() {
            return Ok(None);
        }
        let (answer, comes) = oneshot::channel();
        groups.look.add(looking::Request { asking: Arc::clone(&asking), answer });
        own = answered(comes, super::ended).await?;
        if own.is_none() && !is_known() {
            return Ok(None);
        }
    }
    let (to_judge, asked) = oneshot::channel();
    let (answer, comes) = oneshot::channel();
    groups.decide.add(Request { asking, own, to_judge: Some(to_judge), answer });
    if let Ok(Asked { ground, ruling }) = asked.await {
        let _ = ruling.send(judge(ground)?);
    }
    answered(comes, super::ended).await
}
