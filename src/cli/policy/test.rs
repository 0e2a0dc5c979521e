//! `assent policy test`: runs the test cases beside the rules, says what they cover, and makes cases of real decisions.

use super::{junit, record};
use crate::cli::output::{Paint, table};
use crate::cli::{ConfigArgument, Failure};
use crate::engine::{PolicyError, load_untested_policy, read_policy_files};
use crate::policy::{CaseResult, Policy, RuleCoverage, SourceFile, case_of, coverage, load, load_cases, percent, updated};
use clap::Args;
use std::path::{Path, PathBuf};

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The policy directory
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// Print JSON, with the trace of every case
    #[arg(long)]
    json: bool,
    /// Write what the policy says into the expectations that fail; read the difference before you commit it
    #[arg(long)]
    update: bool,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show which outcomes of every rule the cases show
    #[arg(long)]
    coverage: bool,
    /// Fail if the cases show fewer outcomes than this, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    min_coverage: Option<u32>,
    /// Print a test case made of a recorded decision; needs a configuration with the database
    #[arg(long, value_name = "ID", conflicts_with_all = ["update", "junit", "coverage", "min_coverage", "json"])]
    from_decision: Option<String>,
    /// Append the case to this file instead; it is made if it is not there
    #[arg(long, value_name = "FILE", requires = "from_decision")]
    into: Option<PathBuf>,
    /// Copy e-mail addresses and attributes into the case, too
    #[arg(long, requires = "from_decision")]
    with_personal: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    match &options.from_decision {
        Some(id) => from_decision(&options, id).await,
        None => run_cases(&options),
    }
}

fn run_cases(options: &Options) -> Result<(), Failure> {
    let files = read_policy_files(&options.path)?;
    let invalid = |problems| PolicyError::Invalid { path: options.path.clone(), problems, files: files.clone() };
    let policy = load(&files).map_err(invalid)?;
    let mut results: Vec<CaseResult> = Vec::new();
    let mut rewritten = Vec::new();
    for file in files.iter().filter(|file| file.is_cases()) {
        let of_file: Vec<_> = load_cases(file, &policy).map_err(invalid)?.run(&policy).collect();
        if options.update && of_file.iter().any(|result| !result.mismatches.is_empty()) {
            rewritten.push((file, updated(&file.text, &of_file)));
        }
        results.extend(of_file);
    }
    if let Some(path) = &options.junit {
        std::fs::write(path, junit::report(&results)).map_err(|error| Failure::unwritten(path, &error))?;
    }
    let covered = coverage(&policy, &results);
    let failed = results.iter().filter(|result| !result.mismatches.is_empty()).count();
    if options.json {
        let coverage = serde_json::json!({ "percent": percent(&covered), "rules": covered });
        let passed = results.len() - failed;
        println!("{:#}", serde_json::json!({ "passed": passed, "failed": failed, "coverage": coverage, "cases": results }));
    } else if !results.is_empty() {
        print_results(&results, failed, &covered);
        if options.coverage {
            print_coverage(&covered);
        }
    }
    match (results.len(), failed) {
        (1.., _) if options.update => write_updates(options, &rewritten),
        (0, _) => Err(Failure::no(format!(
            "there is no test in any `*.test.yaml` of `{}`: an untested policy proves nothing",
            options.path.display()
        ))),
        (_, 0) => check_coverage(options, &covered),
        (_, 1) => Err(Failure::no("1 test fails")),
        (_, failed) => Err(Failure::no(format!("{failed} tests fail"))),
    }
}

fn print_results(results: &[CaseResult], failed: usize, covered: &[RuleCoverage]) {
    let paint = Paint::stdout();
    for result in results {
        if result.mismatches.is_empty() {
            println!("{}  {}", paint.green("pass"), result.name);
            continue;
        }
        println!("{}  {}  {}", paint.red("FAIL"), result.name, paint.dim(&format!("{}:{}", result.file, result.line)));
        for mismatch in &result.mismatches {
            println!("        {:<8} expected  {}", mismatch.what, mismatch.expected);
            println!("        {:<8} but got   {}", "", paint.red(&mismatch.seen.to_string()));
        }
        println!("        {:<8} {}", "because", result.seen.reason);
    }
    println!();
    println!("{} passed, {failed} failed", results.len() - failed);
    let (seen, all) = covered.iter().map(RuleCoverage::seen).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{}", paint.dim(&format!("{} % of the rules' outcomes shown ({seen} of {all})", percent(covered))));
}

fn print_coverage(covered: &[RuleCoverage]) {
    let cell = |outcome: Option<bool>| match outcome {
        Some(true) => "yes",
        Some(false) => "MISSING",
        None => "-",
    };
    let row = |rule: &RuleCoverage| {
        let cells = [cell(Some(rule.fires)), cell(rule.does_not), cell(rule.unknown)];
        [rule.rule.as_str()].into_iter().chain(cells).map(str::to_owned).collect()
    };
    println!();
    table(&["rule", "fires", "does not", "unknown"], &covered.iter().map(row).collect::<Vec<_>>());
}

fn check_coverage(options: &Options, covered: &[RuleCoverage]) -> Result<(), Failure> {
    let (seen, Some(wanted)) = (percent(covered), options.min_coverage) else { return Ok(()) };
    if seen >= wanted {
        return Ok(());
    }
    let missing: Vec<_> = covered
        .iter()
        .flat_map(|rule| {
            let outcomes = [("fires", Some(rule.fires)), ("does not", rule.does_not), ("is unknown", rule.unknown)];
            let missing = outcomes.into_iter().filter(|(_, seen)| *seen == Some(false));
            missing.map(|(what, _)| format!("\n  `{}` {what}", rule.rule)).collect::<Vec<_>>()
        })
        .collect();
    Err(Failure::no(format!(
        "the tests show {seen} % of the rules' outcomes, and should show {wanted} %; no test in which{}",
        missing.concat()
    )))
}

fn write_updates(options: &Options, rewritten: &[(&SourceFile, (String, usize))]) -> Result<(), Failure> {
    let mut left = 0;
    for (file, (text, shared)) in rewritten {
        let path = options.path.join(&file.path);
        std::fs::write(&path, text).map_err(|error| Failure::unwritten(&path, &error))?;
        left += shared;
        if !options.json {
            println!("updated  {}", path.display());
        }
    }
    match left {
        0 => Ok(()),
        left => Err(Failure::no(format!(
            "{left} expectation(s) were left as they are: replacing them would change something else, such as what an anchor shares; write them out"
        ))),
    }
}

async fn from_decision(options: &Options, id: &str) -> Result<(), Failure> {
    let policy = load_untested_policy(&options.path)?;
    let mut history = record::open(&options.config.config).await?.history;
    let recorded = record::decision(&history, id).await?;
    let (mut inquiry, _) = history.inquiry(&recorded, &policy).await?;
    if !options.with_personal {
        // The expectation must be what the case, as it is written, comes to.
        inquiry = without_personal(inquiry);
    }
    let seen = inquiry.put_to(&policy);
    let name = format!("decision {} of {}", recorded.id, recorded.decided_at);
    let mut case = case_of(&name, &inquiry, &seen, options.with_personal);
    if seen.verdict != recorded.verdict || seen.rules != recorded.rules {
        case = format!(
            "  # The record says {} by [{}]; `--with-personal` copies what it stood on.\n{case}",
            recorded.verdict,
            recorded.rules.join(", ")
        );
    }
    match &options.into {
        None => print!("tests:\n{case}"),
        Some(path) => append(path, &case, &policy)?,
    }
    let by = format!("the policy in `{}`, on what the case states,", options.path.display());
    record::note_difference(&recorded, &seen, &by);
    Ok(())
}

fn without_personal(mut inquiry: crate::policy::Inquiry) -> crate::policy::Inquiry {
    use crate::domain::fact::FactState;
    use crate::domain::fact_catalogue::is_personal;
    let personal: Vec<_> = inquiry
        .facts
        .iter()
        .filter(|(name, state)| is_personal(name) && matches!(state, FactState::Known(_, _)))
        .map(|(name, _)| name.clone())
        .collect();
    personal.into_iter().for_each(|name| inquiry.facts.put(name, FactState::Unknown("personal, and not copied here".into())));
    inquiry
}

fn append(path: &Path, case: &str, policy: &Policy) -> Result<(), Failure> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| Failure::unwritten(path, &error);
    let file = |text| SourceFile { path: name.clone(), text };
    if !file(String::new()).is_cases() {
        return Err(Failure::input(format!("`{name}` must end in `.test.yaml`, so that it is read as tests and not as rules")));
    }
    let before = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "tests:".to_owned(),
        Err(error) => return Err(failed(error)),
    };
    let before = before.trim_end();
    let seam = if before.ends_with("tests:") { "\n" } else { "\n\n" };
    let text = format!("{before}{seam}{case}");
    let count = |text: String| load_cases(&file(text), policy).map(|cases| cases.run(policy).count()).unwrap_or(0);
    if count(text.clone()) != count(before.to_owned()) + 1 {
        return Err(Failure::input(format!("`{name}` does not end in its list of tests; copy the case by hand\n\n{case}")));
    }
    std::fs::write(path, text).map_err(failed)?;
    println!("added to {name}");
    Ok(())
}
