//! Several daemons on one database, each a process of its own: one notification is one operation, clocks do not matter, and
//! whoever was stopped and wakes up changes nothing.

use crate::drill::{Drill, POLICY};
use crate::harness::ledger;
use crate::harness::site::Site;
use crate::harness::{Backend, until};
use assent::domain::kind::Kind;
use assent::simulator::{Fault, World};
use assent::zerokit::Endpoint;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Ten shares a day, for each who shares.
pub(crate) const LIMIT: &str = r#"
version: 1
rules:
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 10}}
  - {id: all, on: [share], effect: approve}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_notification_sent_a_thousand_times_at_once_over_three_replicas_is_one_operation() {
    let site = Arc::new(Site::new(Backend::Postgres, POLICY, json!({})).await);
    let mut daemons = Vec::new();
    for _ in 0..3 {
        daemons.push(site.serve(&[]).await);
    }
    let (ann, bob) = (site.person(), site.person());
    let place = site.tresor(&ann);
    let id = site.simulator.world().share(&ann, &bob, &place, site.simulator.now()).unwrap();
    let message = site.message(&Drill::data(Kind::Share, &id, &ann, "approve"));
    let mut sent = JoinSet::new();
    for _ in 0..1000 {
        let (site, message) = (Arc::clone(&site), message.clone());
        sent.spawn(async move {
            // As a web app does: again until it is answered.
            loop {
                if let Some(answered) = site.try_report(&message, 0).await {
                    return (answered.status, answered.text("id").to_owned());
                }
            }
        });
    }
    let answers: BTreeSet<_> = sent.join_all().await.into_iter().collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let (status, record) = answers.first().unwrap();
    assert_eq!(*status, 202);
    assert_eq!(site.comes_to(record, &["approved", "failed", "unknown"]).await.text("state"), "approved");
    for (table, number) in [("operations", "1"), ("notifications", "1"), ("decisions", "1"), ("outcomes", "1")] {
        assert_eq!(site.database.texts(format!("select cast(count(*) as text) from {table}")).await, [number], "{table}");
    }
    assert_eq!(site.simulator.world().effects().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_whose_clocks_differ_by_an_hour_behave_the_same() {
    let site = Arc::new(Site::new(Backend::Postgres, LIMIT, json!({})).await);
    let mut daemons = Vec::new();
    for offset in ["-3600", "0", "3600"] {
        daemons.push(site.serve(&[("ASSENT_CLOCK_OFFSET", offset)]).await);
    }
    let drill = Drill::new(Arc::clone(&site), None, None);
    let ann = site.person();
    let tresors: Vec<_> = (0..5).map(|_| site.tresor(&ann)).collect();
    // Signed calls to the platform, signed notifications, a limit, and a conflict now and then: each replica has a part in it.
    let share_all = async |number: usize| {
        let mut flows = JoinSet::new();
        for index in 0..number {
            let (drill, ann, place, bob) = (drill.clone(), ann.clone(), tresors[index % 5].clone(), site.person());
            flows.spawn(async move {
                let now = drill.site.simulator.now();
                let share = |world: &mut World| world.share(&ann, &bob, &place, now);
                drill.pursue(Kind::Share, &ann, "approve", &share).await.unwrap().text("state").to_owned()
            });
        }
        flows.join_all().await
    };
    let first = share_all(8).await;
    assert_eq!(first, ["approved"; 8]);
    // The one whose clock is ahead dies with work in hand: the others take it over, and not before its lease is over.
    site.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::HangBefore, 2);
    let more = tokio::spawn({
        let (drill, ann, place, bob) = (drill.clone(), ann.clone(), tresors[0].clone(), site.person());
        async move {
            let now = drill.site.simulator.now();
            let share = |world: &mut World| world.share(&ann, &bob, &place, now);
            drill.pursue(Kind::Share, &ann, "approve", &share).await.unwrap().text("state").to_owned()
        }
    });
    until("somebody is busy", async || {
        site.database.texts("select cast(count(*) as text) from operations where sends > 0 and outcome is null").await == ["1"]
    })
    .await;
    let ahead = daemons.pop().unwrap();
    site.addresses.lock().unwrap().retain(|address| Some(*address) != ahead.address());
    ahead.kill().await;
    let ended = more.await.unwrap();
    assert!(["approved", "unknown"].contains(&ended.as_str()), "{ended}");
    let rest = share_all(6).await;
    assert_eq!(rest.iter().filter(|state| *state == "approved").count(), 1, "{rest:?}");
    assert_eq!(rest.iter().filter(|state| *state == "rejected").count(), 5, "{rest:?}");
    until("all is told", async || ledger::violations(&site, &BTreeSet::new()).await.0.is_empty()).await;
    let (wrong, _) = ledger::violations(&site, &BTreeSet::new()).await;
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Two replicas; the first one is stopped at a point of its work on an operation, and wakes up after the other one has ended the
/// operation. What is wrong then.
pub(crate) async fn stopped_and_woken(point: &str, fault: Option<Fault>, bug: Option<&'static str>) -> Vec<String> {
    let environment: Vec<_> = bug.map(|bug| ("ASSENT_BUG", bug)).into_iter().collect();
    let site = Arc::new(Site::new(Backend::Postgres, POLICY, json!({})).await);
    let log = site.path("points");
    let mut frozen = vec![("ASSENT_FREEZE_AT", point), ("ASSENT_POINT_LOG", log.to_str().unwrap())];
    frozen.extend(environment.iter().copied());
    let first = site.serve(&frozen).await;
    let (id, ann) = site.share();
    if let Some(fault) = fault {
        site.simulator.plan_fault(Endpoint::APPROVE_SHARE, fault, 1);
    }
    // It may be stopped before it answers; then the second one does.
    let reported = tokio::spawn({
        let (site, data) = (Arc::clone(&site), Drill::data(Kind::Share, &id, &ann, "approve"));
        async move { site.report(&data, 0).await.text("id").to_owned() }
    });
    until("the first one is stopped", async || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(point))).await;
    site.addresses.lock().unwrap().clear();
    let second = site.serve(&environment).await;
    let record = reported.await.unwrap();
    let ended = site.comes_to(&record, &["approved", "failed", "unknown"]).await;
    if ended.text("state") != "approved" {
        return vec![format!("who took it over did not come to an approval: {}", ended.body)];
    }
    let calls = || site.simulator.calls().iter().filter(|call| **call == "ApproveShare").count();
    let written = async || {
        let count = |table: &str| format!("(select cast(count(*) as text) from {table} where operation_id = '{id}')");
        let fence = format!("(select cast(fence as text) from operations where id = '{record}')");
        let sql =
            format!("select {} || ' decisions, ' || {} || ' outcomes, fence ' || {fence}", count("decisions"), count("outcomes"));
        site.database.texts(sql).await.concat()
    };
    let before = (written().await, calls());
    first.signal("CONT");
    // Whatever it still wanted to write or send it has tried by the time it has ended something new.
    *site.addresses.lock().unwrap() = vec![first.address().unwrap()];
    let (next, carl) = site.share();
    let next = site.report(&Drill::data(Kind::Share, &next, &carl, "approve"), 0).await.text("id").to_owned();
    site.comes_to(&next, &["approved", "failed", "unknown"]).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let after = (written().await, calls() - 1);
    drop(second);
    if before == after { Vec::new() } else { vec![format!("it did something when it woke: {before:?}, then {after:?}")] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_before_it_decided_decides_nothing_when_it_wakes() {
    // While it reads, stored or not yet; and when it has read all that it needs.
    for point in ["GetShareDetails.after", "decide.before"] {
        assert_eq!(stopped_and_woken(point, None, None).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_within_a_transaction_keeps_no_lock() {
    assert_eq!(stopped_and_woken("decide.within", None, None).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_after_its_call_ends_nothing_when_it_wakes() {
    for fault in [None, Some(Fault::HangBefore)] {
        assert_eq!(stopped_and_woken("ApproveShare.after", fault, None).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_whose_work_hangs_delays_nobody_else() {
    let site = Arc::new(Site::new(Backend::Postgres, POLICY, json!({ "workers": 4 })).await);
    let _daemon = site.serve(&[]).await;
    let drill = Drill::new(Arc::clone(&site), None, None);
    let (ann, bob) = (site.person(), site.person());
    let place = site.tresor(&ann);
    site.simulator.world().add_member(&place, &bob).unwrap();
    // Kicks on one tresor hang again and again, as many as there are workers.
    site.simulator.plan_fault(Endpoint::APPROVE_KICK, Fault::HangBefore, 100);
    let mut kicks = Vec::new();
    for _ in 0..6 {
        let id = site.simulator.world().kick(&ann, &bob, &place, site.simulator.now()).unwrap();
        kicks.push(site.report(&Drill::data(Kind::Kick, &id, &ann, "approve"), 0).await.text("id").to_owned());
    }
    for _ in 0..10 {
        let (carl, dora) = (site.person(), site.person());
        let other = site.tresor(&carl);
        let now = site.simulator.now();
        let share = |world: &mut World| world.share(&carl, &dora, &other, now);
        assert_eq!(drill.pursue(Kind::Share, &carl, "approve", &share).await.unwrap().text("state"), "approved");
    }
    let first = site.call("GET", &format!("/v1/operations/{}", kicks[5]), crate::harness::TOKEN, None).await;
    assert!(["received", "running"].contains(&first.text("state")), "the lane moves on although its work hangs: {}", first.body);
}
