//! `assent policy check`: everything that is wrong with a policy or probably not meant, each with its place.

use super::{render, sarif};
use crate::cli::Failure;
use crate::cli::output::Paint;
use crate::cli::simulator::MachineClock;
use crate::domain::clock::Clock as _;
use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::engine::read_policy_files;
use crate::policy::{SourceFile, load, load_cases, warnings};
use clap::Args;
use jiff::Timestamp;
use std::path::PathBuf;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The policy directory
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0, for code scanning
    #[arg(long)]
    sarif: bool,
    /// Let warnings fail the check, with exit status 1
    #[arg(long)]
    deny_warnings: bool,
    /// Check as if it were then: what ends soon?
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let files = read_policy_files(&options.path)?;
    let (problems, rules) = check(&files, options.now.unwrap_or_else(|| MachineClock.now()));
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let is_for_programs = options.json || options.sarif;
    if options.sarif {
        println!("{:#}", sarif::report(&options.path, &problems));
    } else if options.json {
        println!("{:#}", serde_json::json!({ "problems": problems, "rules": rules }));
    } else {
        let paint = Paint::stdout();
        problems.iter().for_each(|problem| println!("{}", render(problem, &files)));
        match (errors, warnings) {
            (0, 0) => println!("{}  {}, nothing to complain about", paint.green("ok"), number(rules, "rule")),
            (0, _) => println!("{}  {}, {}", paint.yellow("ok"), number(rules, "rule"), number(warnings, "warning")),
            _ => {}
        }
    }
    let say = |count, what| if is_for_programs { String::new() } else { number(count, what) };
    match (errors, warnings) {
        (0, 0) => Ok(()),
        (0, _) if options.deny_warnings => Err(Failure::no(say(warnings, "warning"))),
        (0, _) => Ok(()),
        (errors, _) => Err(Failure::input(say(errors, "problem"))),
    }
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn check(files: &[SourceFile], now: Timestamp) -> (Vec<Diagnostic>, usize) {
    match load(files) {
        Err(problems) => (problems, 0),
        Ok(policy) => {
            let cases = files.iter().filter(|file| file.is_cases());
            let mut problems: Vec<_> = cases.filter_map(|file| load_cases(file, &policy).err()).flatten().collect();
            problems.extend(warnings(&policy, now));
            (problems, policy.rules.len())
        }
    }
}
