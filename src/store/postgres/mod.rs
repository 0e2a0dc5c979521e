//! Postgres: the product's database. Only the connection is here; the SQL is shared.

mod kept;

use super::Store;
use super::connection::{Arg, Cell, Cells, Column, Driver, Row, Transaction, beside_newer, compare_migrations};
use super::dialect::Sql;
use super::error::StoreError;
use super::sql::SqlStore;
use crate::domain::ids::RecordId;
use crate::fault::{self, Moment, Step};
use async_trait::async_trait;
use jiff::Timestamp;
use kept::{KeptConnections, Questions};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::migrate::Migrator;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgHasArrayType, PgListener, PgPool, PgPoolOptions, PgRow, PgTypeInfo,
};
use sqlx::{Column as _, Connection as _, Decode, Encode, Postgres, Row as _, Type, TypeInfo as _, ValueRef as _};
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| beside_newer(sqlx::migrate!("migrations/postgres")));

/// A process that is stopped within a transaction must not keep its locks: others wait for them. Nothing here is idle in one.
///
/// Every statement here finds its rows by an index. A plan is made once and used while tables grow from nothing to millions of
/// rows, so it must not be one that reads a small table whole; and to plan anew, to compile, or to start a process that helps costs
/// more than most of them.
const SESSION: [(&str, &str); 7] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

/// What is asked for decides which months and which index are looked at.
const QUESTION: [(&str, &str); 2] = [("jit", "off"), ("plan_cache_mode", "force_custom_plan")];

struct PostgresDriver {
    pool: PgPool,
    questions: Questions,
    kept: Arc<KeptConnections>,
    /// Whoever looks at the schema does it one at a time: anybody may ask whether a daemon is ready, and a connection each would
    /// leave none for the work.
    looking_at_schema: tokio::sync::Mutex<()>,
}

/// Connects to a server; fails at once if nothing answers.
///
/// # Errors
/// The address is malformed, or the server cannot be reached.
pub async fn open(url: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(url)?;
    let kept = Arc::new(KeptConnections::new(options.clone().options(SESSION)));
    let questions = Arc::new(KeptConnections::for_questions(options.clone().options(QUESTION)));
    connect(options.options(SESSION), connections, kept, questions).await
}

/// As [`open`], for questions about whole tables, which are planned as the server thinks best, but for one process each: the server
/// takes several to count for less, and reads all leaves with them for each page of some.
pub(super) async fn open_to_read(url: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    let options = options(url)?;
    let questions = Arc::new(KeptConnections::for_questions(options.clone().options(QUESTION)));
    let options = options.options([("jit", "off"), ("max_parallel_workers_per_gather", "0")]);
    connect(options, connections, Arc::clone(&questions), questions).await
}

/// How this process is called there: which schema this release knows, for those that come after it, and what no other process has.
fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let schema = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let name = format!("assent {schema} {}", Uuid::now_v7());
    Ok(PgConnectOptions::from_str(url).map_err(|_| StoreError::Address)?.application_name(&name))
}

async fn connect(
    options: PgConnectOptions,
    connections: u32,
    kept: Arc<KeptConnections>,
    questions: Arc<KeptConnections>,
) -> Result<Arc<dyn Store>, StoreError> {
    // One by itself first: it says why it fails, while a pool only says that the time is over.
    kept.connect().await?;
    // One more than it works with, on which it hears hints.
    let pool = PgPoolOptions::new().max_connections(connections.saturating_add(1)).acquire_timeout(Duration::from_secs(4));
    let pool = pool.connect_lazy_with(options);
    Ok(Arc::new(SqlStore::new(PostgresDriver {
        pool,
        questions: Questions::new(questions),
        kept,
        looking_at_schema: tokio::sync::Mutex::default(),
    })))
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

fn bind(sql: Sql, args: Vec<Arg>) -> Query {
    bound(sqlx::query(fault::sql(sql.postgres)), args)
}

fn bound(query: Query, args: Vec<Arg>) -> Query {
    args.into_iter().fold(query, |query, arg| match arg {
        Arg::Int(value) => query.bind(value),
        Arg::NoInt => query.bind(None::<i64>),
        Arg::Bool(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
        Arg::Time(value) => query.bind(Time(value)),
        Arg::Ints(values) => query.bind(values),
        Arg::Bools(values) => query.bind(values),
        Arg::Texts(values) => query.bind(values),
        Arg::Blobs(values) => query.bind(values),
        Arg::Rows(columns) => columns.into_iter().fold(query, |query, (_, column)| match column {
            Column::Numbers(values) => query.bind(values),
            Column::Texts(values) => query.bind(values),
            Column::Ids(values) => query.bind(values),
            Column::Times(values) => query.bind(values.into_iter().map(Time).collect::<Vec<_>>()),
            Column::Hashes(values) => query.bind(values),
        }),
    })
}

/// In microseconds: the server counts from 2000.
const FROM_1970_TO_2000: i64 = 946_684_800_000_000;

// The numbers of types, which are the same everywhere.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
const TIMESTAMPTZ: u32 = 1184;
const TIMESTAMPTZ_ARRAY: u32 = 1185;
const UUID: u32 = 2950;
const JSON: u32 = 114;
const JSONB: u32 = 3802;

/// A time as the server takes it. By the number of its type: by its name each connection has to ask for it.
struct Time(Timestamp);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(TIMESTAMPTZ))
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(TIMESTAMPTZ_ARRAY))
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0.as_microsecond().saturating_sub(FROM_1970_TO_2000), buffer)
    }
}

#[derive(Debug)]
struct PostgresRow(PgRow);

impl Cells for PostgresRow {
    fn cell(&self, index: usize) -> Result<Option<Cell<'_>>, StoreError> {
        let Some(column) = self.0.columns().get(index) else { return Ok(None) };
        let value = self.0.try_get_raw(index)?;
        if value.is_null() {
            return Ok(Some(Cell::Null));
        }
        let other = || StoreError::Corrupt(format!("column {index} is not what its type says"));
        // In the order of how many there are.
        Ok(Some(match column.type_info().oid().map_or(0, |Oid(number)| number) {
            // What a later release keeps as `json` is read by this one, should it run beside that.
            TEXT | VARCHAR | NAME | JSON => Cell::Text(value.as_str().map_err(|_| other())?),
            INT8 => Cell::Int(<i64 as Decode<Postgres>>::decode(value).map_err(|_| other())?),
            INT2 => Cell::Int(<i16 as Decode<Postgres>>::decode(value).map_err(|_| other())?.into()),
            UUID => Cell::Id(Uuid::from_slice(value.as_bytes().map_err(|_| other())?).map_err(|_| other())?),
            TIMESTAMPTZ => {
                let micros = value.as_bytes().ok().and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
                let since_1970 = micros.and_then(|micros| micros.checked_add(FROM_1970_TO_2000));
                Cell::Time(since_1970.and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or_else(other)?)
            }
            BOOL => Cell::Int(<bool as Decode<Postgres>>::decode(value).map_err(|_| other())?.into()),
            BYTEA => Cell::Bytes(<&[u8] as Decode<Postgres>>::decode(value).map_err(|_| other())?),
            JSONB => {
                // The version of its form, and its text.
                let text = value.as_bytes().ok().and_then(|bytes| bytes.strip_prefix(&[1]));
                Cell::Text(text.and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(other)?)
            }
            _ => {
                let name = column.type_info().name();
                return Err(StoreError::Corrupt(format!("column {index} is of the type {name}, which nobody reads")));
            }
        }))
    }
}

fn plain(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(|row| Row(Box::new(PostgresRow(row)))).collect()
}

#[async_trait]
impl Driver for PostgresDriver {
    async fn begin(&self, step: Step) -> Result<Box<dyn Transaction>, StoreError> {
        fault::reach(step, Moment::Before).await;
        // `Pool::begin` is not cancel-safe: a task of its own finishes it even if nobody waits any more.
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin().await }).await;
        let transaction = begun.map_err(|_| StoreError::Database("the connection task ended".into()))??;
        Ok(Box::new(PostgresTransaction { transaction, step }))
    }

    fn takes_sets(&self) -> bool {
        true
    }

    /// Without a word to begin and another to commit: there and back once.
    async fn write(&self, step: Step, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        if fault::is_lost(step) {
            let mut tx = self.begin(step).await?;
            let rows = tx.rows(sql, args).await?;
            tx.commit().await?;
            return Ok(rows);
        }
        fault::reach(step, Moment::Before).await;
        let rows = self.kept.rows(bind(sql, args)).await?;
        fault::reach(step, Moment::After).await;
        Ok(rows)
    }

    async fn look(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.kept.rows(bind(sql, args)).await
    }

    async fn read(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        Ok(plain(bind(sql, args).fetch_all(&self.pool).await?))
    }

    async fn ask(&self, postgres: String, _sqlite: String, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        // Of constant pieces; what anybody said is in the arguments.
        self.questions.rows(bound(sqlx::query(sqlx::AssertSqlSafe(postgres)), args)).await
    }

    async fn listen(&self) -> Result<Option<mpsc::Receiver<RecordId>>, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen("assent_settled").await?;
        let (sender, receiver) = mpsc::channel(1024);
        // It connects again by itself, and ends when nobody hears it any more.
        tokio::spawn(async move {
            loop {
                let heard = tokio::select! {
                    heard = listener.recv() => heard,
                    () = sender.closed() => return,
                };
                match heard {
                    // Whoever is too slow to be told finds it by looking.
                    Ok(notification) => drop(RecordId::parse(notification.payload()).map(|id| sender.try_send(id))),
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        });
        Ok(Some(receiver))
    }

    async fn migrate(&self) -> Result<usize, StoreError> {
        let before = self.applied().await?.len();
        // Whoever may make no tables need not, where all are there.
        if self.check_schema().await.is_err() {
            MIGRATIONS.run(&self.pool).await?;
        }
        build_indexes(&self.pool).await?;
        Ok(self.applied().await?.len() - before)
    }

    async fn grant(&self, daemon: Option<&str>) -> Result<Vec<String>, StoreError> {
        const THERE: &str = "select exists (select 1 from pg_roles where rolname = $1)";
        const HAVING: &str = "select distinct grantee::text from information_schema.role_table_grants where table_schema = current_schema() \
                              and table_name = 'decisions' and privilege_type = 'INSERT' and grantee <> current_user and grantee <> 'PUBLIC'";
        let roles = match daemon {
            Some(daemon) => {
                if !sqlx::query_scalar::<_, bool>(THERE).bind(daemon).fetch_one(&self.pool).await? {
                    let create: String = sqlx::query_scalar("select format('create role %I login', $1)")
                        .bind(daemon)
                        .fetch_one(&self.pool)
                        .await?;
                    // The server has quoted the name.
                    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&self.pool).await?;
                }
                vec![daemon.to_owned()]
            }
            None => sqlx::query_scalar(HAVING).fetch_all(&self.pool).await?,
        };
        for role in &roles {
            sqlx::query("select assent_grant($1)").bind(role).execute(&self.pool).await?;
        }
        Ok(roles)
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        compare_migrations(&MIGRATIONS, &self.applied().await?)
    }
}

/// Builds what indexes a month lacks, beside whoever writes; one process at a time, and nobody waits for it.
async fn build_indexes(pool: &PgPool) -> Result<(), StoreError> {
    const LACKING: &str = "select assent_indexes_to_build()";
    if sqlx::query_scalar::<_, String>(LACKING).fetch_all(pool).await?.is_empty() {
        return Ok(());
    }
    let mut connection = pool.acquire().await?.detach();
    let is_ours: bool =
        sqlx::query_scalar("select pg_try_advisory_lock(hashtext('assent_build_indexes'))").fetch_one(&mut connection).await?;
    if is_ours {
        // Asked once more, as whoever had the lock may have built some.
        let statements: Vec<String> = sqlx::query_scalar(LACKING).fetch_all(&mut connection).await?;
        for statement in statements {
            // The server has quoted the names.
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
    }
    Ok(connection.close().await?)
}

impl PostgresDriver {
    /// The migrations that were made, by their versions and sums.
    async fn applied(&self) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        const APPLIED: &str = "select version, checksum from _sqlx_migrations where success";
        let _alone = self.looking_at_schema.lock().await;
        match self.kept.rows(sqlx::query(APPLIED)).await {
            // There is no such table in a database that is new.
            Err(StoreError::SchemaOutdated) => Ok(Vec::new()),
            rows => rows?.iter().map(|row| Ok((row.int(0)?, row.opt_bytes(1)?.unwrap_or_default().to_vec()))).collect(),
        }
    }
}

struct PostgresTransaction {
    transaction: sqlx::Transaction<'static, Postgres>,
    step: Step,
}

#[async_trait]
impl Transaction for PostgresTransaction {
    async fn rows(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        Ok(plain(bind(sql, args).fetch_all(&mut *self.transaction).await?))
    }

    async fn run(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        Ok(bind(sql, args).execute(&mut *self.transaction).await?.rows_affected())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        fault::reach(self.step, Moment::Within).await;
        if !fault::is_lost(self.step) {
            self.transaction.commit().await?;
        }
        fault::reach(self.step, Moment::After).await;
        Ok(())
    }
}
