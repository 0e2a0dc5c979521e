//! The third transaction: the outcome is written, the lane is freed and handed to whoever waited longest.

use super::types::Lane;
use super::{audit_time, effects, events, line, timestamp, transaction_now};
use crate::domain::duration::micros;
use crate::domain::ids::{DecisionId, OutcomeId, RecordId};
use crate::domain::kind::Kind;
use crate::domain::operation::OperationKey;
use crate::domain::verdict::Outcome;
use crate::flow::{Ending, Places, State};
use crate::store::StoreError;
use crate::store::connection::{Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{Finishing, Passed};
use jiff::Timestamp;

/// Of an operation that holds no lane.
const OWN: Sql = sql!("select case when home <> owner then home end, lane from operations where id = $1 and fence = $2");
const OUTCOME: Sql = sql!(
    "insert into outcomes (id, decision_id, at, kind, operation_id, outcome, error_code, detail, reconciled) "
    "values ($1" AS_UUID ", $2" AS_UUID ", $3" AS_TIME ", $4, $5, $6, $7, $8, $9)"
);
const SETTLE: Sql = sql!(
    "update operations set state = $3, outcome = $4, error_code = $5, settled_at = $6, "
    "due_at = null, owner = null, lane = null, parked_on = null, payload = null "
    "where id = $1 and fence = $2 and coalesce(due_at, 0) > 0 "
    // Before it has joined a flow its own is nobody's.
    "returning case when place_in_line is not null or decision_id is not null then flow_id end, has_effects"
);
/// Whoever has seen the counters is to look again. In the order in which they are locked everywhere.
const TOUCH_COUNTERS: Sql = sql!(
    "update limit_keys set limit_key = limit_key where limit_key" FOUND_AMONG "select k.limit_key from limit_keys k where "
    "k.limit_key" FOUND_AMONG "select p.limit_key from limit_places p where p.record_id = $1" THOSE " order by k.limit_key" IN_ORDER THOSE
);
const RELEASE_PLACES: Sql = sql!("delete from limit_places where record_id = $1");
const ERASE_REGISTRATION: Sql = sql!("delete from registrations where user_id = $1");
const OPEN_FLOW: Sql = sql!("update flows set open_since = $2 where id = $1");
/// Its approval conflicted: lost at the platform, and its client is told when it is its flow's turn.
const WAIT: Sql = sql!(
    "update operations set state = 'waiting', error_code = $3, wait_until = $4, "
    "due_at = null, owner = null, lane = null, parked_on = null, payload = null "
    "where id = $1 and fence = $2 and coalesce(due_at, 0) > 0 returning flow_id, has_effects"
);
const REMEMBER_TRESOR: Sql = sql!(
    "insert into tresors (id, creator_id, created_at) select tresor_id, actor_id, $2 from decisions "
    "where id = $1" AS_UUID " and tresor_id is not null and actor_id is not null on conflict (id) do nothing"
);

pub(super) async fn finish(tx: &mut dyn Transaction, finishing: Finishing<'_>) -> Result<Passed, StoreError> {
    let id = finishing.lease.id.to_string();
    let (lane, waits_elsewhere) = match line::move_held(tx, finishing.lease).await? {
        Some((lane, waits_elsewhere)) => (Some(lane), waits_elsewhere),
        None => {
            let own = first(tx.rows(OWN, args![id, finishing.lease.fence]).await?).ok_or(StoreError::Fenced)?;
            if own.opt_text(1)?.is_some() {
                return Err(StoreError::Corrupt("no lane".into()));
            }
            (None, own.opt_text(0)?.is_some())
        }
    };
    write_end(tx, finishing, lane.as_ref()).await?;
    if waits_elsewhere {
        line::notify(tx, finishing.lease.id).await?;
    }
    match lane {
        Some(lane) => line::hand_on(tx, &lane, finishing.rules).await,
        None => Ok(Passed::default()),
    }
}

/// Outcome and final state. The caller moves and hands on the lane.
pub(super) async fn write_end(tx: &mut dyn Transaction, finishing: Finishing<'_>, lane: Option<&Lane>) -> Result<(), StoreError> {
    let Finishing { lease, key, decision, ending, rules, .. } = finishing;
    let id = lease.id.to_string();
    let now = match lane {
        Some(lane) => timestamp(lane.now)?,
        None => transaction_now(tx).await?,
    };
    let waits = ending.state == State::Waiting;
    let settled = if waits {
        let until = now.as_microsecond().saturating_add(micros(rules.wait));
        tx.rows(WAIT, args![id.as_str(), lease.fence, ending.error_code.clone(), until]).await?
    } else {
        let args = args![
            id.as_str(),
            lease.fence,
            ending.state.as_str(),
            ending.outcome.as_str(),
            ending.error_code.clone(),
            now.as_microsecond(),
        ];
        tx.rows(SETTLE, args).await?
    };
    let settled = first(settled).ok_or(StoreError::Fenced)?;
    record_outcome(tx, key, decision, ending, now).await?;
    match (settled.opt_text(0)?, waits, ending.outcome) {
        (None, _, _) => {}
        (Some(flow), true, _) => {
            line::await_turn(tx, flow, now.as_microsecond(), lane.map(|lane| lane.name.as_str())).await?;
        }
        (Some(flow), false, Outcome::Superseded) => {
            tx.run(OPEN_FLOW, args![flow, now.as_microsecond()]).await?;
        }
        (Some(flow), false, _) => line::end_flow(tx, flow).await?,
    }
    let has_effects = settled.int(1)? != 0;
    follow(tx, Following { record: lease.id, key, decision, ending, has_effects, took_effect: now }).await?;
    if !waits {
        events::tell(tx, lease.id, ending.state.as_str(), &audit_time(now), rules).await?;
    }
    Ok(())
}

/// One more row for the auditor.
pub(super) async fn record_outcome(
    tx: &mut dyn Transaction,
    key: &OperationKey,
    decision: Option<DecisionId>,
    ending: &Ending,
    now: Timestamp,
) -> Result<(), StoreError> {
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
    tx.run(OUTCOME, args).await.map(|_| ())
}

/// What an end brings about beside itself.
pub(super) struct Following<'f> {
    pub(super) record: RecordId,
    pub(super) key: &'f OperationKey,
    pub(super) decision: Option<DecisionId>,
    pub(super) ending: &'f Ending,
    pub(super) has_effects: bool,
    pub(super) took_effect: Timestamp,
}

/// Places in limits, effects, secrets, and what is remembered of a tresor.
pub(super) async fn follow(tx: &mut dyn Transaction, following: Following<'_>) -> Result<(), StoreError> {
    let Following { record, key, decision, ending, has_effects, took_effect } = following;
    if ending.places() == Places::Release {
        tx.run(TOUCH_COUNTERS, args![record.to_string()]).await?;
        tx.run(RELEASE_PLACES, args![record.to_string()]).await?;
    }
    if has_effects {
        match decision.filter(|_| ending.outcome == Outcome::Applied) {
            Some(decision) => effects::activate(tx, record, decision).await?,
            None => effects::cancel(tx, record).await?,
        }
    }
    match (ending.state, key.kind, decision) {
        // The secret was used; nobody needs it any more.
        (State::Approved, Kind::UserValidation, _) => {
            tx.run(ERASE_REGISTRATION, args![key.operation_id.as_str()]).await.map(|_| ())
        }
        (State::Approved, Kind::TresorCreation, Some(decision)) => {
            tx.run(REMEMBER_TRESOR, args![decision.to_string(), took_effect.as_microsecond()]).await.map(|_| ())
        }
        _ => Ok(()),
    }
}
