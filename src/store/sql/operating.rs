//! The transactions of what people do to operations: which statements run in which.

use super::{SqlStore, forget, pauses, rekey, resolve, reviews};
use crate::domain::ids::{RecordId, UserId};
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Driver, args};
use crate::store::operating::{Forgotten, OpenView, Operating, PauseView, Rekeyed, Rekeying, Resolved, Review, Reviewed};
use crate::store::types::LaneRules;
use async_trait::async_trait;

#[async_trait]
impl<D: Driver> Operating for SqlStore<D> {
    async fn review(&self, review: Review) -> Result<Reviewed, StoreError> {
        let mut tx = self.driver.begin(Step::Review).await?;
        let reviewed = reviews::review(tx.as_mut(), review).await?;
        tx.commit().await?;
        Ok(reviewed)
    }

    async fn expire_reviews(&self) -> Result<u64, StoreError> {
        if self.driver.read(reviews::IS_OVERDUE, args![]).await?.is_empty() {
            return Ok(0);
        }
        let mut tx = self.driver.begin(Step::ExpireReviews).await?;
        let expired = reviews::expire(tx.as_mut()).await?;
        tx.commit().await?;
        Ok(expired)
    }

    async fn escalated(&self, limit: u32) -> Result<Vec<OpenView>, StoreError> {
        self.driver.read(reviews::LIST, args![i64::from(limit)]).await?.iter().map(reviews::open_view).collect()
    }

    async fn unknown(&self, limit: u32) -> Result<Vec<OpenView>, StoreError> {
        self.driver.read(resolve::LIST, args![i64::from(limit)]).await?.iter().map(reviews::open_view).collect()
    }

    async fn resolve(
        &self,
        id: RecordId,
        is_applied: bool,
        operator: &str,
        comment: &str,
        rules: LaneRules,
    ) -> Result<Resolved, StoreError> {
        let mut tx = self.driver.begin(Step::Resolve).await?;
        let resolved = resolve::resolve(tx.as_mut(), id, is_applied, operator, comment, rules).await?;
        tx.commit().await?;
        Ok(resolved)
    }

    async fn pause(&self, scope: &str, operator: &str, comment: Option<&str>) -> Result<bool, StoreError> {
        let mut tx = self.driver.begin(Step::Pause).await?;
        let is_new = pauses::pause(tx.as_mut(), scope, operator, comment).await?;
        tx.commit().await?;
        Ok(is_new)
    }

    async fn resume(&self, scope: &str, operator: &str, comment: Option<&str>) -> Result<Option<u64>, StoreError> {
        let mut tx = self.driver.begin(Step::Resume).await?;
        let resumed = pauses::resume(tx.as_mut(), scope, operator, comment).await?;
        tx.commit().await?;
        Ok(resumed)
    }

    async fn pauses(&self) -> Result<Vec<PauseView>, StoreError> {
        self.driver.read(pauses::LIST, args![]).await?.iter().map(pauses::view).collect()
    }

    async fn forget(&self, person: &UserId, operator: &str, comment: Option<&str>) -> Result<Forgotten, StoreError> {
        let mut tx = self.driver.begin(Step::Forget).await?;
        let forgotten = forget::forget(tx.as_mut(), person, operator, comment).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    async fn rekey(&self, rekeying: Rekeying<'_>) -> Result<Rekeyed, StoreError> {
        let mut tx = self.driver.begin(Step::Rekey).await?;
        let rekeyed = rekey::rekey(tx.as_mut(), rekeying).await?;
        if matches!(rekeyed, Rekeyed::Done(_)) {
            tx.commit().await?;
        }
        Ok(rekeyed)
    }
}
