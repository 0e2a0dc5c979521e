//! How `assent admin` answers: aligned lines for people, the platform's entities for programs; questions and progress.

use crate::cli::Failure;
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
        let text = serde_json::to_string_pretty(entity).map_err(|error| Failure::input(error.to_string()))?;
        println!("{text}");
        Ok(())
    }
}

/// Rows under their names, each column as wide as its widest value.
pub(super) fn table(names: &[&str], rows: &[Vec<String>]) {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain(names.get(index).map(|name| name.len())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..names.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut names.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
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

/// Bytes as people read them.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut rest = 0;
    let mut unit = 0;
    while value >= 1024 && unit + 1 < units.len() {
        (rest, value, unit) = (value % 1024, value / 1024, unit + 1);
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{value} {name}") } else { format!("{value}.{} {name}", rest * 10 / 1024) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        let said: Vec<_> = [0, 1023, 1024, 1536, 209_715_200, 5_000_000_000].map(size).into();
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "200.0 MiB", "4.6 GiB"]);
    }
}
