//! The daemon as one piece: store, engine and HTTP put together from a configuration. Used by `serve`, the demo and the
//! tests, so that all three run the same thing.

use super::Failure;
use super::config::Config;
use crate::audit::MasterKey;
use crate::directory::{Directory, DirectoryError};
use crate::domain::clock::Clock;
use crate::engine::{DatabaseClock, Engine, Parts, Settings, StartPolicy, rederived_log_key};
use crate::http::{self, Api};
use crate::store::{LaneRules, Store, StoreError};
use crate::zerokit::{Client, Failure as PlatformFailure};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running daemon.
pub struct Daemon {
    /// The engine, to be watched.
    pub engine: Arc<Engine>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    worker: JoinHandle<()>,
    effects: JoinHandle<()>,
    events: JoinHandle<()>,
    sealing: JoinHandle<()>,
    policies: JoinHandle<()>,
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] reqwest::Error),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The key is not the one that the database was written with, or cannot be used.
    #[error(
        "`encryption.key` is not the one this database was written with, and nothing in it could be read; put that one into `encryption.key_file`, or the new one if `assent audit rekey` has run"
    )]
    WrongKey,
    /// The listener has no address.
    #[error("the listener broke: {0}")]
    Listener(#[from] std::io::Error),
}

impl Daemon {
    /// Starts working and serving; the schema must be up to date.
    ///
    /// # Errors
    /// The database cannot be used, TLS cannot be set up, or the listener broke.
    pub async fn start(
        config: Config,
        store: Arc<dyn Store>,
        policy: impl Into<StartPolicy>,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let reached = reach(&config, Some(store.as_ref())).await?;
        Self::start_with(reached, &Ok(()), config, store, policy.into(), listener).await
    }

    /// The same, with what somebody has made to see whether all is there, and whether the platform let it in.
    pub(super) async fn start_with(
        (clock, platform): (Arc<DatabaseClock>, Client),
        access: &Result<(), PlatformFailure>,
        mut config: Config,
        store: Arc<dyn Store>,
        policy: StartPolicy,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        store.check_schema().await?;
        config.encryption = check_key(store.as_ref(), &config.encryption, true).await?;
        if config.sealing.is_key_derived {
            config.sealing.key = rederived_log_key(&config.sealing.key, &config.encryption);
        }
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let engine = engine(&config, store, policy, Arc::clone(&shared), platform)?;
        engine.announce_policy().await?;
        engine.health.note(access);
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(Arc::clone(&engine).run(clock, stopped.clone()));
        let effects = tokio::spawn(Arc::clone(&engine).run_effects(stopped.clone()));
        tokio::spawn(Arc::clone(&engine).run_access(stopped.clone()));
        tokio::spawn(Arc::clone(&engine).run_hints(stopped.clone()));
        tokio::spawn(Arc::clone(&engine).run_retirement(stopped.clone()));
        let sealing = tokio::spawn(Arc::clone(&engine).run_sealing(stopped.clone()));
        let events = tokio::spawn(Arc::clone(&engine).run_events(stopped.clone()));
        let policies = tokio::spawn(Arc::clone(&engine).watch_policy(stopped.clone()));
        let api = Api {
            engine: Arc::clone(&engine),
            clock: shared,
            secrets: config.inbound_secrets,
            tolerance: config.tolerance,
            tokens: config.tokens,
        };
        let address = listener.local_addr()?;
        let server = tokio::spawn(http::serve(listener, http::router(api), stopped));
        Ok(Self { engine, address, stop, server, worker, effects, events, sealing, policies })
    }

    /// Says that it is not ready, goes on serving until whoever routes requests has noticed, then stops taking them, lets
    /// what is under way finish, gives back what does not, and ends: within 25 seconds.
    pub async fn stop(self) {
        self.engine.drain();
        tokio::time::sleep(self.engine.drain_time()).await;
        let _ = self.stop.send(true);
        self.engine.stop_waiting();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.server).await;
        let _ = self.worker.await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.policies).await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.effects).await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.events).await;
        // What cannot be sealed now is sealed by whoever starts next.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.engine.seal_the_rest()).await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.sealing).await;
    }
}

/// The clock, measured against the database's where there is one, and the client of the platform that goes by it: once a process.
///
/// # Errors
/// The database does not answer, or TLS cannot be set up.
pub(super) async fn reach(config: &Config, store: Option<&dyn Store>) -> Result<(Arc<DatabaseClock>, Client), StartError> {
    let clock = Arc::new(DatabaseClock::default());
    if let Some(store) = store {
        clock.measure(store).await?;
    }
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let platform = Client::new(config.service.clone(), config.admin_key.clone(), config.call_timeout, shared)?;
    Ok((clock, platform))
}

/// The engine that a configuration describes; nothing runs in it yet.
///
/// # Errors
/// A setting of the directory cannot be used.
pub(super) fn engine(
    config: &Config,
    store: Arc<dyn Store>,
    policy: StartPolicy,
    clock: Arc<dyn Clock>,
    platform: Client,
) -> Result<Arc<Engine>, StartError> {
    let settings = Settings {
        tenant: config.service.tenant.to_string(),
        replica: uuid::Uuid::now_v7().to_string(),
        mode: config.mode,
        workers: config.workers,
        lease: config.lease,
        call_timeout: config.call_timeout,
        drain: config.drain,
        quiet_period: config.quiet_period,
        retry_base: config.retry_base,
        retry_max: config.retry_max,
        retry_budget: config.retry_budget,
        lanes: LaneRules {
            turn: config.turn,
            wait: config.max_wait,
            join_window: config.join_window,
            events: config.outbound.is_some(),
        },
        max_attempts: config.max_attempts,
        requester_required: config.requester_required,
        policies: config.policies.clone(),
        require_tests: config.require_tests,
        registration_max_age: config.registration_max_age,
    };
    let mut sealing = config.sealing.clone();
    if let Some(told) = &config.told {
        sealing.configuration = told.recorded(&config.encryption);
    }
    let directory = Directory::open(&config.directory)?;
    let parts = Parts {
        store,
        platform,
        directory,
        clock,
        master_key: config.encryption.clone(),
        outbound: config.outbound.clone(),
        sealing,
    };
    Ok(Engine::new(parts, policy, settings))
}

/// Fails where the database is a file that is not there: nobody who mistyped its name wants a new one.
///
/// # Errors
/// It is not there.
pub(super) fn check_file(url: &str) -> Result<(), Failure> {
    match url.strip_prefix("sqlite://") {
        Some(file) if !Path::new(file).is_file() => {
            Err(Failure::input(format!("there is no database file `{file}`; check `database.url`")))
        }
        _ => Ok(()),
    }
}

/// Holds the key against the database's sentinel; with `keep` a database that has none gets one. The key as it is there.
///
/// # Errors
/// It is another key, or the database cannot be read.
pub(super) async fn check_key(store: &dyn Store, key: &MasterKey, keep: bool) -> Result<MasterKey, StartError> {
    let fresh = if keep { Some(key.sentinel().map_err(|_| StartError::WrongKey)?) } else { None };
    match store.key_sentinel(fresh).await? {
        Some(sentinel) => key.of_database(&sentinel).map_err(|_| StartError::WrongKey),
        None => Ok(key.clone()),
    }
}
