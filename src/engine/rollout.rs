//! Which policy is in force: it is replaced as a whole, only by one that loads and passes its tests, and only after it
//! stands in the archive. Until then, and after a restart, the last good one stays.

use super::Engine;
use super::policy_files::{PolicyError, fingerprint, load_tested_policy};
use crate::domain::diagnostic::Diagnostic;
use crate::policy::{Policy, load_archived};
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How often the directory is looked at. A few `stat` calls see every sort of change, on every sort of file system.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to leave a database alone that could not take a new policy into the archive.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A policy to begin with; with it, why the directory gave none, if it came from the archive.
#[derive(Debug)]
pub struct StartPolicy {
    /// The policy.
    pub policy: Policy,
    /// What is wrong with the directory.
    pub failure: Option<PolicyError>,
}

impl From<Policy> for StartPolicy {
    fn from(policy: Policy) -> Self {
        Self { policy, failure: None }
    }
}

/// The directory's policy; if it is not one, the one that was in force last.
///
/// # Errors
/// The directory gives none and the archive has none, or the database cannot be read.
pub async fn start_policy(directory: &Path, require_tests: bool, store: &dyn Store) -> Result<StartPolicy, PolicyError> {
    let failure = match load_tested_policy(directory, require_tests) {
        Ok(policy) => return Ok(policy.into()),
        Err(failure) => failure,
    };
    let archived = store.last_activation().await?;
    // Only what its hash says it is was ever in force.
    let policy = archived.and_then(|activation| load_archived(&activation.hash, &activation.body));
    match policy {
        Some(policy) => Ok(StartPolicy { policy, failure: Some(failure) }),
        None => Err(failure),
    }
}

/// How the policy stands, for the API and the metrics.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyStatus {
    /// The policy itself.
    #[serde(skip)]
    pub policy: Arc<Policy>,
    /// Which is in force.
    pub hash: String,
    /// Since when.
    pub active_since: Timestamp,
    /// Where it came from: `directory` or `archive`.
    pub source: &'static str,
    /// How many times another one was put in force since the start.
    pub reloads: u64,
    /// Why what stands in the directory now is not in force.
    pub error: Option<PolicyFailure>,
}

/// A directory that gave no policy.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyFailure {
    /// Since when.
    pub since: Timestamp,
    /// What is wrong.
    pub message: String,
    /// Every problem of its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Diagnostic>,
}

/// The policy in force, and what is known of the directory.
pub(super) struct Rollout {
    directory: PathBuf,
    require_tests: bool,
    active: ArcSwap<Active>,
    failure: ArcSwap<Option<PolicyFailure>>,
    reloads: AtomicU64,
    /// One reload at a time, in the order in which they were asked for.
    turn: Mutex<()>,
}

struct Active {
    policy: Arc<Policy>,
    since: Timestamp,
    source: &'static str,
}

impl Rollout {
    pub(super) fn new(start: StartPolicy, directory: PathBuf, require_tests: bool, now: Timestamp) -> Self {
        let source = if start.failure.is_some() { "archive" } else { "directory" };
        let failure = start.failure.map(|failure| PolicyFailure::of(&failure, now));
        Self {
            directory,
            require_tests,
            active: ArcSwap::from_pointee(Active { policy: Arc::new(start.policy), since: now, source }),
            failure: ArcSwap::from_pointee(failure),
            reloads: AtomicU64::new(0),
            turn: Mutex::new(()),
        }
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.active.load().policy)
    }
}

impl PolicyFailure {
    fn of(error: &PolicyError, since: Timestamp) -> Self {
        let problems = match error {
            PolicyError::Invalid { problems, .. } => problems.clone(),
            _ => Vec::new(),
        };
        Self { since, message: error.to_string(), problems }
    }
}

impl Engine {
    /// How the policy stands.
    #[must_use]
    pub fn policy_status(&self) -> PolicyStatus {
        let active = self.rollout.active.load();
        PolicyStatus {
            policy: Arc::clone(&active.policy),
            hash: active.policy.hash.to_string(),
            active_since: active.since,
            source: active.source,
            reloads: self.rollout.reloads.load(Ordering::Relaxed),
            error: self.rollout.failure.load().as_ref().clone(),
        }
    }

    /// Writes that the policy that this replica begins with is in force.
    ///
    /// # Errors
    /// The database.
    pub async fn announce_policy(&self) -> Result<(), StoreError> {
        let policy = self.policy();
        self.store.activate_policy(&policy.hash.0, &policy.body, &self.settings.replica).await?;
        // A restart does not make it any younger.
        if let Some(last) = self.store.last_activation().await?.filter(|last| last.hash == policy.hash.0) {
            let source = self.rollout.active.load().source;
            self.rollout.active.store(Arc::new(Active { policy, since: last.at, source }));
        }
        Ok(())
    }

    /// Reads the directory again, and puts what is in it in force if it loads and its tests pass; whether it is another
    /// policy than before.
    ///
    /// # Errors
    /// What stands in the directory is not put in force; the last good policy stays.
    pub async fn reload_policy(&self) -> Result<bool, PolicyError> {
        let rollout = &self.rollout;
        let _turn = rollout.turn.lock().await;
        let (directory, require_tests) = (rollout.directory.clone(), rollout.require_tests);
        let loaded = tokio::task::spawn_blocking(move || load_tested_policy(&directory, require_tests)).await;
        let loaded = loaded.unwrap_or_else(|_| {
            let cause = std::io::Error::other("reading it failed");
            Err(PolicyError::Unreadable { path: rollout.directory.clone(), cause })
        });
        let taken = match loaded {
            Ok(policy) => self.put_in_force(policy).await,
            Err(error) => Err(error),
        };
        let now = self.clock.now();
        match &taken {
            Ok(is_new) => {
                let was_broken = rollout.failure.swap(Arc::new(None)).is_some();
                if *is_new || was_broken {
                    let policy = self.policy();
                    tracing::info!(policy.hash = %policy.hash, policy.rules = policy.rules.len(), policy.is_new = is_new, "the policy directory is in force");
                }
            }
            Err(error) => {
                let (message, before) = (error.to_string(), rollout.failure.load());
                let since = before.as_ref().as_ref().map_or(now, |failure| failure.since);
                let is_known = before.as_ref().as_ref().is_some_and(|failure| failure.message == message);
                rollout.failure.store(Arc::new(Some(PolicyFailure::of(error, since))));
                if is_known {
                    return taken;
                }
                tracing::error!(error.message = %error, policy.hash = %self.policy().hash, "the policy directory is not put in force; the last good policy stays");
            }
        }
        taken
    }

    async fn put_in_force(&self, policy: Policy) -> Result<bool, PolicyError> {
        let rollout = &self.rollout;
        let is_new = self.policy().hash != policy.hash;
        if is_new {
            // In the archive before anything can be decided by it.
            self.store.activate_policy(&policy.hash.0, &policy.body, &self.settings.replica).await?;
            rollout.reloads.fetch_add(1, Ordering::Relaxed);
        }
        if is_new || rollout.active.load().source != "directory" {
            let since = if is_new { self.clock.now() } else { rollout.active.load().since };
            rollout.active.store(Arc::new(Active { policy: Arc::new(policy), since, source: "directory" }));
        }
        Ok(is_new)
    }

    /// Watches the directory until `stop` says so. A change is taken up once the directory has stood still for a moment,
    /// so that several files that are saved one after the other become one policy.
    pub async fn watch_policy(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let look = || {
            let directory = self.rollout.directory.clone();
            async move { tokio::task::spawn_blocking(move || fingerprint(&directory)).await.unwrap_or_default() }
        };
        // What was loaded at the start may have changed since; the first look finds out.
        let (mut taken_up, mut before) = (None, None);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => return,
            }
            let now = Some(look().await);
            if now != taken_up && now == before {
                // A database that is away for a moment is no reason to forget about the change.
                if matches!(self.reload_policy().await, Err(PolicyError::Archive(_))) {
                    tokio::select! {
                        () = tokio::time::sleep(TRY_AGAIN_AFTER) => continue,
                        _ = stop.changed() => return,
                    }
                }
                taken_up.clone_from(&now);
            }
            before = now;
        }
    }
}
