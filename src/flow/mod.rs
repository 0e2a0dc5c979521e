//! The way of an operation as a pure state machine: what is known, what happened, what to do next.
//!
//! No I/O, no clock, no async: the engine carries the steps out, and the tests can try every pair of state and event.

mod ending;
mod state;
mod step;
mod turn;

pub use ending::{Ending, Places};
pub use state::State;
pub use step::{AfterConflict, Event, Finding, IllegalTransition, Phase, SendMode, Step, step};
pub use turn::{MOST_MISSED, Missed, Next, after_missed, average_return, first_in_line, turn_length};
