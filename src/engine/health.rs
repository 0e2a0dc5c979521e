//! Whether the platform can be used: an outage pauses budgets, a misconfiguration makes the daemon not ready.

use crate::domain::disposition::Disposition;
use crate::zerokit::Failure;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// After so many failures in a row, with nothing else in between, the platform counts as down.
const OUTAGE_AFTER: u32 = 5;

/// What the last calls to the platform showed.
#[derive(Debug, Default)]
pub struct Health {
    failures_in_row: AtomicU32,
    misconfigured: Mutex<Option<String>>,
}

impl Health {
    /// Notes how a call went.
    pub fn note<T>(&self, result: &Result<T, Failure>) {
        match result {
            Err(failure) if failure.is_outage() => {
                if self.failures_in_row.fetch_add(1, Ordering::Relaxed) + 1 == OUTAGE_AFTER {
                    tracing::warn!(error.message = %failure, "the platform seems to be down; operations wait");
                }
            }
            Err(failure) if failure.on_read() == Disposition::Misconfigured => {
                let mut slot = self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.is_none() {
                    tracing::error!(
                        error.message = %failure,
                        "the platform refuses this daemon's access; check zerokit.service_url, zerokit.tenant_id and zerokit.admin_key"
                    );
                }
                *slot = Some(failure.to_string());
            }
            _ => {
                if self.failures_in_row.swap(0, Ordering::Relaxed) >= OUTAGE_AFTER {
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

    /// Why the daemon's access is refused, if it is.
    #[must_use]
    pub fn misconfiguration(&self) -> Option<String> {
        self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
