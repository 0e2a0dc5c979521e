//! Effects beyond the verdict: planned with the decision, due with the outcome, then worked off like operations.

use super::{audit_time, fenced, transaction_now};
use crate::domain::duration::micros;
use crate::domain::effect::{Action, Effect};
use crate::domain::ids::{DecisionId, EffectId, RecordId, UserId};
use crate::store::StoreError;
use crate::store::connection::{Arg, Row, Transaction, args};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{ClaimedEffect, EffectLease, EffectResult, Ruling};
use std::time::Duration;

const PLAN: Sql = sql!(
    "insert into effects (id, decision_id, record_id, rule, action, user_id, enable, state, intended_at, result_at, error_code) "
    "values ($1, $2" AS_UUID ", $3, $4, $5, $6, $7, $8, $9" AS_TIME ", $10" AS_TIME ", $11)"
);
/// What an earlier ruling on the same operation planned is not to happen any more.
const CANCEL: Sql = sql!(
    "update effects set state = 'cancelled', result_at = $2" AS_TIME " where record_id = $1 and state = 'planned'"
);
/// What a later decision wants of the same user has the last word, however late it is known that this one took effect.
const OVERTAKEN: Sql = sql!(
    "update effects set state = 'cancelled', result_at = $2" AS_TIME ", error_code = 'Overtaken' where decision_id = $1" AS_UUID
    " and state = 'planned' and exists (select 1 from effects o where o.user_id = effects.user_id and o.action = effects.action "
    "and o.intended_at > effects.intended_at and o.state in ('due', 'done') limit 1 offset 0)"
);
const ACTIVATE: Sql = sql!(
    "update effects set state = 'due', due_at = " NOW ", active_since = " NOW
    " where decision_id = $1" AS_UUID " and state = 'planned'"
);
/// One after the other for one user and action, so that the last decision has the last word.
const CLAIM: Sql = sql!(
    "update effects set owner = $1, fence = fence + 1, due_at = " NOW " + $2 where id" FOUND_AMONG "select e.id from effects e "
    "where e.due_at <= (select " NOW ") and not exists (select 1 from effects o where o.user_id = e.user_id and o.action = e.action "
    "and o.due_at is not null and (o.active_since, o.id) < (e.active_since, e.id) limit 1 offset 0) order by e.due_at limit $3" SKIP_LOCKED
    THOSE " returning id, fence, rule, action, user_id, enable, tries"
);
/// Of what [`CLAIM`] would give: an effect that waits for an earlier one is no reason to be awake.
pub(super) const NEXT: Sql = sql!(
    "select min(e.due_at) - " NOW " from effects e where e.due_at is not null and not exists (select 1 from effects o "
    "where o.user_id = e.user_id and o.action = e.action and o.due_at is not null and (o.active_since, o.id) < (e.active_since, e.id) limit 1 offset 0)"
);
const AGAIN: Sql = sql!(
    "update effects set due_at = " NOW " + $3, owner = null, tries = tries + $4 where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
);
const FINISH: Sql = sql!(
    "update effects set state = $3, result_at = $4" AS_TIME ", error_code = $5, due_at = null, owner = null "
    "where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
);

/// Plans what the ruling wants. An effect on a user whom nobody knows has failed before it began.
pub(super) async fn plan(tx: &mut dyn Transaction, record: RecordId, ruling: &Ruling) -> Result<(), StoreError> {
    let at = audit_time(ruling.record.decided_at);
    for effect in &ruling.effects {
        let known = effect.user.is_some();
        let mut args = args![
            EffectId::generate().to_string(),
            ruling.record.id.to_string(),
            record.to_string(),
            effect.rule.as_str(),
            effect.action.as_str(),
            effect.user.as_ref().map(ToString::to_string),
        ];
        args.push(Arg::Bool(effect.enable));
        args.extend(args![
            if known { "planned" } else { "failed" },
            at.as_str(),
            (!known).then(|| at.clone()),
            (!known).then(|| "UserUnknown".to_owned()),
        ]);
        tx.run(PLAN, args).await?;
    }
    Ok(())
}

/// The verdict took effect, so what follows from it is due; what other rulings on the operation planned is not.
pub(super) async fn activate(tx: &mut dyn Transaction, record: RecordId, decision: DecisionId) -> Result<(), StoreError> {
    let now = audit_time(transaction_now(tx).await?);
    tx.run(OVERTAKEN, args![decision.to_string(), now]).await?;
    tx.run(ACTIVATE, args![decision.to_string()]).await?;
    cancel(tx, record).await
}

/// Nothing that was planned for the operation is to happen.
pub(super) async fn cancel(tx: &mut dyn Transaction, record: RecordId) -> Result<(), StoreError> {
    let now = audit_time(transaction_now(tx).await?);
    tx.run(CANCEL, args![record.to_string(), now]).await.map(|_| ())
}

pub(super) async fn claim(
    tx: &mut dyn Transaction,
    owner: &str,
    lease: Duration,
    limit: u32,
) -> Result<Vec<ClaimedEffect>, StoreError> {
    let rows = tx.rows(CLAIM, args![owner, micros(lease), i64::from(limit)]).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn again(tx: &mut dyn Transaction, lease: EffectLease, delay: Duration, counts: bool) -> Result<(), StoreError> {
    fenced(tx.run(AGAIN, args![lease.id.to_string(), lease.fence, micros(delay), i64::from(counts)]).await?)
}

pub(super) async fn finish(tx: &mut dyn Transaction, lease: EffectLease, result: &EffectResult) -> Result<(), StoreError> {
    let now = audit_time(transaction_now(tx).await?);
    let (state, code) = match result {
        EffectResult::Done => ("done", None),
        EffectResult::Failed(code) => ("failed", Some(code.clone())),
    };
    fenced(tx.run(FINISH, args![lease.id.to_string(), lease.fence, state, now, code]).await?)
}

fn read(row: &Row) -> Result<ClaimedEffect, StoreError> {
    Ok(ClaimedEffect {
        lease: EffectLease { id: row.parsed(0, EffectId::parse)?, fence: row.int(1)? },
        effect: Effect {
            rule: row.text(2)?.to_owned(),
            action: row.parsed(3, Action::parse)?,
            user: row.opt_parsed(4, |text| UserId::new(text).ok())?,
            enable: row.int(5)? != 0,
        },
        tries: u32::try_from(row.int(6)?).unwrap_or(u32::MAX),
    })
}
