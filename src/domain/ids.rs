//! Identifiers, each its own type, so that a tresor's cannot be passed where a user's is meant.
//!
//! The platform's are opaque text; ours are UUIDs of version 7, which sort by time.

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use uuid::Uuid;

/// The longest identifier that is accepted, in bytes. The platform's own are under 64.
pub const MAX_ID_BYTES: usize = 256;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("must be at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// White space or control characters, which no identifier of the platform holds.
    #[error("must not contain white space or control characters")]
    BadCharacter,
}

macro_rules! platform_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks the text: not empty, at most [`MAX_ID_BYTES`], no white space or control characters.
            ///
            /// # Errors
            /// Says what is wrong with the text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if text.is_empty() {
                    return Err(InvalidId::Empty);
                }
                if text.len() > MAX_ID_BYTES {
                    return Err(InvalidId::TooLong);
                }
                if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
                    return Err(InvalidId::BadCharacter);
                }
                Ok(Self(text))
            }

            /// The identifier as the platform writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

platform_id! {
    /// An operation at the platform; for a tresor creation the tresor's id, for a user validation the user's.
    OperationId
}
platform_id! {
    /// A tresor, such as `0000slpj4r86xbqlg9wmjhug`.
    TresorId
}
platform_id! {
    /// A user, such as `20160601121212.tlq1d0hp@tenant1234.tresorit.io`.
    UserId
}

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier, later than all that this process made before.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads the hyphenated form.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

own_id! {
    /// The record that Assent keeps of one reported operation: the `id` of the API.
    RecordId
}
own_id! {
    /// One user's intent across attempts.
    FlowId
}
own_id! {
    /// One row of `decisions`.
    DecisionId
}
own_id! {
    /// One row of `outcomes`.
    OutcomeId
}
own_id! {
    /// One row of `effects`.
    EffectId
}
own_id! {
    /// One event to the web app; its `webhook-id` is made of it.
    EventId
}
own_id! {
    /// One row of `reviews`.
    ReviewId
}
own_id! {
    /// One row of `operator_actions`.
    ActionId
}
