//! The name of a custom content file, checked before anything is sent.

use std::fmt;

/// Why a text names no custom content file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContentName {
    /// Nothing is there.
    #[error("must not be empty")]
    Empty,
    /// Another character.
    #[error("must hold English letters, digits, `.`, `_`, `-` and `/` only, and has {0:?} in it")]
    BadCharacter(char),
    /// It ends like a folder.
    #[error("must not end with a slash")]
    TrailingSlash,
    /// A part of the path is no name.
    #[error("must not have empty parts, `.` or `..` in its path")]
    BadPart,
}

/// A file's name with the folders it is in, such as `styles/example.css`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentName(String);

impl ContentName {
    /// Checks the name as the reference wants it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidContentName> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if text.is_empty() {
            return Err(InvalidContentName::Empty);
        }
        if let Some(other) = text.chars().find(|c| !is_allowed(*c)) {
            return Err(InvalidContentName::BadCharacter(other));
        }
        if text.ends_with('/') {
            return Err(InvalidContentName::TrailingSlash);
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(InvalidContentName::BadPart);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_platform_serves_are_sent() {
        for sound in ["example.css", "subfolder/example.css", "A-1_b.min.js", "a/b/c"] {
            assert_eq!(ContentName::parse(sound).unwrap().as_str(), sound);
        }
        for (wrong, error) in [
            ("", InvalidContentName::Empty),
            ("a b.css", InvalidContentName::BadCharacter(' ')),
            ("caf\u{e9}.css", InvalidContentName::BadCharacter('\u{e9}')),
            ("a?b", InvalidContentName::BadCharacter('?')),
            ("folder/", InvalidContentName::TrailingSlash),
            ("/a", InvalidContentName::BadPart),
            ("a//b", InvalidContentName::BadPart),
            ("../a", InvalidContentName::BadPart),
        ] {
            assert_eq!(ContentName::parse(wrong), Err(error), "{wrong}");
        }
    }
}
