//! The contract of the work queue: notifications are stored once, operations claimed once, stale writes change nothing.

use super::*;
use crate::harness::on_both;

on_both!(
    the_schema_is_checked_and_migrating_twice_changes_nothing,
    the_clock_is_the_databases,
    the_first_sentinel_stays,
    a_notification_is_stored_once,
    a_failed_operation_opens_a_new_attempt_and_an_applied_one_does_not,
    due_operations_are_claimed_once_and_the_longest_due_first,
    a_long_queue_is_claimed_in_its_order_and_whoever_comes_to_stand_before_it_is_not_passed_over,
    one_that_cannot_be_read_keeps_nobody_from_the_others,
    a_stale_workers_writes_change_nothing,
    what_is_over_leaves_the_queue_and_is_found_as_before,
);

async fn the_schema_is_checked_and_migrating_twice_changes_nothing(backend: Backend) {
    let (database, store) = open(backend).await;
    store.check_schema().await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), 0);
    store.maintain().await.unwrap();
    store.maintain().await.unwrap();
    // A newer release was here: this one goes on, migrating or not.
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) select 20990101000000, 'newer', true, checksum, 1 from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    database.try_run(newer).await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), 0);
    store.check_schema().await.unwrap();
    database.try_run("update _sqlx_migrations set version = version + 1").await.unwrap();
    assert!(matches!(store.check_schema().await, Err(StoreError::SchemaOutdated)));
}

async fn the_clock_is_the_databases(backend: Backend) {
    let (_database, store) = open(backend).await;
    let (first, second) = (store.now().await.unwrap(), store.now().await.unwrap());
    assert!(first <= second && second.duration_since(first).as_secs() < 60);
}

async fn the_first_sentinel_stays(backend: Backend) {
    let (_database, store) = open(backend).await;
    assert_eq!(store.key_sentinel(None).await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(store.key_sentinel(Some(b"first".to_vec())).await.unwrap().unwrap(), b"first");
    }
    assert_eq!(store.key_sentinel(Some(b"second".to_vec())).await.unwrap().unwrap(), b"first");
}

async fn a_notification_is_stored_once(backend: Backend) {
    let (_database, store) = open(backend).await;
    let Received::New(view, lease) =
        store.receive(NewOperation { replica: "me".into(), lease: Some(LEASE), ..new("m1", "a") }).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((view.state, view.attempt, view.operation_id.as_str()), (State::Running, 1, "a"));
    let lease = lease.unwrap();
    assert_eq!((lease.id, lease.fence), (view.id, 1));
    assert_eq!(store.leased(&lease).await.unwrap().payload.unwrap(), b"sealed");
    // The same message; the same operation in another message; the same message with another body.
    assert!(matches!(store.receive(new("m1", "a")).await.unwrap(), Received::Known(known) if known == view));
    assert!(matches!(store.receive(new("m2", "a")).await.unwrap(), Received::Known(known) if known == view));
    let other = NewOperation { body_mac: "other".into(), ..new("m1", "a") };
    assert!(matches!(store.receive(other).await.unwrap(), Received::WebhookReused));
    assert_eq!(store.operation(view.id).await.unwrap().unwrap(), view);
    assert_eq!(store.operation(RecordId::generate()).await.unwrap(), None);
}

async fn a_failed_operation_opens_a_new_attempt_and_an_applied_one_does_not(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    for (id, outcome, reopens) in [
        ("f", Outcome::Failed, true),
        ("r", Outcome::Refused, true),
        ("a", Outcome::Applied, false),
        ("s", Outcome::Superseded, false),
        ("u", Outcome::Unknown, false),
    ] {
        let first = received(store, id).await;
        let case = Case::of(claim_one(store).await, id);
        case.finish(store, None, outcome).await;
        match store.receive(new(&format!("again-{id}"), id)).await.unwrap() {
            Received::New(view, None) => assert!(reopens && view.id != first, "{outcome:?}"),
            Received::Known(view) => assert!(!reopens && view.id == first && view.state.is_final(), "{outcome:?}"),
            other => panic!("{other:?}"),
        }
        // The first message still answers for what it brought.
        assert!(matches!(store.receive(new(&format!("msg-{id}"), id)).await.unwrap(), Received::Known(view) if view.id == first));
        while !store.claim("me", LEASE, 9).await.unwrap().is_empty() {}
    }
}

async fn due_operations_are_claimed_once_and_the_longest_due_first(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    assert_eq!(store.next_due().await.unwrap(), None);
    let mut ids = vec![];
    for id in ["a", "b", "c"] {
        ids.push(received(store, id).await);
    }
    assert_eq!(store.next_due().await.unwrap(), Some(Duration::ZERO));
    let claimed = store.claim("me", LEASE, 2).await.unwrap();
    let mut seen: Vec<_> = claimed.iter().map(|claimed| claimed.lease.id).collect();
    seen.sort();
    assert_eq!(seen, ids[..2]);
    assert!(claimed.iter().all(|claimed| claimed.lease.fence == 1 && claimed.tries == 0 && claimed.sent.is_none()));
    assert_eq!(claim_one(store).await.lease.id, ids[2]);
    assert!(store.claim("you", LEASE, 9).await.unwrap().is_empty());
    // Given back for later, with and without spending a try.
    store.reschedule(&claimed[0].lease, Duration::from_secs(3600), true, false, None).await.unwrap();
    store.reschedule(&claimed[1].lease, Duration::ZERO, false, false, None).await.unwrap();
    let again = claim_one(store).await;
    assert_eq!((again.lease.id, again.lease.fence, again.tries), (claimed[1].lease.id, 2, 0));
    let due = store.next_due().await.unwrap().unwrap();
    assert!(due > Duration::from_secs(30) && due <= LEASE, "{due:?}");
    assert_eq!(store.operation(again.lease.id).await.unwrap().unwrap().state, State::Running);
}

async fn a_long_queue_is_claimed_in_its_order_and_whoever_comes_to_stand_before_it_is_not_passed_over(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let (queue, late) = (200, 150);
    for number in 0..queue {
        received(store, &format!("{number:03}")).await;
    }
    // As after hours: each has been due for a while. One is not yet.
    database.try_run("update operations set due_at = 1000000 + cast(operation_id as integer)").await.unwrap();
    database.try_run("update operations set due_at = 5000000000000000 where operation_id = '000'").await.unwrap();
    let mut seen = Vec::new();
    for number in 1..late {
        seen.extend(store.claim("me", LEASE, 1).await.unwrap());
        if number == 9 {
            database.try_run("update operations set due_at = 1000000 where operation_id = '000'").await.unwrap();
        }
    }
    // While more are due than are asked for, only every so often one looks at what has come to stand before the last.
    let of = |claimed: &[Claimed]| claimed.iter().map(|one| one.key.operation_id.to_string()).collect::<Vec<_>>();
    let (first, others): (Vec<_>, Vec<_>) = of(&seen).into_iter().partition(|id| id == "000");
    assert_eq!(first.len(), 1, "it was claimed before the queue was at its end");
    assert!(others.is_sorted() && others.len() == late - 2, "{others:?}");
    // Where there is less, all there is is looked at.
    database.try_run("update operations set due_at = 1000000 where operation_id = '000'").await.unwrap();
    let rest = of(&store.claim("me", LEASE, 200).await.unwrap());
    assert!(rest.len() == queue - late + 2 && rest.contains(&"000".to_owned()), "{rest:?}");
    assert!(store.claim("me", LEASE, 1).await.unwrap().is_empty());
}

async fn one_that_cannot_be_read_keeps_nobody_from_the_others(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    for id in ["a", "b", "c"] {
        received(store, id).await;
    }
    database.try_run("update operations set last_failure = 'of a later release' where operation_id = 'b'").await.unwrap();
    let claimed = store.claim("me", LEASE, 3).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|one| one.key.operation_id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
}

async fn a_stale_workers_writes_change_nothing(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let stale = Case::of(store.claim("me", Duration::ZERO, 1).await.unwrap().pop().unwrap(), "t");
    let fresh = Case::of(claim_one(store).await, "t");
    assert_eq!(fresh.claimed.lease.fence, 2);
    let lease = stale.claimed.lease;
    assert!(matches!(store.extend(&lease, LEASE).await, Err(StoreError::Fenced)));
    assert!(matches!(store.leased(&lease).await, Err(StoreError::Fenced)));
    assert!(matches!(store.resend(&lease).await, Err(StoreError::Fenced)));
    assert!(matches!(store.reschedule(&lease, LEASE, true, true, None).await, Err(StoreError::Fenced)));
    let judge = |ground: Ground| Ok(stale.ruling(&ground, Verdict::Approve, Step::Send));
    assert!(matches!(stale.try_decide(store, &judge).await, Err(StoreError::Fenced)));
    let ending = Ending::new(Outcome::Applied, Some(Verdict::Approve));
    let finishing = Finishing {
        lease,
        key: &stale.claimed.key,
        decision: None,
        ending: &ending,
        rules: RULES,
        ruling: None,
        replica: "me",
        deliver_within: None,
    };
    assert!(matches!(store.finish(finishing).await, Err(StoreError::Fenced)));
    assert_eq!(
        database
            .texts("select cast(count(*) as text) from outcomes union all select cast(count(*) as text) from decisions")
            .await,
        ["0", "0"]
    );
    store.extend(&fresh.claimed.lease, LEASE).await.unwrap();
    // After the end nobody writes any more, not even the last worker.
    let ruling = fresh.approve(store).await;
    fresh.finish(store, Some(ruling.record.id), Outcome::Applied).await;
    assert!(matches!(store.reschedule(&fresh.claimed.lease, LEASE, true, true, None).await, Err(StoreError::Fenced)));
    assert!(matches!(store.extend(&fresh.claimed.lease, LEASE).await, Err(StoreError::Fenced)));
}

async fn what_is_over_leaves_the_queue_and_is_found_as_before(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let outcomes = [
        ("approved", Outcome::Applied),
        ("failed", Outcome::Failed),
        ("superseded", Outcome::Superseded),
        ("unknown", Outcome::Unknown),
    ];
    for (id, outcome) in outcomes {
        received(store, id).await;
        let case = Case::of(claim_one(store).await, id);
        let ruling = case.approve(store).await;
        case.finish(store, Some(ruling.record.id), outcome).await;
    }
    received(store, "open").await;
    let message = |id: &str| new(&format!("msg-{id}"), id);
    let known = async |new| match store.receive(new).await.unwrap() {
        Received::Known(view) => view,
        other => panic!("{other:?}"),
    };
    let mut before = Vec::new();
    for id in ["approved", "failed", "superseded", "unknown", "open"] {
        before.push((id, known(message(id)).await));
    }
    // What has just ended stays, and what is open or has to be seen to stays however long ago it came.
    assert_eq!(store.retire(None, Duration::from_secs(60)).await.unwrap(), None);
    let queue = "select operation_id from operations order by id";
    assert_eq!(database.texts(queue).await.len(), 5);
    assert_eq!(store.retire(None, Duration::ZERO).await.unwrap(), None);
    assert_eq!(database.texts(queue).await, ["unknown", "open"]);
    for (id, view) in before {
        assert_eq!(store.operation(view.id).await.unwrap().unwrap(), view);
        assert_eq!(known(message(id)).await, view);
        match store.receive(new(&format!("again-{id}"), id)).await.unwrap() {
            Received::New(fresh, None) => assert!(id == "failed" && fresh.id != view.id, "{id}"),
            Received::Known(known) => assert!(id != "failed" && known == view, "{id}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(known(message(id)).await, view);
    }
    // The verdict that was committed before is known to whoever decides once more.
    let again = store.claim("me", LEASE, 9).await.unwrap().into_iter().find(|one| one.key.operation_id.as_str() == "failed");
    let mut again = Case::of(again.unwrap(), "failed");
    again.seen = store.lane_facts(&again.lane, None).await.unwrap().version;
    let committed = std::sync::Mutex::new(None);
    let judge = |ground: Ground| {
        *committed.lock().unwrap() = ground.committed;
        Ok(again.ruling(&ground, Verdict::Approve, Step::Send))
    };
    assert!(matches!(again.try_decide(store, &judge).await.unwrap(), Decided::Ruled { .. }));
    assert_eq!(*committed.lock().unwrap(), Some(Verdict::Approve));
}

/// The release before does not know where they go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_the_queue_while_an_older_release_works_beside_this_one() {
    let (database, store) = open(Backend::Postgres).await;
    received(store.as_ref(), "a").await;
    Case::of(claim_one(store.as_ref()).await, "a").finish(store.as_ref(), None, Outcome::Superseded).await;
    let left = "select cast(count(*) as text) from finished_operations";
    for older in ["assent", "assent 20261128000000"] {
        let options: sqlx::postgres::PgConnectOptions = database.url.parse().unwrap();
        let pool = sqlx::PgPool::connect_with(options.application_name(older)).await.unwrap();
        assert_eq!(store.retire(None, Duration::ZERO).await.unwrap(), None);
        pool.close().await;
        assert_eq!(database.texts(left).await, ["0"]);
    }
    let gone = "select cast(count(*) as text) from pg_stat_activity where datname = current_database() and application_name in ('assent', 'assent 20261128000000')";
    while database.texts(gone).await != ["0"] {}
    store.retire(None, Duration::ZERO).await.unwrap();
    assert_eq!(database.texts(left).await, ["1"]);
    // The way back to an older release, as it is written for operators.
    let page = std::fs::read_to_string("docs/operations.md").unwrap();
    let back = page.split("```").find(|part| part.starts_with("sql") && part.contains("finished_operations")).unwrap();
    for statement in back.trim_start_matches("sql").split(';').filter(|part| !part.trim().is_empty()) {
        assert_eq!(database.try_run(statement).await, Ok(1), "{statement}");
    }
    assert_eq!(database.texts(left).await, ["0"]);
    assert!(matches!(store.receive(new("again", "a")).await.unwrap(), Received::Known(view) if view.state == State::Superseded));
}
