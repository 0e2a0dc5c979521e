//! The outbox as the engine sees it: events to the web app, leased, delivered at least once and in order within a flow.

use super::StoreError;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// The right to deliver one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLease {
    /// Its number in the outbox.
    pub seq: i64,
    /// The number of the attempt; a write with an older number changes nothing.
    pub fence: i64,
}

/// An event that a sender was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// The right to deliver it.
    pub lease: EventLease,
    /// The header `webhook-id`: the same for every delivery.
    pub id: String,
    /// Such as `operation.approved`.
    pub event_type: String,
    /// The body, byte for byte.
    pub body: String,
    /// How many deliveries failed.
    pub tries: u32,
}

/// What became of a delivery; with what the web app answered, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Done(String),
    /// It is given up.
    Dead(String),
    /// It is sent again.
    Again {
        /// What was answered.
        answer: String,
        /// After how long.
        delay: Duration,
    },
}

/// An event as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// The header `webhook-id`.
    pub id: String,
    /// Such as `operation.approved`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The record that it tells of.
    pub record_id: String,
    /// The flow of the record.
    pub flow_id: String,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// How many deliveries failed.
    pub tries: i64,
    /// What was answered last, in a few words.
    pub last_answer: Option<String>,
    /// When what it tells of happened.
    pub created_at: Timestamp,
    /// When it is sent next.
    pub due_at: Option<Timestamp>,
}

/// Events to the web app.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes due events, the longest due first; of a flow only the one that came first.
    async fn claim_events(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<ClaimedEvent>, StoreError>;

    /// Writes what became of a delivery; whether the flow's next event waits for just that.
    async fn finish_event(&self, lease: EventLease, delivery: &Delivery) -> Result<bool, StoreError>;

    /// How long until an event is due; nothing if none is.
    async fn next_event_due(&self) -> Result<Option<Duration>, StoreError>;

    /// The oldest events in a state; in none, those that were not delivered.
    async fn events(&self, state: Option<&str>, limit: u32) -> Result<Vec<EventView>, StoreError>;

    /// Has one event sent again, or all that are dead; how many. The operator's name goes into the record.
    async fn resend_events(&self, id: Option<&str>, operator: &str) -> Result<u64, StoreError>;

    /// Erases delivered events; how many.
    async fn erase_events(&self, older_than: Duration) -> Result<u64, StoreError>;
}
