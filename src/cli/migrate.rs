//! `assent migrate`: brings the schema up to date, and lets the daemon's role do what it needs and no more.

use super::progress::Progress;
use super::{ConfigArgument, Failure, config};
use crate::store::{self, Rewritten, Store};
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The role that the daemon connects as: it may write, and cannot change or remove what is in the log. Made if it is not there
    #[arg(long, value_name = "ROLE")]
    daemon_role: Option<String>,
    /// Write facts and traces of decisions anew where an older release began the log, so that to decide and to verify takes less. A minute
    /// for 1,000,000 decisions, while no daemon runs; there must be room for a second copy of them
    #[arg(long)]
    rewrite: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let url = config::read_database_url(&options.config.config)?;
    let is_server = !url.starts_with("sqlite://");
    if options.daemon_role.is_some() && !is_server {
        return Err(Failure::input(
            "SQLite has no roles: whoever can write the file can change the log; `assent audit verify` shows it",
        ));
    }
    let store = store::open(&url, 2).await?;
    match store.migrate().await? {
        0 => println!("the schema is up to date"),
        1 => println!("1 migration applied; the schema is up to date"),
        applied => println!("{applied} migrations applied; the schema is up to date"),
    }
    if options.rewrite {
        match rewritten(store.as_ref()).await? {
            Rewritten::Decisions(decisions) => println!("{decisions} decisions written anew"),
            Rewritten::Before => println!("nothing to write anew: decisions are kept as this release keeps them"),
            Rewritten::InUse(others) => return Err(Failure::in_use(others)),
        }
    } else if store.is_to_rewrite().await? {
        eprintln!(
            "hint: an older release began this log; to decide and to verify by it takes longer; when no daemon need run for a while: assent migrate --rewrite"
        );
    }
    let roles = store.grant(options.daemon_role.as_deref()).await?;
    for role in &roles {
        println!("role {role} may read and write, and cannot change or remove what is in the log");
    }
    if options.daemon_role.is_some() {
        println!("let it log in as your server asks for (`alter role ... password`), and the daemon use it in `database.url`");
    } else if roles.is_empty() && is_server {
        eprintln!("hint: a role for the daemon that cannot change the log: assent migrate --daemon-role assent_daemon");
    }
    Ok(())
}

async fn rewritten(store: &dyn Store) -> Result<Rewritten, Failure> {
    let progress = Progress::of("writing decisions anew:");
    let (started, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(500)));
    let mut rewriting = std::pin::pin!(store.rewrite());
    loop {
        tokio::select! {
            rewritten = &mut rewriting => return Ok(rewritten?),
            _ = ticks.tick() => progress.count(started.elapsed().as_secs(), "seconds"),
        }
    }
}
