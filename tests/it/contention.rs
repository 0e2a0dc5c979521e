//! Many at once: one operation in flight a tresor, exact caps, exact limits, superseded flows that come to an end.

use crate::harness::{Backend, Setting, Stage, on_both};
use assent::domain::ids::{TresorId, UserId};
use assent::simulator::Scenario;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

on_both!(
    thirty_users_are_shared_into_one_tresor_with_invalidation,
    thirty_users_are_shared_into_one_tresor_without_invalidation,
    fifty_concurrent_shares_against_ten_places_give_exactly_ten,
    one_notification_sent_fifty_times_at_once_is_one_operation,
);

const CAP_OF_20: &str = r#"
version: 1
rules:
  - {id: cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 20}}}
  - {id: all, on: [share, tresor_creation], effect: approve}
"#;

/// Shares a tresor with all of them at the same moment; how many flows ended in which state.
pub(crate) async fn share_all(
    scenarios: &[Scenario],
    ann: &UserId,
    tresors: &[TresorId],
    users: &[UserId],
) -> BTreeMap<String, usize> {
    let mut flows = JoinSet::new();
    for (index, user) in users.iter().enumerate() {
        let scenario = scenarios[index % scenarios.len()].clone();
        let (ann, tresor, user) = (ann.clone(), tresors[index % tresors.len()].clone(), user.clone());
        flows.spawn(async move { scenario.share(&ann, &user, &tresor).await.unwrap().state().to_owned() });
    }
    let mut ended = BTreeMap::new();
    while let Some(state) = flows.join_next().await {
        *ended.entry(state.unwrap()).or_default() += 1;
    }
    ended
}

async fn thirty_users(backend: Backend, invalidates: bool) {
    let latency = Duration::from_millis(2);
    let stage = Stage::set(backend, Setting { policy: CAP_OF_20.to_owned(), invalidates, latency, ..Setting::default() }).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    let users: Vec<_> = (0..30).map(|number| stage.user(&format!("user{number}@example.com"))).collect();
    let ended = share_all(std::slice::from_ref(&stage.scenario), &ann, std::slice::from_ref(&tresor), &users).await;
    // Ann and 19 more fill the tresor; everybody else is rejected by the cap and by nothing else.
    assert_eq!(ended, BTreeMap::from([("approved".to_owned(), 19), ("rejected".to_owned(), 11)]));
    assert_eq!(stage.simulator.world().members(&tresor).unwrap().len(), 20);
    assert_eq!(stage.simulator.most_in_flight(), 1, "two verdicts were in flight on one tresor");
    let superseded = stage.database.texts("select cast(count(*) as text) from outcomes where outcome = 'superseded'").await;
    assert_eq!(superseded[0] != "0", invalidates, "{superseded:?}");
    let rules = stage.database.texts("select distinct cast(rules as text) from decisions where verdict = 'reject'").await;
    assert_eq!(rules, [r#"["cap"]"#]);
}

async fn thirty_users_are_shared_into_one_tresor_with_invalidation(backend: Backend) {
    thirty_users(backend, true).await;
}

async fn thirty_users_are_shared_into_one_tresor_without_invalidation(backend: Backend) {
    thirty_users(backend, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_a_tresor_without_ever_being_in_flight_together() {
    let latency = Duration::from_millis(2);
    let stage = Stage::set(Backend::Postgres, Setting { policy: CAP_OF_20.to_owned(), latency, ..Setting::default() }).await;
    let (_second, scenario) = stage.another_replica().await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    let users: Vec<_> = (0..30).map(|number| stage.user(&format!("user{number}@example.com"))).collect();
    let scenarios = [stage.scenario.clone(), scenario];
    let ended = share_all(&scenarios, &ann, std::slice::from_ref(&tresor), &users).await;
    assert_eq!(ended, BTreeMap::from([("approved".to_owned(), 19), ("rejected".to_owned(), 11)]));
    assert_eq!(stage.simulator.most_in_flight(), 1);
}

async fn fifty_concurrent_shares_against_ten_places_give_exactly_ten(backend: Backend) {
    let policy = r#"
version: 1
rules:
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 10}}
  - {id: all, on: [share, tresor_creation], effect: approve}
"#;
    let latency = Duration::from_millis(2);
    let stage = Stage::set(backend, Setting { policy: policy.to_owned(), latency, ..Setting::default() }).await;
    let ann = stage.user("ann@example.com");
    // On ten tresors, so that no lane helps the limit.
    let mut tresors = Vec::new();
    for _ in 0..10 {
        tresors.push(stage.tresor(&ann).await);
    }
    let users: Vec<_> = (0..50).map(|number| stage.user(&format!("user{number}@example.com"))).collect();
    let ended = share_all(std::slice::from_ref(&stage.scenario), &ann, &tresors, &users).await;
    assert_eq!(ended, BTreeMap::from([("approved".to_owned(), 10), ("rejected".to_owned(), 40)]));
    let members: usize = tresors.iter().map(|tresor| stage.simulator.world().members(tresor).unwrap().len()).sum();
    assert_eq!(members, 10 + 10);
}

async fn one_notification_sent_fifty_times_at_once_is_one_operation(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    let bob = stage.user("bob@example.com");
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    let mut data = stage.scenario.app().data(assent::domain::kind::Kind::Share, &id, &ann, None);
    data["context"] = serde_json::json!({ "want": "approve" });
    let mut reports = JoinSet::new();
    for _ in 0..50 {
        let (scenario, data, now) = (stage.scenario.clone(), data.clone(), stage.now().as_second());
        reports.spawn(async move { scenario.app().report(&data, 60, now).await.unwrap() });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(answer) = reports.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.state()), (200, "approved"), "{}", answer.body);
        ids.insert(answer.text("id").to_owned());
    }
    assert_eq!(ids.len(), 1);
    let shares = stage.simulator.world().effects().iter().filter(|effect| effect.operation_id == id).count();
    assert_eq!(shares, 1);
}
