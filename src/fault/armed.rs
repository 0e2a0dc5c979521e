//! What the tests ask for, in the environment of the process: `ASSENT_POINT_LOG` (a file that gets a line for each point that
//! is reached), `ASSENT_STOP_AT` (a point to stand still at), `ASSENT_KILL_AT` and `ASSENT_FREEZE_AT` (a point at which the
//! process gets a SIGKILL or SIGSTOP the first time), `ASSENT_BUG` (a planted bug), `ASSENT_CLOCK_OFFSET` (seconds).

use super::bugs::{self, Bug};
use super::{Moment, Step};
use rustix::process::{Signal, getpid, kill_process};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The variables that are looked at.
pub(crate) const VARIABLES: [&str; 6] =
    ["ASSENT_POINT_LOG", "ASSENT_STOP_AT", "ASSENT_KILL_AT", "ASSENT_FREEZE_AT", "ASSENT_BUG", "ASSENT_CLOCK_OFFSET"];

struct Plan {
    log: Option<Mutex<File>>,
    stop_at: Option<String>,
    kill_at: Option<String>,
    freeze_at: Option<String>,
    bug: Option<&'static Bug>,
    clock_offset: i64,
    was_frozen: AtomicBool,
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let open = |path: String| File::options().create(true).append(true).open(path).ok();
        Plan {
            log: text("ASSENT_POINT_LOG").and_then(open).map(Mutex::new),
            stop_at: text("ASSENT_STOP_AT"),
            kill_at: text("ASSENT_KILL_AT"),
            freeze_at: text("ASSENT_FREEZE_AT"),
            bug: text("ASSENT_BUG").and_then(|name| bugs::find(&name)),
            clock_offset: text("ASSENT_CLOCK_OFFSET").and_then(|seconds| seconds.parse().ok()).unwrap_or(0),
            was_frozen: AtomicBool::new(false),
        }
    })
}

/// A step of the daemon's own.
pub(crate) async fn reach(step: Step, moment: Moment) {
    at(format!("{}.{}", step.as_str(), moment.as_str())).await;
}

/// A call to the platform.
pub(crate) async fn reach_call(endpoint: &str, moment: Moment) {
    at(format!("{endpoint}.{}", moment.as_str())).await;
}

async fn at(point: String) {
    let plan = plan();
    let is_stop = plan.stop_at.as_deref() == Some(point.as_str());
    if let Some(log) = &plan.log {
        // Written whole or not at all: the next thing may be SIGKILL.
        let line = format!("{point}{}\n", if is_stop { " stopped" } else { "" });
        let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
    if plan.kill_at.as_deref() == Some(point.as_str()) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
    if plan.freeze_at.as_deref() == Some(point.as_str()) && !plan.was_frozen.swap(true, Ordering::Relaxed) {
        let _ = kill_process(getpid(), Signal::STOP);
        // Another thread may take the signal: this one does nothing until it has come to all of them.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if is_stop {
        std::future::pending::<()>().await;
    }
}

/// Whether a bug is planted that needs a place of its own in the code.
pub(crate) fn is_planted(bug: &str) -> bool {
    plan().bug.is_some_and(|planted| planted.name == bug)
}

/// Whether the bug is that a step's commit never happens.
pub(crate) fn is_lost(step: Step) -> bool {
    plan().bug.is_some_and(|bug| bug.lost == Some(step))
}

/// A statement as the planted bug changes it.
pub(crate) fn sql(text: &'static str) -> &'static str {
    static CHANGED: Mutex<Option<HashMap<&'static str, &'static str>>> = Mutex::new(None);
    let Some(bug) = plan().bug.filter(|bug| bug.sql.iter().any(|(from, _)| text.contains(from))) else { return text };
    let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    changed.get_or_insert_default().entry(text).or_insert_with(|| {
        let changed = bug.sql.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        // A statement is prepared once for as long as the process lives.
        Box::leak(changed.into_boxed_str())
    })
}

/// How far the machine's clock is to be wrong, in seconds.
pub(crate) fn clock_offset() -> i64 {
    plan().clock_offset
}
