//! SQLite: the embedded default, so that a first run needs no server. One process, one writer.
//!
//! Writes begin `IMMEDIATE`, since a transaction that reads first and writes later fails under contention, and wait for
//! the one writing connection in line rather than in SQLite's busy loop.

mod writer;

use super::Store;
use super::connection::{Arg, Cell, Cells, Column, Driver, Row, Transaction, beside_newer, compare_migrations};
use super::dialect::Sql;
use super::error::StoreError;
use super::sql::SqlStore;
use crate::audit::audit_time;
use crate::domain::ids::RecordId;
use crate::fault::{self, Moment, Step};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, Sqlite, TypeInfo as _, ValueRef as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::mpsc;
use writer::{Turn, Writer};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| beside_newer(sqlx::migrate!("migrations/sqlite")));

struct SqliteDriver {
    writer: Writer,
    readers: SqlitePool,
    /// For questions of people about all there is, which take their time: they wait for each other, and nobody for them.
    questions: SqlitePool,
}

/// Opens a file, which is made if it is not there.
///
/// # Errors
/// The file cannot be opened.
pub async fn open(path: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An answer 2xx promises that nothing is lost, a power cut included.
        .synchronous(SqliteSynchronous::Full)
        // Another process looks again after a tenth of a second, and a busy daemon leaves it few moments to find.
        .busy_timeout(Duration::from_secs(15));
    let pool = |size| SqlitePoolOptions::new().max_connections(size).acquire_timeout(Duration::from_secs(20));
    let writer = Writer::start(options.clone()).await.map_err(|error| match error.into() {
        StoreError::Unreachable(why) => StoreError::Unreachable(format!("`{path}`: {why}")),
        error => error,
    })?;
    let readers = pool(connections.max(1)).connect_with(options.clone()).await?;
    let questions = pool(2).min_connections(0).connect_lazy_with(options);
    Ok(Arc::new(SqlStore::new(SqliteDriver { writer, readers, questions })))
}

/// Whether nobody has a file open: only then can its journal become another one, until the next who opens it puts it back.
///
/// # Errors
/// The file cannot be opened.
pub(super) async fn is_unused(path: &str) -> Result<bool, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO);
    match options.journal_mode(SqliteJournalMode::Delete).connect().await.map_err(StoreError::from) {
        Ok(connection) => connection.close().await.map(|()| true).map_err(StoreError::from),
        Err(StoreError::Contention) => Ok(false),
        Err(error) => Err(error),
    }
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

fn bind(sql: Sql, args: Vec<Arg>) -> Query {
    bound(sqlx::query(fault::sql(sql.sqlite)), args)
}

fn bound(query: Query, args: Vec<Arg>) -> Query {
    args.into_iter().fold(query, |query, arg| match arg {
        Arg::Int(value) => query.bind(value),
        Arg::NoInt => query.bind(None::<i64>),
        Arg::Bool(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
        Arg::Time(value) => query.bind(audit_time(value)),
        // Nobody gives it sets, as it does not take them.
        Arg::Ints(_) | Arg::Bools(_) | Arg::Texts(_) | Arg::Blobs(_) => query.bind(None::<i64>),
        Arg::Rows(columns) => query.bind(json_of(columns)),
    })
}

/// Rows as a list of objects.
fn json_of(columns: Vec<(&'static str, Column)>) -> String {
    let mut rows = Vec::new();
    for (name, column) in columns {
        let values: Vec<Value> = match column {
            Column::Numbers(values) => values.into_iter().map(Value::from).collect(),
            Column::Texts(values) => values.into_iter().map(Value::from).collect(),
            Column::Ids(values) => values.into_iter().map(|id| Value::from(id.to_string())).collect(),
            Column::Times(values) => values.into_iter().map(|time| Value::from(audit_time(time))).collect(),
            Column::Hashes(values) => values.into_iter().map(|hash| Value::from(hex::encode(hash))).collect(),
        };
        rows.resize_with(values.len(), Map::new);
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(name.to_owned(), value);
        }
    }
    Value::from_iter(rows).to_string()
}

/// A cell that was taken out of its row, as that is of the thread that reads.
#[derive(Debug)]
enum Kept {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// None of these: nobody who writes here writes it. It is in nobody's way who does not ask for it.
    Odd,
}

impl Cells for Vec<Kept> {
    fn cell(&self, index: usize) -> Result<Option<Cell<'_>>, StoreError> {
        let Some(cell) = self.get(index) else { return Ok(None) };
        Ok(Some(match cell {
            Kept::Null => Cell::Null,
            Kept::Int(value) => Cell::Int(*value),
            Kept::Text(value) => Cell::Text(value),
            Kept::Bytes(value) => Cell::Bytes(value),
            Kept::Odd => return Err(StoreError::Corrupt(format!("column {index} is no text and no whole number"))),
        }))
    }
}

fn plain(row: &SqliteRow) -> Result<Row, StoreError> {
    let cell = |index| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Kept::Null);
        }
        Ok(match raw.type_info().name() {
            "INTEGER" | "BOOLEAN" => Kept::Int(row.try_get(index)?),
            "BLOB" => Kept::Bytes(row.try_get(index)?),
            _ => row.try_get(index).map_or(Kept::Odd, Kept::Text),
        })
    };
    let cells = (0..row.len()).map(cell).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Row(Box::new(cells)))
}

#[async_trait]
impl Driver for SqliteDriver {
    async fn begin(&self, step: Step) -> Result<Box<dyn Transaction>, StoreError> {
        fault::reach(step, Moment::Before).await;
        let turn = self.writer.begin(step == Step::Seal).await?;
        Ok(Box::new(SqliteTransaction { turn, step }))
    }

    fn takes_sets(&self) -> bool {
        false
    }

    async fn write(&self, step: Step, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let mut tx = self.begin(step).await?;
        let rows = tx.rows(sql, args).await?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn look(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.read(sql, args).await
    }

    async fn read(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        bind(sql, args).fetch_all(&self.readers).await?.iter().map(plain).collect()
    }

    async fn ask(&self, _postgres: String, sqlite: String, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        // Of constant pieces; what anybody said is in the arguments.
        let query = bound(sqlx::query(sqlx::AssertSqlSafe(sqlite)), args);
        query.fetch_all(&self.questions).await?.iter().map(plain).collect()
    }

    async fn listen(&self) -> Result<Option<mpsc::Receiver<RecordId>>, StoreError> {
        Ok(None)
    }

    async fn migrate(&self) -> Result<usize, StoreError> {
        let before = applied(&self.readers).await?.len();
        MIGRATIONS.run(&self.readers).await?;
        Ok(applied(&self.readers).await?.len() - before)
    }

    async fn grant(&self, _daemon: Option<&str>) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        compare_migrations(&MIGRATIONS, &applied(&self.readers).await?)
    }
}

async fn applied(pool: &SqlitePool) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let there: i64 =
        sqlx::query_scalar("select count(*) from sqlite_master where name = '_sqlx_migrations'").fetch_one(pool).await?;
    if there == 0 {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as("select version, checksum from _sqlx_migrations where success").fetch_all(pool).await?)
}

struct SqliteTransaction {
    turn: Turn,
    step: Step,
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn rows(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        bind(sql, args).fetch_all(self.turn.connection()?).await?.iter().map(plain).collect()
    }

    async fn run(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        Ok(bind(sql, args).execute(self.turn.connection()?).await?.rows_affected())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        fault::reach(self.step, Moment::Within).await;
        if !fault::is_lost(self.step) {
            self.turn.commit().await?;
        }
        fault::reach(self.step, Moment::After).await;
        Ok(())
    }
}
