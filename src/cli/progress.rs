//! Progress on standard error: only on a terminal, only of what takes more than two seconds, and gone when it is over.

use super::output::size;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What is quicker than this needs no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the line is written anew.
const PERIOD: Duration = Duration::from_millis(100);

/// How far something has come.
pub(super) struct Progress {
    /// What is going on, such as `uploading`.
    what: &'static str,
    is_shown: bool,
    started: Instant,
    written: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, is_shown: std::io::stderr().is_terminal(), started: Instant::now(), written: Mutex::new(None) }
    }

    /// So many bytes of so many.
    pub(super) fn bytes(&self, done: u64, total: u64) {
        self.show(|elapsed| bytes_line(self.what, done, total, elapsed));
    }

    /// So many things, and nobody knows of how many.
    pub(super) fn count(&self, done: u64, things: &str) {
        self.show(|_| format!("{} {done} {things}", self.what));
    }

    /// So many things of so many.
    pub(super) fn share(&self, done: u64, total: u64, things: &str) {
        self.show(|elapsed| share_line(self.what, done, total, things, elapsed));
    }

    fn show(&self, line: impl FnOnce(Duration) -> String) {
        let elapsed = self.started.elapsed();
        if !self.is_shown || elapsed < PATIENCE {
            return;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_none_or(|written| written.elapsed() >= PERIOD) {
            *written = Some(Instant::now());
            eprint!("\r\x1b[2K{}", line(elapsed));
            let _ = std::io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            eprint!("\r\x1b[2K");
        }
    }
}

fn bytes_line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let percent = done.saturating_mul(100) / total.max(1);
    let rate = done.saturating_mul(1000) / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    format!("{what} {} of {}, {percent} %, {} a second", size(done), size(total), size(rate))
}

fn share_line(what: &str, done: u64, total: u64, things: &str, elapsed: Duration) -> String {
    const WIDTH: usize = 24;
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
    let filled = usize::try_from(percent).unwrap_or(0) * WIDTH / 100;
    let rate = done.saturating_mul(1000) / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    format!(
        "{what} [{}{}] {percent:>3} %  {done} of {total} {things}, {rate} a second",
        "=".repeat(filled),
        " ".repeat(WIDTH - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let line = share_line("verifying", 300_000, 1_200_000, "leaves", Duration::from_secs(3));
        assert_eq!(line, "verifying [======                  ]  25 %  300000 of 1200000 leaves, 100000 a second");
        let line = share_line("verifying", 0, 0, "leaves", Duration::ZERO);
        assert_eq!(line, "verifying [========================] 100 %  0 of 0 leaves, 0 a second");
    }

    #[test]
    fn the_line_says_how_far_and_how_fast() {
        let line = bytes_line("uploading", 52_428_800, 209_715_200, Duration::from_secs(4));
        assert_eq!(line, "uploading 50.0 MiB of 200.0 MiB, 25 %, 12.5 MiB a second");
        assert_eq!(bytes_line("uploading", 0, 0, Duration::ZERO), "uploading 0 B of 0 B, 0 %, 0 B a second");
    }
}
