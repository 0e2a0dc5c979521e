//! `assent policy check`: everything that is wrong with a policy, each with its place.

use super::Failure;
use super::output::Paint;
use crate::domain::diagnostic::Diagnostic;
use crate::engine::read_policy_files;
use crate::policy::{SourceFile, load, load_cases};
use clap::Args;
use std::path::PathBuf;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The policy directory
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let files = read_policy_files(&options.path)?;
    let (problems, rules) = check(&files);
    if options.json {
        let report = serde_json::json!({ "problems": problems, "rules": rules });
        println!("{report:#}");
    } else {
        let paint = Paint::stdout();
        for problem in &problems {
            let source = files.iter().find(|file| file.path == problem.file).map(|file| file.text.as_str());
            println!("{}", problem.render(source));
        }
        if problems.is_empty() {
            println!("{}  {rules} rules, nothing to complain about", paint.green("ok"));
        }
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Failure::input(if options.json { String::new() } else { "1 problem".to_owned() })),
        many => Err(Failure::input(if options.json { String::new() } else { format!("{many} problems") })),
    }
}

fn check(files: &[SourceFile]) -> (Vec<Diagnostic>, usize) {
    match load(files) {
        Err(problems) => (problems, 0),
        Ok(policy) => {
            let cases = files.iter().filter(|file| file.is_cases());
            let problems = cases.filter_map(|file| load_cases(file, &policy).err()).flatten().collect();
            (problems, policy.rules.len())
        }
    }
}
