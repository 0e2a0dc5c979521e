//! Policies: what a rule is, how a directory of YAML becomes one, and what it says of an operation.
//!
//! Pure: no I/O, no clock, no async. Files come in as text, the time comes in as an argument, and the one evaluator
//! here serves the daemon, the tests and every tool. Nothing in it fails open: what is unknown is never approved.

mod cases;
mod condition;
mod evaluate;
mod limit;
mod load;
mod model;
mod rule;
mod sets;
mod template;
mod then;
mod trace;
mod truth;

pub use cases::{CaseFile, CaseResult, Mismatch, load_cases};
pub use evaluate::{EVALUATOR_VERSION, Evaluation, Input, evaluate};
pub use limit::{Limit, LimitKey, LimitQuery};
pub use load::{SourceFile, load};
pub use model::{Defaults, Policy, PolicyHash, Rule};
pub use trace::{LeafTrace, LimitTrace, RuleTrace, TraceNode};
pub use truth::Truth;
