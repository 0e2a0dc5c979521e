//! The one integration binary. Every file is named for what it shows; the harness starts what they need.
//!
//! Real databases, the real HTTP stack, the simulator as the platform. No sleeps: tests await conditions.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that meets what it does not expect must fail loudly"
)]

mod admin;
mod architecture;
mod arrivals;
mod audit;
mod cancellation;
mod chaos;
mod commands;
mod contention;
mod crash;
mod description;
mod directory;
mod drill;
mod effects;
mod error_codes;
mod events;
mod harness;
mod intake;
mod model;
mod operating;
mod operations;
mod outages;
mod planted;
mod policy;
mod quiet;
mod reconciliation;
mod registrations;
mod replicas;
mod reviews;
mod shutdown;
mod simulator;
mod store_contract;
mod turns;
mod zerokit_golden;
