//! The seven kinds of operation and what each of them has.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a pending operation wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A member gives another user access to a tresor.
    Share,
    /// A member removes another one.
    Kick,
    /// A user creates a tresor.
    TresorCreation,
    /// A member makes an invitation link.
    InvitationLinkCreation,
    /// A user follows an invitation link and becomes a member.
    InvitationLinkAcception,
    /// A member makes an invitation link invalid.
    InvitationLinkRevocation,
    /// A registered user asks to be let in.
    UserValidation,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Kind; 7] = [
        Kind::Share,
        Kind::Kick,
        Kind::TresorCreation,
        Kind::InvitationLinkCreation,
        Kind::InvitationLinkAcception,
        Kind::InvitationLinkRevocation,
        Kind::UserValidation,
    ];

    /// The name in policies, notifications and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Share => "share",
            Kind::Kick => "kick",
            Kind::TresorCreation => "tresor_creation",
            Kind::InvitationLinkCreation => "invitation_link_creation",
            Kind::InvitationLinkAcception => "invitation_link_acception",
            Kind::InvitationLinkRevocation => "invitation_link_revocation",
            Kind::UserValidation => "user_validation",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether somebody started it whom the platform names; a validation names only the user.
    #[must_use]
    pub const fn has_actor(self) -> bool {
        !matches!(self, Kind::UserValidation)
    }

    /// Whether it concerns a user other than the one who started it.
    #[must_use]
    pub const fn has_subject(self) -> bool {
        matches!(self, Kind::Share | Kind::Kick | Kind::InvitationLinkAcception | Kind::UserValidation)
    }

    /// Whether it happens in a tresor.
    #[must_use]
    pub const fn has_tresor(self) -> bool {
        !matches!(self, Kind::UserValidation)
    }

    /// Whether it changes who the members of the tresor are.
    #[must_use]
    pub const fn changes_members(self) -> bool {
        matches!(self, Kind::Share | Kind::Kick | Kind::InvitationLinkAcception)
    }

    /// Whether it is about an invitation link; equal intent alone does not join such flows, as one user may well
    /// make two links.
    #[must_use]
    pub const fn is_link(self) -> bool {
        matches!(self, Kind::InvitationLinkCreation | Kind::InvitationLinkAcception | Kind::InvitationLinkRevocation)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindSet(u8);

impl KindSet {
    /// The set with `kind` added.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The kinds in the set, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}
