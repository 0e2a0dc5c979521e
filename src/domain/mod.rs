//! The words of the project as types: identifiers, kinds, facts, verdicts, time.
//!
//! Everything else builds on this module, so it imports nothing of ours, does no I/O and reads no clock:
//! time is always an argument.

pub mod clock;
pub mod diagnostic;
pub mod disposition;
pub mod domain_name;
pub mod duration;
pub mod effect;
pub mod fact;
pub mod fact_catalogue;
pub mod ids;
pub mod kind;
pub mod operation;
pub mod operation_event;
pub mod secret;
pub mod size;
pub mod verdict;
pub mod webhook;
pub mod yaml;
