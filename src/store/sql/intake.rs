//! The first transaction: a notification becomes an operation, once.

use super::view;
use crate::domain::duration::micros;
use crate::domain::ids::{FlowId, RecordId};
use crate::domain::operation::OperationKey;
use crate::flow::State;
use crate::store::StoreError;
use crate::store::connection::{Arg, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::incoming::{NewOperation, Received};
use crate::store::types::{Lease, OperationView};

const REMEMBER: Sql = sql!(
    "insert into notifications (webhook_id, body_mac, record_id, received_at) values ($1, $2, $3, " NOW
    ") on conflict (webhook_id) do nothing"
);
const RECALL: Sql = sql!("select body_mac, record_id from notifications where webhook_id = $1");
const POINT: Sql = sql!("update notifications set record_id = $2 where webhook_id = $1");
const INSERT: Sql = sql!(
    "insert into operations (id, kind, operation_id, requester_id, flow_id, requested_flow, state, received_at, payload, "
    "owner, fence, due_at, home) values ($1, $2, $3, $4, $5, $6, $7, " NOW ", $8, $9, $10, " NOW " + $11, $12) "
    "on conflict (kind, operation_id) where state not in ('failed', 'refused') do nothing"
);

/// An operation that has left the queue is in its way.
const WITHDRAW: Sql = sql!(
    "delete from operations where id = $1 and exists (select 1 from finished_operations f where f.kind = $2 and f.operation_id = $3 "
    "and f.state not in ('failed', 'refused') limit 1 offset 0)"
);

/// Makes an operation, unless there is one already; whether it did. Of those in the queue the statement itself knows; those that have
/// left it are looked for afterwards, as one may leave while the row is made.
pub(super) async fn insert(
    tx: &mut dyn Transaction,
    id: RecordId,
    key: &OperationKey,
    statement: Sql,
    args: Vec<Arg>,
) -> Result<bool, StoreError> {
    let withdraw = args![id.to_string(), key.kind.as_str(), key.operation_id.as_str()];
    Ok(tx.run(statement, args).await? == 1 && tx.run(WITHDRAW, withdraw).await? == 0)
}

pub(super) async fn receive(tx: &mut dyn Transaction, mut new: NewOperation) -> Result<Received, StoreError> {
    let fresh = tx.run(REMEMBER, args![new.webhook_id.as_str(), new.body_mac.as_str(), new.id.to_string()]).await? == 1;
    if !fresh {
        let row = first(tx.rows(RECALL, args![new.webhook_id.as_str()]).await?);
        let row = row.ok_or_else(|| StoreError::Corrupt("a notification vanished".into()))?;
        if row.text(0)? != new.body_mac {
            return Ok(Received::WebhookReused);
        }
        let id = row.parsed(1, RecordId::parse)?;
        let rows = tx.rows(view::BY_ID, args![id.to_string()]).await?;
        return known(first(rows).map(|row| view::read(&row)).transpose()?);
    }
    // What was asked for is joined when it is known whose flow it is.
    let flow = FlowId::generate();
    let requester = new.requester.as_ref().map(ToString::to_string);
    let (owner, fence, delay) = match &new.lease {
        Some(duration) => (Some(new.replica.clone()), 1_i64, micros(*duration)),
        None => (None, 0, 0),
    };
    let state = if new.lease.is_some() { "running" } else { "received" };
    let mut args = args![
        new.id.to_string(),
        new.key.kind.as_str(),
        new.key.operation_id.as_str(),
        requester,
        flow.to_string(),
        new.requested_flow.map(|flow| flow.to_string()),
        state,
    ];
    let is_complete = new.payload.is_some();
    args.push(Arg::Bytes(new.payload.take()));
    args.extend(args![owner, fence, delay, new.replica.as_str()]);
    // A second time, if the record that was in the way has failed meanwhile and is in the way no more.
    let mut inserted = insert(tx, new.id, &new.key, INSERT, args.clone()).await?;
    if !inserted {
        let rows = tx.rows(view::BY_KEY, args![new.key.kind.as_str(), new.key.operation_id.as_str()]).await?;
        let view = first(rows).map(|row| view::read(&row)).transpose()?;
        let reopens = view.as_ref().is_some_and(|view| matches!(view.state, State::Failed | State::Refused));
        inserted = reopens && insert(tx, new.id, &new.key, INSERT, args).await?;
        if !inserted {
            if let Some(view) = &view {
                tx.run(POINT, args![new.webhook_id.as_str(), view.id.to_string()]).await?;
            }
            return known(view);
        }
    }
    if !is_complete {
        return Ok(Received::Incomplete);
    }
    Ok(taken_in(&new, flow))
}

/// How an operation stands that was just taken in, and the lease on it if there is one.
pub(super) fn taken_in(new: &NewOperation, flow_id: FlowId) -> Received {
    Received::New(new.view(flow_id), new.lease.map(|_| Lease::first(new.id)))
}

fn known(view: Option<OperationView>) -> Result<Received, StoreError> {
    view.map(Received::Known).ok_or_else(|| StoreError::Corrupt("a notification names no operation".into()))
}
