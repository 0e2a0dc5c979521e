//! What a decision says and how an operation can end.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the policy says of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let it happen.
    Approve,
    /// A person has to look at it.
    Escalate,
    /// Do not let it happen.
    Reject,
}

impl Verdict {
    /// The name in policies, tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::Escalate => "escalate",
            Verdict::Reject => "reject",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Verdict::Approve, Verdict::Escalate, Verdict::Reject].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The verdict took effect.
    Applied,
    /// The approval conflicted; the client must start again.
    Superseded,
    /// The verdict did not take effect and will not.
    Failed,
    /// The report came from somebody who did not start the operation.
    Refused,
    /// What happened at the platform cannot be established.
    Unknown,
}

impl Outcome {
    /// The name in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Superseded => "superseded",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::Unknown => "unknown",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Outcome::Applied, Outcome::Superseded, Outcome::Failed, Outcome::Refused, Outcome::Unknown]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}
