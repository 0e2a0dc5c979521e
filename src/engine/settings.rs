//! How the engine is told to work.

use crate::store::LaneRules;
use std::path::PathBuf;
use std::time::Duration;

/// Whether verdicts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Decides, records and sends.
    Enforce,
    /// Decides and records only.
    Observe,
}

impl Mode {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        }
    }
}

/// The engine's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The tenant, for the records.
    pub tenant: String,
    /// This replica's name among those that share the database.
    pub replica: String,
    /// Whether verdicts are sent.
    pub mode: Mode,
    /// How many operations are worked on at the same time.
    pub workers: usize,
    /// How long an operation belongs to a worker that says nothing more.
    pub lease: Duration,
    /// How long one call to the platform may take.
    pub call_timeout: Duration,
    /// How long after a call whose answer was lost the platform is taken to be done with it.
    pub quiet_period: Duration,
    /// The first back-off; each next one is twice as long.
    pub retry_base: Duration,
    /// The longest back-off.
    pub retry_max: Duration,
    /// How many tries an operation has to come to its verdict, and again to find out what became of that; an outage of the whole
    /// platform spends none.
    pub retry_budget: u32,
    /// How lanes are handed on.
    pub lanes: LaneRules,
    /// How many operations a flow may need before it fails.
    pub max_attempts: u32,
    /// Whether a notification must say who was logged in.
    pub requester_required: bool,
    /// The policy directory.
    pub policies: PathBuf,
    /// Whether a policy without tests is none.
    pub require_tests: bool,
    /// How long to go on serving after readiness was taken back, so that whoever routes requests notices.
    pub drain: Duration,
    /// How long the secrets of a registration are kept for its validation.
    pub registration_max_age: Duration,
}

/// However long a platform asks to be left alone, it is asked again after this.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

impl Settings {
    /// How long to wait before the next try: the back-off, or longer if the platform asked for it.
    #[must_use]
    pub fn delay(&self, tries: u32, asked: Option<Duration>) -> Duration {
        self.backoff(tries).max(asked.unwrap_or_default().min(MOST_PATIENCE))
    }

    /// The back-off before the next try: exponential, with jitter between half and the whole of it.
    #[must_use]
    pub fn backoff(&self, tries: u32) -> Duration {
        let full = self.retry_base.saturating_mul(1 << tries.min(16)).min(self.retry_max);
        full / 2 + (full / 2).saturating_mul(random_share()) / u32::from(u16::MAX)
    }
}

/// Something between nothing and `u16::MAX`; without randomness the most, which makes every wait the longest.
pub(super) fn random_share() -> u32 {
    let mut random = [0; 2];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u32::from(u16::from_le_bytes(random)),
        Err(_) => u32::from(u16::MAX),
    }
}
