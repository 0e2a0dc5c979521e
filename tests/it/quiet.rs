//! A daemon that has nothing to do writes nothing, and one that cannot do it says so once and goes on by itself when it can.

use crate::drill::{Drill, POLICY};
use crate::harness::command::assent;
use crate::harness::process::Process;
use crate::harness::site::Site;
use crate::harness::{Backend, until};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::json;

/// How many lines of its log say that.
fn times(daemon: &Process, what: &str) -> usize {
    daemon.said().iter().filter(|line| line.contains(what)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_to_do_looks_for_work_and_writes_nothing() {
    let site = Site::new(Backend::Postgres, POLICY, json!({})).await;
    let _daemon = site.serve(&[]).await;
    let sum = async |what: &str, of: &str| {
        let sql = format!("select cast(sum({what}) as text) from pg_stat_user_tables where relname like '{of}'");
        site.database.texts(sql).await.concat().parse::<u64>().unwrap()
    };
    let looked = async || {
        let before = sum("idx_scan", "operations").await;
        until("it looks for work", async || sum("idx_scan", "operations").await > before).await;
    };
    let written = async || sum("n_tup_ins + n_tup_upd + n_tup_del", "%").await;
    // What it writes at its start is written by then.
    looked().await;
    looked().await;
    let before = written().await;
    looked().await;
    looked().await;
    assert_eq!(written().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_platform_refuses_from_the_start_is_not_ready_until_it_is_let_in() {
    let site = Site::new(Backend::Sqlite, POLICY, json!({})).await;
    // That it serves nobody is not that it lets one in.
    for refusal in [ErrorCode::InvalidAuthorization, ErrorCode::TenantDisabled] {
        site.simulator.plan_fault(Endpoint::LIST_MEMBERS, Fault::Code(refusal), 1);
    }
    let daemon = site.serve(&[]).await;
    let ready = format!("http://{}/readyz", daemon.address().unwrap());
    let client = reqwest::Client::new();
    let answer = client.get(&ready).send().await.unwrap();
    let (status, why) = (answer.status(), answer.text().await.unwrap());
    assert!(status == 503 && why.contains("the platform refuses this daemon's access"), "{status} {why}");
    // Nobody sends it anything while it is not ready: it asks by itself.
    until("it is ready", async || client.get(&ready).send().await.unwrap().status() == 200).await;
    assert_eq!(site.simulator.calls(), ["ListMembers"; 3]);
    assert_eq!(times(&daemon, "the platform refuses this daemon's access"), 1);
    assert_eq!(times(&daemon, "the platform accepts this daemon's access again"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_app_that_is_down_is_said_once_and_not_for_every_try() {
    let site = Site::new(Backend::Sqlite, POLICY, json!({})).await;
    let site = site.configured(|config| {
        let outbound = &mut config["webhooks"]["outbound"];
        outbound["url"] = json!("http://127.0.0.1:1/hook");
        outbound["retry_after"] = json!(vec!["10ms"; 4]);
    });
    let daemon = site.serve(&[]).await;
    for _ in 0..2 {
        let (id, ann) = site.share();
        assert_eq!(site.report(&Drill::data(Kind::Share, &id, &ann, "approve"), 8).await.text("state"), "approved");
    }
    let states = "select state || ' ' || cast(tries as text) from events";
    until("they are dead", async || site.database.texts(states).await == ["dead 5", "dead 5"]).await;
    assert_eq!(times(&daemon, "the web app does not take events"), 1, "{:#?}", daemon.said());
    assert_eq!(times(&daemon, "an event is dead"), 2);
    assert_eq!(times(&daemon, "an event was not taken"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_checked_beside_the_daemon_that_it_is_for() {
    let site = Site::new(Backend::Sqlite, POLICY, json!({})).await;
    let daemon = site.serve(&[]).await;
    let site = site.configured(|config| config["listen"] = json!(daemon.address().unwrap()));
    let ran = assent(&["serve", "--check", "--config", site.config_path().to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.said(&[]));
}
