//! Works off the effects that follow from decisions: idempotent and at least once, one after the other for each user and
//! action, so that the last decision has the last word.

use super::Engine;
use super::hold::Hold;
use super::rounds::{AT_ONCE, all_done, in_rounds, rest_until};
use crate::domain::disposition::Disposition;
use crate::domain::effect::{Action, Effect};
use crate::store::{ClaimedEffect, EffectResult, StoreError};
use crate::zerokit::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

impl Engine {
    /// Works off effects until `stop` says so.
    pub async fn run_effects(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let round = || Arc::clone(&self).work_off_some();
        in_rounds(&self.effects_due, stop, "effects cannot be worked off", round).await;
    }

    /// Works off what is due; how long to wait before looking again.
    async fn work_off_some(self: Arc<Self>) -> Result<Duration, StoreError> {
        loop {
            let since = Instant::now();
            let claimed = self.store.claim_effects(&self.settings.replica, self.settings.lease, AT_ONCE).await?;
            if claimed.is_empty() {
                return Ok(rest_until(self.store.next_effect_due().await?, Duration::from_millis(20)));
            }
            let work_off = |claimed| {
                let engine = Arc::clone(&self);
                tokio::spawn(async move { engine.work_off(claimed, since).await })
            };
            all_done(claimed.into_iter().map(work_off).collect()).await?;
        }
    }

    /// It was claimed after `since`.
    async fn work_off(&self, claimed: ClaimedEffect, since: Instant) -> Result<(), StoreError> {
        let ClaimedEffect { lease, effect, tries } = claimed;
        // Who was stopped for a while would undo what a later decision has had done since.
        if !Hold::new(since, self.settings.lease).covers(self.settings.call_timeout) {
            return Err(StoreError::Fenced);
        }
        let answer = self.perform(&effect).await;
        self.health.note(&answer);
        let result = match answer {
            Ok(()) => {
                tracing::info!(effect.id = %lease.id, effect.action = %effect.action, effect.rule = effect.rule, "effect done");
                EffectResult::Done
            }
            // To set the same value twice does no harm, so whatever may pass or is not certain is simply done again.
            Err(failure) if is_worth_another_try(&failure) && tries < self.settings.retry_budget => {
                let delay = self.settings.delay(tries, failure.retry_after());
                return self.store.effect_again(lease, delay, !self.health.is_outage()).await;
            }
            Err(failure) => {
                tracing::error!(
                    effect.id = %lease.id, effect.action = %effect.action, effect.rule = effect.rule,
                    error.message = %failure, "an effect failed and needs an operator's eye"
                );
                EffectResult::Failed(failure.code().to_owned())
            }
        };
        self.store.finish_effect(lease, &result).await
    }

    async fn perform(&self, effect: &Effect) -> Result<(), Failure> {
        // An effect without a user was never planned as one to be done.
        let Some(user) = &effect.user else { return Ok(()) };
        match effect.action {
            Action::SetUserState => self.platform.set_user_status(user, effect.enable).await,
            Action::SetTresorCreationPolicy => self.platform.set_user_tresor_creation_mode(user, effect.enable).await,
            Action::SetTresorSharingPolicy => self.platform.set_user_tresor_sharing_mode(user, effect.enable).await,
        }
    }
}

fn is_worth_another_try(failure: &Failure) -> bool {
    match failure.on_verdict() {
        Disposition::Transient | Disposition::Uncertain | Disposition::Conflict | Disposition::Misconfigured => true,
        Disposition::Already | Disposition::Gone | Disposition::Denied => false,
    }
}
