//! `assent policy explain`: what every rule saw of an operation, and what would have changed the verdict.

use super::record;
use crate::cli::output::Paint;
use crate::cli::simulator::MachineClock;
use crate::cli::{ConfigArgument, Failure};
use crate::domain::clock::Clock as _;
use crate::domain::verdict::Verdict;
use crate::engine::load_untested_policy;
use crate::policy::{
    Change, Evaluation, ExceptionTrace, Inquiry, LeafTrace, LimitTrace, Policy, RuleMode, RuleTrace, TraceNode, Truth,
    nearest_changes,
};
use crate::store::Recorded;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The policy directory; for a decision the archived policy that made it, if left out
    path: Option<PathBuf>,
    /// An operation as JSON: {"kind", "facts", "unknown", "limits", "now"}; `-` reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "decision", conflicts_with = "decision")]
    operation: Option<PathBuf>,
    /// A recorded decision; needs a configuration with the database
    #[arg(long, value_name = "ID")]
    decision: Option<String>,
    /// Pretend that a limit has seen so many, in all its windows or in one: `rule=9`, `rule@1h=9`
    #[arg(long, value_name = "RULE[@WINDOW]=COUNT")]
    limit: Vec<String>,
    /// The time of the decision
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let (policy, mut inquiry, recorded) = match (&options.decision, &options.operation) {
        (Some(id), _) => of_decision(&options, id).await?,
        (None, operation) => {
            let (policy, inquiry) = of_operation(&options, operation.as_deref().unwrap_or(Path::new("-")))?;
            (policy, inquiry, None)
        }
    };
    for limit in &options.limit {
        pretend(&policy, &mut inquiry, limit)?;
    }
    inquiry.now = options.now.unwrap_or(inquiry.now);
    let evaluation = inquiry.put_to(&policy);
    let changes = nearest_changes(&policy, &inquiry);
    if let Some(recorded) = &recorded {
        record::note_difference(recorded, &evaluation, "this policy, on the facts that can be read,");
    }
    if options.json {
        println!("{:#}", serde_json::json!({ "evaluation": evaluation, "nearest": changes, "policy": policy.hash }));
    } else {
        print_evaluation(&evaluation, &changes);
    }
    Ok(())
}

async fn of_decision(options: &Options, id: &str) -> Result<(Policy, Inquiry, Option<Recorded>), Failure> {
    let mut history = record::open(&options.config.config).await?.history;
    let recorded = record::decision(&history, id).await?;
    let policy = match &options.path {
        Some(path) => load_untested_policy(path)?,
        None => history.policy_of(&recorded).await?,
    };
    let (inquiry, _) = history.inquiry(&recorded, &policy).await?;
    Ok((policy, inquiry, Some(recorded)))
}

fn of_operation(options: &Options, operation: &Path) -> Result<(Policy, Inquiry), Failure> {
    let policy = load_untested_policy(options.path.as_deref().unwrap_or(Path::new("policies")))?;
    let text = if operation == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(operation)
    };
    let name = operation.display();
    let text = text.map_err(|error| Failure::input(format!("the operation `{name}` cannot be read: {error}")))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::input(format!("the operation `{name}` is no JSON ({place}); write {{\"kind\": \"share\", \"facts\": {{...}}}}"))
    })?;
    let inquiry = Inquiry::read(&value, &policy, MachineClock.now());
    Ok((policy, inquiry.map_err(|error| Failure::input(format!("the operation `{name}`: {error}")))?))
}

fn pretend(policy: &Policy, inquiry: &mut Inquiry, text: &str) -> Result<(), Failure> {
    let wrong =
        || Failure::input(format!("`--limit {text}` must be `RULE=COUNT` or `RULE@WINDOW=COUNT`, such as `share-velocity=9`"));
    let (name, count) = text.split_once('=').ok_or_else(wrong)?;
    let count: u64 = count.parse().map_err(|_| wrong())?;
    let (rule, window) = name.split_once('@').map_or((name, None), |(rule, window)| (rule, Some(window)));
    let stated = match window {
        None => Value::from(count),
        Some(window) => serde_json::json!({ window: count }),
    };
    inquiry.pretend(policy, rule, &stated).map_err(|what| Failure::input(format!("`--limit {text}`: `{rule}` {what}")))
}

fn print_evaluation(evaluation: &Evaluation, changes: &[Change]) {
    let paint = Paint::stdout();
    let by = if evaluation.rules.is_empty() { String::new() } else { format!("  by {}", evaluation.rules.join(", ")) };
    println!("{}{by}", verdict(paint, evaluation.verdict));
    println!("  {}", evaluation.reason);
    if let Some(message) = &evaluation.message {
        println!("  to the user: {message}");
    }
    let mut rules: Vec<_> = evaluation.trace.iter().collect();
    // What decided first, what has nothing to do with it last.
    rules
        .sort_by_key(|rule| (!evaluation.rules.contains(&rule.rule), rule.result == Truth::False, rule.mode == RuleMode::Shadow));
    for rule in rules {
        println!();
        print_rule(paint, rule);
    }
    println!();
    match changes {
        [] => println!("no single change that was tried would have led to another verdict"),
        changes => {
            println!("{}", paint.bold("what would have changed it"));
            for change in changes {
                let rules = if change.rules.is_empty() { String::new() } else { format!(", by {}", change.rules.join(", ")) };
                println!(
                    "  {}  if {} were {} instead of {}{rules}",
                    verdict(paint, change.verdict),
                    change.what,
                    change.to,
                    change.from
                );
            }
        }
    }
}

fn verdict(paint: Paint, verdict: Verdict) -> String {
    match verdict {
        Verdict::Approve => paint.green("approve"),
        Verdict::Reject => paint.red("reject"),
        Verdict::Escalate => paint.yellow("escalate"),
    }
}

fn answer(paint: Paint, truth: Truth) -> String {
    match truth {
        Truth::True => paint.green("yes"),
        Truth::False => paint.dim("no"),
        Truth::Unknown => paint.yellow("unknown"),
    }
}

fn print_rule(paint: Paint, rule: &RuleTrace) {
    let became = match (rule.result, rule.says) {
        (Truth::True, _) => "matches".to_owned(),
        (Truth::False, _) => "does not match".to_owned(),
        (Truth::Unknown, Some(says)) => format!("cannot be decided, so it says {says}"),
        (Truth::Unknown, None) => "cannot be decided, so it says nothing".to_owned(),
    };
    let shadow = if rule.mode == RuleMode::Shadow { " (shadow: does not count)" } else { "" };
    println!("{}  {}  {became}{shadow}", paint.bold(&rule.rule), rule.effect);
    if let Some(when) = &rule.when {
        print_node(paint, when, 1);
    }
    rule.except.iter().for_each(|exception| print_exception(paint, exception));
    if let Some(limit) = &rule.limit {
        print_limit(paint, limit);
    }
}

fn print_node(paint: Paint, node: &TraceNode, depth: usize) {
    let indent = "  ".repeat(depth);
    let joined = |word: &str, result: Truth| println!("{indent}{word}: {}", answer(paint, result));
    match node {
        TraceNode::All { result, parts } => {
            joined("all", *result);
            parts.iter().for_each(|part| print_node(paint, part, depth + 1));
        }
        TraceNode::Any { result, parts } => {
            joined("any", *result);
            parts.iter().for_each(|part| print_node(paint, part, depth + 1));
        }
        TraceNode::Not { result, part } => {
            joined("not", *result);
            print_node(paint, part, depth + 1);
        }
        TraceNode::Leaf(leaf) => println!("{indent}{}: {}", question(leaf), answer(paint, leaf.result)),
    }
}

/// The question, and what the fact was.
fn question(leaf: &LeafTrace) -> String {
    let expected = match &leaf.expected {
        Value::String(text) => text.clone(),
        Value::Object(object) if object.contains_key("fact") => {
            object.get("fact").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    };
    let seen = match &leaf.value {
        Value::Object(state) => match (state.get("known"), state.get("unknown")) {
            (Some(value), _) => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let source = state.get("source").and_then(Value::as_str).map(|source| format!(", from {source}"));
                format!("is {value}{}", source.unwrap_or_default())
            }
            (None, cause) => format!("is unknown ({})", cause.and_then(Value::as_str).unwrap_or_default()),
        },
        _ => "is absent".to_owned(),
    };
    let why = match &leaf.why {
        // What the value itself says need not be said twice.
        Some(why) if !why.starts_with(&format!("`{}` is ", leaf.fact)) => format!("; {why}"),
        _ => String::new(),
    };
    format!("{} {} {expected} ({seen}{why})", leaf.fact, leaf.op)
}

fn print_exception(paint: Paint, exception: &ExceptionTrace) {
    let ticket = exception.ticket.as_deref().map(|ticket| format!(", {ticket}")).unwrap_or_default();
    let life = if exception.expired { "ended" } else { "until" };
    println!(
        "  except ({}{ticket}; {life} {}): {}",
        exception.owner,
        exception.expires,
        if exception.expired { "not asked".to_owned() } else { answer(paint, exception.result) }
    );
    if !exception.expired {
        print_node(paint, &exception.when, 2);
    }
}

fn print_limit(paint: Paint, limit: &LimitTrace) {
    for window in &limit.windows {
        let seen = window.seen.map_or_else(|| "not known how many".to_owned(), |seen| seen.to_string());
        println!(
            "  limit of {} {} per {} within {} (seen: {seen}): {}",
            window.max,
            limit.count,
            limit.per,
            window.within,
            answer(paint, window.result)
        );
    }
}
