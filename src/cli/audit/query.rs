//! `assent audit query`: decisions as an auditor looks for them, and how many there are of them by day and rule.

use super::open;
use crate::audit::audit_time;
use crate::cli::output::{Paint, print_json, table};
use crate::cli::{ConfigArgument, Failure};
use crate::domain::duration::parse_duration;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::engine::since;
use crate::store::{Cursor, DecisionQuery, FoundDecision, FoundPage, Store};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// From then on: a time, or how long ago
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before then: a time, or how long ago
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// The kind of operation
    #[arg(long, value_parser = |text: &str| Kind::parse(text).ok_or("is no kind, such as `share` or `kick`"))]
    kind: Option<Kind>,
    /// approve, reject or escalate
    #[arg(long, value_parser = |text: &str| Verdict::parse(text).ok_or("must be `approve`, `reject` or `escalate`"))]
    verdict: Option<Verdict>,
    /// A rule that decided
    #[arg(long, value_parser = said)]
    rule: Option<String>,
    /// Who started it
    #[arg(long, value_name = "USER", value_parser = said)]
    actor: Option<String>,
    /// Whom it concerns
    #[arg(long, value_name = "USER", value_parser = said)]
    subject: Option<String>,
    /// The tresor
    #[arg(long, value_parser = said)]
    tresor: Option<String>,
    /// The domain of an e-mail address in it
    #[arg(long, value_parser = said)]
    domain: Option<String>,
    /// The policy, by its hash or how that begins
    #[arg(long, value_name = "HASH", value_parser = said)]
    policy: Option<String>,
    /// Who reviewed it
    #[arg(long, value_name = "NAME", value_parser = said)]
    reviewer: Option<String>,
    /// A part of the reason
    #[arg(long, value_parser = said)]
    text: Option<String>,
    /// The operation at the platform
    #[arg(long, value_name = "ID", value_parser = said)]
    operation: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on behind a page: what it calls `next`
    #[arg(long, value_name = "NEXT", conflicts_with_all = ["count", "explain"], value_parser = |text: &str| {
        Cursor::parse(text).ok_or("must be `next` of the page before")
    })]
    after: Option<Cursor>,
    /// Only how many there are, by day, rule and verdict
    #[arg(long)]
    count: bool,
    /// Only how the database looks for them, in its own words
    #[arg(long, conflicts_with_all = ["count", "json", "csv"])]
    explain: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub(super) json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

const NAMES: [&str; 9] = ["decided at", "kind", "verdict", "outcome", "rules", "actor", "subject", "id", "reason"];

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let log = open(&options.config).await?;
    let query = DecisionQuery {
        since: when(options.since.as_deref(), log.store.as_ref()).await?,
        until: when(options.until.as_deref(), log.store.as_ref()).await?,
        kind: options.kind,
        verdict: options.verdict,
        rule: options.rule,
        actor: options.actor,
        subject: options.subject,
        tresor: options.tresor,
        domain: options.domain,
        policy: options.policy,
        reviewer: options.reviewer,
        text: options.text,
        operation: options.operation,
    };
    if query.since.zip(query.until).is_some_and(|(since, until)| since > until) {
        return Err(Failure::input("`--since` is after `--until`: nothing can be between them"));
    }
    if options.explain {
        for line in log.store.explain(&query, options.limit).await? {
            println!("{line}");
        }
        return Ok(());
    }
    if options.count {
        let counts = log.store.count_by_day(&query).await?;
        if options.json {
            return print_json(&json!({ "counts": counts }));
        }
        let row = |count: crate::store::DayCount| {
            vec![count.day, count.rule.unwrap_or_default(), count.verdict, count.count.to_string()]
        };
        return print_rows(&["day", "rule", "verdict", "decisions"], counts.into_iter().map(row).collect(), options.csv);
    }
    let FoundPage { decisions: found, next } = log.store.page(&query, options.after.as_ref(), options.limit).await?;
    if options.json {
        let decisions: Vec<_> = found.iter().map(FoundDecision::to_json).collect();
        return print_json(&json!({ "decisions": decisions, "next": next }));
    }
    if found.is_empty() && !options.csv {
        println!("no decision is like that");
        // A note: whoever may not read it has the answer all the same.
        let dropped = log.store.last_dropped().await.unwrap_or_default();
        let may_be_of = |month: &String| query.since.is_none_or(|since| audit_time(since).get(..7) <= Some(month.as_str()));
        if let Some(month) = dropped.filter(may_be_of) {
            let note =
                format!("months were dropped, {month} the newest of them; they are in the archive of `assent audit retain`");
            eprintln!("{}", Paint::stderr().dim(&note));
        }
        return Ok(());
    }
    let rows = found.iter().map(|found| row(found, options.csv)).collect();
    let names: Vec<_> = NAMES.into_iter().chain(["tresor", "operation"].into_iter().filter(|_| options.csv)).collect();
    print_rows(&names, rows, options.csv)?;
    if let Some(next) = next {
        let note = format!("the newest {} of more; for the next of them: `--after {next}`, or a larger `--limit`", options.limit);
        eprintln!("{}", Paint::stderr().dim(&note));
    }
    Ok(())
}

/// A filter that is empty is a variable that was not set, and would ask for all there is.
fn said(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("must not be empty; leave it out to ask for all") } else { Ok(text.to_owned()) }
}

/// A time as it was told; for how long ago the database's clock is asked.
async fn when(told: Option<&str>, store: &dyn Store) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = told else { return Ok(None) };
    // As it is shown, and a day alone, are UTC.
    let shown = || format!("{}Z", text.trim_end_matches('Z').replacen(' ', "T", 1)).parse().ok();
    let day = || format!("{text}T00:00:00Z").parse().ok();
    let mut time = text.parse().ok().or_else(shown).or_else(day);
    if let Some(ago) = parse_duration(text).filter(|_| time.is_none()) {
        time = Some(since(store.now().await?, ago));
    }
    let wrong = || {
        Failure::input(format!("`{text}` is no time: write one such as `2026-03-02T10:00:00Z`, or how long ago, such as `30d`"))
    };
    time.ok_or_else(wrong).map(Some)
}

fn row(found: &FoundDecision, is_csv: bool) -> Vec<String> {
    let text = |name| found.record.text(name).unwrap_or_default().to_owned();
    let rules = found.record.fields.get("rules").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let rules = rules.collect::<Vec<_>>().join(", ");
    let outcome = found.outcome.as_ref().map_or_else(String::new, |outcome| outcome.outcome.clone());
    let at = text("decided_at").trim_end_matches('Z').replacen('T', " ", 1);
    let [kind, verdict, actor, subject, id, reason] = ["kind", "verdict", "actor_id", "subject_id", "id", "reason"].map(text);
    let mut cells = vec![at, kind, verdict, outcome, rules, actor, subject, id, reason];
    // A line on a terminal has no room for these.
    if is_csv {
        cells.extend(["tresor_id", "operation_id"].map(text));
    }
    cells
}

fn print_rows(names: &[&str], rows: Vec<Vec<String>>, is_csv: bool) -> Result<(), Failure> {
    if !is_csv {
        let dashed = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
        let rows: Vec<Vec<_>> = rows.into_iter().map(|row| row.into_iter().map(dashed).collect()).collect();
        table(names, &rows);
        return Ok(());
    }
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    let written = writer.write_record(names).and_then(|()| {
        for row in &rows {
            writer.write_record(row.iter().map(|cell| super::export::harmless(cell).into_owned()))?;
        }
        writer.flush().map_err(csv::Error::from)
    });
    written.map_err(|_| Failure::broken_pipe())
}
