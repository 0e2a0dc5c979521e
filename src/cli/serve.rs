//! `assent serve`: runs the daemon until it is told to stop. `--check` only says whether it would work.

use super::daemon::{StartError, check_key, reach};
use super::{ConfigArgument, Daemon, Failure, config, output};
use crate::directory::{Directory, DirectoryError};
use crate::domain::disposition::Disposition;
use crate::domain::ids::TresorId;
use crate::engine::{Engine, load_tested_policy, start_policy};
use crate::store::{self, StoreError};
use crate::zerokit::{self, Client};
use clap::Args;
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
    let checked = options.check.then(|| load_tested_policy(&config.policies, config.require_tests)).transpose()?;
    let directory = Directory::open(&config.directory).map_err(StartError::from)?;
    let store = store::open(&config.database_url, config.database_connections).await?;
    let migrates = options.migrate || config.database_url.starts_with("sqlite://");
    if migrates && !options.check {
        store.migrate().await?;
    }
    match store.check_schema().await {
        // A check changes nothing; serving would migrate.
        Err(StoreError::SchemaOutdated) if migrates && options.check => {}
        checked => {
            checked?;
            check_key(store.as_ref(), &config.encryption, false).await?;
        }
    }
    if !config.database_url.starts_with("sqlite://") && store.may_change_log().await.unwrap_or(false) {
        tracing::warn!(
            "the database role of this daemon can change the decision log; `assent migrate --daemon-role` makes one that cannot"
        );
    }
    let (clock, client) = reach(&config, store.as_ref()).await?;
    let platform = check_platform(&client).await;
    let known = directory.check().await.map_err(StartError::from);
    if let Some(policy) = checked {
        platform?;
        known?;
        for destination in &config.sealing.destinations {
            destination.check().map_err(|error| Failure::input(format!("checkpoints would go nowhere: {error}")))?;
        }
        println!("configuration, policy ({} rules), database, directory and platform are in order", policy.rules.len());
        return Ok(());
    }
    let start = start_policy(&config.policies, config.require_tests, store.as_ref()).await?;
    if let Some(failure) = &start.failure {
        tracing::error!(error.message = %failure, policy.hash = %start.policy.hash, "started with the policy that was in force last");
    }
    if let Err(down) = known {
        tracing::warn!(error.message = %down, "started all the same; facts of that source are unknown until it answers");
    }
    if let Err(failure) = platform {
        // A platform that is away is no reason to lose notifications: the daemon takes them in and waits.
        tracing::warn!(error.message = failure.message(), "started all the same; notifications are taken in and wait");
    }
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Failure::input(format!("cannot listen on {listen}: {error}; choose another address with `listen` or ASSENT_LISTEN"))
    })?;
    let hash = start.policy.hash.clone();
    let rules = start.policy.rules.len();
    let mode = config.mode;
    let daemon = Daemon::start_with((clock, client), config, store, start, listener).await?;
    reload_on_hangup(Arc::clone(&daemon.engine));
    tracing::info!(http.address = %daemon.address, policy.hash = %hash, policy.rules = rules, engine.mode = mode.as_str(), "assent serves");
    stop_signal().await;
    tracing::info!("stopping: not ready any more; requests are taken a little longer, and work under way is finished");
    daemon.stop().await;
    tracing::info!("stopped");
    Ok(())
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

/// One signed read of a tresor that is not there: every answer but a refusal of our access is good news.
async fn check_platform(client: &Client) -> Result<(), Failure> {
    let Ok(probe) = TresorId::new("0000assentprobe") else { return Ok(()) };
    let Err(failure) = client.list_members(&probe).await else { return Ok(()) };
    let advice = "check `zerokit.service_url`, `zerokit.tenant_id` and `zerokit.admin_key`";
    match failure {
        zerokit::Failure::Unreachable { .. } => Err(Failure::unreachable(failure.to_string())),
        zerokit::Failure::NoAnswer { .. } | zerokit::Failure::NotThePlatform { .. } => Err(Failure::unreachable(format!(
            "what stands at {} does not answer as the platform: {failure}; {advice}",
            client.service()
        ))),
        zerokit::Failure::Refused { .. } if failure.on_read() == Disposition::Misconfigured => {
            Err(Failure::no(format!("the platform refuses this daemon's access: {failure}; {advice}")))
        }
        zerokit::Failure::Refused { .. } => Ok(()),
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
