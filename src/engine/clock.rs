//! The daemon's clock: the machine's, moved by its measured distance from the database's.
//!
//! Durable times are the database's; this clock serves webhook tolerance and `TresoritDate`, so that replicas whose own
//! clocks are wrong still agree.

use crate::domain::clock::Clock;
use crate::fault;
use crate::store::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// The machine's clock plus an offset.
#[derive(Debug, Default)]
pub struct DatabaseClock {
    offset_micros: AtomicI64,
}

impl DatabaseClock {
    /// Measures the distance to the database's clock, taking half of the round trip for the way back.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn measure(&self, store: &dyn Store) -> Result<(), StoreError> {
        let before = machine_now();
        let database = store.now().await?;
        let after = machine_now();
        let middle = before.as_microsecond() + (after.as_microsecond() - before.as_microsecond()) / 2;
        self.offset_micros.store(database.as_microsecond() - middle, Ordering::Relaxed);
        Ok(())
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_micros(self.offset_micros.load(Ordering::Relaxed));
        machine_now().saturating_add(offset).unwrap_or(Timestamp::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
fn machine_now() -> Timestamp {
    let offset = SignedDuration::from_secs(fault::clock_offset());
    Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX)
}
