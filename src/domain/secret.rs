//! A value that must not be seen: it has no `Display`, its `Debug` shows nothing, and it is never serialised.

use std::fmt;

/// Holds a secret; reading it needs the loud [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Takes the secret in.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself. Call it only where it is used: signing, decrypting, sending.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
