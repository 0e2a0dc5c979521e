//! The directory's SQL query: one parameter, one row, read-only, with a time-out.
//!
//! The operator's query is put into a sub-select, so that it can only select; the id is bound, never written into it.

use super::claims::Claims;
use super::{DirectoryError, Down, Lookup, SqlSettings, Subject};
use crate::domain::fact::Source;
use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

/// A person's record is small; what is larger is something else.
const MAX_ROW_BYTES: u32 = 256 * 1024;

enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

pub(super) struct SqlSource {
    pool: Pool,
    user_query: Option<Arc<str>>,
    tresor_query: Option<Arc<str>>,
    timeout: Duration,
}

impl SqlSource {
    pub(super) fn new(settings: &SqlSettings) -> Result<Self, DirectoryError> {
        let broken = |key: &'static str, what: &str| DirectoryError::Setting { key, what: what.to_owned() };
        if settings.user_query.is_none() && settings.tresor_query.is_none() {
            return Err(broken("sql", "needs `user_query`, `tresor_query`, or both"));
        }
        let query = |key: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) if !text.contains("$1") => Err(broken(key, "must hold `$1`, which stands for the id")),
            Some(text) => {
                let text = text.trim().trim_end_matches(';');
                Ok(Some(Arc::from(format!("select * from (\n{text}\n) as assent_directory limit 2"))))
            }
        };
        let url = settings.url.expose();
        let malformed = || broken("sql.url", "must begin with `postgres://` or `sqlite://`");
        let pool = if let Some(path) = url.strip_prefix("sqlite://") {
            let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(settings.timeout);
            let pool = SqlitePoolOptions::new().max_connections(settings.connections).acquire_timeout(settings.timeout);
            Pool::Sqlite(pool.connect_lazy_with(options))
        } else if url.starts_with("postgres") {
            let millis = settings.timeout.as_millis().to_string();
            let options = PgConnectOptions::from_str(url).map_err(|_| malformed())?.application_name("assent-directory");
            let options = options.options([("default_transaction_read_only", "on"), ("statement_timeout", millis.as_str())]);
            let pool = PgPoolOptions::new().max_connections(settings.connections).acquire_timeout(settings.timeout);
            Pool::Postgres(pool.connect_lazy_with(options))
        } else {
            return Err(malformed());
        };
        Ok(Self {
            pool,
            user_query: query("sql.user_query", &settings.user_query)?,
            tresor_query: query("sql.tresor_query", &settings.tresor_query)?,
            timeout: settings.timeout,
        })
    }

    const fn query(&self, subject: &Subject) -> Option<&Arc<str>> {
        match subject {
            Subject::User(_) => self.user_query.as_ref(),
            Subject::Tresor(_) => self.tresor_query.as_ref(),
        }
    }

    async fn rows(&self, query: &Arc<str>, id: &str) -> Result<Vec<Map<String, Value>>, Down> {
        let sql = AssertSqlSafe(query.to_string());
        match &self.pool {
            Pool::Postgres(pool) => {
                sqlx::query(sql).bind(id).fetch_all(pool).await.map_err(down)?.iter().map(postgres_row).collect()
            }
            Pool::Sqlite(pool) => sqlx::query(sql).bind(id).fetch_all(pool).await.map_err(down)?.iter().map(sqlite_row).collect(),
        }
    }
}

/// What the database said, without its sentence: that may quote values.
fn down(error: sqlx::Error) -> Down {
    match &error {
        sqlx::Error::Database(refused) => {
            let code = refused.code().map(|code| format!(" (code {code})")).unwrap_or_default();
            // 57 and 53: an operator intervened, or it has not enough of something; the rest is the query's fault.
            let may_pass = refused.code().is_some_and(|code| code.starts_with("57") || code.starts_with("53"));
            Down { cause: format!("the database refuses the query{code}"), may_pass }
        }
        sqlx::Error::PoolTimedOut => Down::for_now("no connection in time"),
        _ => Down::for_now("the database cannot be reached"),
    }
}

fn unusable(column: &str, type_name: &str) -> Down {
    let type_name = type_name.to_lowercase();
    Down::for_good(format!("column `{column}` is of type {type_name}; cast it to text, bigint or boolean"))
}

fn postgres_row(row: &PgRow) -> Result<Map<String, Value>, Down> {
    let mut fields = Map::new();
    for column in row.columns() {
        let (name, at) = (column.name(), column.ordinal());
        let type_name = column.type_info().name();
        let wrong = |_| unusable(name, type_name);
        let value = match type_name {
            "BOOL" => row.try_get::<Option<bool>, _>(at).map_err(wrong)?.map(Value::from),
            "INT2" => row.try_get::<Option<i16>, _>(at).map_err(wrong)?.map(Value::from),
            "INT4" => row.try_get::<Option<i32>, _>(at).map_err(wrong)?.map(Value::from),
            "INT8" => row.try_get::<Option<i64>, _>(at).map_err(wrong)?.map(Value::from),
            "TEXT" | "VARCHAR" | "NAME" | "BPCHAR" | "CITEXT" => {
                row.try_get::<Option<String>, _>(at).map_err(wrong)?.map(Value::from)
            }
            "TEXT[]" | "VARCHAR[]" => row.try_get::<Option<Vec<String>>, _>(at).map_err(wrong)?.map(Value::from),
            _ => return Err(unusable(name, type_name)),
        };
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(fields)
}

fn sqlite_row(row: &SqliteRow) -> Result<Map<String, Value>, Down> {
    let mut fields = Map::new();
    for column in row.columns() {
        let (name, at) = (column.name(), column.ordinal());
        let raw = row.try_get_raw(at).map_err(down)?;
        if raw.is_null() {
            continue;
        }
        let type_name = raw.type_info().name().to_owned();
        let wrong = |_| unusable(name, &type_name);
        let value = match type_name.as_str() {
            "INTEGER" => Value::from(row.try_get::<i64, _>(at).map_err(wrong)?),
            "BOOLEAN" => Value::from(row.try_get::<bool, _>(at).map_err(wrong)?),
            "TEXT" => Value::from(row.try_get::<String, _>(at).map_err(wrong)?),
            _ => return Err(unusable(name, &type_name)),
        };
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

/// Groups as a JSON array, or parted by `;`.
fn groups(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    let parted = || text.split(';').map(str::trim).filter(|group| !group.is_empty()).map(Value::from).collect();
    serde_json::from_str::<Vec<String>>(text).map_or_else(|_| parted(), Value::from)
}

#[async_trait]
impl Lookup for SqlSource {
    fn source(&self) -> Source {
        Source::Sql
    }

    fn knows_of(&self, subject: &Subject) -> bool {
        self.query(subject).is_some()
    }

    async fn look_up(&self, subject: &Subject) -> Result<Option<Arc<Claims>>, Down> {
        let Some(query) = self.query(subject) else { return Ok(None) };
        let rows = tokio::time::timeout(self.timeout, self.rows(query, subject.id())).await;
        let mut rows = rows.map_err(|_| Down::for_now("no answer in time"))??;
        let Some(row) = rows.pop() else { return Ok(None) };
        if !rows.is_empty() {
            return Err(Down::for_good("the query gives more than one row"));
        }
        let columns = row.into_iter().map(|(name, value)| {
            let value = if name == "groups" { groups(value) } else { value };
            (name, value)
        });
        let claims = Claims::of_columns(columns, matches!(subject, Subject::User(_)));
        let wrong = |_| {
            Down::for_good("the row is no such record: `email` is a text, `groups` are texts, `created_at` a time with a zone")
        };
        let claims = claims.map_err(wrong)?;
        if claims.bytes() > MAX_ROW_BYTES {
            return Err(Down::for_good("the row is larger than 256 KiB"));
        }
        Ok(Some(Arc::new(claims)))
    }
}
