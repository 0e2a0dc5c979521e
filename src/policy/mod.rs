//! Policies: what a rule is, how a directory of YAML becomes one, and what it says of an operation.
//!
//! Pure: no I/O, no clock, no async. Files come in as text, the time comes in as an argument, and the one evaluator
//! here serves the daemon, the tests and every tool. Nothing in it fails open: what is unknown is never approved.

mod calendar;
mod case_text;
mod cases;
mod codes;
mod condition;
mod coverage;
mod difference;
mod evaluate;
mod inquiry;
mod kinds;
mod limit;
mod lint;
mod load;
mod model;
mod nearest;
mod operand;
mod operator;
mod question;
mod range;
mod read_limit;
mod review;
mod rule;
mod schema;
mod sets;
mod template;
mod then;
mod trace;
mod tree;
mod truth;

pub use case_text::{case_of, updated};
pub use cases::{CaseFile, CaseResult, Mismatch, Said, load_cases};
pub use codes::{CODES, meaning};
pub use coverage::{RuleCoverage, coverage, percent};
pub use difference::{Difference, Example, RuleShift, Shift};
pub use evaluate::{EVALUATOR_VERSION, Evaluation, Input, evaluate, judge};
pub use inquiry::{Inquiry, InvalidInquiry};
pub use limit::{Limit, LimitKey, LimitQuery, Window};
pub use lint::warnings;
pub use load::{SourceFile, archived_files, load, load_archived};
pub use model::{Defaults, Policy, PolicyHash, Rule, RuleMode};
pub use nearest::{Change, nearest_changes};
pub use review::{Basis, OnTimeout, ReviewTerms};
pub use schema::{case_schema, rule_schema};
pub use trace::{ExceptionTrace, LeafTrace, LimitTrace, RuleTrace, TraceNode, WindowTrace};
pub use truth::Truth;
