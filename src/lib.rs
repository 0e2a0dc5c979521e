//! Assent: an approval policy daemon for the ZeroKit encryption platform.
//!
//! It stands beside the web app that integrates ZeroKit, is told of every pending operation, asks the platform for the
//! details, evaluates YAML policies, approves or rejects, and leaves a decision log that an auditor can trust.
//!
//! # The house
//!
//! ```text
//! src/main.rs        arguments, telemetry, exit status
//! src/lib.rs         this page
//! src/domain/        ids, kinds, facts, verdicts, clock          imports nothing of ours
//! src/fault/         the steps by name, for crash tests         nothing
//! src/policy/        the language and the evaluator             domain            pure: no I/O, no clock, no async
//! src/flow/          the state machine: (state, event) -> step   domain            pure
//! src/audit/         records, and the sealing of what is personal  domain          pure
//! src/zerokit/       wire types, error table, signing, client    domain
//! src/directory/     user facts: notification, file, HTTP, SQL   domain
//! src/store/         one trait, postgres/, sqlite/               domain flow audit
//! src/engine/        intake, gather, decide, apply, roll-out    all above
//! src/simulator/     an emulated platform with virtual clients   domain zerokit
//! src/http/          webhook, API, problem, health               domain engine store
//! src/cli/           one file a command; wires everything        all
//! ```
//!
//! The arrows only point up this list, and to `fault` from all that is not pure; `tests/it/architecture.rs` reads the `use`
//! lines and keeps it so.
//!
//! # The way of an operation
//!
//! ```text
//! web app --signed POST--> intake --commit--> 202
//!                            |
//!           details, facts (parallel, only those the policy uses)
//!                            |
//!    one transaction: lane taken, evaluate, decision + intent + limits
//!                            |
//!                  approve / reject at the platform
//!                            |
//!     one transaction: outcome, lane freed and handed on
//! ```
//!
//! Where all that an operation is judged by is known here, its notification is committed by the first of the two below as well.
//!
//! A notification is answered only after it is committed; the intent is committed before the platform is called; an
//! operation never gets two different verdicts; what is unknown is never approved. Whoever loses to a conflict waits in
//! line, is told to start again when it is its flow's turn, and finds the lane held for it.

pub mod audit;
pub mod cli;
pub mod directory;
pub mod domain;
pub mod engine;
pub mod fault;
pub mod flow;
pub mod http;
pub mod policy;
pub mod simulator;
pub mod store;
pub mod zerokit;
