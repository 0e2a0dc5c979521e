//! How a command fails: one sentence for the person, one exit status for the script.

use super::output::Paint;
use crate::engine::PolicyError;
use crate::store::StoreError;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
    /// The same for a program, where it says more than the sentence.
    json: Option<Value>,
    is_json: bool,
}

impl Failure {
    /// The answer is no: a test fails, the platform refuses.
    pub fn no(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    /// So many connections of daemons and commands stand in the way.
    pub fn in_use(others: u64) -> Self {
        Self::no(format!(
            "{others} connections of assent are open on this database; stop every daemon and command, then try again"
        ))
    }

    /// A file or a folder that cannot be written.
    pub fn unwritten(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        Self::input(format!("`{path}` cannot be written: {error}; see that its folder is there and yours to write, and has room"))
    }

    /// Bad usage or input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(2, message)
    }

    /// A dependency is unreachable.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(3, message)
    }

    /// Whoever read the output has had enough (`| head`); that needs no words.
    pub fn broken_pipe() -> Self {
        Self::new(141, "")
    }

    fn new(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), json: None, is_json: false }
    }

    /// With what a program may want to know of it.
    #[must_use]
    pub fn with_json(mut self, json: Value) -> Self {
        self.json = Some(json);
        self
    }

    /// With one more sentence at the end.
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Self {
        self.message = format!("{}\n{note}", self.message);
        self
    }

    /// To be reported to a program.
    #[must_use]
    pub fn as_json(mut self) -> Self {
        self.is_json = true;
        self
    }

    /// The exit status.
    #[must_use]
    pub const fn status(&self) -> u8 {
        self.status
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints the sentence on standard error.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if self.is_json && !self.message.is_empty() {
            let error = self.json.clone().unwrap_or_else(|| json!({ "message": self.message }));
            eprintln!("{:#}", json!({ "error": error }));
        } else if !self.message.is_empty() {
            let paint = Paint::stderr();
            eprintln!("{} {}", paint.red("error:"), self.message);
        }
        ExitCode::from(self.status)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) => Self::unreachable(error.to_string()),
            _ => Self::input(error.to_string()),
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        match &error {
            PolicyError::Invalid { problems, files, .. } => {
                let mut text = format!("{error}\n");
                for problem in problems {
                    let source = files.iter().find(|file| file.path == problem.file).map(|file| file.text.as_str());
                    text.push('\n');
                    text.push_str(&problem.render(source));
                }
                Self::input(text.trim_end().to_owned())
            }
            PolicyError::TestsFail { .. } | PolicyError::NoTests { .. } => Self::no(error.to_string()),
            PolicyError::Unreadable { .. } => Self::input(error.to_string()),
            PolicyError::Archive(StoreError::Unreachable(_)) => Self::unreachable(error.to_string()),
            PolicyError::Archive(_) => Self::input(error.to_string()),
        }
    }
}
