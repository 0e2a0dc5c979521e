//! How an operation ends: what is recorded, and what becomes of what it held.

use super::state::State;
use crate::domain::verdict::{Outcome, Verdict};

/// What becomes of the places that an operation took in limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// They stay taken: it happened, or may have.
    Keep,
    /// They are free again: it did not happen.
    Release,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// The state that follows.
    pub state: State,
    /// The platform's error code, or one of ours where the platform gave none.
    pub error_code: Option<String>,
    /// One sentence for the auditor, without personal data.
    pub detail: Option<String>,
    /// Whether it was established by reading the platform rather than by its answer.
    pub reconciled: bool,
    /// Whether an operator has to look.
    pub alert: bool,
}

impl Ending {
    /// An ending of a verdict, or of an operation that never came to one.
    #[must_use]
    pub fn new(outcome: Outcome, verdict: Option<Verdict>) -> Self {
        Self { outcome, state: State::of(outcome, verdict), error_code: None, detail: None, reconciled: false, alert: false }
    }

    /// With an error code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.error_code = Some(code.into());
        self
    }

    /// With a sentence for the auditor.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Established by reading the platform.
    #[must_use]
    pub const fn reconciled(mut self) -> Self {
        self.reconciled = true;
        self
    }

    /// An operator has to look.
    #[must_use]
    pub const fn alerting(mut self) -> Self {
        self.alert = true;
        self
    }

    /// The client is not told before it is its flow's turn.
    #[must_use]
    pub const fn waiting(mut self) -> Self {
        self.state = State::Waiting;
        self
    }

    /// What becomes of the places in limits: they stay taken while it happened or may have.
    #[must_use]
    pub const fn places(&self) -> Places {
        match self.outcome {
            Outcome::Applied | Outcome::Unknown => Places::Keep,
            Outcome::Superseded | Outcome::Failed | Outcome::Refused => Places::Release,
        }
    }
}
