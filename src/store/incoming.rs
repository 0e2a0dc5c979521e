//! What comes into the store first, and what becomes of it. It knows nothing of how it is decided.

use super::types::{Claimed, Lease, OperationView};
use crate::domain::ids::{FlowId, RecordId, UserId};
use crate::domain::operation::OperationKey;
use crate::flow::State;
use std::time::Duration;

/// A notification to be stored.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// What tells this body from another without giving it away: an HMAC, in hex.
    pub body_mac: String,
    /// The record it will have, if it is new.
    pub id: RecordId,
    /// Which operation.
    pub key: OperationKey,
    /// Who was logged in.
    pub requester: Option<UserId>,
    /// The flow that the client says it continues.
    pub requested_flow: Option<FlowId>,
    /// The notification, sealed. Without it nothing new is stored, as it could not be decided.
    pub payload: Option<Vec<u8>>,
    /// The replica that takes it in, where requests may wait for it.
    pub replica: String,
    /// For how long this replica works on it from now on, if it has room.
    pub lease: Option<Duration>,
}

impl NewOperation {
    /// How it stands once it is stored.
    #[must_use]
    pub fn view(&self, flow_id: FlowId) -> OperationView {
        OperationView {
            id: self.id,
            flow_id,
            attempt: 1,
            kind: self.key.kind,
            operation_id: self.key.operation_id.to_string(),
            state: if self.lease.is_some() { State::Running } else { State::Received },
            decision: None,
            outcome: None,
        }
    }

    /// As its first worker is given it.
    #[must_use]
    pub fn claimed(&self) -> Claimed {
        Claimed {
            lease: Lease::first(self.id),
            key: self.key.clone(),
            requester: self.requester.clone(),
            requested_flow: self.requested_flow,
            payload: self.payload.clone(),
            tries: 0,
            decision: None,
            sent: None,
            age: Duration::ZERO,
            by_hand: None,
            last_failure: None,
            attempt: 1,
        }
    }
}

/// What became of a notification.
#[derive(Debug, Clone)]
pub enum Received {
    /// It is new.
    New(OperationView, Option<Lease>),
    /// The operation was known already.
    Known(OperationView),
    /// The same `webhook-id` came with another body before.
    WebhookReused,
    /// It is new and has no payload; nothing was stored.
    Incomplete,
}
