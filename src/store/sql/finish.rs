//! The third transaction: the outcome is written, the lane is freed and handed to whoever waited longest.

use super::{audit_time, effects, transaction_now};
use crate::domain::ids::{OutcomeId, RecordId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Outcome;
use crate::flow::{Places, State};
use crate::store::StoreError;
use crate::store::connection::{Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::types::Finishing;

const OWN: Sql = sql!("select lane from operations where id = $1 and fence = $2");
/// Every outcome moves the lane's version; the row stays locked until the commit.
const MOVE_LANE: Sql = sql!("update lanes set version = version + 1 where lane = $1");
const OUTCOME: Sql = sql!(
    "insert into outcomes (id, decision_id, at, kind, operation_id, outcome, error_code, detail, reconciled) "
    "values ($1" AS_UUID ", $2" AS_UUID ", $3" AS_TIME ", $4, $5, $6, $7, $8, $9)"
);
const SETTLE: Sql = sql!(
    "update operations set state = $3, outcome = $4, error_code = $5, settled_at = $6, "
    "due_at = null, owner = null, lane = null, parked_on = null, payload = null "
    "where id = $1 and fence = $2 and due_at is not null returning flow_id, has_effects"
);
const RELEASE_PLACES: Sql = sql!("delete from limit_places where record_id = $1");
const ERASE_REGISTRATION: Sql = sql!("delete from registrations where user_id = $1");
const OPEN_FLOW: Sql = sql!("update flows set open_since = $2 where id = $1");
const REMEMBER_TRESOR: Sql = sql!(
    "insert into tresors (id, creator_id, created_at) select tresor_id, actor_id, $2 from decisions "
    "where id = $1" AS_UUID " and tresor_id is not null and actor_id is not null on conflict (id) do nothing"
);
const HAND_ON: Sql = sql!(
    "update operations set lane = $1, parked_on = null, fence = fence + 1, due_at = " NOW
    " where id = (select id from operations where parked_on = $1 order by received_at, id limit 1) returning id"
);

pub(super) async fn finish(tx: &mut dyn Transaction, finishing: Finishing<'_>) -> Result<Option<RecordId>, StoreError> {
    let id = finishing.lease.id.to_string();
    let own = first(tx.rows(OWN, args![id.as_str(), finishing.lease.fence]).await?).ok_or(StoreError::Fenced)?;
    let lane = own.opt_text(0)?.map(str::to_owned);
    if let Some(lane) = &lane {
        tx.run(MOVE_LANE, args![lane.as_str()]).await?;
    }
    write_end(tx, finishing).await?;
    match lane {
        Some(lane) => hand_on(tx, &lane).await,
        None => Ok(None),
    }
}

/// Outcome and final state. The caller moves and hands on the lane.
pub(super) async fn write_end(tx: &mut dyn Transaction, finishing: Finishing<'_>) -> Result<(), StoreError> {
    let Finishing { lease, key, decision, ending } = finishing;
    let id = lease.id.to_string();
    let now = transaction_now(tx).await?;
    let args = args![
        id.as_str(),
        lease.fence,
        ending.state.as_str(),
        ending.outcome.as_str(),
        ending.error_code.clone(),
        now.as_microsecond(),
    ];
    let settled = first(tx.rows(SETTLE, args).await?).ok_or(StoreError::Fenced)?;
    let mut args = args![
        OutcomeId::generate().to_string(),
        decision.map(|decision| decision.to_string()),
        audit_time(now),
        key.kind.as_str(),
        key.operation_id.as_str(),
        ending.outcome.as_str(),
        ending.error_code.clone(),
        ending.detail.clone(),
    ];
    args.push(crate::store::connection::Arg::Bool(ending.reconciled));
    tx.run(OUTCOME, args).await?;
    if ending.places() == Places::Release {
        tx.run(RELEASE_PLACES, args![id.as_str()]).await?;
    }
    if ending.outcome == Outcome::Superseded {
        tx.run(OPEN_FLOW, args![settled.text(0)?, now.as_microsecond()]).await?;
    }
    if settled.int(1)? != 0 {
        match decision.filter(|_| ending.outcome == Outcome::Applied) {
            Some(decision) => effects::activate(tx, lease.id, decision).await?,
            None => effects::cancel(tx, lease.id).await?,
        }
    }
    if (ending.state, key.kind) == (State::Approved, Kind::UserValidation) {
        // The secret was used; nobody needs it any more.
        tx.run(ERASE_REGISTRATION, args![key.operation_id.as_str()]).await?;
    }
    if let (State::Approved, Kind::TresorCreation, Some(decision)) = (ending.state, key.kind, decision) {
        tx.run(REMEMBER_TRESOR, args![decision.to_string(), now.as_microsecond()]).await?;
    }
    Ok(())
}

/// Gives the lane, whose row this transaction has locked, to whoever waited longest.
pub(super) async fn hand_on(tx: &mut dyn Transaction, lane: &str) -> Result<Option<RecordId>, StoreError> {
    let row = first(tx.rows(HAND_ON, args![lane]).await?);
    row.map(|row| row.parsed(0, RecordId::parse)).transpose()
}
