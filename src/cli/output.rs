//! Colour, only on a terminal and only unless `NO_COLOR` says otherwise; tables; and telemetry.

use super::Failure;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Paints words, or leaves them alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    pub(super) fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }
}

/// Logs to standard error: JSON for machines, lines for a terminal; what to log is `ASSENT_LOG`, `info` by default.
pub(super) fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_env("ASSENT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as in a test, changes nothing.
    let _ = if std::io::stderr().is_terminal() { builder.with_target(false).try_init() } else { builder.json().try_init() };
}

/// A value for programs.
pub(super) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::input(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Rows under their names, each column as wide as its widest value.
pub(super) fn table(names: &[&str], rows: &[Vec<String>]) {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain(names.get(index).map(|name| name.len())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..names.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        // A line of a comment must not become a line of the table.
        let flat = |cell: &str| cell.replace(char::is_control, " ");
        let padded: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{:<width$}", flat(cell))).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut names.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
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
