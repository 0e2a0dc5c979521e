//! The decision log as a tree: which statements read and write it. What a leaf is, and how the tree grows, is `audit`'s.

mod fresh;
pub(super) mod rows;
mod sealing;
mod strays;

use super::{SqlStore, audit_time, transaction_now};
use crate::audit::{Checkpoint, CountedAs, LeafRecord, LogKey, Nodes, Run, Stream, canonical, stored_json};
use crate::domain::ids::EventId;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Driver, Row, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LEAVES_AT_ONCE, LeafRow, Ledger, RowPlace, RowsInOrder, RowsSeen, Sealed, Stray};
use async_trait::async_trait;
use sealing::{hash, index, note};

pub(super) use fresh::FreshLeaves;
pub(super) use sealing::{ON_AT_MOST, number};
use serde_json::Value;

const WAITING: Sql = sql!("select (select count(*) from unsealed) + (select count(*) from unsealed_history)");
const COSIGNED: Sql = sql!("select line from cosignatures where size = $1 order by line");
const CHECKPOINTS: Sql = sql!("select note, size from checkpoints where size > $1 and size <= $2 order by size");
const COSIGN: Sql =
    sql!("insert into cosignatures (size, line, at) values ($1, $2, $3" AS_TIME ") on conflict (size, line) do nothing");
const LEAVES: Sql = sql!("select leaf, stream, id, at, hash from leaves where leaf >= $1 and leaf < $2 order by leaf limit $3");
const LEAF_OF: Sql =
    sql!("select leaf, stream, id, at, hash from leaves where id = $1" AS_UUID " and stream = $2 order by leaf limit 1");
const OUTSIDE: Sql =
    sql!("select count(*) from leaves where leaf < 0 or leaf >= (select coalesce(max(size), 0) from checkpoints)");
const SEALED_COUNTS: Sql = sql!(
    "select s.size, c.day" AS_TEXT ", c.kind, c.verdict, c.rules" AS_TEXT ", c.decisions from (select coalesce(max(size), 0) as size from \
     checkpoints) s left join decision_counts c on true"
);
const FORGOTTEN: Sql = sql!("select count(*) from operator_actions where action = 'forget' and target = $1");
const POLICIES: Sql = sql!("select hash, body from policies where hash > $1 order by hash limit $2");
const LAST_CONFIGURATION: Sql =
    sql!("select body" AS_TEXT ", version from configuration_changes order by at desc, id desc limit 1");
const CONFIGURED: Sql = sql!("insert into configuration_changes (id, at, replica, version, body) values ($1" AS_UUID ", $2" AS_TIME ", $3, $4, $5" AS_JSON ")");

pub(super) fn leaf(row: &Row) -> Result<LeafRow, StoreError> {
    let stream = Stream::of_number(row.int(1)?).ok_or_else(|| StoreError::Corrupt("a leaf has no table".into()))?;
    let place = RowPlace { id: row.id(2)?, at: row.time(3)? };
    Ok(LeafRow { index: index(Some(row), 0)?, stream, place, hash: hash(row, 4)? })
}

#[async_trait]
impl<D: Driver> Ledger for SqlStore<D> {
    async fn seal(&self, key: &LogKey, known: Option<&Checkpoint>, limit: u32) -> Result<Sealed, StoreError> {
        sealing::seal(self.driver.as_ref(), (&self.fresh, &self.sealed_to), key, known, limit).await
    }

    async fn unsealed(&self) -> Result<u64, StoreError> {
        index(first(self.driver.read(WAITING, args![]).await?).as_ref(), 0)
    }

    async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let Some(row) = first(self.driver.read(sealing::LAST, args![]).await?) else { return Ok(None) };
        let (last, size) = (note(&row)?, index(Some(&row), 1)?);
        if last.size != size {
            let why = "and its note says otherwise: somebody changed it";
            return Err(StoreError::Tree(format!("the newest row of `checkpoints` says that it is of size {size}, {why}")));
        }
        let rows = self.driver.read(COSIGNED, args![number(last.size)?]).await?;
        let lines = rows.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(last.with_signatures(&lines)))
    }

    async fn checkpoints(&self, above: u64, size: u64) -> Result<Vec<Result<Checkpoint, u64>>, StoreError> {
        let rows = self.driver.read(CHECKPOINTS, args![number(above)?, number(size)?]).await?;
        let of = |row: &Row| {
            let size = index(Some(row), 1)?;
            Ok(note(row).ok().filter(|checkpoint| checkpoint.size == size).ok_or(size))
        };
        rows.iter().map(of).collect()
    }

    async fn keep_cosignatures(&self, size: u64, lines: &[String]) -> Result<(), StoreError> {
        let mut tx = self.driver.begin(Step::Cosign).await?;
        let now = audit_time(transaction_now(tx.as_mut()).await?);
        for line in lines {
            tx.run(COSIGN, args![number(size)?, line.as_str(), now.as_str()]).await?;
        }
        tx.commit().await
    }

    async fn leaves(&self, from: u64, below: u64) -> Result<Vec<LeafRow>, StoreError> {
        // One more than there are places in so many: where one is taken twice, that must be seen.
        let args = args![number(from)?, number(below)?, i64::from(LEAVES_AT_ONCE).saturating_add(1)];
        self.driver.read(LEAVES, args).await?.iter().map(leaf).collect()
    }

    async fn leaves_outside(&self) -> Result<u64, StoreError> {
        index(first(self.driver.read(OUTSIDE, args![]).await?).as_ref(), 0)
    }

    async fn leaf_of(&self, stream: Stream, id: &str) -> Result<Option<LeafRow>, StoreError> {
        let row = first(self.driver.read(LEAF_OF, args![id, stream.number()]).await?);
        row.map(|row| leaf(&row)).transpose()
    }

    async fn rows(&self, leaves: &[LeafRow]) -> Result<Vec<Option<LeafRecord>>, StoreError> {
        let mut found = vec![None; leaves.len()];
        for (stream, sql, args) in rows::asked(leaves, |_| true) {
            let (rows, before) = (self.driver.read(sql, args).await?, found.iter().flatten().count());
            for row in &rows {
                rows::put_as_found(&mut found, stream, row)?;
            }
            if found.iter().flatten().count().saturating_sub(before) < rows.len() {
                return Err(StoreError::Corrupt(format!("a row of `{}` stands there twice", stream.table())));
            }
        }
        Ok(found)
    }

    async fn rows_from(&self, stream: Stream, from: RowPlace, limit: u32) -> Result<Option<RowsInOrder>, StoreError> {
        rows::from(self.driver.as_ref(), stream, from, limit).await
    }

    async fn was_forgotten(&self, person: &str) -> Result<bool, StoreError> {
        Ok(index(first(self.driver.read(FORGOTTEN, args![person]).await?).as_ref(), 0)? > 0)
    }

    async fn nodes(&self, runs: &[Run]) -> Result<Nodes, StoreError> {
        let mut nodes = Nodes::default();
        for run in runs {
            let (sql, args) = sealing::asked(run)?;
            for row in self.driver.read(sql, args).await? {
                let (place, hash) = sealing::node(run, &row)?;
                nodes.put(place, hash);
            }
        }
        Ok(nodes)
    }

    async fn strays(&self, seen: &[RowsSeen], limit: u32) -> Result<Vec<Stray>, StoreError> {
        strays::find(self.driver.as_ref(), seen, limit).await
    }

    async fn sealed_counts(&self) -> Result<(u64, Vec<(CountedAs, u64)>), StoreError> {
        let rows = self.driver.read(SEALED_COUNTS, args![]).await?;
        let size = index(rows.first(), 0)?;
        let mut counts = Vec::new();
        for row in rows.iter().filter(|row| row.opt_text(1).is_ok_and(|day| day.is_some())) {
            let of = CountedAs::new(row.text(1)?, row.text(2)?, row.text(3)?, &stored_json(row.text(4)?));
            counts.push((of, row.count(5)?));
        }
        Ok((size, counts))
    }

    async fn policies(&self, after: &str, limit: u32) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.driver.read(POLICIES, args![after, i64::from(limit)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
    }

    async fn change_configuration(&self, replica: &str, version: &str, body: &Value) -> Result<(), StoreError> {
        let mut tx = self.driver.begin(Step::Configure).await?;
        let same = |value: &Value| value.as_object().map(canonical);
        if let Some(row) = first(tx.rows(LAST_CONFIGURATION, args![]).await?) {
            let last = stored_json(row.text(0)?);
            if row.text(1)? == version && same(&last) == same(body) {
                return Ok(());
            }
        }
        let (id, now) = (EventId::generate().to_string(), audit_time(transaction_now(tx.as_mut()).await?));
        tx.run(CONFIGURED, args![id, now, replica, version, body.to_string()]).await?;
        tx.commit().await
    }
}
