//! An operation on its way into a group of decisions, and whoever asked for it, who judges when it comes to that.

use super::super::decide::intent_key;
use crate::domain::ids::{FlowId, UserId};
use crate::domain::kind::Kind;
use crate::store::group::{Answer, Group, answered};
use crate::store::types::{Decided, Deciding, Ground, Lease, Person, Ruling};
use crate::store::{Judge, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

/// What [`Deciding`] says, without its borrows.
pub(in crate::store::sql) struct Request {
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
    pub(super) to_judge: Option<oneshot::Sender<Asked>>,
    pub(super) answer: Answer<Decided, StoreError>,
}

impl Request {
    /// The counters that it reads or takes a place in; each once, in order.
    pub(super) fn counters(&self) -> BTreeSet<&str> {
        self.queries.iter().map(|(_, key, _)| key.as_str()).chain(self.places.iter().map(String::as_str)).collect()
    }
}

/// What whoever asked has to judge; where nothing is sent back, nothing is written.
pub(super) struct Asked {
    pub(super) ground: Ground,
    pub(super) ruling: oneshot::Sender<Ruling>,
}

/// Has an operation decided in a group; nothing if it has to be decided by itself.
pub(in crate::store::sql) async fn ask(
    group: &Group<Request>,
    deciding: &Deciding<'_>,
    judge: Judge<'_>,
) -> Result<Option<Decided>, StoreError> {
    let (to_judge, asked) = oneshot::channel();
    let (answer, answer_comes) = oneshot::channel();
    group.add(Request {
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
        to_judge: Some(to_judge),
        answer,
    });
    if let Ok(Asked { ground, ruling }) = asked.await {
        let _ = ruling.send(judge(ground)?);
    }
    answered(answer_comes, super::ended).await
}
