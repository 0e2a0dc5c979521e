//! The outbox: what the web app is to be told is written with what it tells of, and delivered in order within a flow.

use super::{audit_time, transaction_now};
use crate::domain::duration::micros;
use crate::domain::ids::{ActionId, EventId, FlowId, RecordId};
use crate::domain::kind::Kind;
use crate::domain::operation_event::OperationEvent;
use crate::store::StoreError;
use crate::store::connection::{Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::outbox::{ClaimedEvent, Delivery, EventLease, EventView};
use crate::store::types::LaneRules;
use std::time::Duration;

const SUBJECT: Sql = sql!(
    "select o.flow_id, o.attempt, o.kind, o.operation_id, d.tresor_id, d.actor_id, d.subject_id, d.verdict, d.rules" AS_TEXT
    ", o.message, o.error_code from operations o left join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND " where o.id = $1"
);
const WRITE: Sql = sql!(
    "insert into events (id, record_id, flow_id, type, body, created_at, due_at) values ($1, $2, $3, $4, $5, " NOW ", " NOW ")"
);
/// One after the other within a flow.
const CLAIM: Sql = sql!(
    "update events set owner = $1, fence = fence + 1, due_at = " NOW " + $2 where seq" FOUND_AMONG "select e.seq from events e "
    "where e.due_at <= (select " NOW ") and not exists (select 1 from events o where o.flow_id = e.flow_id and o.state = 'pending' "
    "and o.seq < e.seq limit 1 offset 0) order by e.due_at limit $3" SKIP_LOCKED THOSE " returning seq, fence, id, type, body, tries"
);
/// Over, or to be sent again after a while; and whether another one of its flow waits for that.
const SETTLE: Sql = sql!(
    "update events set state = $4, due_at = " NOW " + $5, owner = null, settled_at = case when $4 <> 'pending' then " NOW " end, "
    "last_answer = $3, tries = tries + 1 where seq = $1 and fence = $2 and coalesce(due_at, 0) > 0 "
    "returning case when exists (select 1 from events n where n.flow_id = events.flow_id and n.state = 'pending' "
    "and n.seq > events.seq limit 1 offset 0) then 1 else 0 end"
);
/// Of what [`CLAIM`] would give: an event that waits for an earlier one is no reason to be awake.
pub(super) const NEXT: Sql = sql!(
    "select min(e.due_at) - " NOW " from events e where e.due_at is not null and not exists (select 1 from events o "
    "where o.flow_id = e.flow_id and o.state = 'pending' and o.seq < e.seq limit 1 offset 0)"
);
pub(super) const LIST: Sql = sql!(
    "select id, type, record_id, flow_id, state, tries, last_answer, created_at, due_at from events "
    "where ($1 = '' or state = $1) and ($1 <> '' or state <> 'delivered') order by seq limit $2"
);
const RESEND_ONE: Sql = sql!(
    "update events set state = 'pending', due_at = " NOW ", tries = 0, settled_at = null, fence = fence + 1, owner = null "
    "where id = $1 and state <> 'pending'"
);
const RESEND_DEAD: Sql = sql!(
    "update events set state = 'pending', due_at = " NOW ", tries = 0, settled_at = null, fence = fence + 1 where state = 'dead'"
);
const ACTED: Sql = sql!(
    "insert into operator_actions (id, at, operator, action, target, comment) values ($1" AS_UUID ", $2" AS_TIME ", $3, $4, $5, $6)"
);
pub(super) const ERASE: Sql = sql!("delete from events where state = 'delivered' and settled_at <= (select " NOW ") - $1");

/// Writes what the web app is to be told of an operation that has just come to a state.
pub(super) async fn tell(
    tx: &mut dyn Transaction,
    record: RecordId,
    state: &str,
    at: &str,
    rules: LaneRules,
) -> Result<(), StoreError> {
    if !rules.events {
        return Ok(());
    }
    let row = first(tx.rows(SUBJECT, args![record.to_string()]).await?);
    let row = row.ok_or_else(|| StoreError::Corrupt("an operation vanished".into()))?;
    let text = |index| row.opt_text(index).map(|text| text.map(str::to_owned));
    let flow = row.parsed(0, FlowId::parse)?;
    let event = OperationEvent {
        id: record.to_string(),
        flow_id: flow.to_string(),
        attempt: row.int(1)?,
        kind: row.parsed(2, Kind::parse)?,
        operation_id: row.text(3)?.to_owned(),
        tresor_id: text(4)?,
        actor_id: text(5)?,
        subject_id: text(6)?,
        verdict: text(7)?,
        rules: row.opt_parsed(8, |text| serde_json::from_str(text).ok())?.unwrap_or_default(),
        message: text(9)?,
        error_code: text(10)?,
    };
    let event_type = OperationEvent::type_of(state);
    let body = event.body(&event_type, at).to_string();
    let id = format!("evt_{}", EventId::generate().0.simple());
    tx.run(WRITE, args![id, record.to_string(), flow.to_string(), event_type, body]).await.map(|_| ())
}

pub(super) async fn claim(
    tx: &mut dyn Transaction,
    owner: &str,
    lease: Duration,
    limit: u32,
) -> Result<Vec<ClaimedEvent>, StoreError> {
    let rows = tx.rows(CLAIM, args![owner, micros(lease), i64::from(limit)]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ClaimedEvent, StoreError> {
    Ok(ClaimedEvent {
        lease: EventLease { seq: row.int(0)?, fence: row.int(1)? },
        id: row.text(2)?.to_owned(),
        event_type: row.text(3)?.to_owned(),
        body: row.text(4)?.to_owned(),
        tries: u32::try_from(row.int(5)?).unwrap_or(u32::MAX),
    })
}

pub(super) async fn finish(tx: &mut dyn Transaction, lease: EventLease, delivery: &Delivery) -> Result<bool, StoreError> {
    let (seq, fence) = (lease.seq, lease.fence);
    let (answer, state, delay) = match delivery {
        Delivery::Done(answer) => (answer, "delivered", None),
        Delivery::Dead(answer) => (answer, "dead", None),
        Delivery::Again { answer, delay } => (answer, "pending", Some(micros(*delay))),
    };
    let settled = tx.rows(SETTLE, args![seq, fence, answer.as_str(), state, delay]).await?;
    Ok(first(settled).ok_or(StoreError::Fenced)?.int(0)? != 0)
}

pub(super) fn view(row: &Row) -> Result<EventView, StoreError> {
    Ok(EventView {
        id: row.text(0)?.to_owned(),
        event_type: row.text(1)?.to_owned(),
        record_id: row.text(2)?.to_owned(),
        flow_id: row.text(3)?.to_owned(),
        state: row.text(4)?.to_owned(),
        tries: row.int(5)?,
        last_answer: row.opt_text(6)?.map(str::to_owned),
        created_at: super::timestamp(row.int(7)?)?,
        due_at: row.opt_int(8)?.map(super::timestamp).transpose()?,
    })
}

/// Sends one event again, or all that are dead; how many.
pub(super) async fn resend(tx: &mut dyn Transaction, id: Option<&str>, operator: &str) -> Result<u64, StoreError> {
    let touched = match id {
        Some(id) => tx.run(RESEND_ONE, args![id]).await?,
        None => tx.run(RESEND_DEAD, args![]).await?,
    };
    if touched > 0 {
        acted(tx, operator, "resend_events", id.unwrap_or("dead"), None).await?;
    }
    Ok(touched)
}

/// Records what an operator did, and to what.
pub(super) async fn acted(
    tx: &mut dyn Transaction,
    operator: &str,
    action: &str,
    target: &str,
    comment: Option<&str>,
) -> Result<String, StoreError> {
    let (id, now) = (ActionId::generate().to_string(), audit_time(transaction_now(tx).await?));
    let comment = comment.map(str::to_owned);
    tx.run(ACTED, args![id.as_str(), now, operator, action, target, comment]).await?;
    Ok(id)
}
