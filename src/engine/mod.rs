//! The engine: carries an operation from its notification to its outcome.
//!
//! Intake, gather, decide, apply, reconcile: each has its file. The engine acts and the core decides; it holds no lock
//! and no transaction across a call to the platform, and whatever fails in it is never an approval.

mod access;
mod apply;
mod arrival;
mod by_hand;
mod clock;
mod decide;
mod deliver;
mod dispatch;
mod effects;
mod gather;
mod health;
mod history;
mod hold;
mod intake;
mod payload;
mod persons;
mod policy_files;
mod recheck;
mod reconcile;
mod registration;
mod rekey;
mod retire;
mod review;
mod rollout;
mod rounds;
mod sealing;
mod settings;
mod waiters;
mod workers;

pub use access::ask_for_access;
pub use by_hand::HandError;
pub use clock::DatabaseClock;
pub use deliver::{Outbound, RETRY_SCHEDULE};
pub use health::Health;
pub use history::{History, ReplayRange, since};
pub use intake::{Accepted, IntakeError, Reported};
pub use persons::{PersonKeys, Persons};
pub use policy_files::{PolicyError, load_policy, load_tested_policy, load_untested_policy, read_policy_files};
pub use recheck::{Recheck, Rechecked};
pub use registration::{Begun, RegistrationError};
pub use rekey::{RekeyError, rekey};
pub use rollout::{PolicyFailure, PolicyStatus, StartPolicy, start_policy};
pub use sealing::{Destination, Sealing, SealingStatus, derived_log_key, rederived_log_key};
pub use settings::{Mode, Settings};

use crate::audit::MasterKey;
use crate::directory::Directory;
use crate::domain::clock::Clock;
use crate::domain::ids::{RecordId, UserId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::flow::State;
use crate::policy::{Evaluation, Inquiry, InvalidInquiry, Policy};
use crate::store::{Lease, OperationView, Store, StoreError};
use crate::zerokit::Client;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::task::AbortHandle;
use workers::Workers;

/// What the engine is put together from.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The platform.
    pub platform: Client,
    /// What is known of people and tresors.
    pub directory: Directory,
    /// The clock that follows the database's.
    pub clock: Arc<dyn Clock>,
    /// The key for personal data.
    pub master_key: MasterKey,
    /// Where the web app is told of what became of operations, if it is.
    pub outbound: Option<Outbound>,
    /// How the decision log is sealed.
    pub sealing: Sealing,
}

/// What the engine works with.
pub struct Engine {
    store: Arc<dyn Store>,
    platform: Client,
    directory: Directory,
    clock: Arc<dyn Clock>,
    rollout: rollout::Rollout,
    master_key: MasterKey,
    sealing: Sealing,
    /// How sealing goes.
    pub sealing_status: SealingStatus,
    settings: Settings,
    /// Whether the platform can be used.
    pub health: Health,
    waiters: waiters::Waiters,
    wake: Notify,
    effects_due: Notify,
    receiver: Option<Arc<deliver::Receiver>>,
    /// Room for events that are delivered as soon as they are written; none where nobody delivers.
    deliveries: Arc<Semaphore>,
    events_due: Notify,
    workers: Workers,
    decisions: arrival::Decisions,
    notices: broadcast::Sender<Arc<Notice>>,
    /// Set once it is to stop: not ready any more.
    draining: AtomicBool,
    /// What workers are busy with.
    in_hand: Mutex<HashMap<RecordId, (Lease, AbortHandle)>>,
}

/// What became of one operation, for whoever watches: the demo, later a console. Ids only, no personal data.
#[derive(Debug)]
pub struct Notice {
    /// The record.
    pub id: RecordId,
    /// The kind.
    pub kind: Kind,
    /// The how-manieth operation of its flow.
    pub attempt: u32,
    /// Who started it.
    pub actor: Option<UserId>,
    /// Whom it concerns.
    pub subject: Option<UserId>,
    /// The verdict, if it came to one.
    pub verdict: Option<Verdict>,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where it stands now.
    pub state: State,
    /// From the notification to this.
    pub elapsed: Duration,
}

impl Engine {
    /// Puts the parts together; [`Engine::run`] starts the work.
    #[must_use]
    pub fn new(parts: Parts, start: StartPolicy, settings: Settings) -> Arc<Self> {
        let Parts { store, platform, directory, clock, master_key, outbound, sealing } = parts;
        let receiver = outbound.map(|outbound| Arc::new(deliver::Receiver::new(outbound, platform.http().clone())));
        let rollout = rollout::Rollout::new(start, settings.policies.clone(), settings.require_tests, clock.now());
        let workers = Workers::new(settings.workers);
        Arc::new(Self {
            store,
            platform,
            directory,
            clock,
            rollout,
            master_key,
            sealing,
            sealing_status: SealingStatus::default(),
            settings,
            health: Health::default(),
            waiters: waiters::Waiters::default(),
            wake: Notify::new(),
            effects_due: Notify::new(),
            receiver,
            deliveries: Arc::new(Semaphore::new(0)),
            events_due: Notify::new(),
            workers,
            decisions: arrival::Decisions::new(),
            notices: broadcast::channel(1024).0,
            draining: AtomicBool::new(false),
            in_hand: Mutex::default(),
        })
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.rollout.policy()
    }

    /// What the policy in force says of an inquiry that somebody states.
    ///
    /// # Errors
    /// A field of the inquiry is wrong.
    pub fn evaluate(&self, inquiry: &serde_json::Value) -> Result<Evaluation, InvalidInquiry> {
        let policy = self.policy();
        Ok(Inquiry::read(inquiry, &policy, self.clock.now())?.put_to(&policy))
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Hears of every operation that is settled from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.notices.subscribe()
    }

    /// An operation as it stands.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn operation(&self, id: RecordId) -> Result<Option<OperationView>, StoreError> {
        self.store.operation(id).await
    }

    /// Answers everybody who waits with what is known, because the daemon stops.
    pub fn stop_waiting(&self) {
        self.waiters.close();
    }

    /// Waits until an operation is final or escalated, or the time is over; how it stands then.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn wait(&self, id: RecordId, at_most: Duration) -> Result<Option<OperationView>, StoreError> {
        let deadline = tokio::time::Instant::now() + at_most;
        self.wait_until(id, deadline).await
    }

    /// Waits for an operation that was just taken in; see [`Engine::wait`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn wait_for(&self, accepted: Accepted, at_most: Duration) -> Result<Option<OperationView>, StoreError> {
        let Accepted { view, heard } = accepted;
        let deadline = tokio::time::Instant::now() + at_most;
        if view.state.is_settled() {
            return Ok(Some(view));
        }
        if let Some(heard) = heard
            && let Ok(Ok(Some(settled))) = tokio::time::timeout_at(deadline.min(look_again()), heard).await
        {
            return Ok(Some(settled));
        }
        self.wait_until(view.id, deadline).await
    }

    async fn wait_until(&self, id: RecordId, deadline: tokio::time::Instant) -> Result<Option<OperationView>, StoreError> {
        loop {
            // Registered before it is read, so that nothing can happen in between unheard.
            let heard = self.waiters.register(id);
            let view = self.store.operation(id).await?;
            let settled = view.as_ref().is_none_or(|view| view.state.is_settled());
            if settled || self.waiters.is_closed() || tokio::time::Instant::now() >= deadline {
                return Ok(view);
            }
            if let Ok(Ok(Some(settled))) = tokio::time::timeout_at(deadline.min(look_again()), heard).await {
                return Ok(Some(settled));
            }
        }
    }
}

/// Another replica may finish what is waited for here, and that is a hint which may be missed.
fn look_again() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(1)
}
