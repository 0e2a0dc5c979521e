//! `assent audit`: what an auditor does with the decision log, and the keys of what is personal in it. One file a command;
//! nothing here changes what was recorded.

mod archive;
mod check;
mod export;
mod forget;
mod key;
mod line;
mod lines;
mod prove;
mod query;
mod reader;
mod rekey;
mod retain;
mod source;
mod verify;

use super::config::{self, AuditConfig};
use super::daemon::{check_file, check_key};
use super::ops::{Operator, operator};
use super::{ConfigArgument, Failure, output};
use crate::audit::LogVerifier;
use crate::engine::rederived_log_key;
use crate::store::{self, Store};
use clap::{Args, Subcommand};
use std::sync::Arc;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for decisions, the newest first, or count them
    #[command(
        after_help = "Example:\n  assent audit query --since 7d --verdict reject\n  assent audit query --actor 20160601121212.tlq1d0hp@tenant1234.tresorit.io --json\n  assent audit query --since 2026-01-01T00:00:00Z --rule invitee-domain --csv --limit 100000\n  assent audit query --since 30d --count"
    )]
    Query(query::Options),
    /// Say whether anything in the log was changed, removed or added
    #[command(
        after_help = "Example:\n  assent audit verify\n  assent audit verify --checkpoint kept-elsewhere.txt\n  assent audit verify --export ./export --key assent/tenant1234+5e1f0c2a+AUJ3... --checkpoint kept-elsewhere.txt\n  assent audit verify --proof decision.tlog-proof --key key.txt"
    )]
    Verify(verify::Options),
    /// Write the proof that a decision is in the log, for anyone to check
    #[command(after_help = "Example:\n  assent audit prove 01a20bc0-... --out decision.tlog-proof")]
    Prove(prove::Options),
    /// Print the key that checkpoints and proofs are checked with
    #[command(after_help = "Example:\n  assent audit key > key.txt")]
    Key(key::Options),
    /// Write the whole log into a folder, to be checked or read elsewhere
    #[command(
        after_help = "Example:\n  assent audit export ./export\n  assent audit export ./tables --format csv\n  assent audit export ./export   # goes on where it was broken off"
    )]
    Export(export::Options),
    /// Destroy the key of a person, so that what was personal in decisions cannot be read again
    #[command(
        after_help = "Example:\n  assent audit forget 20160601121212.tlq1d0hp@tenant1234.tresorit.io --yes --comment 'asked to, ticket 4711'"
    )]
    Forget(forget::Options),
    /// Take months that need not be kept longer out of the database, into an archive
    #[command(
        after_help = "Example:\n  assent audit retain --keep 7y --archive /var/lib/assent-archive\n  assent audit retain --keep 7y --archive /var/lib/assent-archive --yes\n  assent audit verify --archive /var/lib/assent-archive"
    )]
    Retain(retain::Options),
    /// Put another key in the place of `encryption.key`, while no daemon runs
    #[command(after_help = "Example:\n  openssl rand -base64 32 > new-key && assent audit rekey --new-key-file new-key --yes")]
    Rekey(rekey::Options),
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let (is_json, result) = match command {
        Command::Query(options) => (options.json, query::run(options).await),
        Command::Verify(options) => (options.json, verify::run(options).await),
        Command::Prove(options) => (false, prove::run(options).await),
        Command::Key(options) => (false, key::run(options).await),
        Command::Rekey(options) => (options.json, rekey::run(options).await),
        Command::Retain(options) => (options.json, retain::run(options).await),
        Command::Forget(options) => (options.json, forget::run(options).await),
        Command::Export(options) => (options.json, export::run(options).await),
    };
    result.map_err(|failure| if is_json { failure.as_json() } else { failure })
}

/// What is written down of whoever does something that cannot be undone.
#[derive(Debug, Args)]
struct Deed {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

impl Deed {
    /// Who does it.
    fn operator(&self) -> Result<String, Failure> {
        operator(self.operator.operator.clone())
    }
}

/// The log, and what the configuration says of it.
struct Log {
    store: Arc<dyn Store>,
    config: AuditConfig,
}

/// Reads the configuration and opens its database, to read.
async fn open(argument: &ConfigArgument) -> Result<Log, Failure> {
    output::start_logging("warn");
    let mut config = config::read_audit(&argument.config)?;
    check_file(&config.database_url)?;
    let store = store::open_to_read(&config.database_url, 4).await?;
    store.check_schema().await?;
    // With another key personal facts would seem to be erased.
    if let Some(key) = &config.encryption {
        let key = check_key(store.as_ref(), key, false).await?;
        if config.is_key_derived {
            config.log_key = config.log_key.map(|log_key| rederived_log_key(&log_key, &key));
        }
        config.encryption = Some(key);
    }
    Ok(Log { store, config })
}

/// The keys to check something with that was taken out of the database, which is asked only where they follow from what it keeps.
async fn verifiers_elsewhere(told: &[String], argument: &ConfigArgument) -> Result<Vec<LogVerifier>, Failure> {
    if !told.is_empty() {
        return verifiers(told, None);
    }
    let note = "without its database, tell the log's key: `--key`, with what `assent audit key` prints there";
    let config = config::read_audit(&argument.config).map_err(|failure| failure.with_note(note))?;
    if config.log_key.is_some() && config.is_key_derived {
        let log = open(argument).await.map_err(|failure| failure.with_note(note))?;
        return verifiers(&[], Some(&log.config));
    }
    verifiers(&[], Some(&config))
}

/// Says so where the keys are another log's: nothing in this one is wrong then.
fn is_of_log(keys: &[LogVerifier], log: &str) -> Result<(), Failure> {
    match keys.first() {
        Some(key) if keys.iter().all(|key| key.name() != log) => Err(Failure::input(format!(
            "the key is of the log `{}`, and this is the log `{log}`; see to `audit.name`, or to `--key`",
            key.name()
        ))),
        _ => Ok(()),
    }
}

/// The keys to check signatures with: as told, text or files, or those of the configuration.
fn verifiers(told: &[String], config: Option<&AuditConfig>) -> Result<Vec<LogVerifier>, Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::input(format!("the log's key {error}"));
    if !told.is_empty() {
        let read = |told: &String| {
            let file = std::fs::read_to_string(told);
            let text = file.as_deref().unwrap_or(told);
            LogVerifier::parse(text).map_err(|error| match file {
                Err(unreadable) if !told.contains('+') => {
                    Failure::input(format!("`--key {told}` is no key, and no file that can be read: {unreadable}"))
                }
                _ => bad(&error),
            })
        };
        return told.iter().map(read).collect();
    }
    let key = config.and_then(|config| config.log_key.as_ref()).ok_or_else(|| {
        Failure::input(
            "without the daemon's configuration the log's key must be told: `--key`, with what `assent audit key` prints there",
        )
    })?;
    Ok([key.verifier().map_err(|error| bad(&error))?].into_iter().chain(key.previous().iter().cloned()).collect())
}
