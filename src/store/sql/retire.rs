//! Operations that have come to their end leave the queue, so that it stays as small as what is open.

use crate::domain::duration::micros;
use crate::domain::ids::RecordId;
use crate::store::StoreError;
use crate::store::connection::{Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use std::time::Duration;

/// How many are looked at in one transaction.
const PAGE: i64 = 1_000;

/// The last of the next so many that are old enough, in the order in which they were received.
const LAST: Sql = sql!(
    "select max(id), count(*) from (select id, received_at from operations where id > $1 order by id limit $2) page "
    "where received_at <= " NOW " - $3"
);
/// The release that is the first to know where they go, and all after it, connect with the number of their schema.
const OTHERS_LOOK_HERE: Sql = Sql {
    postgres: "select count(*) from pg_stat_activity where datname = current_database() and (application_name = 'assent' \
               or application_name like 'assent 2%' and application_name < 'assent 20261129000000')",
    sqlite: "select 0",
};
const COPY: Sql = sql!(
    "insert into finished_operations (id, kind, operation_id, flow_id, attempt, state, received_at, decision_id, verdict, message, "
    "decided_at, outcome, error_code, settled_at) select id, kind, operation_id, flow_id, attempt, state, received_at, decision_id, "
    "verdict, message, decided_at, outcome, error_code, settled_at from operations where id > $1 and id <= $2 "
    "and (state in ('approved', 'rejected', 'superseded', 'failed', 'refused') or state = 'unknown' and verdict is null) and settled_at <= " NOW " - $3 order by id "
    // Another replica does the same.
    "on conflict (id) do nothing"
);
const REMOVE: Sql = sql!(
    "delete from operations where id > $1 and id <= $2 and exists (select 1 from finished_operations f where f.id = operations.id limit 1 offset 0)"
);

/// Moves those out of the queue that ended so long ago, from one on; where to go on, or nothing at the end. What was only observed
/// never has an end, and nobody looks for it. None of them while a release works beside this one that would not find them.
pub(super) async fn retire(
    tx: &mut dyn Transaction,
    after: Option<RecordId>,
    older_than: Duration,
) -> Result<Option<RecordId>, StoreError> {
    let one = |rows| first(rows).ok_or_else(|| StoreError::Corrupt("a count has no row".into()));
    if one(tx.rows(OTHERS_LOOK_HERE, args![]).await?)?.int(0)? > 0 {
        return Ok(None);
    }
    let (after, age) = (after.map_or_else(String::new, |id| id.to_string()), micros(older_than));
    let page = one(tx.rows(LAST, args![after.as_str(), PAGE, age]).await?)?;
    let Some(last) = page.opt_text(0)? else { return Ok(None) };
    tx.run(COPY, args![after.as_str(), last, age]).await?;
    tx.run(REMOVE, args![after.as_str(), last]).await?;
    if page.int(1)? == PAGE { page.parsed(0, RecordId::parse).map(Some) } else { Ok(None) }
}
