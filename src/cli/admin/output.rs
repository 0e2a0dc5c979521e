//! How `assent admin` answers: aligned lines for people, the platform's entities for programs; questions and progress.

use crate::cli::Failure;
use crate::cli::output::print_json;
use serde::Serialize;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};

/// Where the answer goes, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) json: bool,
}

impl Screen {
    /// One entity: for programs as it is, for people as names and values.
    pub(super) fn entity<T: Serialize>(self, entity: &T, lines: &[(&str, &str)]) -> Result<(), Failure> {
        if self.json {
            return self.print_json(entity);
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            println!("{name:<width$}  {value}");
        }
        Ok(())
    }

    /// A call that is answered with nothing.
    pub(super) fn done(self, endpoint: &str, sentence: &str) -> Result<(), Failure> {
        if self.json {
            return self.print_json(&json!({ "endpoint": endpoint, "done": true }));
        }
        println!("{sentence}");
        Ok(())
    }

    pub(super) fn print_json<T: Serialize>(self, entity: &T) -> Result<(), Failure> {
        print_json(entity)
    }
}

/// Asks before what cannot be undone.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::input(format!("{question}; add `--yes` to say that you mean it")));
    }
    eprint!("{question}; type `yes` to go on: ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" { Ok(()) } else { Err(Failure::no("nothing was done")) }
}
