//! Effects, verdicts by hand and registrations, as the store keeps them.

use super::*;
use crate::harness::on_both;
use assent::domain::effect::{Action, Effect};
use assent::store::{ByHand, EffectResult, HandOrder, HandRole, Ordered};

on_both!(
    effects_are_due_with_the_outcome_and_run_one_after_the_other,
    what_was_decided_later_is_not_undone_by_what_is_known_later,
    what_an_earlier_ruling_planned_has_a_result_too,
    a_stale_effect_workers_writes_change_nothing,
    an_order_takes_only_what_nobody_decided_or_works_on,
    a_validation_without_its_secrets_is_stored_only_if_it_is_known,
    registrations_are_found_until_they_are_too_old,
);

fn effect(action: Action, user_id: Option<&str>, enable: bool) -> Effect {
    Effect { rule: "r".into(), action, user: user_id.map(user), enable }
}

/// An operation that was approved, with these effects.
async fn approved(store: &dyn Store, id: &str, effects: Vec<Effect>) {
    received(store, id).await;
    let mut case = Case::of(claim_one(store).await, &format!("tresor-{id}"));
    case.effects = effects;
    let due = store.next_effect_due().await.unwrap();
    let ruling = case.approve(store).await;
    assert_eq!(store.next_effect_due().await.unwrap().is_some(), due.is_some(), "not before the verdict took effect");
    case.finish(store, Some(ruling.record.id), Outcome::Applied).await;
}

async fn effects_are_due_with_the_outcome_and_run_one_after_the_other(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    assert_eq!(store.next_effect_due().await.unwrap(), None);
    let (state, sharing) = (Action::SetUserState, Action::SetTresorSharingPolicy);
    approved(
        store,
        "a",
        vec![effect(state, Some("bob"), false), effect(sharing, Some("bob"), false), effect(state, None, false)],
    )
    .await;
    approved(store, "b", vec![effect(state, Some("bob"), true), effect(state, Some("ann"), true)]).await;
    assert_eq!(store.next_effect_due().await.unwrap(), Some(Duration::ZERO));
    let claimed = store.claim_effects("me", LEASE, 9).await.unwrap();
    let mut said: Vec<_> = claimed.iter().map(|claimed| claimed.effect.to_string()).collect();
    said.sort();
    // One effect on a user's state at a time; the one on nobody is not to be done.
    assert_eq!(
        said,
        [
            "set_tresor_sharing_policy: {user: bob, enable: false}",
            "set_user_state: {user: ann, enable: true}",
            "set_user_state: {user: bob, enable: false}"
        ]
    );
    assert!(store.claim_effects("you", LEASE, 9).await.unwrap().is_empty());
    // One that is tried again keeps its place in line.
    let held = claimed.iter().find(|claimed| claimed.effect.action == state && !claimed.effect.enable).unwrap();
    store.effect_again(held.lease, Duration::from_secs(60), true).await.unwrap();
    assert!(store.claim_effects("you", LEASE, 9).await.unwrap().is_empty(), "the next one waits for it");
    let due = store.next_effect_due().await.unwrap().unwrap();
    assert!(due > Duration::from_secs(30), "nobody is awake for one that waits: {due:?}");
    assert!(matches!(store.finish_effect(held.lease, &EffectResult::Done).await, Ok(())), "its worker still has the lease");
    let next = store.claim_effects("you", LEASE, 9).await.unwrap();
    assert_eq!(
        next.iter().map(|claimed| claimed.effect.to_string()).collect::<Vec<_>>(),
        ["set_user_state: {user: bob, enable: true}"]
    );
    store.finish_effect(next[0].lease, &EffectResult::Failed("UserUnderDeletion".into())).await.unwrap();
    let mut rows =
        database.texts("select state || ' ' || coalesce(error_code, '-') from effects where result_at is not null").await;
    rows.sort();
    assert_eq!(rows, ["done -", "failed UserUnderDeletion", "failed UserUnknown"]);
}

async fn what_was_decided_later_is_not_undone_by_what_is_known_later(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let effects = |enable| vec![effect(Action::SetUserState, Some("bob"), enable)];
    // Nobody knows yet what became of the first approval.
    received(store, "a").await;
    let mut first = Case::of(claim_one(store).await, "tresor-a");
    first.effects = effects(true);
    let ruling = first.approve(store).await;
    approved(store, "b", effects(false)).await;
    let later = store.claim_effects("me", LEASE, 9).await.unwrap().pop().unwrap();
    store.finish_effect(later.lease, &EffectResult::Done).await.unwrap();
    first.finish(store, Some(ruling.record.id), Outcome::Applied).await;
    assert!(store.claim_effects("me", LEASE, 9).await.unwrap().is_empty());
    let rows = database.texts("select state || ' ' || coalesce(error_code, '-') from effects order by state").await;
    assert_eq!(rows, ["cancelled Overtaken", "done -"]);
}

async fn what_an_earlier_ruling_planned_has_a_result_too(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let mut case = Case::of(claim_one(store).await, "t");
    case.effects = vec![effect(Action::SetUserState, Some("bob"), false)];
    case.approve(store).await;
    // Nothing came of that, and a policy without effects rules now.
    store.reschedule(&case.claimed.lease, Duration::ZERO, true, true, None).await.unwrap();
    let case = Case::of(claim_one(store).await, "t");
    let ruling = case.approve(store).await;
    // As what is plain, which many are ended with together.
    end_with(store, &case, &ruling, Outcome::Applied, None).await.unwrap();
    assert_eq!(database.texts("select state from effects").await, ["cancelled"]);
}

async fn a_stale_effect_workers_writes_change_nothing(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    approved(store, "a", vec![effect(Action::SetUserState, Some("bob"), false)]).await;
    let stale = store.claim_effects("me", Duration::ZERO, 9).await.unwrap().pop().unwrap();
    let fresh = store.claim_effects("you", LEASE, 9).await.unwrap().pop().unwrap();
    assert_eq!((stale.lease.id, stale.lease.fence + 1), (fresh.lease.id, fresh.lease.fence));
    assert!(matches!(store.finish_effect(stale.lease, &EffectResult::Done).await, Err(StoreError::Fenced)));
    assert!(matches!(store.effect_again(stale.lease, LEASE, true).await, Err(StoreError::Fenced)));
    store.finish_effect(fresh.lease, &EffectResult::Done).await.unwrap();
    assert!(matches!(store.effect_again(fresh.lease, LEASE, true).await, Err(StoreError::Fenced)), "done is done");
}

fn order(id: &str) -> HandOrder {
    HandOrder {
        id: RecordId::generate(),
        key: key(id),
        by_hand: ByHand {
            verdict: Verdict::Reject,
            role: HandRole::Operator,
            operator: "anna".into(),
            comment: None,
            additional_info: None,
        },
        payload: None,
        owner: "anna's process".into(),
        lease: LEASE,
    }
}

async fn an_order_takes_only_what_nobody_decided_or_works_on(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    // New: it is stored, and belongs to whoever ordered.
    let Ordered::Taken(lease) = store.order_by_hand(order("new")).await.unwrap() else { panic!("not taken") };
    let claimed = store.leased(&lease).await.unwrap();
    assert_eq!(claimed.by_hand, Some(order("new").by_hand));
    assert!(store.claim("daemon", LEASE, 9).await.unwrap().is_empty(), "for as long as the lease holds");
    assert!(matches!(store.order_by_hand(order("new")).await.unwrap(), Ordered::InTheWay(_)), "one order an operation");
    // Reported: the daemon's.
    received(store, "reported").await;
    assert!(
        matches!(store.order_by_hand(order("reported")).await.unwrap(), Ordered::InTheWay(view) if view.state == State::Received)
    );
    // Escalated: the order takes it over, and what the web app said of it stays.
    let case = Case::of(claim_one(store).await, "t");
    case.decide(store, Verdict::Escalate, Step::AwaitReview).await;
    let Ordered::Taken(lease) = store.order_by_hand(order("reported")).await.unwrap() else { panic!("not taken") };
    let claimed = store.leased(&lease).await.unwrap();
    assert!(claimed.by_hand.is_some() && claimed.payload.as_deref() == Some(b"sealed") && claimed.tries == 0);
    assert_eq!(store.claim_one(lease.id, "daemon", LEASE).await.unwrap().map(|claimed| claimed.lease.id), None, "leased");
    store.reschedule(&lease, Duration::ZERO, false, true, None).await.unwrap();
    let claimed = store.claim_one(lease.id, "daemon", LEASE).await.unwrap().unwrap();
    assert_eq!(
        (claimed.lease.id, claimed.by_hand.clone()),
        (lease.id, Some(order("x").by_hand)),
        "whoever carries it out, the order stands"
    );
    // Final: nobody's any more; failed: open again.
    let case = Case::of(claimed, "t");
    let ruling = case.approve(store).await;
    case.finish(store, Some(ruling.record.id), Outcome::Applied).await;
    assert!(
        matches!(store.order_by_hand(order("reported")).await.unwrap(), Ordered::InTheWay(view) if view.state == State::Approved)
    );
    received(store, "failed").await;
    Case::of(claim_one(store).await, "u").finish(store, None, Outcome::Failed).await;
    assert!(matches!(store.order_by_hand(order("failed")).await.unwrap(), Ordered::Taken(_)));
}

async fn a_validation_without_its_secrets_is_stored_only_if_it_is_known(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let without = |webhook: &str| NewOperation { payload: None, ..new(webhook, "a") };
    assert!(matches!(store.receive(without("one")).await.unwrap(), Received::Incomplete));
    let rows = "select webhook_id from notifications union all select id from operations";
    assert_eq!(database.texts(rows).await, [""; 0], "nothing was stored");
    assert!(matches!(store.receive(new("one", "a")).await.unwrap(), Received::New(_, _)));
    for webhook in ["one", "two"] {
        assert!(matches!(store.receive(without(webhook)).await.unwrap(), Received::Known(_)), "{webhook}");
    }
}

async fn registrations_are_found_until_they_are_too_old(backend: Backend) {
    let (_database, store) = open(backend).await;
    let ann = user("ann");
    store.keep_registration(&ann, b"sealed".to_vec()).await.unwrap();
    assert_eq!(store.registration(&ann, LEASE).await.unwrap().as_deref(), Some(&b"sealed"[..]));
    assert_eq!(store.registration(&user("bob"), LEASE).await.unwrap(), None);
    assert_eq!(store.erase_registrations(LEASE).await.unwrap(), 0);
    crate::harness::until("it is old", async || store.registration(&ann, Duration::ZERO).await.unwrap().is_none()).await;
    assert_eq!(store.erase_registrations(Duration::ZERO).await.unwrap(), 1);
}
