//! Tells the web app what became of operations: events from the outbox as Standard Webhooks, at least once and in order
//! within a flow. No body is ever changed between two deliveries.

use super::Engine;
use super::rounds::{LOOK_EVERY, all_done, in_rounds, rest_until};
use super::settings::random_share;
use crate::domain::webhook::{self, WebhookSecret};
use crate::fault::{self, Moment, Step};
use crate::store::{ClaimedEvent, Delivery, StoreError};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How many events are delivered at the same time, of those that were found.
const AT_ONCE: usize = 64;
/// And of those that are new.
const FRESH_AT_ONCE: usize = 256;
/// An event that was written a moment ago, with its place among those that are under way.
pub(super) type Fresh = (ClaimedEvent, OwnedSemaphorePermit);

/// How much longer than a call an event belongs to its sender.
const LEASE_MARGIN: Duration = Duration::from_secs(3);
/// However long a web app asks to be left alone, it is asked again after this.
const MOST_PATIENCE: Duration = Duration::from_hours(1);

/// The schedule of the Standard Webhooks specification, after the first delivery: then an event is dead.
pub const RETRY_SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// Where events go.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The web app's address.
    pub url: reqwest::Url,
    /// What every delivery is signed with; two while they are rotated.
    pub secrets: Vec<WebhookSecret>,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// How long to wait after each delivery that failed; after the last one an event is dead.
    pub schedule: Vec<Duration>,
}

/// The web app as the sender knows it.
pub(super) struct Receiver {
    http: reqwest::Client,
    outbound: Outbound,
    /// It asked to be left alone until then.
    rests_until: Mutex<Option<Instant>>,
    /// It said that nobody is there any more (410).
    is_gone: AtomicBool,
    /// It answered nothing, or that it is not to be asked now. Any other refusal is of one event.
    is_down: AtomicBool,
}

/// What one delivery came to.
struct Answered {
    /// In a few words, for operators. Nothing of the web app's own: it may say anything.
    words: String,
    is_taken: bool,
    is_gone: bool,
    is_down: bool,
    asked: Option<Duration>,
}

impl Receiver {
    /// `http` follows no redirect, as where an event goes is the operator's to say, and sends nothing again: the schedule is
    /// ours.
    pub(super) fn new(outbound: Outbound, http: reqwest::Client) -> Self {
        Self { http, outbound, rests_until: Mutex::default(), is_gone: AtomicBool::new(false), is_down: AtomicBool::new(false) }
    }

    /// For how long an event belongs to whoever delivers it.
    fn lease(&self) -> Duration {
        self.outbound.timeout + LEASE_MARGIN
    }

    fn rest(&self) -> Option<Duration> {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    fn leave_alone(&self, asked: Duration) {
        let until = Instant::now() + asked;
        let mut slot = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(slot.map_or(until, |before| before.max(until)));
    }

    /// Notes whether it is down; whether it was not before, or was.
    fn is_news(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Ordering::Relaxed) != is_down
    }

    async fn send(&self, event: &ClaimedEvent, now: i64) -> Answered {
        let signatures: Vec<_> =
            self.outbound.secrets.iter().map(|secret| secret.sign(&event.id, now, event.body.as_bytes())).collect();
        let request = self
            .http
            .post(self.outbound.url.clone())
            .timeout(self.outbound.timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(webhook::ID, &event.id)
            .header(webhook::TIMESTAMP, now)
            .header(webhook::SIGNATURE, signatures.join(" "))
            .body(event.body.clone());
        fault::reach(Step::Deliver, Moment::Before).await;
        let sent = request.send().await;
        fault::reach(Step::Deliver, Moment::After).await;
        match sent {
            Ok(response) => {
                let status = response.status();
                let wants_rest = matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                );
                let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Answered {
                    words: format!("HTTP {}", status.as_u16()),
                    is_taken: status.is_success(),
                    is_gone: status == StatusCode::GONE,
                    is_down: wants_rest,
                    asked: seconds.filter(|_| wants_rest).map(Duration::from_secs),
                }
            }
            Err(error) => {
                let words = if error.is_timeout() {
                    "no answer in time"
                } else if error.is_connect() {
                    "nothing answers there"
                } else {
                    "the connection broke"
                };
                Answered { words: words.to_owned(), is_taken: false, is_gone: false, is_down: true, asked: None }
            }
        }
    }
}

impl Engine {
    /// Delivers events until `stop` says so; nothing where there is no web app to be told.
    pub async fn run_events(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let Some(receiver) = &self.receiver else { return };
        self.deliveries.add_permits(FRESH_AT_ONCE);
        let round = || Arc::clone(&self).deliver_some(Arc::clone(receiver));
        in_rounds(&self.events_due, stop, "events cannot be delivered", round).await;
        // Those that were never looked for end, too; what comes after them is for others.
        let _all = self.deliveries.acquire_many(u32::try_from(FRESH_AT_ONCE).unwrap_or(u32::MAX)).await;
        self.deliveries.close();
    }

    /// A place for one more event that is delivered as soon as it is written, where that makes sense.
    pub(super) fn room_to_deliver(&self) -> Option<OwnedSemaphorePermit> {
        let receiver = self.receiver.as_ref()?;
        if receiver.is_gone.load(Ordering::Relaxed) || receiver.rest().is_some() {
            return None;
        }
        Arc::clone(&self.deliveries).try_acquire_owned().ok()
    }

    /// For how long such an event is ours.
    pub(super) fn deliver_within(&self) -> Option<Duration> {
        self.receiver.as_ref().map(|receiver| receiver.lease())
    }

    /// Delivers an event that was just written, or has somebody look for it.
    pub(super) fn tell_web_app(self: &Arc<Self>, event: Option<Fresh>) {
        let (Some((event, room)), Some(receiver)) = (event, &self.receiver) else {
            self.events_due.notify_one();
            return;
        };
        let (engine, receiver) = (Arc::clone(self), Arc::clone(receiver));
        tokio::spawn(async move {
            let delivered = engine.deliver(&receiver, event).await;
            drop(room);
            // One that follows it, or itself once more.
            if !matches!(delivered, Ok(false)) {
                engine.events_due.notify_one();
            }
        });
    }

    /// Delivers what is due; how long to wait before looking again.
    async fn deliver_some(self: Arc<Self>, receiver: Arc<Receiver>) -> Result<Duration, StoreError> {
        loop {
            if receiver.is_gone.load(Ordering::Relaxed) {
                return Ok(LOOK_EVERY);
            }
            if let Some(rest) = receiver.rest() {
                return Ok(rest.min(LOOK_EVERY));
            }
            let lease = receiver.lease();
            let at_most = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
            let claimed = self.store.claim_events(&self.settings.replica, lease, at_most).await?;
            if claimed.is_empty() {
                return Ok(rest_until(self.store.next_event_due().await?, Duration::from_millis(50)));
            }
            let deliver = |event| {
                let (engine, receiver) = (Arc::clone(&self), Arc::clone(&receiver));
                tokio::spawn(async move { engine.deliver(&receiver, event).await.map(|_| ()) })
            };
            all_done(claimed.into_iter().map(deliver).collect()).await?;
        }
    }

    /// Delivers an event and writes what became of it; whether there is more to do for its flow.
    async fn deliver(&self, receiver: &Receiver, event: ClaimedEvent) -> Result<bool, StoreError> {
        let answered = receiver.send(&event, self.clock.now().as_second()).await;
        let next = usize::try_from(event.tries).ok().and_then(|tries| receiver.outbound.schedule.get(tries)).copied();
        if answered.is_taken && receiver.is_news(false) {
            tracing::info!("the web app takes events again");
        }
        let delivery = match (answered.is_taken, answered.is_gone, next) {
            (true, _, _) => Delivery::Done(answered.words),
            (false, true, _) => {
                receiver.is_gone.store(true, Ordering::Relaxed);
                tracing::error!(
                    event.id = event.id,
                    "the web app answered 410: no events are sent before the daemon is started again"
                );
                Delivery::Dead(answered.words)
            }
            (false, false, None) => {
                tracing::error!(
                    event.id = event.id,
                    event.r#type = event.event_type,
                    error.message = answered.words,
                    "an event is dead; `assent ops events --dead` lists it, and `--resend` sends it again"
                );
                Delivery::Dead(answered.words)
            }
            (false, false, Some(wait)) => {
                if answered.is_down {
                    if receiver.is_news(true) {
                        tracing::warn!(
                            error.message = answered.words,
                            "the web app does not take events where `webhooks.outbound.url` says; they are sent again, and `assent ops events` lists what waits"
                        );
                    }
                } else if receiver.is_news(false) || event.tries == 0 {
                    tracing::warn!(
                        event.id = event.id,
                        error.message = answered.words,
                        "an event was not taken where `webhooks.outbound.url` says; it is sent again, and `assent ops events` lists what waits"
                    );
                }
                let asked = answered.asked.unwrap_or_default().min(MOST_PATIENCE);
                if !asked.is_zero() {
                    receiver.leave_alone(asked);
                }
                // Up to a fifth later than planned, so that what failed together does not come back together.
                let jitter = (wait / 5).saturating_mul(random_share()) / u32::from(u16::MAX);
                Delivery::Again { answer: answered.words, delay: (wait + jitter).max(asked) }
            }
        };
        let follows = self.store.finish_event(event.lease, &delivery).await?;
        // Whatever does not end its flow may be followed by one that was written in this very moment.
        let goes_on = matches!(event.event_type.as_str(), "operation.superseded" | "operation.escalated");
        Ok(follows || goes_on || matches!(delivery, Delivery::Again { .. }))
    }
}
