//! `cargo bench --bench audit`: what an auditor waits for. Throw-away Postgres, the released binary for what people run, and a log
//! of `--rows` decisions of a year (10,000,000 by default, a quarter of an hour): the first page of each filter and counts by day; sealing
//! and verifying of `--sealed` of them (250,000); and `--written` rows by sixteen writers that dawdle and roll back (1,000,000). Prints a table
//! and writes `target/audit.json`; `--quick` takes a minute and little of each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that fails must fail loudly, and measures time"
)]

#[expect(dead_code, reason = "the other bench measures the cluster, too")]
#[path = "../pipeline/cluster.rs"]
mod cluster;
mod log;
#[path = "../pipeline/memory.rs"]
mod memory;
#[path = "../pipeline/program.rs"]
mod program;
mod writers;

use assent::audit::{LogKey, MasterKey};
use assent::store::{DecisionQuery, Store};
use cluster::{Cluster, run};
use log::Patterns;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOG: &str = "assent/bench1234";
const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PAGE: u32 = 50;
const NO_FILTER: &str = "no filter";

fn asked(name: &str, preset: u64, quick: u64) -> u64 {
    let arguments: Vec<_> = std::env::args().collect();
    let value = arguments.iter().position(|argument| argument == name).and_then(|place| arguments.get(place + 1));
    let preset = if arguments.iter().any(|argument| argument == "--quick") { quick } else { preset };
    value.map_or(preset, |text| text.replace('_', "").parse().expect("a number of rows"))
}

/// Milliseconds of the first time, and in the middle of ten more.
async fn time(mut work: impl AsyncFnMut()) -> (f64, f64) {
    let mut times = vec![];
    for _ in 0..11 {
        let started = Instant::now();
        work().await;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    (first, times[times.len() / 2])
}

/// Milliseconds of a process that starts, connects and prints the first page: in the middle of five.
fn time_process(program: &Path, config: &str, filter: &str) -> f64 {
    let option =
        filter.split_once(' ').filter(|_| filter != NO_FILTER).map(|(name, value)| [format!("--{name}"), value.to_owned()]);
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let started = Instant::now();
            let mut query = Command::new(program);
            query
                .args(["audit", "query", "--csv", "--limit", &PAGE.to_string(), "--config", config])
                .args(option.iter().flatten());
            let ran = query.output().unwrap();
            assert!(ran.status.success(), "{filter}: {}", String::from_utf8_lossy(&ran.stderr));
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// For each filter something common, something rare, and something that is not there.
fn filters() -> Vec<(String, DecisionQuery)> {
    let mut filters = vec![(NO_FILTER.to_owned(), DecisionQuery::default())];
    let mut add = |name: &str, value: &str, put: &dyn Fn(&mut DecisionQuery, String)| {
        let mut query = DecisionQuery::default();
        put(&mut query, value.to_owned());
        filters.push((format!("{name} {value}"), query));
    };
    for kind in ["share", "kick", "invitation_link_revocation"] {
        add("kind", kind, &|query, value| query.kind = assent::domain::kind::Kind::parse(&value));
    }
    for verdict in ["approve", "reject", "escalate"] {
        add("verdict", verdict, &|query, value| query.verdict = assent::domain::verdict::Verdict::parse(&value));
    }
    for rule in ["approve-members", "old-and-rare", "nothing"] {
        add("rule", rule, &|query, value| query.rule = Some(value));
    }
    for actor in ["actor-1", "actor-49999", "nobody"] {
        add("actor", actor, &|query, value| query.actor = Some(value));
    }
    for subject in ["subject-7", "nobody"] {
        add("subject", subject, &|query, value| query.subject = Some(value));
    }
    for tresor in ["tresor-7", "nothing"] {
        add("tresor", tresor, &|query, value| query.tresor = Some(value));
    }
    for domain in ["example.com", "old-and-rare.example", "nowhere.example"] {
        add("domain", domain, &|query, value| query.domain = Some(value));
    }
    add("policy", "0", &|query, value| query.policy = Some(value));
    for reviewer in ["rita", "nobody"] {
        add("reviewer", reviewer, &|query, value| query.reviewer = Some(value));
    }
    for text in ["member", "unusual circumstances", "subject-4711 ", "17.example.com", "rule", "e", "nothing like it"] {
        add("text", text, &|query, value| query.text = Some(value));
    }
    filters
}

/// What was decided in another way long ago, so that it stands behind all that is new.
fn old_and_rare() -> String {
    format!(
        "insert into decisions select {}, decided_at + interval '1 s', tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, \
         requester_id, verdict, 'reviewer:rita', '[\"old-and-rare\"]', 'because of unusual circumstances', policy_hash, evaluator_version, \
         '{{\"subject.email_domain\":{{\"value\":\"old-and-rare.example\"}}}}', facts_personal, trace, shadow \
         from (select * from decisions order by decided_at limit 2000) d",
        cluster::id_at("decided_at + interval '1 s'")
    )
}

/// What the released program printed as JSON, and what it took.
struct Ran {
    said: Value,
    seconds: f64,
    most_mib: f64,
}

/// Runs it; what it prints is less than a pipe holds.
fn assent(program: &Path, args: &[&str]) -> Ran {
    let started = Instant::now();
    let mut child = Command::new(program).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut most_mib = 0.0;
    while child.try_wait().unwrap().is_none() {
        most_mib = f64::max(most_mib, memory::mib(child.id(), "VmHWM"));
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = started.elapsed().as_secs_f64();
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    Ran { said: serde_json::from_slice(&ran.stdout).unwrap_or_default(), seconds, most_mib }
}

#[tokio::main]
async fn main() {
    let (rows, sealed, written) =
        (asked("--rows", 10_000_000, 50_000), asked("--sealed", 250_000, 25_000), asked("--written", 1_000_000, 32_000));
    let (program, folder, cluster) = (program::path(), tempfile::tempdir().unwrap(), Cluster::start());
    let patterns = Patterns::make(&program, folder.path()).await;
    let key = LogKey::new(LOG, [7; 32]).unwrap();
    let mut report = serde_json::Map::new();

    let store = begin(&cluster, "sealed", &patterns).await;
    let mut connection = cluster.connect("sealed").await;
    log::fill(&mut connection, sealed, true).await;
    let persons = log::put_persons(&mut connection, &MasterKey::parse(ENCRYPTION_KEY).unwrap()).await;
    println!("{sealed} decisions with their outcomes, about {persons} persons, sealed");
    let speed = log::seal(&store, &key).await;
    let config_for = |database: &str| {
        let config = folder.path().join("config.yaml");
        let seed = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let text = json!({ "database": { "url": cluster.url(database) }, "audit": { "name": LOG, "signing_key": seed },
            "encryption": { "key": ENCRYPTION_KEY } });
        std::fs::write(&config, text.to_string()).unwrap();
        config
    };
    let config = config_for("sealed");
    let (config, export) = (config.to_str().unwrap(), folder.path().join("export"));
    let leaves = sealed as f64 * 2.0;
    report.insert("sealed_rows_a_second".into(), speed.into());
    println!("  sealed                       {speed:>12.0} rows a second");
    let mut say = |name: &str, ran: &Ran| {
        let (speed, name_in_report) = (leaves / ran.seconds, name.replace([' ', ','], "_"));
        println!("  {name:<28} {speed:>12.0} rows a second, at most {:.0} MiB", ran.most_mib);
        report.insert(format!("{name_in_report}_rows_a_second"), speed.into());
        report.insert(format!("{name_in_report}_mib"), ran.most_mib.into());
    };
    say("exported", &assent(&program, &["audit", "export", export.to_str().unwrap(), "--json", "--config", config]));
    let (public, _) = (Command::new(&program).args(["audit", "key", "--config", config]).output().unwrap(), ());
    let public = String::from_utf8(public.stdout).unwrap();
    let verify = ["audit", "verify", "--json", "--export", export.to_str().unwrap(), "--key", public.trim()];
    let ran = assent(&program, &verify);
    assert_eq!(ran.said["sound"], true, "{}", ran.said);
    say("verified, from the export", &ran);
    let ran = assent(&program, &["audit", "verify", "--json", "--config", config]);
    let (is_sound, erased) = (&ran.said["sound"], &ran.said["decided_again"]["erased"]);
    assert_eq!((is_sound, erased), (&json!(true), &json!(0)), "{}", ran.said);
    say("verified, from Postgres", &ran);
    drop(store);
    cluster.drop("sealed").await;

    drop(begin(&cluster, "written", &patterns).await);
    let done = writers::measure(&cluster, "written", &key, written).await;
    let [half, most, worst] = done.lag;
    println!("{} rows by 16 writers that dawdle and roll back, {:.0} a second", done.rows, done.rows_a_second);
    println!("  skipped, doubled             {:>9}, {}", done.skipped, done.doubled);
    assert_eq!((done.skipped, done.doubled), (0, 0), "each row is a leaf, once");
    println!("  until it is sealed           p50 {half:.2} s, p99 {most:.2} s, at most {worst:.2} s");
    report.insert("written".into(), json!({ "rows": done.rows, "rows_a_second": done.rows_a_second, "lag_s": done.lag, "skipped": done.skipped, "doubled": done.doubled }));
    cluster.drop("written").await;

    let store = begin(&cluster, "log", &patterns).await;
    let mut connection = cluster.connect("log").await;
    run(&mut connection, "set synchronous_commit = off").await;
    log::fill(&mut connection, rows, false).await;
    run(&mut connection, &old_and_rare()).await;
    run(&mut connection, "insert into decision_counts select (decided_at at time zone 'utc')::date, kind, verdict, rules, count(*) from decisions group by 1, 2, 3, 4").await;
    for statement in ["truncate unsealed", "vacuum analyze decisions", "vacuum analyze decision_counts", "checkpoint"] {
        run(&mut connection, statement).await;
    }
    let config = config_for("log");
    println!("{rows} decisions of a year: the first page of {PAGE}, ms; then of `assent audit query`, from start to end");
    let mut pages = serde_json::Map::new();
    for (name, query) in filters() {
        let mut found = 0;
        let (first, warm) = time(async || found = store.find(&query, None, PAGE).await.unwrap().len()).await;
        let process = time_process(&program, config.to_str().unwrap(), &name);
        println!(
            "  {name:<34} {first:>8.1} the first time, {warm:>7.1} after that, {process:>7.1} as a process, {found:>3} found"
        );
        pages.insert(name, json!({ "first_ms": first, "ms": warm, "process_ms": process, "found": found }));
    }
    let (first, warm) = time(async || drop(store.count_by_day(&DecisionQuery::default()).await.unwrap())).await;
    println!("  {:<34} {first:>8.1} the first time, {warm:>7.1} after that", "counts by day and rule");
    pages.insert("counts by day and rule".into(), json!({ "first_ms": first, "ms": warm }));
    report.insert("rows".into(), rows.into());
    report.insert("pages".into(), pages.into());
    // Where it is built elsewhere there is none.
    std::fs::create_dir_all("target").unwrap();
    std::fs::write("target/audit.json", format!("{:#}\n", Value::Object(report))).unwrap();
}

/// A database of its own, migrated, with patterns and months.
async fn begin(cluster: &Cluster, name: &str, patterns: &Patterns) -> Arc<dyn Store> {
    cluster.create(name).await;
    let store = assent::store::open(&cluster.url(name), 4).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = cluster.connect(name).await;
    patterns.put(&mut connection).await;
    run(&mut connection, log::MONTHS).await;
    store
}
