//! The way of an operation as a pure state machine: what is known, what happened, what to do next.
//!
//! No I/O, no clock, no async: the engine carries the steps out, and the tests can try every pair of state and event.

mod ending;
mod state;
mod step;

pub use ending::{Ending, Places};
pub use state::State;
pub use step::{Event, Finding, IllegalTransition, Phase, SendMode, Step, step};
