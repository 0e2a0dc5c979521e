//! `assent policy test`: runs the test cases beside the rules.

use super::Failure;
use super::output::Paint;
use crate::engine::{PolicyError, read_policy_files};
use crate::policy::{CaseResult, load, load_cases};
use clap::Args;
use std::path::PathBuf;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The policy directory
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// Print JSON, with the trace of every case
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let files = read_policy_files(&options.path)?;
    let invalid = |problems| PolicyError::Invalid { path: options.path.clone(), problems, files: files.clone() };
    let policy = load(&files).map_err(invalid)?;
    let mut results: Vec<CaseResult> = Vec::new();
    for file in files.iter().filter(|file| file.is_cases()) {
        results.extend(load_cases(file, &policy).map_err(invalid)?.run(&policy));
    }
    let failed = results.iter().filter(|result| !result.mismatches.is_empty()).count();
    if options.json {
        println!("{:#}", serde_json::json!({ "passed": results.len() - failed, "failed": failed, "cases": results }));
    } else if !results.is_empty() {
        print_results(&results, failed);
    }
    match (results.len(), failed) {
        (0, _) => Err(Failure::no(format!(
            "there is no `*.test.yaml` in `{}`: an untested policy proves nothing",
            options.path.display()
        ))),
        (_, 0) => Ok(()),
        (_, 1) => Err(Failure::no("1 test fails")),
        (_, failed) => Err(Failure::no(format!("{failed} tests fail"))),
    }
}

fn print_results(results: &[CaseResult], failed: usize) {
    let paint = Paint::stdout();
    for result in results {
        if result.mismatches.is_empty() {
            println!("{}  {}", paint.green("pass"), result.name);
            continue;
        }
        println!("{}  {}  {}", paint.red("FAIL"), result.name, paint.dim(&format!("{}:{}", result.file, result.line)));
        for mismatch in &result.mismatches {
            println!("        {:<8} expected  {}", mismatch.what, mismatch.expected);
            println!("        {:<8} but got   {}", "", paint.red(&mismatch.seen));
        }
        println!("        {:<8} {}", "because", result.seen.reason);
    }
    println!();
    println!("{} passed, {failed} failed", results.len() - failed);
}
