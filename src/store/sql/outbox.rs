//! The outbox's transactions: which statements run in which.

use super::{SqlStore, events, group};
use crate::domain::duration::micros;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Driver, args};
use crate::store::group::answered;
use crate::store::outbox::{ClaimedEvent, Delivery, EventLease, EventView, Outbox};
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::oneshot;

#[async_trait]
impl<D: Driver> Outbox for SqlStore<D> {
    async fn claim_events(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut tx = self.driver.begin(Step::ClaimEvents).await?;
        let claimed = events::claim(tx.as_mut(), owner, lease, limit).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn finish_event(&self, lease: EventLease, delivery: &Delivery) -> Result<bool, StoreError> {
        if let Some(groups) = &self.groups {
            let (answer, comes) = oneshot::channel();
            groups.deliver.add(group::DeliverRequest { lease, delivery: delivery.clone(), answer });
            if let Some(follows) = answered(comes, group::ended).await? {
                return Ok(follows);
            }
        }
        let mut tx = self.driver.begin(Step::FinishEvent).await?;
        let follows = events::finish(tx.as_mut(), lease, delivery).await?;
        tx.commit().await?;
        Ok(follows)
    }

    async fn next_event_due(&self) -> Result<Option<Duration>, StoreError> {
        self.time_until(events::NEXT).await
    }

    async fn events(&self, state: Option<&str>, limit: u32) -> Result<Vec<EventView>, StoreError> {
        let rows = self.driver.read(events::LIST, args![state.unwrap_or_default(), i64::from(limit)]).await?;
        rows.iter().map(events::view).collect()
    }

    async fn resend_events(&self, id: Option<&str>, operator: &str) -> Result<u64, StoreError> {
        let mut tx = self.driver.begin(Step::ResendEvents).await?;
        let resent = events::resend(tx.as_mut(), id, operator).await?;
        tx.commit().await?;
        Ok(resent)
    }

    async fn erase_events(&self, older_than: Duration) -> Result<u64, StoreError> {
        let mut tx = self.driver.begin(Step::EraseEvents).await?;
        let erased = tx.run(events::ERASE, args![micros(older_than)]).await?;
        tx.commit().await?;
        Ok(erased)
    }
}
