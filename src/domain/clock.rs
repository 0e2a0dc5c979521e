//! What time it is, as something that is handed in: nothing outside the edges may ask the machine.

use jiff::Timestamp;
use std::sync::Mutex;

/// A source of the present time. The daemon's follows the database's clock; tests use [`FixedClock`].
pub trait Clock: Send + Sync {
    /// The present, UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// Stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
