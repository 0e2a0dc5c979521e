//! Verdicts by hand: an operator decides in the policy's place. The lane, the record, the limits and what is done about a
//! lost answer are those of every other operation.

use super::Engine;
use super::hold::Hold;
use super::payload::Payload;
use crate::domain::ids::RecordId;
use crate::domain::operation::{OperationKey, Registration};
use crate::flow::State;
use crate::store::{ByHand, HandOrder, HandRole, OperationView, Ordered, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often the operator's process looks whether its operation has got the lane.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why an operator's verdict was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// It is decided already, or somebody works on it.
    #[error("{}", in_the_way(.0))]
    InTheWay(Box<OperationView>),
    /// The validation's secrets cannot be sealed.
    #[error("the verdict cannot be sealed")]
    Seal,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn in_the_way(view: &OperationView) -> String {
    let id = view.id;
    match view.state {
        State::Received | State::Running | State::Waiting => {
            format!("the daemon is working on this operation (record {id}); wait for what it decides")
        }
        state => format!("this operation is {state} already (record {id}), and no operation gets two verdicts"),
    }
}

impl Engine {
    /// Has an operator's verdict recorded and carried out; how the operation stands when it is final, or after `at_most`.
    ///
    /// # Errors
    /// Nothing was ordered.
    pub async fn decide_by_hand(
        self: &Arc<Self>,
        key: OperationKey,
        by_hand: ByHand,
        registration: Option<Registration>,
        at_most: Duration,
    ) -> Result<OperationView, HandError> {
        let deadline = Instant::now() + at_most;
        let id = RecordId::generate();
        let payload = registration.map(|registration| Payload { registration: Some(registration), ..Payload::default() });
        let payload = payload.map(|payload| payload.seal(&self.master_key, id)).transpose().map_err(|_| HandError::Seal)?;
        let (owner, lease) = (self.settings.replica.clone(), self.settings.lease);
        let mut since = Instant::now();
        let lease = match self.store.order_by_hand(HandOrder { id, key, by_hand, payload, owner, lease }).await? {
            Ordered::Taken(lease) => lease,
            Ordered::InTheWay(view) => return Err(HandError::InTheWay(view)),
        };
        let mut claimed = Some(self.store.leased(&lease).await?);
        loop {
            if let (Some(claimed), Ok(permit)) = (claimed, self.workers.next().await) {
                self.spawn(claimed, permit, Hold::new(since, self.settings.lease));
            }
            let wait = LOOK_EVERY.min(deadline.saturating_duration_since(Instant::now()));
            let view = self.wait(lease.id, wait).await?;
            let view = view.ok_or_else(|| StoreError::Corrupt("the operation vanished".into()))?;
            if view.state.is_final() || Instant::now() >= deadline {
                return Ok(view);
            }
            // It may have waited in line for its lane, or for another try; a daemon may be the first to take it up.
            since = Instant::now();
            claimed = self.store.claim_one(lease.id, &self.settings.replica, self.settings.lease).await?;
        }
    }
}

impl ByHand {
    /// Who decided, as it stands in `decided_by`.
    pub(super) fn decided_by(&self) -> String {
        match self.role {
            HandRole::Operator => format!("operator:{}", self.operator),
            HandRole::Reviewer => format!("reviewer:{}", self.operator),
            HandRole::Timeout => self.operator.clone(),
        }
    }

    /// Why, as it stands in `reason`.
    pub(super) fn reason(&self) -> String {
        match (self.role, &self.comment) {
            (HandRole::Reviewer, Some(comment)) => format!("{}ed by {}: {comment}", self.verdict, self.operator),
            (_, Some(comment)) => comment.clone(),
            (_, None) => format!("decided by hand by {}", self.operator),
        }
    }
}
