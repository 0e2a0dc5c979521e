//! What is an outage of the whole platform and what is not, and what the log says of what a person must look at.

use crate::drill::Drill;
use crate::harness::site::Site;
use crate::harness::{Backend, Setting, Stage, TENANT, on_both, until};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode, ServiceUrl};
use serde_json::json;
use std::time::Duration;

on_both!(
    an_outage_is_one_where_nobody_comes_but_to_be_validated,
    what_one_operation_meets_alone_spends_its_budget,
    what_became_of_a_verdict_has_tries_of_its_own,
    an_effect_is_not_sent_by_whom_it_may_not_belong_to_any_more,
);

async fn an_outage_is_one_where_nobody_comes_but_to_be_validated(backend: Backend) {
    let away = format!("http://127.0.0.1:1/tenant-{TENANT}");
    let setting = Setting::default();
    let stage = Stage::set_with(backend, setting, |config| config.service = ServiceUrl::parse(&away, None).unwrap()).await;
    let ann = stage.user("ann@example.com");
    let mut data = stage.scenario.app().data(Kind::UserValidation, ann.as_str(), &ann, None);
    data["registration"] = json!({ "session_id": "s", "session_verifier": "v", "validation_verifier": "w" });
    data["context"] = json!({ "want": "approve" });
    let answer = stage.scenario.app().report(&data, 0, stage.now().as_second()).await.unwrap();
    let health = &stage.daemon.engine.health;
    until("it is an outage", async || health.is_outage()).await;
    // Nobody is asked for what is known of a validation, which is no answer of the platform.
    let tries = async || stage.database.texts("select cast(tries as text) from operations").await;
    let before = tries().await;
    let looked =
        async || stage.database.texts("select cast(fence as text) from operations").await.concat().parse::<u64>().unwrap();
    let seen = looked().await;
    until("it was tried again", async || looked().await > seen + 3).await;
    assert!(health.is_outage() && tries().await == before, "{before:?}, {:?}", tries().await);
    assert_eq!(stage.get(&format!("/v1/operations/{}", answer.text("id"))).await["state"], "running");
}

async fn what_one_operation_meets_alone_spends_its_budget(backend: Backend) {
    let change = |config: &mut assent::cli::config::Config| config.call_timeout = Duration::from_millis(200);
    let stage = Stage::set(backend, Setting { change, ..Setting::default() }).await;
    let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
    let tresor = stage.tresor(&ann).await;
    stage.simulator.plan_fault(Endpoint::SHARE_DETAILS, Fault::HangBefore, 999);
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    // Nobody else asks the platform anything, which looks like an outage until the daemon asks by itself.
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &id, &ann, None), "approve").await;
    assert_eq!(answer.state(), "failed", "{}", answer.body);
    until("it is none", async || !stage.daemon.engine.health.is_outage()).await;
}

async fn what_became_of_a_verdict_has_tries_of_its_own(backend: Backend) {
    let change = |config: &mut assent::cli::config::Config| config.retry_budget = 3;
    let stage = Stage::set(backend, Setting { change, ..Setting::default() }).await;
    let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
    let tresor = stage.tresor(&ann).await;
    stage.simulator.plan_fault(Endpoint::SHARE_DETAILS, Fault::Code(ErrorCode::StorageNetwork), 2);
    stage.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::DropBefore, 1);
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &id, &ann, None), "approve").await;
    assert_eq!(answer.state(), "approved", "{}", answer.body);
}

async fn an_effect_is_not_sent_by_whom_it_may_not_belong_to_any_more(backend: Backend) {
    let policy = "version: 1\nrules: [{id: no-more, on: [share], effect: reject, then: [{set_tresor_sharing_policy: {user: actor.id, enable: false}}]}]";
    // No call is over as soon as that.
    let change = |config: &mut assent::cli::config::Config| config.lease = config.call_timeout;
    let stage = Stage::set(backend, Setting { policy: policy.to_owned(), change, ..Setting::default() }).await;
    let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    stage.simulator.world().approve_creation(&tresor).unwrap();
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    assert_eq!(stage.report(stage.scenario.app().data(Kind::Share, &id, &ann, None), "").await.state(), "rejected");
    let claimed = "select state from effects where fence > 1";
    until("it was claimed again", async || stage.database.texts(claimed).await == ["due"]).await;
    assert!(!stage.simulator.calls().contains(&"SetUserTresorSharingMode"), "{:?}", stage.simulator.calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_changed_before_it_was_sent_is_for_a_person_to_look_at() {
    let policy = "version: 1\nrules:\n  - {id: cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 2}}}\n  - {id: all, on: [share], effect: approve}\n";
    let site = Site::new(Backend::Sqlite, policy, json!({ "retry_base": "3s", "retry_max": "3s", "lease": "12s" })).await;
    let daemon = site.serve(&[]).await;
    let (ann, bob, carl) = (site.person(), site.person(), site.person());
    let tresor = site.tresor(&ann);
    let id = site.simulator.world().share(&ann, &bob, &tresor, site.simulator.now()).unwrap();
    // The approval comes to nothing, for sure, and by the next try the tresor is full.
    site.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::Code(ErrorCode::TenantDisabled), 1);
    let record = site.report(&Drill::data(Kind::Share, &id, &ann, ""), 0).await.text("id").to_owned();
    until("it was sent once", async || site.simulator.calls().contains(&"ApproveShare")).await;
    site.simulator.world().add_member(&tresor, &carl).unwrap();
    let ended = site.comes_to(&record, &["approved", "rejected", "failed", "unknown"]).await;
    assert_eq!((ended.text("state"), ended.body["outcome"]["error_code"].as_str()), ("failed", Some("VerdictChanged")));
    let said = daemon.said();
    let is_alert = |line: &&String| line.contains("an operation needs an operator's eye") && line.contains("VerdictChanged");
    assert_eq!(said.iter().filter(is_alert).count(), 1, "{said:#?}");
}
