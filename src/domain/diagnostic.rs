//! A problem in a file that a person wrote: where it is, what it is, and what was probably meant.
//!
//! Used for policies, test cases and the configuration, so that all of them complain in the same voice.

use serde::Serialize;
use std::fmt::Write as _;

/// A place in a file: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
pub struct Spot {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// How many characters to underline.
    #[serde(skip)]
    pub len: u32,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but is probably not what was meant.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for the sort of problem, such as `unknown-fact`.
    pub code: &'static str,
    /// The file, relative to the directory that was checked.
    pub file: String,
    /// Where in it.
    #[serde(flatten)]
    pub spot: Spot,
    /// What is wrong: lower case, no full stop, the author's words in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn error(code: &'static str, file: &str, spot: Spot, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, file: file.to_owned(), spot, message: message.into(), help: None }
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(code: &'static str, file: &str, spot: Spot, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, file, spot, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the nearest valid name, if any is near.
    #[must_use]
    pub fn suggesting<'a>(self, written: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, valid) {
            Some(name) => self.with_help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The problem with its code frame: file, line, column, the line itself, and a mark under the words.
    #[must_use]
    pub fn render(&self, source: Option<&str>) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = format!("{severity}[{}]: {}\n", self.code, self.message);
        let number = self.spot.line.to_string();
        let margin = " ".repeat(number.len());
        if self.spot.line == 0 {
            let _ = writeln!(text, "  --> {}", self.file);
        } else {
            let _ = writeln!(text, "{margin}--> {}:{}:{}", self.file, self.spot.line, self.spot.column);
        }
        let index = usize::try_from(self.spot.line.saturating_sub(1)).unwrap_or(usize::MAX);
        if self.spot.line > 0
            && let Some(line) = source.and_then(|source| source.lines().nth(index))
        {
            let before = usize::try_from(self.spot.column.saturating_sub(1)).unwrap_or(0);
            let room = line.chars().count().saturating_sub(before).max(1);
            let marks = usize::try_from(self.spot.len).unwrap_or(1).clamp(1, room);
            let lead: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = writeln!(text, "{margin} |");
            let _ = writeln!(text, "{number} | {line}");
            let _ = writeln!(text, "{margin} | {lead}{}", "^".repeat(marks));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{margin} = help: {help}");
        }
        text
    }
}

/// The valid name that is nearest to what was written, if it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Among very many names the search would take longer than the mistake is worth.
    valid
        .into_iter()
        .take(2_000)
        .map(|name| (strsim::osa_distance(written, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .map(|(_, name)| name)
}
