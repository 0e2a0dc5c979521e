//! Turn-taking on a lane: who is next in line, how long a turn holds the lane, and what becomes of one that is missed.
//!
//! N clients that all start again at once would make N² operations. So whoever lost to a conflict waits in line, is told to
//! start again when it is its flow's turn, and finds the lane held for it. Pure: times are arguments.

use std::time::Duration;

/// So many turns in a row that nobody came for end the flow.
pub const MOST_MISSED: u32 = 3;

/// The shortest turn, as a part of the longest.
const SHORTEST: u32 = 6;

/// How long a turn holds the lane: four times what clients on it take to come back on average, within bounds; the longest
/// where nobody has come back yet. A browser that was closed so costs the others little.
#[must_use]
pub fn turn_length(returns_after: Option<Duration>, longest: Duration) -> Duration {
    returns_after.map_or(longest, |average| (average * 4).clamp(longest / SHORTEST, longest))
}

/// The average with one more return in it; the last ones count most.
#[must_use]
pub fn average_return(before: Option<Duration>, this: Duration) -> Duration {
    before.map_or(this, |before| (before * 3 + this) / 4)
}

/// What becomes of a flow that has missed a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// It goes to the end of the line.
    BackInLine,
    /// Nobody waits for it any more; who comes later is a flow of its own.
    FlowEnds,
}

/// After the `missed`th turn in a row that nobody came for.
#[must_use]
pub const fn after_missed(missed: u32) -> Missed {
    if missed < MOST_MISSED { Missed::BackInLine } else { Missed::FlowEnds }
}

/// Who is next on a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// An operation that waits for the lane.
    Operation,
    /// A flow whose client is to start again.
    Flow,
}

/// First come, first served: by the places in line of the first operation and of the first flow.
#[must_use]
pub const fn first_in_line(operation: Option<i64>, flow: Option<i64>) -> Option<Next> {
    match (operation, flow) {
        (None, None) => None,
        (Some(_), None) => Some(Next::Operation),
        (None, Some(_)) => Some(Next::Flow),
        (Some(operation), Some(flow)) => Some(if flow < operation { Next::Flow } else { Next::Operation }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(3);

    #[test]
    fn a_turn_is_as_long_as_clients_need_within_bounds() {
        assert_eq!(turn_length(None, LONGEST), LONGEST);
        assert_eq!(turn_length(Some(Duration::from_millis(1)), LONGEST), Duration::from_millis(500));
        assert_eq!(turn_length(Some(Duration::from_millis(200)), LONGEST), Duration::from_millis(800));
        assert_eq!(turn_length(Some(Duration::from_secs(60)), LONGEST), LONGEST);
    }

    #[test]
    fn the_average_follows_the_last_returns() {
        let first = average_return(None, Duration::from_millis(100));
        assert_eq!(average_return(Some(first), Duration::from_millis(500)), Duration::from_millis(200));
    }

    #[test]
    fn the_third_missed_turn_ends_the_flow() {
        assert_eq!([1, 2, 3, 4].map(after_missed), [Missed::BackInLine, Missed::BackInLine, Missed::FlowEnds, Missed::FlowEnds]);
    }

    #[test]
    fn first_come_is_first_served() {
        assert_eq!(first_in_line(Some(1), Some(2)), Some(Next::Operation));
        assert_eq!(first_in_line(Some(2), Some(1)), Some(Next::Flow));
        assert_eq!(first_in_line(None, Some(1)), Some(Next::Flow));
        assert_eq!(first_in_line(None, None), None);
    }
}
