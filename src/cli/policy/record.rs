//! Opens the record of decisions, for tools that only look at it.

use crate::cli::config::{self, RecordConfig};
use crate::cli::{Failure, output};
use crate::domain::ids::DecisionId;
use crate::engine::History;
use crate::store::{self, Recorded};
use jiff::Timestamp;
use std::path::Path;

/// The record, and what the configuration says besides.
pub(super) struct Record {
    pub(super) history: History,
    pub(super) config: RecordConfig,
    /// The database's time.
    pub(super) now: Timestamp,
}

/// Reads the configuration and opens its database; nothing is written to it.
pub(super) async fn open(path: &Path) -> Result<Record, Failure> {
    output::start_logging("warn");
    let config = config::read_record(path)?;
    if let Some(file) = config.database_url.strip_prefix("sqlite://")
        && !Path::new(file).exists()
    {
        return Err(Failure::input(format!("there is no database file `{file}`; check `database.url`")));
    }
    let store = store::open(&config.database_url, 2).await?;
    store.check_schema().await?;
    let now = store.now().await?;
    Ok(Record { history: History::new(store, config.encryption.clone()), config, now })
}

/// A decision, or the sentence that there is none.
pub(super) async fn decision(history: &History, id: DecisionId) -> Result<Recorded, Failure> {
    let recorded = history.decision(id).await?.ok_or_else(|| {
        Failure::no(format!(
            "there is no decision `{id}` in this database; it is `decision.id` of an operation, or `id` in `decisions`"
        ))
    })?;
    if recorded.decided_by != "policy" {
        return Err(Failure::no(format!("decision `{id}` was made by hand ({}); no rule had a part in it", recorded.decided_by)));
    }
    Ok(recorded)
}
