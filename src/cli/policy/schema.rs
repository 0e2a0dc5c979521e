//! `assent policy schema`: JSON Schema for editors.

use crate::cli::Failure;
use crate::policy::{case_schema, rule_schema};
use clap::Args;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The schema of `*.test.yaml` instead of rule files
    #[arg(long)]
    tests: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    println!("{:#}", if options.tests { case_schema() } else { rule_schema() });
    Ok(())
}
