//! The end of a daemon: readiness goes first, intake drains, workers finish or give back, and a rolling restart is seen by nobody.

use crate::drill::{Drill, POLICY};
use crate::harness::ledger;
use crate::harness::process::Process;
use crate::harness::site::Site;
use crate::harness::{Backend, until};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::Endpoint;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the issue allows for an end.
const MOST: Duration = Duration::from_secs(25);

/// `client` is made once: making one reads every root certificate, longer than a daemon drains where much else runs.
async fn is_ready(client: &reqwest::Client, address: std::net::SocketAddr) -> u16 {
    let answer = client.get(format!("http://{address}/readyz")).send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_goes_first_and_what_still_comes_is_taken_in() {
    let site = Site::new(Backend::Sqlite, POLICY, json!({ "drain": "2s" })).await;
    let mut daemon = site.serve(&[]).await;
    let address = daemon.address().unwrap();
    let client = reqwest::Client::new();
    assert_eq!(is_ready(&client, address).await, 200);
    daemon.signal("TERM");
    until("it is not ready any more", async || is_ready(&client, address).await == 503).await;
    let (id, ann) = site.share();
    let message = site.message(&Drill::data(Kind::Share, &id, &ann, "approve"));
    let answered = site.try_report(&message, 0).await.expect("it still takes notifications in");
    assert_eq!(answered.status, 202);
    let shown = client.get(format!("http://{address}/livez")).send().await.unwrap();
    assert_eq!(shown.headers()["connection"], "close", "whoever keeps a connection is told to open the next one elsewhere");
    assert!(daemon.ended(MOST).await.success());
    assert_eq!(site.database.texts("select state from operations").await, ["approved"], "its work was finished first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_finish_gives_its_operation_back() {
    // A call may take longer than a stop does, and the lease longer than anybody would wait.
    let site = Site::new(Backend::Postgres, POLICY, json!({ "lease": "5m", "quiet_period": "20s" })).await;
    let slow = std::fs::read_to_string(site.config_path()).unwrap().replace("\"350ms\"", "\"20s\"");
    std::fs::write(site.config_path(), &slow).unwrap();
    let mut daemon = site.serve(&[]).await;
    site.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::HangAfter, 1);
    let (id, ann) = site.share();
    let record = site.report(&Drill::data(Kind::Share, &id, &ann, "approve"), 0).await.text("id").to_owned();
    until("the verdict is at the platform", async || site.simulator.world().effects().len() == 1).await;
    daemon.signal("TERM");
    assert!(daemon.ended(MOST).await.success());
    let open = "select state || ' ' || coalesce(owner, 'nobody') || ' ' || cast(sends as text) || ' ' || cast(tries as text) from operations";
    assert_eq!(site.database.texts(open).await, ["running nobody 1 0"], "given back, with what may be at the platform");
    std::fs::write(site.config_path(), slow.replace("\"20s\"", "\"350ms\"")).unwrap();
    site.addresses.lock().unwrap().clear();
    let _next = site.serve(&[]).await;
    assert_eq!(site.comes_to(&record, &["approved", "failed", "unknown"]).await.text("state"), "approved");
    assert_eq!(site.simulator.world().effects().len(), 1);
}

/// Requests go to `address` while its `/readyz` says yes, as with every balancer; until nobody serves there any more.
fn balance(site: &Arc<Site>, client: &reqwest::Client, address: std::net::SocketAddr) {
    let (addresses, client) = (Arc::clone(&site.addresses), client.clone());
    tokio::spawn(async move {
        let mut said = 503;
        while said != 0 {
            said = is_ready(&client, address).await;
            {
                let mut ready = addresses.lock().unwrap();
                ready.retain(|other| *other != address);
                if said == 200 {
                    ready.push(address);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// Replaces every daemon by another one, under load. `programs` are what the first and the second generation run.
pub(crate) async fn roll(site: Arc<Site>, programs: [&str; 2]) {
    let balancer = reqwest::Client::new();
    let ready = || site.addresses.lock().unwrap().clone();
    let start = async |program: &str| {
        let process = Process::start(program, site.config_path(), &[]);
        let address = process.serves().await;
        let address = address.unwrap_or_else(|| panic!("{program} does not serve: {}", process.last_words()));
        balance(&site, &balancer, address);
        until("it is ready", async || ready().contains(&address)).await;
        process
    };
    let mut old = vec![start(programs[0]).await, start(programs[0]).await];
    let (stop, broken, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let reported = Arc::new(Mutex::new(BTreeSet::new()));
    let mut clients = Vec::new();
    for _ in 0..6 {
        let (site, stop, broken, taken, reported) =
            (Arc::clone(&site), Arc::clone(&stop), Arc::clone(&broken), Arc::clone(&taken), Arc::clone(&reported));
        clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (id, ann) = site.share();
                let message = site.message(&Drill::data(Kind::Share, &id, &ann, "approve"));
                // A 5xx, a reset or a connection that is refused is seen, and what met it is sent again. Where much else
                // runs it may be that nobody is ready for a moment, of a roll-out or none.
                while site.try_report(&message, 0).await.is_none_or(|answered| answered.status != 202) {
                    let somewhere = !site.addresses.lock().unwrap().is_empty();
                    broken.fetch_add(usize::from(somewhere), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
                taken.fetch_add(1, Ordering::Relaxed);
                reported.lock().unwrap().insert(("share".to_owned(), id));
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        }));
    }
    let mut new = Vec::new();
    while let Some(mut leaving) = old.pop() {
        new.push(start(programs[1]).await);
        let before = taken.load(Ordering::Relaxed);
        until("there is load", async || taken.load(Ordering::Relaxed) > before + 20).await;
        leaving.signal("TERM");
        assert!(leaving.ended(MOST).await.success());
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    // The release before this one closes its door at once, whoever is still sent there.
    if programs.iter().all(|program| *program == env!("CARGO_BIN_EXE_assent")) {
        assert_eq!(broken.load(Ordering::Relaxed), 0, "of {} requests", taken.load(Ordering::Relaxed));
    }
    let reported = reported.lock().unwrap().clone();
    until("all is done and told", async || ledger::violations(&site, &reported).await.0.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_is_seen_by_nobody() {
    let site = Arc::new(Site::new(Backend::Postgres, POLICY, json!({ "drain": null })).await);
    roll(site, [env!("CARGO_BIN_EXE_assent"); 2]).await;
}

/// A policy that the release before this one understands, too.
const PLAIN: &str = r#"
version: 1
rules:
  - {id: wants-approval, on: [share], effect: approve, when: {context.want: approve}}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 50}}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`scripts/soak` builds the release before this one and runs this"]
async fn the_release_before_this_one_runs_beside_it_on_its_schema() {
    let previous = std::env::var("PREVIOUS_ASSENT").expect("PREVIOUS_ASSENT: the program of the release before this one");
    let site = Site::new(Backend::Postgres, PLAIN, json!({ "drain": null })).await;
    // What it does not know.
    let site = Arc::new(site.configured(|config| {
        config["webhooks"]["outbound"].as_object_mut().unwrap().remove("retry_after");
    }));
    roll(Arc::clone(&site), [&previous, env!("CARGO_BIN_EXE_assent")]).await;
    // And back: whoever has to undo a roll-out can.
    roll(site, [env!("CARGO_BIN_EXE_assent"), &previous]).await;
}
