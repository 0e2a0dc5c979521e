//! The one integration binary. Every file is named for what it shows; the harness starts what they need.
//!
//! Real databases, the real HTTP stack, the simulator as the platform. No sleeps: tests await conditions.

mod architecture;
mod commands;
mod contention;
mod crash;
mod harness;
mod intake;
mod operations;
mod policy_language;
mod reconciliation;
mod store_contract;
mod zerokit_golden;
