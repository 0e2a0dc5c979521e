//! The sealer's transaction: takes waiting rows, makes leaves of them, signs what the tree is then.

use super::fresh::{FreshLeaf, FreshLeaves};
use super::rows;
use crate::audit::{
    Checkpoint, CheckpointError, LogKey, Nodes, Place, Run, Stream, TreeHash, audit_time, canonical, edge, leaf_hash,
};
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Arg, Column, Driver, Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LeafRow, RowPlace, Sealed};
use crate::store::sql::front::Front;
use crate::store::sql::transaction_now;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// In microseconds.
const DAY: i64 = 86_400_000_000;
/// In seconds: before year 1 a server and we spell times differently, and nobody decides anything.
const YEAR_1: i64 = -62_135_596_800;

/// Held to the end of the transaction. SQLite has one writer.
const ELECT: Sql = Sql { postgres: "select pg_try_advisory_xact_lock(hashtext('assent_seal'))", sqlite: "select 1" };
/// From a place in the table on.
const TAKE: Sql = Sql {
    postgres: "delete from unsealed where ctid = any(array(select ctid from unsealed where ctid >= $2::tid limit $1)) \
               returning stream, id, at, ctid::text",
    sqlite: "delete from unsealed where rowid in (select rowid from unsealed where $2 is not null order by rowid limit $1) \
             returning stream, id, at, null",
};
const TAKE_HISTORY: Sql = Sql {
    postgres: "delete from unsealed_history where ctid = any(array(select ctid from unsealed_history limit $1)) returning stream, id, at",
    sqlite: "delete from unsealed_history where rowid in (select rowid from unsealed_history order by rowid limit $1) \
             returning stream, id, at",
};
/// Of the rows that are asked for, those that are leaves.
const SEALED_BEFORE: Sql = sql!("select n.place from " ROWS_OF_1 " where exists (select 1 from leaves l where l.id = n.row_id and l.at = n.row_at and l.stream = n.row_stream limit 1 offset 0)");
const SIGNED_AT: Sql = sql!("select note from checkpoints where size = $1");
const SIZE: Sql = sql!("select coalesce(max(leaf), -1) + 1 from leaves");
pub(super) const LEAF_HASHES: Sql = sql!("select leaf, hash from leaves where leaf >= $1 and leaf < $2");
pub(super) const NODE_HASHES: Sql = sql!("select node, hash from tree_nodes where tier = $3 and node >= $1 and node < $2");
pub(super) const LAST: Sql = sql!("select note, size from checkpoints order by size desc limit 1");
const ADD_LEAVES: Sql = Sql {
    postgres: "insert into leaves (leaf, at, id, stream, hash) select * from \
               unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::smallint[], $5::bytea[])",
    sqlite: "insert into leaves (leaf, at, id, stream, hash) select value ->> 'leaf', value ->> 'at', value ->> 'id', \
             value ->> 'stream', unhex(value ->> 'hash') from json_each($1)",
};
const ADD_NODES: Sql = Sql {
    postgres: "insert into tree_nodes (tier, node, hash) select * from unnest($1::smallint[], $2::bigint[], $3::bytea[])",
    sqlite: "insert into tree_nodes (tier, node, hash) select value ->> 'tier', value ->> 'node', unhex(value ->> 'hash') \
             from json_each($1)",
};
/// The same day and rules may be spelled in several ways.
const COUNT: Sql = Sql {
    postgres: "insert into decision_counts (day, kind, verdict, rules, decisions) select (n.at at time zone 'utc')::date, n.kind, n.verdict, \
               n.rules::jsonb, sum(n.decisions)::bigint from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
               as n(at, kind, verdict, rules, decisions) group by 1, 2, 3, 4 \
               on conflict (day, kind, verdict, rules) do update set decisions = decision_counts.decisions + excluded.decisions",
    sqlite: "insert into decision_counts (day, kind, verdict, rules, decisions) select substr(value ->> 'at', 1, 10), value ->> 'kind', \
             value ->> 'verdict', value ->> 'rules', sum(value ->> 'decisions') from json_each($1) where true group by 1, 2, 3, 4 \
             on conflict (day, kind, verdict, rules) do update set decisions = decision_counts.decisions + excluded.decisions",
};
const SIGNED: Sql = sql!("insert into checkpoints (size, at, note) values ($1, $2" AS_TIME ", $3)");

/// The first place in the table of rows that wait.
const START: &str = "(0,0)";
/// So many times the sealer goes on where it was: once there was a vacuum, rows are put before that as well.
pub(in crate::store::sql) const ON_AT_MOST: u32 = 32;

pub(super) async fn seal<D: Driver>(
    driver: &D,
    (fresh, front): (&FreshLeaves, &Front<String>),
    key: &LogKey,
    known: Option<&Checkpoint>,
    limit: u32,
) -> Result<Sealed, StoreError> {
    let mut transaction = driver.begin(Step::Seal).await?;
    let tx = transaction.as_mut();
    let is_elected = first(tx.rows(ELECT, args![]).await?).is_some_and(|row| row.int(0).is_ok_and(|elected| elected != 0));
    fresh.seals_here(is_elected);
    if !is_elected {
        return Ok(Sealed::Elsewhere);
    }
    // What is new comes first.
    let from = front.get().unwrap_or_else(|| START.to_owned());
    let room = |taken: &[Row]| i64::from(limit).saturating_sub(i64::try_from(taken.len()).unwrap_or(i64::MAX));
    let mut taken = tx.rows(TAKE, args![i64::from(limit), from.as_str()]).await?;
    let is_all = room(&taken) > 0;
    if is_all && from != START {
        taken.extend(tx.rows(TAKE, args![room(&taken), START]).await?);
    }
    // They come in the order of their places.
    let last = taken.last().map_or(Ok(None), |row| row.opt_text(3))?.map_or(from, str::to_owned);
    if room(&taken) > 0 {
        taken.extend(tx.rows(TAKE_HISTORY, args![room(&taken)]).await?);
    }
    if taken.is_empty() {
        front.set(Some(last), is_all);
        return Ok(Sealed::Nothing);
    }
    let is_full = taken.len() as u64 >= u64::from(limit);
    let mut leaves = taken.iter().filter_map(waiting).collect::<Vec<_>>();
    // As far as one can see they stand in the order of their times.
    let order = |leaf: &LeafRow| (leaf.place.at, leaf.stream, leaf.place.id);
    leaves.sort_by_key(order);
    // Once for each row, however often it waits.
    leaves.dedup_by_key(|leaf| order(leaf));
    let mut is_new = vec![true; leaves.len()];
    for row in tx.rows(SEALED_BEFORE, vec![rows::wanted_of(&leaves)]).await? {
        if let Some(slot) = usize::try_from(row.int(0)?).ok().and_then(|place| is_new.get_mut(place)) {
            *slot = false;
        }
    }
    let mut is_new = is_new.into_iter();
    leaves.retain(|_| is_new.next().unwrap_or(true));
    let size = index(first(tx.rows(SIZE, args![]).await?).as_ref(), 0)?;
    let nodes = standing(tx, size, key, known).await?;
    if leaves.is_empty() {
        transaction.commit().await?;
        front.set(Some(last), is_all);
        return Ok(Sealed::Nothing);
    }
    let known = leaves.iter().map(|leaf| fresh.get(leaf)).collect::<Vec<_>>();
    let mut read = Vec::new();
    for (stream, sql, args) in rows::asked(&leaves, |place| known.get(place).is_none_or(Option::is_none)) {
        read.push((stream, tx.rows(sql, args).await?));
    }
    let counted = counted(&read, &leaves, &known)?;
    let hashes = known.into_iter().map(|known| known.map(|leaf| leaf.hash)).collect();
    let (grown, key) = (Grown { leaves, nodes, size, filled: Vec::new() }, key.clone());
    // Hashing takes longer than whoever reports an operation should wait for.
    let grown = tokio::task::spawn_blocking(move || grown.with(hashes, &read, &key)).await;
    let (Grown { leaves, size, filled, .. }, checkpoint) =
        grown.map_err(|_| StoreError::Tree("a row could not be hashed".into()))??;
    if let Some(counted) = counted {
        tx.run(COUNT, vec![counted]).await?;
    }
    tx.run(ADD_LEAVES, vec![leaf_rows(&leaves)]).await?;
    if !filled.is_empty() {
        tx.run(ADD_NODES, vec![node_rows(&filled)]).await?;
    }
    let now = audit_time(transaction_now(tx).await?);
    tx.run(SIGNED, args![number(size)?, now, checkpoint.note.as_str()]).await?;
    transaction.commit().await?;
    front.set(Some(last), is_all);
    fresh.forget(&leaves);
    Ok(Sealed::Leaves { count: leaves.len() as u64, checkpoint, more: is_full })
}

/// The right edge of the tree, which must fit the last checkpoint: nothing is built on what somebody changed.
async fn standing(tx: &mut dyn Transaction, size: u64, key: &LogKey, known: Option<&Checkpoint>) -> Result<Nodes, StoreError> {
    let mut nodes = Nodes::default();
    for run in edge(size) {
        let (sql, args) = asked(&run)?;
        for row in tx.rows(sql, args).await? {
            let (place, hash) = node(&run, &row)?;
            nodes.put(place, hash);
        }
    }
    let last = match first(tx.rows(LAST, args![]).await?) {
        Some(row) => Some(note(&row)?),
        None => None,
    };
    if let Some(last) = &last {
        key.check(last).map_err(|error| {
            let what = match error {
                CheckpointError::OtherLog(_) => "`audit.name` must be as it was",
                _ => "if its key was replaced, `audit.previous_keys` must name the one before",
            };
            StoreError::Tree(format!("the last checkpoint {error}; {what}"))
        })?;
    }
    let (signed, root) = last.map_or((0, root_of_nothing()), |checkpoint| (checkpoint.size, checkpoint.root));
    if signed != size || !nodes.root(size).is_ok_and(|standing| standing == root) {
        return Err(StoreError::Tree(format!("there are {size} leaves, and the last checkpoint is of another tree of {signed}")));
    }
    if let Some(known) = known {
        let then = match first(tx.rows(SIGNED_AT, args![number(known.size)?]).await?) {
            Some(row) => Some(note(&row)?),
            None => None,
        };
        if then.is_none_or(|then| then.root != known.root) {
            return Err(StoreError::Tree(format!(
                "it was signed when it had {} leaves, and is not that log any more",
                known.size
            )));
        }
    }
    Ok(nodes)
}

/// A checkpoint as it is kept.
pub(super) fn note(row: &Row) -> Result<Checkpoint, StoreError> {
    let why = "the note of a row of `checkpoints`";
    Checkpoint::parse(row.text(0)?).map_err(|error| StoreError::Tree(format!("{why} {error}: somebody changed it")))
}

fn root_of_nothing() -> TreeHash {
    crate::audit::Frontier::default().root()
}

/// A row that waits; what names none, or a time that is none of ours, is dropped, as nothing can be sealed of it.
fn waiting(row: &Row) -> Option<LeafRow> {
    let stream = row.int(0).ok().and_then(Stream::of_number);
    let at = row.time(2).ok().filter(|at| at.as_second() >= YEAR_1);
    let (Some(stream), Ok(id), Some(at)) = (stream, row.id(1), at) else {
        tracing::error!("what waits to be sealed names no row, or one of before year 1; run `assent audit verify`");
        return None;
    };
    Some(LeafRow { index: 0, stream, place: RowPlace { at, id }, hash: TreeHash([0; 32]) })
}

/// A tree to which leaves are added.
struct Grown {
    leaves: Vec<LeafRow>,
    nodes: Nodes,
    size: u64,
    filled: Vec<(Place, TreeHash)>,
}

impl Grown {
    /// With the hashes that are known, and those of rows that were read.
    fn with(
        mut self,
        mut hashes: Vec<Option<TreeHash>>,
        read: &[(Stream, Vec<Row>)],
        key: &LogKey,
    ) -> Result<(Self, Checkpoint), StoreError> {
        let tree = |error: &dyn std::fmt::Display| StoreError::Tree(error.to_string());
        // One row after the other, as each is ten times as large when it is read as it is in the database.
        for (stream, rows) in read {
            for row in rows {
                rows::put(&mut hashes, *stream, row, |row| leaf_hash(&row.bytes))?;
            }
        }
        for (leaf, hash) in self.leaves.iter_mut().zip(hashes) {
            leaf.index = self.size;
            leaf.hash = hash.unwrap_or_else(|| leaf_hash(&missing(leaf)));
            self.filled.extend(self.nodes.add(self.size, leaf.hash).map_err(|error| tree(&error))?);
            self.size = self.size.saturating_add(1);
        }
        let root = self.nodes.root(self.size).map_err(|error| tree(&error))?;
        let checkpoint = key.sign(self.size, root).map_err(|error| tree(&format!("the checkpoint {error}")))?;
        Ok((self, checkpoint))
    }
}

/// What is sealed of a row that somebody removed before it was: that it was there. It fits no row, and a check says so.
fn missing(leaf: &LeafRow) -> Vec<u8> {
    tracing::error!(audit.table = leaf.stream.table(), audit.id = %leaf.place.id, "a row was removed before it was sealed; run `assent audit verify`");
    let id = leaf.place.id.to_string();
    let fields: Map<_, _> = [("leaf", "assent.removed.v1"), ("table", leaf.stream.table()), ("id", id.as_str())]
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .into_iter()
        .collect();
    canonical(&fields)
}

fn leaf_rows(leaves: &[LeafRow]) -> Arg {
    let numbers = |of: fn(&LeafRow) -> Option<i64>| Column::Numbers(leaves.iter().map(of).collect());
    Arg::Rows(vec![
        ("leaf", numbers(|leaf| number(leaf.index).ok())),
        ("at", Column::Times(leaves.iter().map(|leaf| leaf.place.at).collect())),
        ("id", Column::Ids(leaves.iter().map(|leaf| leaf.place.id).collect())),
        ("stream", numbers(|leaf| Some(leaf.stream.number()))),
        ("hash", Column::Hashes(leaves.iter().map(|leaf| leaf.hash.0.to_vec()).collect())),
    ])
}

fn node_rows(nodes: &[(Place, TreeHash)]) -> Arg {
    Arg::Rows(vec![
        ("tier", Column::Numbers(nodes.iter().map(|(place, _)| Some(i64::from(place.tier))).collect())),
        ("node", Column::Numbers(nodes.iter().map(|(place, _)| number(place.index).ok()).collect())),
        ("hash", Column::Hashes(nodes.iter().map(|(_, hash)| hash.0.to_vec()).collect())),
    ])
}

/// How many decisions there are of each day, kind, verdict and rules among rows that become leaves.
fn counted(read: &[(Stream, Vec<Row>)], leaves: &[LeafRow], known: &[Option<FreshLeaf>]) -> Result<Option<Arg>, StoreError> {
    let column = |name| rows::column(Stream::Decision, name);
    let (at, kind, verdict, rules) = (column("decided_at"), column("kind"), column("verdict"), column("rules"));
    let mut counts: BTreeMap<_, (Timestamp, i64)> = BTreeMap::new();
    let mut count = |time: Timestamp, kind, verdict, rules| {
        let of = (time.as_microsecond().div_euclid(DAY), kind, verdict, rules);
        let (_, count) = counts.entry(of).or_insert((time, 0));
        *count = count.saturating_add(1);
    };
    for row in read.iter().filter(|(stream, _)| *stream == Stream::Decision).flat_map(|(_, rows)| rows) {
        count(row.time(at)?, row.text(kind)?, row.text(verdict)?, row.text(rules)?);
    }
    for (leaf, known) in leaves.iter().zip(known) {
        if let Some(known) = known {
            count(leaf.place.at, known.kind.as_str(), known.verdict.as_str(), &known.rules);
        }
    }
    if counts.is_empty() {
        return Ok(None);
    }
    let texts = |of: fn(&(i64, &str, &str, &str)) -> String| Column::Texts(counts.keys().map(of).collect());
    Ok(Some(Arg::Rows(vec![
        ("at", Column::Times(counts.values().map(|(at, _)| *at).collect())),
        ("kind", texts(|(_, kind, _, _)| (*kind).to_owned())),
        ("verdict", texts(|(_, _, verdict, _)| (*verdict).to_owned())),
        ("rules", texts(|(.., rules)| (*rules).to_owned())),
        ("decisions", Column::Numbers(counts.values().map(|(_, count)| Some(*count)).collect())),
    ])))
}

/// The statement for a run of hashes, with its arguments.
pub(super) fn asked(run: &Run) -> Result<(Sql, Vec<Arg>), StoreError> {
    let (from, to) = (number(run.indices.start)?, number(run.indices.end)?);
    Ok(if run.tier == 0 { (LEAF_HASHES, args![from, to]) } else { (NODE_HASHES, args![from, to, i64::from(run.tier)]) })
}

/// One hash of a run, and its place.
pub(super) fn node(run: &Run, row: &Row) -> Result<(Place, TreeHash), StoreError> {
    Ok((Place { tier: run.tier, index: index(Some(row), 0)? }, hash(row, 1)?))
}

pub(super) fn hash(row: &Row, column: usize) -> Result<TreeHash, StoreError> {
    let bytes = row.opt_bytes(column)?.and_then(|bytes| bytes.try_into().ok());
    bytes.map(TreeHash).ok_or_else(|| StoreError::Corrupt("a hash of the tree has not 32 bytes".into()))
}

pub(super) fn index(row: Option<&Row>, column: usize) -> Result<u64, StoreError> {
    row.ok_or_else(|| StoreError::Corrupt("a count has no row".into()))?.count(column)
}

pub(in crate::store::sql) fn number(index: u64) -> Result<i64, StoreError> {
    i64::try_from(index).map_err(|_| StoreError::Tree(format!("`{index}` is no place in a tree")))
}
