//! Crash enumeration: the daemon is killed with SIGKILL before and after every durable and every remote step, and again while it
//! recovers from that; then the platform's record of effects is held against the database. The points are generated from the
//! code's own list of steps and from the reference's endpoints, and one that is never reached fails the test.

use crate::drill::{Drill, POLICY};
use crate::harness::ledger::Counts;
use crate::harness::site::Site;
use crate::harness::{Backend, on_both};
use assent::fault::{Moment, Step};
use assent::zerokit::Endpoint;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

on_both!(without_a_kill_everything_ends_as_it_should, killed_at_every_step_and_again_in_every_recovery);

/// Calls that only an operator's command makes, and never about an operation.
const NO_PART_OF_AN_OPERATION: [&str; 5] =
    ["DeleteCustomContent", "DeleteTresor", "ListCustomContents", "ListTresors", "UploadCustomContent"];
/// Steps that only a command takes, in a process of its own.
const OF_COMMANDS: [Step; 7] =
    [Step::Pause, Step::Resume, Step::Resolve, Step::OrderByHand, Step::ResendEvents, Step::ClaimOne, Step::Forget];
/// What is done while no daemon runs, or with what only a long time brings, or after others of its kind; tests of their own break it
/// off.
const OF_THEIR_OWN: [Step; 3] = [Step::Rekey, Step::Retain, Step::TakeIn];
/// How many runs at the same time: most of their time goes by in waiting for leases.
const AT_ONCE: usize = 5;
/// How often a run is made in which its point was not reached, as on a busy machine a worker may lose its lease before it.
const TRIES: usize = 3;

/// Every point, by name.
fn points() -> Vec<String> {
    let steps = Step::ALL.iter().filter(|step| !OF_THEIR_OWN.contains(step)).map(|step| step.as_str());
    let calls = Endpoint::ALL.iter().map(|endpoint| endpoint.name).filter(|name| !NO_PART_OF_AN_OPERATION.contains(name));
    let moments = [Moment::Before, Moment::After];
    steps.chain(calls).flat_map(|name| moments.map(|moment| format!("{name}.{}", moment.as_str()))).collect()
}

fn is_of_commands(point: &str) -> bool {
    OF_COMMANDS.iter().any(|step| point.starts_with(&format!("{}.", step.as_str())))
}

/// What one run saw.
pub(crate) struct Run {
    pub(crate) wrong: Vec<String>,
    pub(crate) counts: Counts,
    /// The points at which it was killed.
    pub(crate) killed_at: BTreeSet<String>,
}

/// The drill, with a kill at each of some points, one after the other.
pub(crate) async fn run(backend: Backend, stops: &[&str], bug: Option<&'static str>, within: Duration) -> Run {
    let site = Arc::new(Site::new(backend, POLICY, json!({})).await.with_witness().await);
    let command_kill = stops.iter().find(|point| is_of_commands(point)).map(|point| (*point).to_owned());
    let drill = tokio::spawn(Drill::new(Arc::clone(&site), command_kill, bug).run(within));
    let mut killed_at = BTreeSet::new();
    for (number, stop) in stops.iter().filter(|point| !is_of_commands(point)).enumerate() {
        let log = site.path(&format!("points.{number}"));
        let mut environment = vec![("ASSENT_STOP_AT", *stop), ("ASSENT_POINT_LOG", log.to_str().unwrap())];
        environment.extend(bug.map(|bug| ("ASSENT_BUG", bug)));
        let process = site.start(&environment);
        let is_stopped = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(" stopped"));
        while !is_stopped() && !drill.is_finished() {
            if let Some(address) = process.address() {
                *site.addresses.lock().unwrap() = vec![address];
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Whatever else comes to the same point, of other kinds and verdicts, is caught there, too.
        if !drill.is_finished() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            killed_at.insert((*stop).to_owned());
        }
        site.addresses.lock().unwrap().clear();
        process.kill().await;
    }
    let environment: Vec<_> = bug.map(|bug| ("ASSENT_BUG", bug)).into_iter().collect();
    let process = site.serve(&environment).await;
    let (wrong, counts) = drill.await.unwrap();
    let commands = std::fs::read_to_string(site.path("points")).unwrap_or_default();
    killed_at.extend(stops.iter().filter(|point| is_of_commands(point) && commands.contains(**point)).map(ToString::to_string));
    process.kill().await;
    Run { wrong, counts, killed_at }
}

/// For each point the others to be killed at while it recovers: one in the short form, more in the long one.
fn recoveries(points: &[String], index: usize) -> Vec<&str> {
    let many = std::env::var("SOAK_RECOVERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let of_daemon: Vec<&str> = points.iter().map(String::as_str).filter(|point| !is_of_commands(point)).collect();
    (0..many).map(|round| of_daemon[(index * 7 + 3 + round * 11) % of_daemon.len()]).collect()
}

async fn killed_at_every_step_and_again_in_every_recovery(backend: Backend) {
    let points = points();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (index, point) in points.iter().enumerate() {
        for second in recoveries(&points, index) {
            let (room, point, second) = (Arc::clone(&room), point.clone(), second.to_owned());
            runs.spawn(async move {
                let _room = room.acquire().await.unwrap();
                let mut made = Vec::new();
                for _ in 0..TRIES {
                    made.push(run(backend, &[&point, &second], None, Duration::from_secs(150)).await);
                    if made.iter().any(|run| run.killed_at.contains(&point)) {
                        break;
                    }
                }
                (point, second, made)
            });
        }
    }
    let (mut reached, mut total, mut count, mut kills, mut failed) = (BTreeSet::new(), Counts::default(), 0, 0, Vec::new());
    while let Some(ended) = runs.join_next().await {
        let (point, second, made) = ended.unwrap();
        for run in made {
            count += 1;
            kills += run.killed_at.len();
            reached.extend(run.killed_at);
            total.operations += run.counts.operations;
            total.effects += run.counts.effects;
            total.unknown += run.counts.unknown;
            if !run.wrong.is_empty() {
                failed.push(format!("killed at {point}, then at {second}:\n  {}", run.wrong.join("\n  ")));
            }
        }
    }
    println!(
        "crash enumeration on {backend:?}: {} points, {count} runs, {kills} kills, {} operations, {} effects at the platform, {} unknown; 0 lost, 0 twice, 0 without outcome unless said below",
        points.len(),
        total.operations,
        total.effects,
        total.unknown
    );
    assert!(failed.is_empty(), "{} of {count} runs went wrong:\n{}", failed.len(), failed.join("\n"));
    let never: Vec<_> = points.iter().filter(|point| !reached.contains(*point)).collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}

async fn without_a_kill_everything_ends_as_it_should(backend: Backend) {
    let run = run(backend, &[], None, Duration::from_secs(90)).await;
    println!("{:?}", run.counts);
    assert!(run.wrong.is_empty(), "{}", run.wrong.join("\n"));
}
