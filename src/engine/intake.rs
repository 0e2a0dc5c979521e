//! Takes a notification in: stored once, answered only after the commit, handed to a worker of this replica at once, which may store
//! it with its decision.

use super::Engine;
use super::arrival::Arrival;
use super::hold::Hold;
use super::payload::Payload;
use super::registration::RegistrationError;
use super::settings::Mode;
use super::waiters::Heard;
use crate::domain::ids::{RecordId, UserId};
use crate::domain::operation::Notification;
use crate::store::{Lease, NewOperation, OperationView, Received, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A verified and parsed notification.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// What it says.
    pub notification: Notification,
    /// Whether somebody waits for its end.
    pub waits: bool,
}

/// A notification that was taken in.
#[derive(Debug)]
pub struct Accepted {
    /// How the operation stands.
    pub view: OperationView,
    /// Where its end is heard, if somebody waits for it.
    pub(super) heard: Option<Heard>,
}

/// Why a notification was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The `webhook-id` was used for another body.
    #[error("this `webhook-id` was used before with another body; give every message an id of its own")]
    WebhookReused,
    /// Secrets of a registration are left out that was not begun here, or too long ago.
    #[error(
        "no registration of this user is kept here; send `session_id` and `session_verifier`, or begin it with `POST /v1/registrations`"
    )]
    UnknownRegistration,
    /// It cannot be sealed.
    #[error("the notification cannot be sealed")]
    Seal,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RegistrationError> for IntakeError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Store(error) => Self::Store(error),
            RegistrationError::Platform(_) | RegistrationError::Seal => Self::Seal,
        }
    }
}

impl Engine {
    /// Whether notifications must say who was logged in.
    #[must_use]
    pub const fn requester_required(&self) -> bool {
        self.settings.requester_required
    }

    /// Stores a notification and starts the work on it.
    ///
    /// # Errors
    /// Nothing was stored.
    pub async fn accept(self: &Arc<Self>, reported: Reported) -> Result<Accepted, IntakeError> {
        let Reported { webhook_id, body, notification, waits } = reported;
        let id = RecordId::generate();
        let registration = match (notification.registration, UserId::new(notification.key.operation_id.as_str())) {
            (Some(reported), Ok(user)) => Some(self.complete(&user, reported).await?),
            _ => None,
        };
        // A validation whose secrets nobody has can only be one that was stored before.
        let is_complete = !matches!(registration, Some(None));
        let payload = Payload { users: notification.users, context: notification.context, registration: registration.flatten() };
        let sealed = payload.seal(&self.master_key, id).map_err(|_| IntakeError::Seal)?;
        let sealed = is_complete.then_some(sealed);
        // With a free worker here the operation is leased in the same transaction that stores it.
        let worker = self.workers.for_arrival();
        let new = NewOperation {
            webhook_id,
            body_mac: self.master_key.fingerprint(&body),
            id,
            key: notification.key,
            requester: notification.requester,
            requested_flow: notification.flow,
            payload: sealed,
            replica: self.settings.replica.clone(),
            lease: worker.as_ref().map(|_| self.settings.lease),
        };
        // Whoever continues a flow, or is only looked at, has more to it than a decision.
        let may_wait =
            worker.is_some() && new.payload.is_some() && new.requested_flow.is_none() && self.settings.mode == Mode::Enforce;
        let waits_for_decision = may_wait && self.store.decides_arrivals() && self.decisions.are_near();
        // Before anybody works on it, so that its end cannot be missed.
        let heard = waits.then(|| self.waiters.register(id));
        let since = Instant::now();
        // The worker reads what it needs meanwhile; it sends nothing before the operation is stored.
        let (stored, is_stored) = watch::channel(false);
        let in_hand = worker.map(|worker| (new.claimed(), worker));
        let (new, arriving) = if waits_for_decision {
            let (arrival, arriving) = Arrival::new(new);
            (Err(arrival), Some(arriving))
        } else {
            (Ok(new), None)
        };
        if let Some((claimed, worker)) = in_hand {
            self.spawn(claimed, worker, Hold::from_when_stored(is_stored, arriving, since, self.settings.lease));
        }
        let new = match new {
            Ok(new) => new,
            Err(arrival) => match arrival.stored(&self.decisions).await {
                Ok(view) => {
                    let _ = stored.send(true);
                    return Ok(Accepted { view, heard });
                }
                Err(new) => new,
            },
        };
        let received = self.store.receive(new).await;
        if let Ok(Received::New(view, lease)) = received {
            let is_in_hand = lease.is_some() && stored.send(true).is_ok();
            if !is_in_hand {
                // Its worker is gone, if there was one: whoever is free takes it.
                if let Some(lease) = lease {
                    let _ = self.store.reschedule(&lease, Duration::ZERO, false, false, None).await;
                }
                self.wake.notify_one();
            }
            return Ok(Accepted { view, heard });
        }
        // Nobody will work on it under this name.
        self.waiters.settle(id, None);
        match received? {
            // Stored by a write that nobody heard the end of, and so its worker is gone and has sent nothing.
            Received::Known(view) if view.id == id => {
                let _ = self.store.reschedule(&Lease::first(id), Duration::ZERO, false, true, None).await;
                self.wake.notify_one();
                Ok(Accepted { view, heard: None })
            }
            Received::WebhookReused => Err(IntakeError::WebhookReused),
            Received::Incomplete => Err(IntakeError::UnknownRegistration),
            Received::Known(view) | Received::New(view, _) => Ok(Accepted { view, heard: None }),
        }
    }
}
