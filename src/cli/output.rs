//! Colour, only on a terminal and only unless `NO_COLOR` says otherwise; and telemetry.

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
