//! Notifications that nobody has seen before, in one statement. One that is known, or comes twice, is received by itself.

use super::super::intake::taken_in;
use super::seen::Seen;
use super::statements::RECEIVE;
use super::{answer, scattered};
use crate::domain::duration::micros;
use crate::domain::ids::FlowId;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver};
use crate::store::group::Answer;
use crate::store::incoming::{NewOperation, Received};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::time::Instant;

pub(in crate::store::sql) struct Request {
    pub(in crate::store::sql) new: NewOperation,
    pub(in crate::store::sql) answer: Answer<Received, StoreError>,
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, seen: Arc<Seen>, requests: Vec<Request>) {
    let (mut messages, mut keys) = (HashSet::new(), HashSet::new());
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for request in requests {
        let new = &request.new;
        let is_first = messages.insert(new.webhook_id.clone()) && keys.insert(new.key.clone());
        if is_first && new.payload.is_some() { plain.push(request) } else { others.push(request) }
    }
    // In the order of the index, so that two groups with the same keys cannot wait for each other.
    plain.sort_by(|one, other| {
        let order = |new: &NewOperation| (new.key.kind.as_str(), new.key.operation_id.as_str().to_owned());
        order(&one.new).cmp(&order(&other.new))
    });
    let flows: Vec<_> = plain.iter().map(|_| FlowId::generate()).collect();
    let asked_at = Instant::now();
    let stored = match driver.write(Step::Receive, RECEIVE, columns(&plain, &flows)).await {
        Ok(rows) => rows,
        // A message is stored once, whoever tries again.
        Err(error) => {
            scattered(&error);
            plain.into_iter().chain(others).for_each(|request| answer(request.answer, Ok(None)));
            return;
        }
    };
    if let Some(now) = stored.first().and_then(|row| row.int(1).ok()) {
        seen.tell_time(now, asked_at);
    }
    let stored: HashSet<_> = stored.iter().filter_map(|row| row.text(0).ok()).collect();
    for (request, flow) in plain.into_iter().zip(flows) {
        let is_stored = stored.contains(request.new.id.to_string().as_str());
        answer(request.answer, Ok(is_stored.then(|| taken_in(&request.new, flow))));
    }
    // Only now, as they would wait for those that they repeat.
    others.into_iter().for_each(|request| answer(request.answer, Ok(None)));
}

fn columns(plain: &[Request], flows: &[FlowId]) -> Vec<Arg> {
    let texts = |of: &dyn Fn(&NewOperation) -> Option<String>| Arg::Texts(plain.iter().map(|one| of(&one.new)).collect());
    vec![
        texts(&|new| Some(new.webhook_id.clone())),
        texts(&|new| Some(new.body_mac.clone())),
        texts(&|new| Some(new.id.to_string())),
        texts(&|new| Some(new.key.kind.as_str().to_owned())),
        texts(&|new| Some(new.key.operation_id.to_string())),
        texts(&|new| new.requester.as_ref().map(ToString::to_string)),
        Arg::Texts(flows.iter().map(|flow| Some(flow.to_string())).collect()),
        texts(&|new| new.requested_flow.map(|flow| flow.to_string())),
        Arg::Blobs(plain.iter().map(|one| one.new.payload.clone()).collect()),
        texts(&|new| Some(new.replica.clone())),
        Arg::Ints(plain.iter().map(|one| one.new.lease.map(micros)).collect()),
    ]
}
