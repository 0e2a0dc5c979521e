//! An emulated platform with virtual clients: the platform of the demo and of the tests.
//!
//! It implements the platform's side of the contract from the reference and shares only the wire types with the client,
//! so that the two cannot agree on a mistake. It checks signatures for real, and knows nothing of policies.

mod admin;
mod answer;
mod app;
mod contents;
mod control;
mod fault;
mod platform;
mod scenario;
mod server;
mod signature;
mod world;

pub use app::{Answer, ReportError, WebApp};
pub use fault::Fault;
pub use platform::Simulator;
pub use scenario::{Cast, Scenario};
pub use world::{Effect, Refusal, World};
