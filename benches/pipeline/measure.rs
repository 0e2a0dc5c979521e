//! The phases of one setting: by itself, saturated, at half of that, while the platform hangs; then everything is drained and
//! counted, so that no figure stands for work that was not done.

use super::cluster::{self, Cluster};
use super::process;
use super::stage::{Stage, Took};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// What is measured.
pub(crate) struct Setting {
    pub(crate) policy: &'static str,
    pub(crate) policies: PathBuf,
    pub(crate) tresors: u64,
    pub(crate) daemons: usize,
    /// Decisions that are in the log before it begins.
    pub(crate) log_rows: u64,
}

impl Setting {
    pub(crate) fn name(&self) -> String {
        let log = if self.log_rows == 0 { String::new() } else { format!(", {} in the log", self.log_rows) };
        let daemons = if self.daemons == 1 { "1 daemon".to_owned() } else { format!("{} daemons", self.daemons) };
        format!("{}, {} tresors, {daemons}{log}", self.policy, self.tresors)
    }
}

/// How long each phase takes, in seconds.
pub(crate) struct Times {
    /// How many clients saturate it.
    pub(crate) clients: usize,
    pub(crate) pgbench: u64,
    warm_up: u64,
    alone: u64,
    saturated: u64,
    half: u64,
    hanging: u64,
    pub(crate) backlog: u64,
}

impl Times {
    pub(crate) const FULL: Self =
        Self { clients: 128, pgbench: 20, warm_up: 3, alone: 10, saturated: 30, half: 15, hanging: 10, backlog: 120 };
    pub(crate) const QUICK: Self =
        Self { clients: 128, pgbench: 5, warm_up: 2, alone: 2, saturated: 5, half: 4, hanging: 2, backlog: 10 };
}

/// The middle and the last of a hundred, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Latency {
    pub(crate) fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied();
        Self { p50: at(50).unwrap_or(f64::NAN), p99: at(99).unwrap_or(f64::NAN) }
    }
}

/// Of operations: until the platform had the verdict, and until the end was durable and told.
#[derive(Clone, Copy)]
pub(crate) struct Latencies {
    pub(crate) applied: Latency,
    pub(crate) answered: Latency,
}

impl Latencies {
    fn of(times: &[Took]) -> Self {
        let of = |one: fn(&Took) -> f64| Latency::of(times.iter().map(one).collect());
        Self { applied: of(|took| took.applied), answered: of(|took| took.answered) }
    }
}

/// What came of one setting.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) decisions_a_second: f64,
    pub(crate) alone: Latencies,
    pub(crate) half: Latencies,
    pub(crate) hanging: Option<Latency>,
    /// Transactions that wrote, an operation; nothing on SQLite.
    pub(crate) commits: Option<f64>,
    pub(crate) calls: f64,
    /// Seconds of processor time a thousand decisions.
    pub(crate) cpu_daemons: f64,
    pub(crate) cpu_postgres: f64,
    pub(crate) cpu_rest: f64,
    pub(crate) resident: f64,
    pub(crate) idle_resident: f64,
    pub(crate) idle_cpu: f64,
    pub(crate) started_ms: f64,
    pub(crate) wrong: Vec<String>,
}

/// Transactions that wrote something so far: each took a number.
const WROTE: &str = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

pub(crate) async fn on_postgres(cluster: &Cluster, program: &Path, setting: &Setting, times: &Times) -> Measured {
    let database = "bench";
    cluster.create(database).await;
    let url = cluster.url(database);
    let stage = Stage::set(program, &url, &setting.policies, setting.daemons, setting.tresors).await;
    let mut connection = cluster.connect(database).await;
    if setting.log_rows > 0 {
        fill(&mut connection, setting.log_rows).await;
    }
    let mut measured = phases(&stage, times, Some((cluster, &mut connection)), setting.name()).await;
    // All of it is done, told and recorded before a figure is believed.
    let started = Instant::now();
    loop {
        let open = "select count(*) from operations where due_at is not null or parked_on is not null";
        let untold = "select count(*) from events where state = 'pending'";
        let left = cluster::number(&mut connection, open).await + cluster::number(&mut connection, untold).await;
        if left == 0 {
            break;
        }
        if started.elapsed() > Duration::from_secs(60) {
            measured.wrong.push(format!("{left} operations and events are left after a minute"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = i64::try_from(stage.ended()).unwrap();
    let log = i64::try_from(setting.log_rows).unwrap();
    let count = |what: &str| format!("select count(*) from {what}");
    for (what, wanted) in [("decisions", ended + log), ("outcomes", ended), ("events where state = 'delivered'", ended)] {
        let found = cluster::number(&mut connection, &count(what)).await;
        if found != wanted {
            measured.wrong.push(format!("{ended} operations ended, and there are {found} {what}"));
        }
    }
    if stage.hook.taken() < stage.ended() {
        measured.wrong.push(format!("the web app was told {} times of {ended} ends", stage.hook.taken()));
    }
    measured.hanging = Some(Latency::of(stage.while_the_platform_hangs(500, Duration::from_secs(times.hanging)).await));
    drop(stage);
    drop(connection);
    cluster.drop(database).await;
    measured
}

pub(crate) async fn on_sqlite(program: &Path, policies: &Path, folder: &Path, times: &Times) -> Measured {
    let url = format!("sqlite://{}", folder.join("bench.db").display());
    let stage = Stage::set(program, &url, policies, 1, 1_000).await;
    phases(&stage, times, None, "policies/, 1000 tresors, SQLite".to_owned()).await
}

async fn phases(
    stage: &Arc<Stage>,
    times: &Times,
    mut postgres: Option<(&Cluster, &mut sqlx::PgConnection)>,
    name: String,
) -> Measured {
    let seconds = Duration::from_secs;
    let daemons = |stage: &Stage| stage.daemons.iter().map(|daemon| process::cpu_seconds(daemon.id())).sum::<f64>();
    let resident = |stage: &Stage| stage.daemons.iter().map(process::Daemon::resident).fold(0.0, f64::max);
    let started_ms = stage.daemons[0].started_in.as_secs_f64() * 1e3;
    // Idle: nothing has come in yet.
    tokio::time::sleep(seconds(1)).await;
    let scheduled = |stage: &Stage| stage.daemons.iter().map(|daemon| process::scheduled_seconds(daemon.id())).sum::<f64>();
    let (before, idle_resident) = (scheduled(stage), resident(stage));
    tokio::time::sleep(seconds(times.alone.min(5))).await;
    let idle_cpu = (scheduled(stage) - before) / f64::from(u32::try_from(times.alone.min(5)).unwrap()) * 100.0;

    stage.closed_loop(times.clients, seconds(times.warm_up)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (calls, ended) = (stage.simulator.call_count(), stage.ended());
    let alone = Latencies::of(&stage.closed_loop(1, seconds(times.alone)).await);
    let calls = as_f64(stage.simulator.call_count() - calls) / as_f64(stage.ended() - ended);

    let mut wrote_before = 0;
    let mut cpu_postgres = 0.0;
    if let Some((cluster, connection)) = &mut postgres {
        wrote_before = cluster::number(connection, WROTE).await;
        cpu_postgres = process::family_cpu_seconds(cluster.postmaster);
    }
    let (cpu_daemons, cpu_rest) = (daemons(stage), process::cpu_seconds(std::process::id()));
    let (ended, started) = (stage.ended(), Instant::now());
    let running = tokio::spawn({
        let stage = Arc::clone(stage);
        let (clients, time) = (times.clients, seconds(times.saturated));
        async move { stage.closed_loop(clients, time).await }
    });
    tokio::time::sleep(seconds(times.saturated) - Duration::from_millis(200)).await;
    let most_resident = resident(stage);
    running.await.unwrap();
    let done = as_f64(stage.ended() - ended);
    let decisions_a_second = done / started.elapsed().as_secs_f64();
    let thousands = done / 1e3;
    let mut commits = None;
    if let Some((cluster, connection)) = &mut postgres {
        cpu_postgres = process::family_cpu_seconds(cluster.postmaster) - cpu_postgres;
        let wrote = cluster::number(connection, WROTE).await - wrote_before;
        commits = Some(f64::from(u32::try_from(wrote).unwrap()) / done);
    }
    let cpu_daemons = (daemons(stage) - cpu_daemons) / thousands;
    let cpu_rest = (process::cpu_seconds(std::process::id()) - cpu_rest) / thousands;
    let cpu_postgres = cpu_postgres / thousands;

    tokio::time::sleep(seconds(1)).await;
    let half = Latencies::of(&stage.open_loop(decisions_a_second / 2.0, seconds(times.half)).await);
    let mut wrong = stage.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
    wrong.truncate(5);
    Measured {
        name,
        decisions_a_second,
        alone,
        half,
        hanging: None,
        commits,
        calls,
        cpu_daemons,
        cpu_postgres,
        cpu_rest,
        resident: most_resident,
        idle_resident,
        idle_cpu,
        started_ms,
        wrong,
    }
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Decisions as they look, made months ago.
async fn fill(connection: &mut sqlx::PgConnection, rows: u64) {
    eprintln!("writing {rows} decisions");
    let trace = r#"[{"id":"members-work","mode":"enforce","effect":"approve","result":"true","when":{"fact":"actor.is_member","is":true}},{"id":"member-cap","mode":"enforce","effect":"reject","result":"false","when":{"fact":"tresor.members_after","gt":10,"was":4}}]"#;
    // In the order of their times; the platform's ids are of no order.
    let id = cluster::id_at("at");
    for first in (0..rows).step_by(250_000) {
        let last = (first + 250_000).min(rows) - 1;
        let sql = format!(
            "insert into decisions select {id}, at, 'bench1234', 'share', left(md5(g::text), 20), gen_random_uuid(), 1, \
             'tresor-' || g % 1000, 'actor-' || g % 5000, 'subject-' || g % 500, 'actor-' || g % 5000, 'approve', 'policy', '[\"members-work\"]', \
             'rule `members-work` matched', repeat('a', 64), '2', '{{\"actor.id\": {{\"value\": \"someone\", \"source\": \"details\"}}}}', '{{}}', '{trace}', '[]' \
             from generate_series({first}, {last}) g, lateral (select now() - interval '200 milliseconds' * ({rows} - g) as at) t"
        );
        cluster::run(connection, &sql).await;
    }
    // What daemon and database have done long before somebody measures them.
    eprintln!("waiting until they are sealed");
    while cluster::number(connection, "select count(*) from (select from unsealed limit 1) u").await > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    cluster::run(connection, "vacuum (analyze, freeze)").await;
    cluster::run(connection, "checkpoint").await;
    eprintln!("measuring");
}
