//! Bugs planted one by one, each of which the crash tests, the storm or the tests of replicas must catch: so that it is known
//! that these can fail. One binary has them all; the environment chooses.

use crate::arrivals::broken_off;
use crate::chaos::{self, Storm};
use crate::crash;
use crate::drill::Drill;
use crate::harness::site::Site;
use crate::harness::{Backend, Database};
use crate::replicas::{LIMIT, stopped_and_woken};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::fault::bugs::{self, Bug};
use assent::simulator::Fault;
use assent::zerokit::Endpoint;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What is to catch a bug.
#[derive(Debug, Clone, Copy)]
enum Net {
    /// The drill, with nobody killed.
    Drill,
    /// The drill, killed at a point.
    Crash(&'static str),
    /// A storm in which nobody is killed: many clients, and a platform in a bad mood.
    Storm,
    /// A worker that is stopped and wakes up.
    Woken,
    /// One operation after the other, until one is stored with its decision.
    TakenIn,
    /// Many at once for the last places of a limit, over three replicas.
    LimitRace,
    /// Many at once for the last places in a tresor, at a platform that lets all of them.
    CapRace,
}

fn net(bug: &Bug) -> Net {
    match bug.name {
        "no-fence" => Net::Woken,
        "no-intent" | "members-forgotten" => Net::Crash("ApproveShare.after"),
        "event-delivered-too-early" => Net::Crash("deliver.before"),
        "taken-in-and-not-stored" => Net::TakenIn,
        "no-lane" => Net::Storm,
        "lane-not-moved" => Net::CapRace,
        "limits-not-locked" | "places-not-counted" => Net::LimitRace,
        _ => Net::Drill,
    }
}

const WITHIN: Duration = Duration::from_secs(14);

async fn caught(name: Option<&'static str>, net: Net) -> Vec<String> {
    match net {
        Net::Drill => crash::run(Backend::Postgres, &[], name, WITHIN).await.wrong,
        Net::Crash(point) => crash::run(Backend::Postgres, &[point], name, WITHIN * 2).await.wrong,
        Net::Storm => {
            let storm = Storm {
                operations: 200,
                tresors: 4,
                at_least: Duration::ZERO,
                // Whoever waits for a bug to come to its end waits in vain.
                at_most: Duration::from_secs(if name.is_some() { 75 } else { 240 }),
                clients: 16,
                replicas: 3,
                is_rough: false,
                seed: 7,
            };
            chaos::run(storm, name).await.0
        }
        Net::Woken => stopped_and_woken("decide.before", None, name).await,
        Net::TakenIn => broken_off(None, name).await,
        Net::LimitRace => limit_race(name).await,
        Net::CapRace => cap_race(name).await,
    }
}

/// Ann herself is the first member; who is validated takes a while to find out.
const CAP: &str = r#"
version: 1
rules:
  - {id: cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 2}}}
  - {id: all, on: [share], effect: approve, when: {subject.validated: true}}
"#;

/// Ann shares sixty tresors at once, and may share ten times.
async fn limit_race(bug: Option<&'static str>) -> Vec<String> {
    let site = Arc::new(Site::new(Backend::Postgres, LIMIT, json!({})).await);
    let ann = site.person();
    let tresors = (0..60).map(|_| site.tresor(&ann)).collect();
    race(&site, &ann, tresors, bug, 10).await
}

/// Ann shares one tresor with four, it has room for one, and the platform lets all of them: each has counted the members before
/// the one before it has become one. A slow machine needs most of the first delay for all of them to count, and of each step for
/// one to come to its end.
async fn cap_race(bug: Option<&'static str>) -> Vec<String> {
    let site =
        Site::on(Database::new(Backend::Postgres).await, CAP, json!({ "lease": "13s", "quiet_period": "5s" }), false).await;
    let site = Arc::new(site.configured(|config| config["zerokit"]["timeout"] = json!("4s")));
    let ann = site.person();
    let tresors = vec![site.tresor(&ann); 4];
    for delay in [500, 800, 1_100, 1_400] {
        site.simulator.plan_fault(Endpoint::LIST_USERS, Fault::Delay(Duration::from_millis(delay)), 1);
    }
    race(&site, &ann, tresors, bug, 1).await
}

async fn race(site: &Arc<Site>, ann: &UserId, tresors: Vec<TresorId>, bug: Option<&'static str>, may_be: usize) -> Vec<String> {
    let mut daemons = Vec::new();
    for _ in 0..3 {
        daemons.push(site.serve(&bug.map(|bug| ("ASSENT_BUG", bug)).into_iter().collect::<Vec<_>>()).await);
    }
    let mut shares = JoinSet::new();
    for tresor in tresors {
        let bob = site.person();
        let id = site.simulator.world().share(ann, &bob, &tresor, site.simulator.now()).unwrap();
        let (site, data) = (Arc::clone(site), Drill::data(Kind::Share, &id, ann, "approve"));
        shares.spawn(async move {
            let record = site.report(&data, 0).await.text("id").to_owned();
            site.comes_to(&record, &["approved", "rejected", "failed", "superseded", "unknown"]).await;
        });
    }
    shares.join_all().await;
    let approved = site.simulator.world().effects().iter().filter(|effect| effect.verdict.as_str() == "approve").count();
    if approved == may_be { Vec::new() } else { vec![format!("{approved} shares were approved, and {may_be} may be")] }
}

/// What catches everything catches nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bug_no_net_holds_anything() {
    for net in [Net::Storm, Net::TakenIn, Net::LimitRace, Net::CapRace] {
        assert_eq!(caught(None, net).await, [""; 0], "{net:?}");
    }
    // The others are tests of their own: of crashes, and of replicas.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_bug_is_caught() {
    tokio::task::LocalSet::new().run_until(hunt()).await;
}

async fn hunt() {
    assert!(bugs::ALL.len() >= 20);
    let room = Arc::new(Semaphore::new(5));
    let mut hunts = JoinSet::new();
    for bug in bugs::ALL {
        let room = Arc::clone(&room);
        hunts.spawn_local(async move {
            let net = net(bug);
            // What depends on who comes first may go well now and then.
            for _ in 0..4 {
                let _room = room.acquire().await.unwrap();
                // A bug may well keep everybody waiting for ever; that is caught, too.
                let wrong = tokio::time::timeout(WITHIN * 6, caught(Some(bug.name), net)).await;
                let wrong = wrong.unwrap_or_else(|_| vec!["it never came to an end".to_owned()]);
                if !wrong.is_empty() {
                    return (bug, net, wrong);
                }
            }
            (bug, net, Vec::new())
        });
    }
    let mut escaped = Vec::new();
    while let Some(hunted) = hunts.join_next().await {
        let (bug, net, wrong) = hunted.unwrap();
        match wrong.first() {
            Some(first) => {
                println!("caught {:<28} by {net:?}: {} ({})", bug.name, first.chars().take(150).collect::<String>(), wrong.len())
            }
            None => escaped.push(format!("{} ({}), by {net:?}", bug.name, bug.what)),
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:#?}");
}
