//! What is read back: policies by their hash and by when they came into force, decisions page by page, persons' keys.

use super::*;
use crate::harness::on_both;
use assent::store::RecordedRange;

async fn a_policy_is_put_in_force_once_and_kept_for_ever(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    assert_eq!(store.last_activation().await.unwrap(), None);
    for (hash, body) in [("a", "body a"), ("a", "body a"), ("b", "body b"), ("a", "body a"), ("a", "body a")] {
        store.activate_policy(hash, body, "replica").await.unwrap();
    }
    let last = store.last_activation().await.unwrap().unwrap();
    assert_eq!((last.hash.as_str(), last.body.as_str()), ("a", "body a"));
    assert_eq!(database.texts("select hash from policy_activations order by id").await, ["a", "b", "a"]);
    assert_eq!(store.archived_policy("b").await.unwrap().as_deref(), Some("body b"));
    assert_eq!(store.archived_policy("c").await.unwrap(), None);
    for statement in ["update policy_activations set hash = 'x'", "delete from policy_activations"] {
        let refusal = database.try_run(statement).await.unwrap_err();
        assert!(refusal.contains("is insert-only"), "{refusal}");
    }
}

async fn decisions_are_read_page_by_page_in_their_order(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    let mut made = vec![];
    for index in 0..5 {
        let operation = format!("o{index}");
        received(store, &operation).await;
        let case = Case::of(claim_one(store).await, &format!("t{index}"));
        let ruling = case.approve(store).await;
        case.finish(store, Some(ruling.record.id), Outcome::Applied).await;
        made.push(ruling.record.id);
    }
    let one = store.recorded(made[2]).await.unwrap().unwrap();
    assert_eq!((one.id, one.verdict, one.rules.clone()), (made[2], Verdict::Approve, vec!["r".to_owned()]));
    let facts = serde_json::from_value(json!({ "actor.id": { "value": "ann", "source": "details" } })).unwrap();
    assert_eq!(one.facts, facts);
    assert_eq!(store.recorded(DecisionId::generate()).await.unwrap(), None);
    let mut range = RecordedRange { since: one.decided_at, after: None, limit: 2, with_trace: true };
    let mut read = vec![];
    loop {
        let page = store.recorded_page(&range).await.unwrap();
        let Some(last) = page.last() else { break };
        range.after = Some((last.decided_at, last.id));
        assert!(
            page.len() <= 2 && page.iter().all(|decision| decision.outcome == Some(Outcome::Applied) && decision.trace == "[]")
        );
        read.extend(page.into_iter().map(|decision| decision.id));
    }
    assert_eq!(read, made[2..], "from the third on");
    let bare = store.recorded_page(&RecordedRange { after: None, limit: 9, with_trace: false, ..range }).await.unwrap();
    assert!(bare.iter().all(|decision| decision.outcome.is_none() && decision.trace.is_empty()));
}

async fn a_persons_key_is_there_once_it_was_used(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    assert_eq!(store.person_key(&user("ann")).await.unwrap(), None);
    received(store, "o1").await;
    let mut case = Case::of(claim_one(store).await, "t1");
    let fresh_key = assent::audit::WrappedKey(vec![1, 2, 3]);
    case.persons = vec![Person { id: user("ann"), fresh_key: fresh_key.clone() }];
    case.approve(store).await;
    assert_eq!(store.person_key(&user("ann")).await.unwrap(), Some(fresh_key.clone()));
    let keys = store.person_keys(&[user("nobody"), user("ann")]).await.unwrap();
    assert_eq!(keys, [("ann".to_owned(), fresh_key)]);
}

async fn a_decision_by_a_policy_that_was_replaced_meanwhile_writes_nothing(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "o1").await;
    let case = Case::of(claim_one(store).await, "t1");
    let refused = case.try_decide(store, &|_| Err(NoRuling::PolicyMoved)).await;
    assert!(matches!(refused, Err(StoreError::PolicyMoved)));
    assert_eq!(
        database.texts("select cast(count(*) as text) from decisions union all select cast(count(*) as text) from flows").await,
        ["0", "0"]
    );
    // The lease is still ours, and the next try is the first.
    assert_eq!(case.approve(store).await.record.attempt, 1);
}

on_both!(
    a_policy_is_put_in_force_once_and_kept_for_ever,
    decisions_are_read_page_by_page_in_their_order,
    a_persons_key_is_there_once_it_was_used,
    a_decision_by_a_policy_that_was_replaced_meanwhile_writes_nothing,
);
