//! What became of many deliveries of events, written at once.

use super::statements::DELIVERED;
use super::{answer, scattered};
use crate::domain::duration::micros;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver};
use crate::store::group::Answer;
use crate::store::outbox::{Delivery, EventLease};
use std::collections::HashMap;
use std::sync::Arc;

pub(in crate::store::sql) struct Request {
    pub(in crate::store::sql) lease: EventLease,
    pub(in crate::store::sql) delivery: Delivery,
    pub(in crate::store::sql) answer: Answer<bool, StoreError>,
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, mut requests: Vec<Request>) {
    requests.sort_by_key(|one| one.lease.seq);
    let said: Vec<_> = requests
        .iter()
        .map(|one| match &one.delivery {
            Delivery::Done(answer) => ("delivered", answer, None),
            Delivery::Dead(answer) => ("dead", answer, None),
            Delivery::Again { answer, delay } => ("pending", answer, Some(micros(*delay))),
        })
        .collect();
    let args = vec![
        Arg::Ints(requests.iter().map(|one| Some(one.lease.seq)).collect()),
        Arg::Ints(requests.iter().map(|one| Some(one.lease.fence)).collect()),
        Arg::Texts(said.iter().map(|(state, _, _)| Some((*state).to_owned())).collect()),
        Arg::Texts(said.iter().map(|(_, answer, _)| Some((*answer).clone())).collect()),
        Arg::Ints(said.iter().map(|(_, _, delay)| *delay).collect()),
    ];
    match driver.write(Step::FinishEvent, DELIVERED, args).await {
        Ok(rows) => {
            let written = rows.iter().filter_map(|row| Some((row.int(0).ok()?, row.int(1).ok()? != 0)));
            let written: HashMap<_, _> = written.collect();
            for one in requests {
                answer(one.answer, written.get(&one.lease.seq).map(|follows| Some(*follows)).ok_or(StoreError::Fenced));
            }
        }
        // At least once is what was promised.
        Err(error) => {
            scattered(&error);
            requests.into_iter().for_each(|one| answer(one.answer, Ok(None)));
        }
    }
}
