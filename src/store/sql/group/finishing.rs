//! Ends of a group: verdicts that took effect, by rulings that this process has still in hand, on lanes that nobody is in line
//! for. Every other end is written by itself.

use super::super::timestamp;
use super::deliveries::{self, Deliveries};
use super::seen::Seen;
use super::statements::END;
use super::{answer, failed};
use crate::domain::duration::micros;
use crate::domain::ids::{DecisionId, EventId, OutcomeId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::Lane;
use crate::domain::operation_event::OperationEvent;
use crate::domain::verdict::Outcome;
use crate::fault::Step;
use crate::flow::{Ending, State};
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row};
use crate::store::group::Answer;
use crate::store::outbox::{ClaimedEvent, EventLease};
use crate::store::types::{Finished, Finishing, LaneRules, Lease, Passed};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Stands in an event's body for the time, which the database puts in its place.
const NO_TIME: &str = "0001-01-01T00:00:00.000000Z";

pub(in crate::store::sql) struct Request {
    lease: Lease,
    pub(super) lane: String,
    decision: DecisionId,
    ending: Ending,
    rules: LaneRules,
    replica: String,
    told: OperationEvent,
    event_id: String,
    /// For how long the event belongs to the replica, if it delivers it at once.
    deliver_within: Option<i64>,
    pub(in crate::store::sql) answer: Answer<Finished, StoreError>,
}

impl Request {
    /// What is to be written; nothing where it is not plain.
    pub(in crate::store::sql) fn of(finishing: &Finishing<'_>, answer: Answer<Finished, StoreError>) -> Option<Self> {
        let Finishing { lease, key, decision, ending, rules, ruling, replica, deliver_within } = *finishing;
        let (ruling, decision) = (ruling?, decision?);
        let is_plain = ending.outcome == Outcome::Applied
            && matches!(ending.state, State::Approved | State::Rejected)
            && key.kind != Kind::UserValidation
            && ruling.effects.is_empty()
            && ruling.record.id == decision;
        if !is_plain {
            return None;
        }
        let record = &ruling.record;
        let told = OperationEvent {
            id: lease.id.to_string(),
            flow_id: record.flow.to_string(),
            attempt: i64::from(record.attempt),
            kind: key.kind,
            operation_id: key.operation_id.to_string(),
            tresor_id: record.intent.tresor.as_ref().map(ToString::to_string),
            actor_id: record.intent.actor.as_ref().map(ToString::to_string),
            subject_id: record.intent.subject.as_ref().map(ToString::to_string),
            verdict: Some(record.verdict.as_str().to_owned()),
            rules: record.rules.clone(),
            message: ruling.message.clone(),
            error_code: ending.error_code.clone(),
        };
        Some(Self {
            lease,
            lane: Lane::of(&record.intent).as_str().to_owned(),
            decision,
            ending: ending.clone(),
            rules,
            replica: replica.to_owned(),
            told,
            event_id: format!("evt_{}", EventId::generate().0.simple()),
            deliver_within: deliver_within.map(micros),
            answer,
        })
    }

    /// The tresor that it has created, and who that was.
    fn created(&self) -> Option<(&str, &str)> {
        let is_created = self.told.kind == Kind::TresorCreation && self.ending.state == State::Approved;
        self.told.tresor_id.as_deref().zip(self.told.actor_id.as_deref()).filter(|_| is_created)
    }

    fn event_type(&self) -> String {
        OperationEvent::type_of(self.ending.state.as_str())
    }
}

/// Writes ends, with the deliveries that wait.
pub(super) async fn run<D: Driver>(driver: Arc<D>, seen: Arc<Seen>, deliveries: Arc<Deliveries>, mut requests: Vec<Request>) {
    // The order in which lanes are taken.
    requests.sort_by(|one, other| one.lane.cmp(&other.lane));
    let delivered = deliveries.take();
    let step = if requests.is_empty() { Step::FinishEvent } else { Step::Finish };
    let columns = columns(&requests).into_iter().chain(deliveries::columns(&delivered)).collect();
    let asked_at = Instant::now();
    match driver.write(step, END, columns).await.and_then(|rows| Written::read(&rows)) {
        Ok(Written { mut ends, follows }) => {
            for one in requests {
                let end = ends.remove(&one.lease.id.to_string());
                match &end {
                    Some(end) => remember(&seen, &one, end, asked_at),
                    None => seen.forget_lane(&one.lane),
                }
                let finished = end.map(|end| finished(&one, end)).transpose();
                answer(one.answer, finished);
            }
            deliveries::settle(delivered, &follows);
        }
        Err(error) => {
            let whole = failed::<Finished>(&error);
            for one in requests {
                seen.forget_lane(&one.lane);
                answer(one.answer, whole.clone());
            }
            deliveries::scatter(delivered);
        }
    }
}

/// The end of one operation.
struct End {
    at: i64,
    lane_version: i64,
    /// Nothing where something else is recorded of the tresor than was written.
    lane_row: Option<String>,
    /// The event that is delivered at once: lease and body.
    event: Option<(EventLease, String)>,
}

/// What a transaction came to.
struct Written {
    ends: HashMap<String, End>,
    follows: HashMap<i64, bool>,
}

impl Written {
    fn read(rows: &[Row]) -> Result<Self, StoreError> {
        let mut written = Self { ends: HashMap::new(), follows: HashMap::new() };
        // An end comes before its event.
        for row in rows {
            match row.int(0)? {
                0 => {
                    let end = End {
                        at: row.int(2)?,
                        lane_version: row.int(3)?,
                        lane_row: row.opt_text(4)?.map(str::to_owned),
                        event: None,
                    };
                    written.ends.insert(row.text(1)?.to_owned(), end);
                }
                1 => {
                    let event = (EventLease { seq: row.int(2)?, fence: row.int(3)? }, row.text(4)?.to_owned());
                    written.ends.entry(row.text(1)?.to_owned()).and_modify(|end| end.event = Some(event));
                }
                _ => drop(written.follows.insert(row.int(2)?, row.int(3)? != 0)),
            }
        }
        Ok(written)
    }
}

/// The lane is free, as old as that has made it. What is recorded of a tresor that was not created is read when somebody comes there.
fn remember(seen: &Seen, one: &Request, end: &End, asked_at: Instant) {
    seen.tell_time(end.at, asked_at);
    let created = one.created().and_then(|(_, creator)| Some((UserId::new(creator).ok()?, timestamp(end.at).ok()?)));
    let is_known = created.is_some() || one.told.kind != Kind::TresorCreation;
    match end.lane_row.as_deref().filter(|_| is_known) {
        Some(row) => seen.freed(&one.lane, end.lane_version, row, created),
        None => seen.forget_lane(&one.lane),
    }
}

fn finished(one: &Request, end: End) -> Result<Finished, StoreError> {
    let event = end.event.map(|(lease, body)| ClaimedEvent {
        lease,
        id: one.event_id.clone(),
        event_type: one.event_type(),
        body,
        tries: 0,
    });
    Ok(Finished { passed: Passed::default(), at: Some(timestamp(end.at)?), event })
}

fn columns(ends: &[Request]) -> Vec<Arg> {
    let texts = |of: &dyn Fn(&Request) -> Option<String>| Arg::Texts(ends.iter().map(of).collect());
    let of_events = |of: fn(&Request) -> String| texts(&move |one| one.rules.events.then(|| of(one)));
    vec![
        texts(&|one| Some(one.lease.id.to_string())),
        Arg::Ints(ends.iter().map(|one| Some(one.lease.fence)).collect()),
        texts(&|one| Some(one.lane.clone())),
        texts(&|one| Some(one.ending.state.as_str().to_owned())),
        texts(&|one| one.ending.error_code.clone()),
        texts(&|_| Some(OutcomeId::generate().to_string())),
        texts(&|one| Some(one.decision.to_string())),
        texts(&|one| Some(one.told.kind.as_str().to_owned())),
        texts(&|one| Some(one.told.operation_id.clone())),
        Arg::Bools(ends.iter().map(|one| one.ending.reconciled).collect()),
        texts(&|one| one.ending.detail.clone()),
        texts(&|one| Some(one.told.flow_id.clone())),
        texts(&|one| Some(one.replica.clone())),
        texts(&|one| one.created().map(|(tresor, _)| tresor.to_owned())),
        texts(&|one| one.created().map(|(_, creator)| creator.to_owned())),
        of_events(|one| one.event_id.clone()),
        of_events(Request::event_type),
        of_events(|one| one.told.body(&one.event_type(), NO_TIME).to_string()),
        Arg::Ints(ends.iter().map(|one| one.deliver_within).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::audit_time;

    #[test]
    fn the_place_of_the_time_is_as_long_as_a_time() {
        assert_eq!(NO_TIME.len(), audit_time(jiff::Timestamp::UNIX_EPOCH).len());
    }
}
