//! `assent policy replay`: recorded decisions, decided again by another policy.

use super::record;
use crate::cli::output::{Paint, table};
use crate::cli::progress::Progress;
use crate::cli::{ConfigArgument, Failure};
use crate::domain::duration::parse_duration;
use crate::engine::{ReplayRange, load_untested_policy, since};
use crate::policy::Difference;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// How far back
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
    since: Duration,
    /// The other policy; by default the one that the configuration names
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Only the first so many decisions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a whole number and a unit, such as `24h` or `30d`".to_owned())
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let mut record = record::open(&options.config.config).await?;
    let directory = options.policy.or(record.config.policies).unwrap_or_else(|| PathBuf::from("policies"));
    let policy = load_untested_policy(&directory)?;
    let progress = Progress::of("deciding again:");
    let range = ReplayRange { since: since(record.now, options.since), limit: options.limit };
    let difference = record.history.replay(&policy, range, |read| progress.count(read, "decisions read")).await?;
    drop(progress);
    if options.json {
        println!("{:#}", serde_json::json!({ "policy": policy.hash, "since": range.since, "difference": difference }));
    } else {
        print_difference(&difference);
    }
    Ok(())
}

fn print_difference(difference: &Difference) {
    let paint = Paint::stdout();
    let Difference { evaluated, changed, other_rules, incomplete, .. } = difference;
    println!("{evaluated} decisions decided again, {changed} of them otherwise");
    if *other_rules > 0 {
        println!("{other_rules} come to the same verdict by other rules");
    }
    if *incomplete > 0 {
        let note =
            format!("{incomplete} stand on facts that were not recorded, or cannot be read, and are unknown to this policy");
        println!("{}", paint.yellow(&note));
    }
    for shift in &difference.shifts {
        println!();
        println!("{}", paint.bold(&format!("{} -> {}  {}", shift.from, shift.to, shift.count)));
        for example in &shift.examples {
            println!("  {}  {}  {}", example.decision, example.decided_at.get(..19).unwrap_or(&example.decided_at), example.kind);
            println!(
                "    by [{}] then, by [{}] now: {}",
                example.rules_then.join(", "),
                example.rules_now.join(", "),
                example.reason
            );
        }
    }
    if !difference.rules.is_empty() {
        println!();
        let row = |(rule, shift): (&String, &crate::policy::RuleShift)| {
            let by = i128::from(shift.now) - i128::from(shift.then);
            vec![rule.clone(), shift.then.to_string(), shift.now.to_string(), format!("{by:+}")]
        };
        table(&["rule decided", "then", "now", "change"], &difference.rules.iter().map(row).collect::<Vec<_>>());
    }
}
