//! Pauses: verdicts are stopped on everything or on one lane, and intake goes on.

use super::{events, line, timestamp};
use crate::store::StoreError;
use crate::store::connection::{Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::operating::{EVERYTHING, PauseView};

const PAUSE: Sql =
    sql!("insert into pauses (scope, since, operator, comment) values ($1, " NOW ", $2, $3) on conflict (scope) do nothing");
/// Waits for every decision that is being made, and lets none begin before the pause stands.
const STOP_LANES: Sql = Sql { postgres: "lock table lanes in share mode", sqlite: "select 1 where 1 = 0" };
/// Taken first: a decision that saw the pause has set its operation aside by now, and none does after this.
const RESUME: Sql = sql!("delete from pauses where scope = $1");
const GO_ON: Sql = sql!("update operations set paused_on = null, due_at = " NOW " where paused_on = $1");
/// Read again under a lock, so that nothing is set aside for a pause that is just being ended.
const IN_FORCE: Sql = sql!("select scope from pauses where scope in ('*', $1) order by scope" SHARED_LOCK);
const SET_ASIDE: Sql = sql!(
    "update operations set paused_on = $3, due_at = null, owner = null, lane = null, parked_on = null "
    "where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
);
pub(super) const LIST: Sql = sql!(
    "select p.scope, p.since, p.operator, p.comment, (select count(*) from operations o where o.paused_on = p.scope) "
    "from pauses p order by p.since, p.scope"
);

pub(super) async fn pause(
    tx: &mut dyn Transaction,
    scope: &str,
    operator: &str,
    comment: Option<&str>,
) -> Result<bool, StoreError> {
    if scope == EVERYTHING {
        tx.run(STOP_LANES, args![]).await?;
    } else {
        line::lock(tx, scope).await?;
    }
    let is_new = tx.run(PAUSE, args![scope, operator, comment.map(str::to_owned)]).await? == 1;
    if is_new {
        events::acted(tx, operator, "pause", scope, comment).await?;
    }
    Ok(is_new)
}

pub(super) async fn resume(
    tx: &mut dyn Transaction,
    scope: &str,
    operator: &str,
    comment: Option<&str>,
) -> Result<Option<u64>, StoreError> {
    if tx.run(RESUME, args![scope]).await? == 0 {
        return Ok(None);
    }
    events::acted(tx, operator, "resume", scope, comment).await?;
    tx.run(GO_ON, args![scope]).await.map(Some)
}

/// Sets an operation aside if a pause is in force for it; whether one was.
pub(super) async fn set_aside(tx: &mut dyn Transaction, id: &str, fence: i64, lane: &str) -> Result<bool, StoreError> {
    let Some(row) = first(tx.rows(IN_FORCE, args![lane]).await?) else { return Ok(false) };
    super::fenced(tx.run(SET_ASIDE, args![id, fence, row.text(0)?]).await?)?;
    Ok(true)
}

pub(super) fn view(row: &Row) -> Result<PauseView, StoreError> {
    Ok(PauseView {
        scope: row.text(0)?.to_owned(),
        since: timestamp(row.int(1)?)?,
        operator: row.text(2)?.to_owned(),
        comment: row.opt_text(3)?.map(str::to_owned),
        waiting: row.int(4)?,
    })
}
