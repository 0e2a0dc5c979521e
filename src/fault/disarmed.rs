//! The released binary: points that do nothing, and no bugs.

use super::{Moment, Step};

/// No variable of the environment is looked at.
pub(crate) const VARIABLES: [&str; 0] = [];

/// Nothing happens.
pub(crate) async fn reach(_step: Step, _moment: Moment) {}

/// Nothing happens.
pub(crate) async fn reach_call(_endpoint: &str, _moment: Moment) {}

/// No bug is planted.
pub(crate) const fn is_planted(_bug: &str) -> bool {
    false
}

/// No commit is lost.
pub(crate) const fn is_lost(_step: Step) -> bool {
    false
}

/// The statement as it is.
pub(crate) const fn sql(text: &'static str) -> &'static str {
    text
}

/// The machine's clock is as it is, in seconds.
pub(crate) const fn clock_offset() -> i64 {
    0
}
