//! What can go wrong with the database, and what the reader can do about it. The one place where a driver's error or a
//! constraint's name becomes one of ours.

/// What stands once: whoever is second finds it there when it looks.
const ONCE: [&str; 3] = ["operations_one_in_flight", "operations_one_record", "notifications_pkey"];

/// A failed store operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The address is neither Postgres nor SQLite.
    #[error("`database.url` must begin with `postgres://` or `sqlite://`")]
    Address,
    /// Nothing answers, or it broke off.
    #[error("the database cannot be reached: {0}; check `database.url`, and the server if it names one")]
    Unreachable(String),
    /// The schema is not there or is older.
    #[error(
        "the database's schema is not up to date, or a table of it is gone; run `assent migrate`, and where that finds nothing to do put the table back from a backup"
    )]
    SchemaOutdated,
    /// The schema is newer or was changed.
    #[error("the database's schema is not this version's: {0}; run the version of assent that migrated it")]
    SchemaForeign(String),
    /// Somebody else works on the operation now.
    #[error("the lease on the operation was lost")]
    Fenced,
    /// Two transactions stood in each other's way; the same may succeed at once.
    #[error("the transaction lost against another one")]
    Contention,
    /// Somebody else holds what would have to be changed.
    #[error(
        "somebody reads or writes tables that have to be changed; run it again when long queries, dumps and vacuums are over"
    )]
    Held,
    /// The policy was replaced while an operation was decided by it.
    #[error("the policy was replaced meanwhile; the operation is decided again")]
    PolicyMoved,
    /// What was to be stored with its decision is stored without.
    #[error("the notification is stored without its decision")]
    BeingStored,
    /// The judge could not judge.
    #[error("the decision cannot be recorded: {0}")]
    Judge(String),
    /// A row holds what was never written.
    #[error("the database holds an unreadable row: {0}")]
    Corrupt(String),
    /// What is kept of the tree over the log does not fit together, so nothing is signed over it.
    #[error("the tree over the decision log is not what was signed: {0}; run `assent audit verify`, which says what was changed")]
    Tree(String),
    /// Anything else.
    #[error("the database refused: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether the same may well succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unreachable(_) | StoreError::Contention)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(cause) => StoreError::Unreachable(cause.to_string()),
            sqlx::Error::PoolTimedOut => {
                StoreError::Unreachable("no connection was free in time; the server may have none left for this role".into())
            }
            sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                StoreError::Unreachable(error.to_string())
            }
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                let message = database.message().to_owned();
                match code.as_ref() {
                    // Serialisation failure, deadlock; SQLite busy and locked.
                    "40001" | "40P01" | "5" | "6" | "261" | "262" | "517" | "518" => StoreError::Contention,
                    // Idle in a transaction, shutting down, starting up, too many connections; SQLite cannot open the file, or it is none of its.
                    "25P03" | "57P01" | "57P02" | "57P03" | "53300" | "14" | "26" => StoreError::Unreachable(message),
                    // Lock not available in time.
                    "55P03" => StoreError::Held,
                    // Undefined table: nobody migrated, or somebody dropped it.
                    "42P01" => StoreError::SchemaOutdated,
                    "42501" => StoreError::Database(format!(
                        "{message}; use a role that may: for a daemon one that `assent migrate --daemon-role` made, to read the log any that has `pg_read_all_data`, else the one that owns the schema"
                    )),
                    code if code.starts_with("08") || code.starts_with("28") || code == "3D000" => {
                        StoreError::Unreachable(message)
                    }
                    _ if database.constraint().is_some_and(|name| ONCE.contains(&name)) => StoreError::Contention,
                    _ if message.starts_with("no such table") => StoreError::SchemaOutdated,
                    _ => StoreError::Database(message),
                }
            }
            _ => StoreError::Database(error.to_string()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error.into(),
            error => StoreError::SchemaForeign(error.to_string()),
        }
    }
}
