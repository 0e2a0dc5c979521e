//! Opens the record of decisions, for tools that only look at it.

use crate::cli::config::{self, RecordConfig};
use crate::cli::daemon::{check_file, check_key};
use crate::cli::{Failure, output};
use crate::domain::ids::{DecisionId, RecordId};
use crate::engine::History;
use crate::policy::Evaluation;
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
    let mut config = config::read_record(path)?;
    check_file(&config.database_url)?;
    let store = store::open(&config.database_url, 2).await?;
    store.check_schema().await?;
    // With another key personal facts would be unknown, and the record would seem to say something else.
    if let Some(key) = &config.encryption {
        config.encryption = Some(check_key(store.as_ref(), key, false).await?);
    }
    let now = store.now().await?;
    Ok(Record { history: History::new(store, config.encryption.clone()), config, now })
}

/// A decision by its own id or by that of its operation's record, or the sentence that there is none.
pub(super) async fn decision(history: &History, text: &str) -> Result<Recorded, Failure> {
    let id = DecisionId::parse(text).ok_or_else(|| {
        Failure::input(format!(
            "`{text}` is no id of a decision; it is `decision.id` in the log and of an operation, or `id` in `decisions`"
        ))
    })?;
    let found = match history.decision(id).await? {
        None => history.decision_of(RecordId(id.0)).await?,
        found => found,
    };
    let recorded = found
        .ok_or_else(|| Failure::no(format!("there is no decision, and no operation with one, under `{id}` in this database")))?;
    if recorded.decided_by != "policy" {
        return Err(Failure::no(format!("decision `{id}` was made by hand ({}); no rule had a part in it", recorded.decided_by)));
    }
    Ok(recorded)
}

/// Says so where the record tells another story than its facts do now.
pub(super) fn note_difference(recorded: &Recorded, seen: &Evaluation, by: &str) {
    if seen.verdict != recorded.verdict || seen.rules != recorded.rules {
        eprintln!(
            "note: the record says {} by [{}]; {by} says {} by [{}]",
            recorded.verdict,
            recorded.rules.join(", "),
            seen.verdict,
            seen.rules.join(", ")
        );
    }
}
