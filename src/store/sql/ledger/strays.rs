//! Rows without a leaf under a checkpoint that do not wait for one. The time is part of a row's name, too: nobody may put another
//! row of the same id beside it.

use super::rows;
use crate::audit::{Stream, TreeHash};
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, args};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LEAVES_AT_ONCE, LeafRow, RowPlace, RowsSeen, Stray};

/// Those of a table, which is `t`, with the id that it has in the tree, and the name of its time; conditions that begin with `and`.
macro_rules! strays {
    ([$($from:tt)+] [$($id:tt)+] $at:literal $number:literal [$($and:tt)+] $limit:tt) => {
        // Those without a leaf are few: only they are held against what waits, of which nobody has made statistics.
        sql!(
            "with rest as materialized (select t.id, t." $at " as at, " $($id)+ " as row_id from " $($from)+ " where not exists (select 1 from \
             leaves l where l.id = " $($id)+ " and l.at = t." $at " and l.stream = " $number " and l.leaf >= 0 and l.leaf < (select \
             coalesce(max(size), 0) from checkpoints))" $($and)+ "), strays as materialized (select r.id from rest r where not exists (select 1 \
             from unsealed u where u.id = r.row_id and u.at = r.at and u.stream = " $number ") and not exists (select 1 from unsealed_history u \
             where u.id = r.row_id and u.at = r.at and u.stream = " $number ")) select coalesce(cast(id as text), 'without an id') from strays limit " $limit
        )
    };
}

/// Those of a whole table; of one that is kept by months only where it was not seen.
const fn unseen(stream: Stream) -> Sql {
    match stream {
        Stream::Decision => strays!(
            ["decisions t"] ["t.id"] "decided_at" "1" [" and (t.decided_at <= $2" AS_TIME " or t.decided_at >= $3" AS_TIME " or t.decided_at is null or t.id is null)"] "$1"
        ),
        Stream::Outcome => {
            strays!(["outcomes t"] ["t.id"] "at" "2" [" and (t.at <= $2" AS_TIME " or t.at >= $3" AS_TIME " or t.at is null or t.id is null)"] "$1")
        }
        Stream::Review => strays!(["reviews t"] ["t.id"] "at" "3" [""] "$1"),
        Stream::OperatorAction => strays!(["operator_actions t"] ["t.id"] "at" "4" [""] "$1"),
        Stream::PolicyActivation => strays!(["policy_activations t"] [ACTIVATION_ID] "at" "5" [""] "$1"),
        Stream::ConfigurationChange => strays!(["configuration_changes t"] ["t.id"] "at" "6" [""] "$1"),
    }
}

/// Those among rows that are asked for.
const fn among(stream: Stream) -> Option<Sql> {
    match stream {
        Stream::Decision => Some(strays!(
            [ROWS_OF_1 " join decisions t on t.decided_at = n.row_at and t.id = n.row_id"] ["t.id"] "decided_at" "1" [""] AFTER_ROWS
        )),
        Stream::Outcome => Some(strays!(
            [ROWS_OF_1 " join outcomes t on t.at = n.row_at and t.id = n.row_id"] ["t.id"] "at" "2" [""] AFTER_ROWS
        )),
        _ => None,
    }
}

/// Parts of tables that are elsewhere: nobody makes sure that they hold rows of their months alone.
const ELSEWHERE: Sql = Sql {
    postgres: "select i.inhrelid::regclass::text from pg_inherits i join pg_class c on c.oid = i.inhrelid \
               where i.inhparent in ('decisions'::regclass, 'outcomes'::regclass) and c.relkind <> 'r'",
    sqlite: "select '' where 1 = 0",
};

pub(super) async fn find<D: Driver>(driver: &D, seen: &[RowsSeen], limit: u32) -> Result<Vec<Stray>, StoreError> {
    let (mut found, limit) = (Vec::new(), i64::from(limit));
    let is_whole = driver.read(ELSEWHERE, args![]).await?.is_empty();
    for stream in Stream::ALL {
        let seen = seen.iter().find(|seen| is_whole && seen.stream == stream);
        for (sql, args) in asked(stream, seen, limit) {
            for row in driver.read(sql, args).await? {
                found.push(Stray { stream, id: row.text(0)?.to_owned() });
            }
        }
    }
    Ok(found)
}

fn asked(stream: Stream, seen: Option<&RowsSeen>, limit: i64) -> Vec<(Sql, Vec<Arg>)> {
    let leaf = |place: &RowPlace| LeafRow { index: 0, stream, place: *place, hash: TreeHash([0; 32]) };
    let mut asked = Vec::new();
    if let (Some(seen), Some(among)) = (seen, among(stream)) {
        for some in seen.unclaimed.chunks(LEAVES_AT_ONCE as usize) {
            asked.push((among, vec![rows::wanted_of(&some.iter().map(leaf).collect::<Vec<_>>()), limit.into()]));
        }
    }
    // Until a moment and from it on is always.
    let always = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::UNIX_EPOCH);
    let (after, before) = seen.map_or(always, |seen| (seen.after, seen.before));
    let times = if stream.has_months() { args![limit, after, before] } else { args![limit] };
    asked.push((unseen(stream), times));
    asked
}
