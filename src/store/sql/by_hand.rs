//! Verdicts that an operator gives by hand: an operation that is told what to decide before anybody works on it.
//!
//! The order is as durable as a notification, so that a daemon carries it out if the operator's own process dies.

use super::{intake, view};
use crate::domain::duration::micros;
use crate::domain::ids::FlowId;
use crate::flow::State;
use crate::store::StoreError;
use crate::store::connection::{Arg, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{HandOrder, Lease, OperationView, Ordered};

const INSERT: Sql = sql!(
    "insert into operations (id, kind, operation_id, flow_id, state, received_at, payload, by_hand, owner, fence, due_at) "
    "values ($1, $2, $3, $4, 'running', " NOW ", $5, $6, $7, 1, " NOW " + $8) "
    "on conflict (kind, operation_id) where state not in ('failed', 'refused') do nothing"
);
const TAKE_OVER: Sql = sql!(
    "update operations set by_hand = $2, state = 'running', tries = 0, owner = $3, fence = fence + 1, due_at = " NOW " + $4 "
    "where id = $1 and state = 'escalated' returning fence"
);

pub(super) async fn order(tx: &mut dyn Transaction, order: HandOrder) -> Result<Ordered, StoreError> {
    let by_hand = order.by_hand.to_json()?;
    let (owner, lease) = (order.owner.as_str(), micros(order.lease));
    let key = args![order.key.kind.as_str(), order.key.operation_id.as_str()];
    let mut args =
        args![order.id.to_string(), order.key.kind.as_str(), order.key.operation_id.as_str(), FlowId::generate().to_string(),];
    args.push(Arg::Bytes(order.payload));
    args.extend(args![by_hand.as_str(), owner, lease]);
    if intake::insert(tx, order.id, &order.key, INSERT, args).await? {
        return Ok(Ordered::Taken(Lease { id: order.id, fence: 1 }));
    }
    let view: Option<OperationView> = first(tx.rows(view::BY_KEY, key).await?).map(|row| view::read(&row)).transpose()?;
    let view = view.ok_or_else(|| StoreError::Corrupt("an operation is in the way and is not there".into()))?;
    if view.state == State::Escalated {
        let rows = tx.rows(TAKE_OVER, args![view.id.to_string(), by_hand, owner, lease]).await?;
        if let Some(row) = first(rows) {
            return Ok(Ordered::Taken(Lease { id: view.id, fence: row.int(0)? }));
        }
    }
    Ok(Ordered::InTheWay(Box::new(view)))
}
