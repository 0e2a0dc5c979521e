//! The narrow bridge to a database: statements with arguments in, rows of plain cells out. It knows no tables.

use super::dialect::Sql;
use super::error::StoreError;
use crate::audit::{Stored, audit_id, audit_time};
use crate::domain::ids::RecordId;
use crate::fault::Step;
use async_trait::async_trait;
use jiff::Timestamp;
use std::borrow::Cow;
use tokio::sync::mpsc;
use uuid::Uuid;

/// One argument of a statement.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Int(i64),
    NoInt,
    Bool(bool),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    /// As the database's own type where it has one, so that it knows the value when it plans.
    Time(Timestamp),
    // One column of a set of rows; only where [`Driver::takes_sets`].
    Ints(Vec<Option<i64>>),
    Bools(Vec<bool>),
    Texts(Vec<Option<String>>),
    Blobs(Vec<Option<Vec<u8>>>),
    /// Rows, by columns that are as long as each other: as many arguments where [`Driver::takes_sets`], and else one, a list of
    /// objects in JSON.
    Rows(Vec<(&'static str, Column)>),
}

/// One column of rows that a statement is given.
#[derive(Debug, Clone)]
pub(super) enum Column {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<String>),
    Ids(Vec<Uuid>),
    Times(Vec<Timestamp>),
    /// In hex, where it is JSON.
    Hashes(Vec<Vec<u8>>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Arg::Int(value)
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Arg::NoInt, Arg::Int)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Arg::Text(Some(value.to_owned()))
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Arg::Text(Some(value))
    }
}

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Arg::Text(value)
    }
}

impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Self {
        Arg::Time(value)
    }
}

/// Arguments from values of several types.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::connection::Arg::from($value)),*] };
}
pub(super) use args;

/// One cell of a row, where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'r> {
    Null,
    Int(i64),
    Text(&'r str),
    Bytes(&'r [u8]),
    Id(Uuid),
    Time(Timestamp),
}

/// A row as its database gives it, which is looked at without being copied first.
pub(super) trait Cells: std::fmt::Debug + Send + Sync {
    /// Nothing where there is no such column.
    fn cell(&self, index: usize) -> Result<Option<Cell<'_>>, StoreError>;
}

/// One row; columns are taken by position.
#[derive(Debug)]
pub(super) struct Row(pub(super) Box<dyn Cells>);

impl Row {
    fn cell(&self, index: usize) -> Result<Cell<'_>, StoreError> {
        self.0.cell(index)?.ok_or_else(|| StoreError::Corrupt(format!("column {index} is missing")))
    }

    pub(super) fn int(&self, index: usize) -> Result<i64, StoreError> {
        self.opt_int(index)?.ok_or_else(|| StoreError::Corrupt(format!("column {index} is null")))
    }

    pub(super) fn opt_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        match self.cell(index)? {
            Cell::Int(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(StoreError::Corrupt(format!("column {index} is no number"))),
        }
    }

    /// A number of rows.
    pub(super) fn count(&self, index: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(index)?).map_err(|_| StoreError::Corrupt(format!("column {index} is no count")))
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, StoreError> {
        self.opt_text(index)?.ok_or_else(|| StoreError::Corrupt(format!("column {index} is null")))
    }

    pub(super) fn opt_text(&self, index: usize) -> Result<Option<&str>, StoreError> {
        match self.cell(index)? {
            Cell::Text(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(StoreError::Corrupt(format!("column {index} is no text"))),
        }
    }

    pub(super) fn opt_bytes(&self, index: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.cell(index)? {
            Cell::Bytes(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(StoreError::Corrupt(format!("column {index} is no bytes"))),
        }
    }

    /// An id; as text it is one only where it is spelled as we spell it.
    pub(super) fn id(&self, index: usize) -> Result<Uuid, StoreError> {
        if let Cell::Id(id) = self.cell(index)? { Ok(id) } else { self.parsed(index, audit_id) }
    }

    /// A time; as text it is one only where it is spelled as we spell it.
    pub(super) fn time(&self, index: usize) -> Result<Timestamp, StoreError> {
        let spelled = |text: &str| text.parse().ok().filter(|time| audit_time(*time) == text);
        if let Cell::Time(time) = self.cell(index)? { Ok(time) } else { self.parsed(index, spelled) }
    }

    /// A text, an id or a time as text.
    fn opt_spelled(&self, index: usize) -> Result<Option<Cow<'_, str>>, StoreError> {
        match self.cell(index)? {
            Cell::Text(value) => Ok(Some(value.into())),
            Cell::Id(id) => Ok(Some(id.to_string().into())),
            Cell::Time(time) => Ok(Some(audit_time(time).into())),
            Cell::Null => Ok(None),
            Cell::Int(_) | Cell::Bytes(_) => Err(StoreError::Corrupt(format!("column {index} is no text"))),
        }
    }

    /// The column as a leaf takes it.
    pub(super) fn stored(&self, index: usize) -> Result<Stored<'_>, StoreError> {
        match self.cell(index)? {
            Cell::Null => Ok(Stored::Null),
            Cell::Int(value) => Ok(Stored::Number(value)),
            Cell::Text(value) => Ok(Stored::Text(value)),
            Cell::Id(id) => Ok(Stored::Id(id)),
            Cell::Time(time) => Ok(Stored::Time(time)),
            Cell::Bytes(_) => Err(StoreError::Corrupt(format!("column {index} is no text"))),
        }
    }

    /// The column read by `parse`, which knows what may stand in it.
    pub(super) fn parsed<T>(&self, index: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        self.opt_parsed(index, parse)?.ok_or_else(|| StoreError::Corrupt(format!("column {index} is null")))
    }

    /// Like [`Row::parsed`] for a column that may be null.
    pub(super) fn opt_parsed<T>(&self, index: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        let Some(text) = self.opt_spelled(index)? else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| StoreError::Corrupt(format!("column {index} holds `{text}`")))
    }
}

/// A database.
#[async_trait]
pub(super) trait Driver: Send + Sync + 'static {
    /// A transaction that may write, for one step. Never dropped midway, whoever waits for it.
    async fn begin(&self, step: Step) -> Result<Box<dyn Transaction>, StoreError>;
    /// Whether statements can be given columns of many rows at once.
    fn takes_sets(&self) -> bool;
    /// One statement that is a transaction by itself, for one step. Never dropped midway.
    async fn write(&self, step: Step, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError>;
    /// One statement that changes nothing that anybody was promised, for a group.
    async fn look(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError>;
    /// One statement outside a transaction.
    async fn read(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError>;
    /// One statement that was put together of constant pieces.
    async fn ask(&self, postgres: String, sqlite: String, args: Vec<Arg>) -> Result<Vec<Row>, StoreError>;
    /// Applies the migrations that are missing; how many.
    async fn migrate(&self) -> Result<usize, StoreError>;
    /// Gives roles what a daemon needs, where there are roles.
    async fn grant(&self, daemon: Option<&str>) -> Result<Vec<String>, StoreError>;
    /// Hears of operations that other processes settled, where there can be others.
    async fn listen(&self) -> Result<Option<mpsc::Receiver<RecordId>>, StoreError>;
    /// The versions that were applied, with their checksums.
    async fn check_schema(&self) -> Result<(), StoreError>;
}

/// An open transaction; dropping it rolls back.
#[async_trait]
pub(super) trait Transaction: Send {
    /// Runs a statement and gives its rows.
    async fn rows(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError>;
    /// Runs a statement and gives the number of rows it touched.
    async fn run(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError>;
    /// Makes it durable.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// The first row, if there is one.
pub(super) fn first(rows: Vec<Row>) -> Option<Row> {
    rows.into_iter().next()
}

/// Migrations that leave alone what a newer release has migrated beyond them, so that a roll-out can be undone.
pub(super) fn beside_newer(mut migrations: sqlx::migrate::Migrator) -> sqlx::migrate::Migrator {
    migrations.set_ignore_missing(true);
    migrations
}

/// Compares the applied migrations with those compiled in.
pub(super) fn compare_migrations(known: &sqlx::migrate::Migrator, applied: &[(i64, Vec<u8>)]) -> Result<(), StoreError> {
    for migration in known.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => return Err(StoreError::SchemaOutdated),
            Some((version, checksum)) if checksum.as_slice() != migration.checksum.as_ref() => {
                return Err(StoreError::SchemaForeign(format!("migration {version} was another one")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
