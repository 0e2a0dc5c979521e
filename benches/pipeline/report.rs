//! How the figures are shown: a table for people, JSON for programs.

use super::backlog::Claimed;
use super::cluster::SETTINGS;
use super::measure::{Latencies, Latency, Measured};
use super::town::MIX;
use serde_json::{Value, json};

type Row = (&'static str, fn(&Measured, f64, f64) -> String);

const ROWS: &[Row] = &[
    ("decisions a second", |one, _, _| format!("{:.0}", one.decisions_a_second)),
    ("  of pgbench's transactions", |one, _, pgbench| format!("{:.2}", one.decisions_a_second / pgbench)),
    ("by itself, ms until it is applied: p50", |one, commit, _| milliseconds(one.alone.applied.p50, commit)),
    ("  p99", |one, commit, _| milliseconds(one.alone.applied.p99, commit)),
    ("  until its end is told: p50", |one, commit, _| milliseconds(one.alone.answered.p50, commit)),
    ("  p99", |one, commit, _| milliseconds(one.alone.answered.p99, commit)),
    ("at half, ms until it is applied: p50", |one, commit, _| milliseconds(one.half.applied.p50, commit)),
    ("  p99", |one, commit, _| milliseconds(one.half.applied.p99, commit)),
    ("  until its end is told: p50", |one, commit, _| milliseconds(one.half.answered.p50, commit)),
    ("  p99", |one, commit, _| milliseconds(one.half.answered.p99, commit)),
    ("platform hangs, intake p99 ms", |one, _, _| one.hanging.map_or_else(|| "-".to_owned(), |one| format!("{:.1}", one.p99))),
    ("writing commits an operation", |one, _, _| one.commits.map_or_else(|| "-".to_owned(), |commits| format!("{commits:.2}"))),
    ("platform calls an operation", |one, _, _| format!("{:.2}", one.calls)),
    ("CPU s a 1,000: daemons", |one, _, _| format!("{:.3}", one.cpu_daemons)),
    ("CPU s a 1,000: Postgres", |one, _, _| format!("{:.3}", one.cpu_postgres)),
    ("CPU s a 1,000: platform, clients", |one, _, _| format!("{:.3}", one.cpu_rest)),
    ("resident MiB, saturated", |one, _, _| format!("{:.1}", one.resident)),
    ("resident MiB, idle", |one, _, _| format!("{:.1}", one.idle_resident)),
    ("% of a core, idle", |one, _, _| format!("{:.2}", one.idle_cpu)),
    ("start to ready, ms", |one, _, _| format!("{:.0}", one.started_ms)),
];

fn milliseconds(time: f64, commit: f64) -> String {
    format!("{time:.2} ({:.1})", time / commit)
}

pub(crate) fn print(measured: &[Measured], backlog: Option<&Claimed>, commit_ms: f64, pgbench: f64) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings: Vec<_> = SETTINGS.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    println!("machine    {cores} cores with everything on them");
    println!("Postgres   {}", settings.join(", "));
    println!("mix        {MIX}");
    println!("pgbench    {pgbench:.0} transactions a second (-N -M prepared, 32 clients)");
    println!("a commit   {commit_ms:.2} ms; in parentheses, how many of them\n");
    for (index, one) in measured.iter().enumerate() {
        println!("{}  {}", letter(index), one.name);
    }
    print!("\n{:<40}", "");
    (0..measured.len()).for_each(|index| print!("{:>15}", letter(index)));
    println!();
    for (name, cell) in ROWS {
        print!("{name:<40}");
        measured.iter().for_each(|one| print!("{:>15}", cell(one, commit_ms, pgbench)));
        println!();
    }
    if let Some(one) = backlog {
        println!(
            "\n{} operations due, three long reads open: 32 are claimed in {:.1} ms (p50), {:.1} ms (p99); resident {:.0} MiB, then {:.0}",
            one.operations, one.claim.p50, one.claim.p99, one.resident_before, one.resident_after
        );
    }
}

fn letter(index: usize) -> char {
    char::from(b'A' + u8::try_from(index).unwrap_or(25).min(25))
}

pub(crate) fn json(measured: &[Measured], backlog: Option<&Claimed>, commit_ms: f64, pgbench: f64) -> Value {
    let latency = |one: Latency| json!({ "p50_ms": one.p50, "p99_ms": one.p99 });
    let latencies = |one: Latencies| json!({ "until_applied": latency(one.applied), "until_told": latency(one.answered) });
    let one = |one: &Measured| {
        json!({
            "setting": one.name,
            "decisions_a_second": one.decisions_a_second,
            "of_pgbench": one.decisions_a_second / pgbench,
            "by_itself": latencies(one.alone),
            "at_half": latencies(one.half),
            "intake_while_the_platform_hangs": one.hanging.map(latency),
            "writing_commits_an_operation": one.commits,
            "platform_calls_an_operation": one.calls,
            "cpu_seconds_a_thousand": { "daemons": one.cpu_daemons, "postgres": one.cpu_postgres, "platform_and_clients": one.cpu_rest },
            "resident_mib": { "saturated": one.resident, "idle": one.idle_resident },
            "idle_percent_of_a_core": one.idle_cpu,
            "start_to_ready_ms": one.started_ms,
        })
    };
    json!({
        "postgres": SETTINGS.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "mix": MIX,
        "pgbench_tps": pgbench,
        "commit_ms": commit_ms,
        "backlog": backlog.map(|one| json!({ "operations": one.operations, "claim": latency(one.claim) })),
        "settings": measured.iter().map(one).collect::<Vec<_>>(),
    })
}
