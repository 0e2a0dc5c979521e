//! The states of an operation that the web app and the auditor see.

use crate::domain::verdict::{Outcome, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Reported and stored; nobody works on it yet.
    Received,
    /// Somebody works on it.
    Running,
    /// A person has to decide.
    Escalated,
    /// Its approval conflicted and its flow waits for its turn.
    Waiting,
    /// The approval took effect.
    Approved,
    /// The rejection took effect.
    Rejected,
    /// The approval conflicted; the client must start again.
    Superseded,
    /// The verdict did not take effect and will not.
    Failed,
    /// It was reported by somebody who did not start it.
    Refused,
    /// What happened at the platform cannot be established.
    Unknown,
}

impl State {
    /// All states.
    pub const ALL: [State; 10] = [
        State::Received,
        State::Running,
        State::Escalated,
        State::Waiting,
        State::Approved,
        State::Rejected,
        State::Superseded,
        State::Failed,
        State::Refused,
        State::Unknown,
    ];

    /// The name in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Received => "received",
            State::Running => "running",
            State::Escalated => "escalated",
            State::Waiting => "waiting",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Superseded => "superseded",
            State::Failed => "failed",
            State::Refused => "refused",
            State::Unknown => "unknown",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, State::Approved | State::Rejected | State::Superseded | State::Failed | State::Refused | State::Unknown)
    }

    /// Whether a waiting request is answered: final, or in the hands of a person.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.is_final() || matches!(self, State::Escalated)
    }

    /// The final state that an outcome and a verdict make.
    #[must_use]
    pub const fn of(outcome: Outcome, verdict: Option<Verdict>) -> Self {
        match (outcome, verdict) {
            (Outcome::Applied, Some(Verdict::Approve)) => State::Approved,
            (Outcome::Applied, Some(Verdict::Reject)) => State::Rejected,
            (Outcome::Superseded, _) => State::Superseded,
            (Outcome::Failed, _) => State::Failed,
            (Outcome::Refused, _) => State::Refused,
            (Outcome::Unknown | Outcome::Applied, _) => State::Unknown,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
