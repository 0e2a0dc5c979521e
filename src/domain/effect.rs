//! Effects beyond the verdict: what a rule has done to a user once its verdict took effect.
//!
//! Each sets a value and so can be repeated without harm.

use super::ids::UserId;
use serde::Serialize;
use std::fmt;

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Whether the user may log in.
    SetUserState,
    /// Whether the user may create tresors.
    SetTresorCreationPolicy,
    /// Whether the user may share tresors.
    SetTresorSharingPolicy,
}

impl Action {
    /// All actions.
    pub const ALL: [Action; 3] = [Action::SetUserState, Action::SetTresorCreationPolicy, Action::SetTresorSharingPolicy];

    /// The name in policies and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::SetUserState => "set_user_state",
            Action::SetTresorCreationPolicy => "set_tresor_creation_policy",
            Action::SetTresorSharingPolicy => "set_tresor_sharing_policy",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One effect that follows from a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The rule that wants it.
    pub rule: String,
    /// What is set.
    pub action: Action,
    /// Whose; nothing if the fact that names the user was not known, and then it cannot be done.
    pub user: Option<UserId>,
    /// To what.
    pub enable: bool,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map_or("(unknown)", |user| user.as_str());
        write!(f, "{}: {{user: {user}, enable: {}}}", self.action, self.enable)
    }
}
