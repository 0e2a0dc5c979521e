//! What is recorded of many lanes and tresors, read at once.

use super::super::timestamp;
use super::seen::Seen;
use super::statements::LANE_FACTS;
use super::{answer, scattered};
use crate::domain::ids::UserId;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row};
use crate::store::group::Answer;
use crate::store::types::LaneFacts;
use std::sync::Arc;
use tokio::time::Instant;

pub(in crate::store::sql) struct Request {
    pub(in crate::store::sql) lane: String,
    pub(in crate::store::sql) tresor: Option<String>,
    pub(in crate::store::sql) answer: Answer<LaneFacts, StoreError>,
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, seen: Arc<Seen>, requests: Vec<Request>) {
    let lanes = requests.iter().map(|one| Some(one.lane.clone())).collect();
    let tresors = requests.iter().map(|one| one.tresor.clone()).collect();
    let asked_at = Instant::now();
    let rows = driver.look(LANE_FACTS, vec![Arg::Texts(lanes), Arg::Texts(tresors)]).await;
    match rows {
        Ok(rows) => requests.into_iter().zip(rows).for_each(|(one, row)| {
            let facts = read(&row);
            if let Ok(facts) = &facts {
                seen.tell_time(facts.now.as_microsecond(), asked_at);
                if let Some(row) = row.opt_text(4).ok().flatten() {
                    seen.put_lane(&one.lane, facts, row);
                }
            }
            answer(one.answer, facts.map(Some));
        }),
        Err(error) => {
            scattered(&error);
            requests.into_iter().for_each(|one| answer(one.answer, Ok(None)));
        }
    }
}

fn read(row: &Row) -> Result<LaneFacts, StoreError> {
    Ok(LaneFacts {
        version: row.opt_int(0)?.unwrap_or(0),
        creator: row.opt_parsed(1, |text| UserId::new(text).ok())?,
        created_at: row.opt_int(2)?.map(timestamp).transpose()?,
        now: timestamp(row.int(3)?)?,
    })
}
