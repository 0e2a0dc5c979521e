//! `assent serve`: runs the daemon until it is told to stop. `--check` only says whether it would work.

use super::config::{self, Config};
use super::daemon::{StartError, check_key, reach};
use super::{ConfigArgument, Daemon, Failure, output};
use crate::directory::{Directory, DirectoryError};
use crate::domain::disposition::Disposition;
use crate::engine::{Engine, ask_for_access, load_tested_policy, start_policy};
use crate::store::{self, Store, StoreError};
use crate::zerokit::{self, Client};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgument,
    /// Bring the schema up to date first (always done on SQLite)
    #[arg(long)]
    migrate: bool,
    /// Only check configuration, policy, database and platform
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    output::start_logging("info");
    let config = config::read(&options.config.config)?;
    let migrates = options.migrate || config.database_url.starts_with("sqlite://");
    if options.check {
        return check(&config, migrates).await;
    }
    let directory = Directory::open(&config.directory).map_err(StartError::from)?;
    let store = store::open(&config.database_url, config.database_connections).await?;
    if migrates {
        store.migrate().await?;
    }
    store.check_schema().await?;
    warn_of_role(&config, store.as_ref()).await;
    check_key(store.as_ref(), &config.encryption, false).await?;
    let (clock, client) = reach(&config, Some(store.as_ref())).await?;
    let access = ask_for_access(&client).await;
    let known = directory.check().await.map_err(StartError::from);
    // The engine opens its own; a file of many people is not to be in memory twice.
    drop(directory);
    let start = start_policy(&config.policies, config.require_tests, store.as_ref()).await?;
    if let Some(failure) = &start.failure {
        tracing::error!(error.message = %failure, policy.hash = %start.policy.hash, "started with the policy that was in force last");
    }
    if let Err(down) = known {
        tracing::warn!(error.message = %down, "started all the same; facts of that source are unknown until it answers");
    }
    match &access {
        Ok(()) => {}
        // The engine says so, and that it is not ready.
        Err(failure) if is_refusal(failure) => {}
        // It is no reason to lose notifications: the daemon takes them in.
        Err(failure) => {
            let why = why_not(failure, &client);
            tracing::warn!(error.message = why, "started all the same; notifications are taken in and wait");
        }
    }
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
    let hash = start.policy.hash.clone();
    let rules = start.policy.rules.len();
    let mode = config.mode;
    let daemon = Daemon::start_with((clock, client), &access, config, store, start, listener).await?;
    reload_on_hangup(Arc::clone(&daemon.engine));
    tracing::info!(http.address = %daemon.address, policy.hash = %hash, policy.rules = rules, engine.mode = mode.as_str(), "assent serves");
    stop_signal().await;
    tracing::info!("stopping: not ready any more; requests are taken a little longer, and work under way is finished");
    daemon.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Whether it would work. Changes nothing, and makes nothing.
async fn check(config: &Config, migrates: bool) -> Result<(), Failure> {
    let policy = load_tested_policy(&config.policies, config.require_tests)?;
    let directory = Directory::open(&config.directory).map_err(StartError::from)?;
    let store = match would_be_made(&config.database_url)? {
        true => None,
        false => Some(store::open(&config.database_url, config.database_connections).await?),
    };
    if let Some(store) = &store {
        warn_of_role(config, store.as_ref()).await;
        match store.check_schema().await {
            // Serving would migrate.
            Err(StoreError::SchemaOutdated) if migrates => {}
            checked => {
                checked?;
                check_key(store.as_ref(), &config.encryption, false).await?;
            }
        }
    }
    let (_, client) = reach(config, store.as_deref()).await?;
    ask_for_access(&client).await.map_err(|failure| match why_not(&failure, &client) {
        why if is_refusal(&failure) => Failure::no(why),
        why => Failure::unreachable(why),
    })?;
    directory.check().await.map_err(StartError::from)?;
    for destination in &config.sealing.destinations {
        destination.check().map_err(|error| Failure::input(format!("checkpoints would go nowhere: {error}")))?;
    }
    match TcpListener::bind(config.listen).await {
        // Maybe the daemon that this configuration is for.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
        listener => drop(listener.map_err(|error| cannot_listen(config.listen, &error))?),
    }
    println!("configuration, policy ({} rules), database, directory and platform are in order", policy.rules.len());
    Ok(())
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot listen on {address}: {error}; choose another address with `listen` or ASSENT_LISTEN"))
}

/// Whether the database is a file that is not there yet, and can be made.
fn would_be_made(url: &str) -> Result<bool, Failure> {
    let Some(file) = url.strip_prefix("sqlite://").filter(|file| !Path::new(file).exists()) else { return Ok(false) };
    // Under another name, as somebody may be about to serve.
    let probe = PathBuf::from(format!("{file}.check"));
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|_| std::fs::remove_file(&probe))
        .map_err(|error| Failure::unwritten(Path::new(file), &error))?;
    Ok(true)
}

async fn warn_of_role(config: &Config, store: &dyn Store) {
    if !config.database_url.starts_with("sqlite://") && store.may_change_log().await.unwrap_or(false) {
        tracing::warn!(
            "the database role of this daemon can change the decision log; `assent migrate --daemon-role` makes one that cannot"
        );
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Directory(DirectoryError::Down(_, _)) => Failure::unreachable(error.to_string()),
            error => Failure::input(error.to_string()),
        }
    }
}

/// Whether the platform is there, and does not let this daemon in.
fn is_refusal(failure: &zerokit::Failure) -> bool {
    matches!(failure, zerokit::Failure::Refused { .. }) && failure.on_read() == Disposition::Misconfigured
}

/// Why the platform cannot be used, in a sentence.
fn why_not(failure: &zerokit::Failure, client: &Client) -> String {
    let advice = "check `zerokit.service_url`, `zerokit.tenant_id` and `zerokit.admin_key`";
    match failure {
        zerokit::Failure::NoAnswer { .. } | zerokit::Failure::NotThePlatform { .. } => {
            format!("what stands at {} does not answer as the platform: {failure}; {advice}", client.service())
        }
        _ if is_refusal(failure) => format!("the platform refuses this daemon's access: {failure}; {advice}"),
        zerokit::Failure::Refused { .. } => format!("the platform serves nobody of this tenant: {failure}"),
        zerokit::Failure::Unreachable { .. } => failure.to_string(),
    }
}

/// SIGHUP has the policy directory read again at once.
fn reload_on_hangup(engine: Arc<Engine>) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            // What is wrong was logged where it was found.
            let _ = engine.reload_policy().await;
        }
    });
}

/// SIGTERM or Ctrl-C.
pub(super) async fn stop_signal() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
