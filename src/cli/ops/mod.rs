//! `assent ops`: what an operator or a reviewer does beside the daemon, on its database. Each act is recorded with the name
//! of whoever did it.

mod events;
mod pause;
mod review;
mod unknown;

use super::daemon::check_file;
use super::{ConfigArgument, Failure, config};
use crate::domain::ids::RecordId;
use crate::store::{self, Store, StoreError};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::sync::Arc;

/// How many rows are shown at most.
const MOST_ROWS: u32 = 1000;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the events that the web app has not taken, and have them sent again
    #[command(
        after_help = "Example:\n  assent ops events\n  assent ops events --dead --json\n  assent ops events --resend evt_01a20b0c...\n  assent ops events --resend-dead"
    )]
    Events(events::Options),
    /// List what was escalated, or decide one of it as a reviewer
    #[command(
        after_help = "Example:\n  assent ops review\n  assent ops review 01a20b0c-...\n  assent ops review 01a20b0c-... --approve --comment 'seen with legal' --token-file my.token"
    )]
    Review(review::Options),
    /// List the operations of which nobody knows how they ended
    #[command(after_help = "Example:\n  assent ops unknown\n  assent ops unknown --json")]
    Unknown(unknown::ListOptions),
    /// Say how an operation ended of which nobody knew
    #[command(
        after_help = "Example:\n  assent ops resolve 01a20b0c-... --as applied --comment 'the link works'\n  assent ops resolve 01a20b0c-... --as failed --comment 'no such link'"
    )]
    Resolve(unknown::ResolveOptions),
    /// Stop verdicts, on everything or on one tresor; notifications are still taken in
    #[command(
        after_help = "Example:\n  assent ops pause --comment 'the new policy is wrong'\n  assent ops pause --tresor 0000slpj4r86xbqlg9wmjhug"
    )]
    Pause(pause::Options),
    /// Let verdicts go on
    #[command(after_help = "Example:\n  assent ops resume\n  assent ops resume --tresor 0000slpj4r86xbqlg9wmjhug")]
    Resume(pause::Options),
    /// List the pauses in force
    #[command(after_help = "Example:\n  assent ops pauses --json")]
    Pauses(pause::ListOptions),
}

/// Where the database is, and whether to speak to a program.
#[derive(Debug, Args)]
pub(in crate::cli) struct Common {
    #[command(flatten)]
    config: ConfigArgument,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who acts.
#[derive(Debug, Args)]
pub(in crate::cli) struct Operator {
    /// Who does it, for the record; by default who is logged in here
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) operator: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    let (is_json, result) = match command {
        Command::Events(options) => (options.common.json, events::run(options).await),
        Command::Review(options) => (options.common.json, review::run(options).await),
        Command::Unknown(options) => (options.common.json, unknown::list(options).await),
        Command::Resolve(options) => (options.common.json, unknown::resolve(options).await),
        Command::Pause(options) => (options.common.json, pause::pause(options).await),
        Command::Resume(options) => (options.common.json, pause::resume(options).await),
        Command::Pauses(options) => (options.common.json, pause::list(options).await),
    };
    result.map_err(|failure| if is_json { failure.as_json() } else { failure })
}

/// The database that the configuration names, with a schema that is up to date.
async fn open(common: &Common) -> Result<Arc<dyn Store>, Failure> {
    let url = config::read_database_url(&common.config.config)?;
    check_file(&url)?;
    let store = store::open(&url, 2).await?;
    // As for the daemon: a file migrates itself, a server is migrated by whoever runs it.
    match store.check_schema().await {
        Err(StoreError::SchemaOutdated) if url.starts_with("sqlite://") => drop(store.migrate().await?),
        checked => checked?,
    }
    Ok(store)
}

/// Who acts: as told, or who is logged in on this machine.
pub(in crate::cli) fn operator(told: Option<String>) -> Result<String, Failure> {
    let logged_in = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = told.or_else(logged_in).filter(|name| !name.trim().is_empty());
    name.ok_or_else(|| Failure::input("nobody is logged in here; say who acts with `--operator NAME`"))
}

fn record_id(text: &str) -> Result<RecordId, Failure> {
    RecordId::parse(text).ok_or_else(|| {
        Failure::input(format!("`{text}` is no record; it is the `id` that the API and the lists of `assent ops` show"))
    })
}

fn comment(text: &str) -> Result<&str, Failure> {
    let text = text.trim();
    if text.is_empty() { Err(Failure::input("`--comment` must say why; it goes into the record")) } else { Ok(text) }
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
