//! `cargo bench --bench pipeline`: the whole way from notification to outcome on one machine. Throw-away Postgres, daemons as
//! they are released in processes of their own, and, in this process, the platform, its browsers and the web app. Prints a table
//! and writes `target/pipeline.json`; `--quick` takes under a minute; `--sqlite`,
//! `--log ROWS` and `--backlog OPERATIONS` add the parts of their names.
//!
//! Every speed stands beside `pgbench` and every latency beside a commit, measured in the same run on the same cluster.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a measurement that fails must fail loudly, and measures time"
)]

mod backlog;
mod cluster;
mod measure;
mod memory;
mod process;
mod program;
mod report;
mod stage;
mod town;
mod wire;

use assent::domain::clock::Clock;
use cluster::Cluster;
use measure::{Measured, Setting, Times};
use std::path::{Path, PathBuf};

/// As the daemon's: what this process uses is taken away from what it measures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANT: &str = "bench1234";
const ADMIN_KEY: &str = "c5a3f2e1d4b6978800112233445566778899aabbccddeeff0123456789abcdef";

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// What was asked for on the command line.
struct Asked {
    is_quick: bool,
    with_sqlite: bool,
    log_rows: Option<u64>,
    backlog: Option<u64>,
    only: Option<String>,
    clients: Option<usize>,
}

impl Asked {
    fn read() -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
        Self {
            is_quick: has("--quick"),
            with_sqlite: has("--sqlite") || !has("--quick"),
            log_rows: value("--log").map(|text| text.replace('_', "").parse().expect("--log takes a number of rows")),
            backlog: value("--backlog")
                .map(|text| text.replace('_', "").parse().expect("--backlog takes a number of operations")),
            only: value("--only").cloned(),
            clients: value("--clients").map(|text| text.parse().expect("--clients takes a number")),
        }
    }
}

/// On one thread: what measures takes from what is measured, and where it is late only more is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let asked = Asked::read();
    let mut times = if asked.is_quick { Times::QUICK } else { Times::FULL };
    times.clients = asked.clients.unwrap_or(times.clients);
    let program = program::path();
    let folder = tempfile::tempdir().unwrap();
    let twenty = folder.path().join("twenty");
    std::fs::create_dir(&twenty).unwrap();
    std::fs::write(twenty.join("policy.yaml"), include_str!("twenty.yaml")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    eprintln!("starting Postgres");
    let cluster = Cluster::start();
    cluster.use_log_files().await;
    let commit_ms = cluster.commit_ms().await;
    eprintln!("pgbench -N -M prepared -c 32");
    let pgbench = cluster.pgbench(times.pgbench).await;
    let mut measured = Vec::new();
    for setting in settings(&asked, &shipped, &twenty) {
        eprintln!("{}", setting.name());
        measured.push(measure::on_postgres(&cluster, &program, &setting, &times).await);
    }
    if asked.with_sqlite {
        eprintln!("SQLite");
        measured.push(measure::on_sqlite(&program, &shipped, folder.path(), &times).await);
    }
    let backlog = match asked.backlog {
        Some(operations) => {
            eprintln!("a backlog of {operations} operations");
            Some(backlog::claim(&cluster, operations, std::time::Duration::from_secs(times.backlog)).await)
        }
        None => None,
    };
    report::print(&measured, backlog.as_ref(), commit_ms, pgbench);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pipeline.json");
    process::write_json(&path, &report::json(&measured, backlog.as_ref(), commit_ms, pgbench));
    println!("\n{}", path.display());
    let wrong: Vec<_> = measured.iter().flat_map(|one: &Measured| &one.wrong).collect();
    assert!(wrong.is_empty(), "not everything came to the end it should: {wrong:#?}");
}

/// All settings, or the two of `--quick`.
fn settings(asked: &Asked, shipped: &Path, twenty: &Path) -> Vec<Setting> {
    let setting = |policy: &'static str, policies: &Path, tresors, daemons| Setting {
        policy,
        policies: policies.to_owned(),
        tresors,
        daemons,
        log_rows: 0,
    };
    let mut all = Vec::new();
    for tresors in [1_000, 100] {
        for (policy, policies) in [("policies/", shipped), ("20 rules", twenty)] {
            for daemons in [1, 3] {
                all.push(setting(policy, policies, tresors, daemons));
            }
        }
    }
    if asked.is_quick {
        all.retain(|one| one.policy == "policies/" && one.tresors == 1_000);
    }
    if let Some(log_rows) = asked.log_rows {
        all.push(Setting { log_rows, ..setting("policies/", shipped, 1_000, 1) });
        // The machine is another one some minutes later.
        all.push(setting("again, policies/", shipped, 1_000, 1));
    }
    if let Some(only) = &asked.only {
        all.retain(|one| one.name().contains(only.as_str()));
    }
    all
}
