//! Whether the platform can be used: an outage pauses budgets, a misconfiguration makes the daemon not ready.

use crate::domain::disposition::Disposition;
use crate::zerokit::Failure;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// After so many failures in a row, with no answer of the platform in between, it counts as down.
const OUTAGE_AFTER: u32 = 5;

/// What the last calls to the platform showed.
#[derive(Debug, Default)]
pub struct Health {
    failures_in_row: AtomicU32,
    /// Answers that are not the platform's. No outage, which would let an operation that a proxy objects to try for ever.
    strangers_in_row: AtomicU32,
    misconfigured: Mutex<Option<String>>,
    /// It cannot be used, and could before.
    lost: Notify,
}

impl Health {
    /// Notes how a call went.
    pub fn note<T>(&self, result: &Result<T, Failure>) {
        match result {
            Err(failure) if failure.is_outage() => {
                self.strangers_in_row.store(0, Ordering::Relaxed);
                if self.failures_in_row.fetch_add(1, Ordering::Relaxed) + 1 == OUTAGE_AFTER {
                    tracing::warn!(error.message = %failure, "the platform seems to be down; operations wait");
                    self.lost.notify_one();
                }
            }
            Err(failure @ Failure::NotThePlatform { .. }) => {
                if self.strangers_in_row.fetch_add(1, Ordering::Relaxed) + 1 == OUTAGE_AFTER {
                    self.failures_in_row.store(0, Ordering::Relaxed);
                    tracing::error!(
                        error.message = %failure,
                        "something else answers in the platform's place; check zerokit.service_url, and what stands between"
                    );
                    self.lost.notify_one();
                }
            }
            Err(failure) if failure.on_read() == Disposition::Misconfigured => {
                let mut slot = self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.is_none() {
                    tracing::error!(
                        error.message = %failure,
                        "the platform refuses this daemon's access, which is not ready until it is let in; check zerokit.service_url, zerokit.tenant_id and zerokit.admin_key"
                    );
                    self.lost.notify_one();
                }
                *slot = Some(failure.to_string());
            }
            _ => {
                let strangers = self.strangers_in_row.swap(0, Ordering::Relaxed);
                if self.failures_in_row.swap(0, Ordering::Relaxed).max(strangers) >= OUTAGE_AFTER {
                    tracing::info!("the platform answers again");
                }
                let mut slot = self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.take().is_some() {
                    tracing::info!("the platform accepts this daemon's access again");
                }
            }
        }
    }

    /// Whether the platform as a whole is down.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.failures_in_row.load(Ordering::Relaxed) >= OUTAGE_AFTER
    }

    /// Whether nothing that answers is the platform.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_outage() || self.strangers_in_row.load(Ordering::Relaxed) >= OUTAGE_AFTER
    }

    /// Returns once the platform cannot be used that could before, or was since the last call.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Why the daemon's access is refused, if it is.
    #[must_use]
    pub fn misconfiguration(&self) -> Option<String> {
        self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Result<(), Failure> {
        Err(Failure::NotThePlatform { endpoint: "ListMembers", status: 200, cause: "a page".into(), retry_after: None })
    }

    #[test]
    fn pages_of_somebody_else_are_no_platform_and_no_outage() {
        let health = Health::default();
        (1..OUTAGE_AFTER).for_each(|_| health.note(&page()));
        assert!(!health.is_away(), "one operation may have what a proxy objects to");
        health.note(&page());
        assert!(health.is_away() && !health.is_outage(), "and may not try for ever");
        health.note(&Ok(()));
        assert!(!health.is_away());
    }

    #[test]
    fn a_page_between_does_not_end_an_outage_and_pages_alone_do() {
        let health = Health::default();
        let down = || Err::<(), _>(Failure::NoAnswer { endpoint: "ListMembers", cause: "the time is over".into() });
        (0..OUTAGE_AFTER).for_each(|_| health.note(&down()));
        health.note(&page());
        assert!(health.is_outage());
        health.note(&down());
        (0..OUTAGE_AFTER).for_each(|_| health.note(&page()));
        assert!(!health.is_outage() && health.is_away());
        health.note(&Ok(()));
        assert!(!health.is_away());
    }
}
