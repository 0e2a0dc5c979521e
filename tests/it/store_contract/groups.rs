//! The contract of many at once: whatever goes into one transaction together, each is what it would be by itself.

use super::*;
use crate::harness::on_both;
use assent::domain::ids::EventId;
use assent::store::Delivery;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::task::JoinSet;

on_both!(
    messages_that_come_together_are_each_stored_once,
    of_many_at_once_no_more_have_a_place_than_there_are,
    of_many_on_one_lane_one_has_it_and_the_others_stand_in_line,
    many_end_together_and_a_stale_worker_stands_in_nobodys_way,
    a_fresh_event_is_handed_over_unless_an_earlier_one_of_its_flow_waits,
    what_another_replica_did_is_not_overlooked,
);

async fn messages_that_come_together_are_each_stored_once(backend: Backend) {
    let (database, store) = open(backend).await;
    let mut messages = JoinSet::new();
    for number in 0..30 {
        let (message, id) = (format!("m{number}"), format!("o{number}"));
        let again = NewOperation { id: RecordId::generate(), ..new(&message, &id) };
        let other_body = NewOperation { body_mac: "other".into(), ..new(&message, &id) };
        let other_message = new(&format!("other-{number}"), &id);
        for (what, new) in [("first", new(&message, &id)), ("again", again), ("body", other_body), ("message", other_message)] {
            let store = Arc::clone(&store);
            messages.spawn(async move { (number, what, store.receive(new).await.unwrap()) });
        }
    }
    let mut records: BTreeMap<i32, Vec<(&str, String)>> = BTreeMap::new();
    while let Some(answered) = messages.join_next().await {
        let (number, what, received) = answered.unwrap();
        let record = match received {
            Received::New(view, _) | Received::Known(view) => view.id.to_string(),
            Received::WebhookReused => "reused".to_owned(),
            Received::Incomplete => panic!("nothing is missing"),
        };
        records.entry(number).or_default().push((what, record));
    }
    for answers in records.values() {
        let record = &answers.iter().find(|(what, _)| *what == "message").unwrap().1;
        for (what, answer) in answers {
            // Of one message's two bodies whichever came first was taken.
            assert!(answer == record || (*what != "message" && answer == "reused"), "{answers:?}");
        }
        assert!(answers.iter().any(|(_, answer)| answer == "reused"), "{answers:?}");
    }
    let count = |what: &str| format!("select cast(count(*) as text) from {what}");
    assert_eq!(database.texts(count("operations")).await, ["30"]);
    let lost = "notifications n where not exists (select 1 from operations o where o.id = n.record_id)";
    assert_eq!(database.texts(count(lost)).await, ["0"], "no message points to nothing");
}

/// Operations that were claimed, each on a tresor of its own.
async fn claimed(store: &Arc<dyn Store>, count: usize, tresor: impl Fn(usize) -> String) -> Vec<Case> {
    for number in 0..count {
        received(store.as_ref(), &format!("op-{number}")).await;
    }
    let claimed = store.claim("me", LEASE, u32::try_from(count).unwrap()).await.unwrap();
    claimed.into_iter().enumerate().map(|(number, claimed)| Case::of(claimed, &tresor(number))).collect()
}

/// The first decision archives the policy by itself; those after it go together.
async fn archive(store: &dyn Store) {
    received(store, "archives").await;
    let mut case = Case::of(claim_one(store).await, "archives");
    case.lane = Lane::of(&case.intent);
    case.approve(store).await;
}

async fn of_many_at_once_no_more_have_a_place_than_there_are(backend: Backend) {
    let (database, store) = open(backend).await;
    archive(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    for mut case in claimed(&store, 24, |number| format!("tresor-{number}")).await {
        case.queries = vec![("window".to_owned(), "shares|ann".to_owned(), Duration::from_secs(3600))];
        case.places = vec!["shares|ann".to_owned()];
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let judge = |ground: Ground| {
                let verdict = if ground.counts["window"] < 5 { Verdict::Approve } else { Verdict::Reject };
                Ok(case.ruling(&ground, verdict, Step::Send))
            };
            match case.try_decide(store.as_ref(), &judge).await.unwrap() {
                Decided::Ruled { ruling, sent: Some(_), .. } => ruling.record.verdict,
                other => panic!("{other:?}"),
            }
        });
    }
    let verdicts = tasks.join_all().await;
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Approve).count(), 5);
    assert_eq!(database.texts("select cast(count(*) as text) from limit_places").await, ["5"]);
    assert_eq!(database.texts("select cast(count(*) as text) from decisions").await, ["25"]);
}

async fn of_many_on_one_lane_one_has_it_and_the_others_stand_in_line(backend: Backend) {
    let (database, store) = open(backend).await;
    archive(store.as_ref()).await;
    let cases: Vec<_> = claimed(&store, 12, |_| "one".to_owned()).await.into_iter().map(Arc::new).collect();
    let mut tasks = JoinSet::new();
    for case in &cases {
        let (store, case) = (Arc::clone(&store), Arc::clone(case));
        tasks.spawn(async move {
            let judge = |ground: Ground| Ok(case.ruling(&ground, Verdict::Approve, Step::Send));
            (Arc::clone(&case), case.try_decide(store.as_ref(), &judge).await.unwrap())
        });
    }
    let mut winner = None;
    for (case, decided) in tasks.join_all().await {
        match decided {
            Decided::Ruled { ruling, sent: Some(_), .. } => {
                assert!(winner.replace((case, ruling)).is_none(), "two have the lane")
            }
            Decided::Parked(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let (case, ruling) = winner.unwrap();
    assert_eq!(database.texts("select cast(count(*) as text) from operations where parked_on is not null").await, ["11"]);
    // The line moves by one, although the end could have gone together with others.
    let next = finish_with(&store, &case, &ruling, None).await.unwrap().passed.handed_to.unwrap();
    assert_eq!(claim_one(store.as_ref()).await.lease.id, next);
    let first = "select id from operations where kind = 'share' and operation_id like 'op-%' and state <> 'approved' order by received_at, id limit 1";
    assert_eq!(database.texts(first).await, [next.to_string()]);
}

pub(super) async fn finish_with(
    store: &Arc<dyn Store>,
    case: &Case,
    ruling: &Ruling,
    deliver_within: Option<Duration>,
) -> Result<assent::store::Finished, StoreError> {
    end_with(store.as_ref(), case, ruling, Outcome::Applied, deliver_within).await
}

async fn many_end_together_and_a_stale_worker_stands_in_nobodys_way(backend: Backend) {
    let (database, store) = open(backend).await;
    archive(store.as_ref()).await;
    let mut tasks = JoinSet::new();
    let stale = Mutex::new(0);
    for case in claimed(&store, 16, |number| format!("tresor-{number}")).await {
        let ruling = case.approve(store.as_ref()).await;
        let is_stale = {
            let mut stale = stale.lock().unwrap();
            *stale += 1;
            *stale % 5 == 0
        };
        if is_stale {
            let taken = format!("update operations set fence = fence + 1 where id = '{}'", case.claimed.lease.id);
            database.try_run(&taken).await.unwrap();
        }
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let finished = finish_with(&store, &case, &ruling, None).await;
            (case, is_stale, finished)
        });
    }
    for (case, is_stale, finished) in tasks.join_all().await {
        let id = case.claimed.lease.id;
        let view = store.operation(id).await.unwrap().unwrap();
        if is_stale {
            assert!(matches!(finished, Err(StoreError::Fenced)), "{finished:?}");
            assert_eq!((view.state, view.outcome), (State::Running, None));
            continue;
        }
        let finished = finished.unwrap();
        let outcome = view.outcome.unwrap();
        assert_eq!((view.state, outcome.outcome), (State::Approved, Outcome::Applied));
        // What whoever waits is told without looking is what it would have found, to the microsecond.
        assert_eq!(finished.at, (backend == Backend::Postgres).then_some(outcome.at));
        let body = database.texts(format!("select body from events where record_id = '{id}'")).await.pop().unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(), outcome.at);
        assert_eq!((&body["type"], &body["data"]["id"]), (&json!("operation.approved"), &json!(id)));
        assert_eq!(store.lane_facts(&case.lane, None).await.unwrap().version, 1);
    }
    assert_eq!(database.texts("select cast(count(*) as text) from outcomes").await, ["13"]);
}

async fn a_fresh_event_is_handed_over_unless_an_earlier_one_of_its_flow_waits(backend: Backend) {
    let (database, store) = open(backend).await;
    archive(store.as_ref()).await;
    let mut handed_over = Vec::new();
    for (number, case) in claimed(&store, 2, |number| format!("tresor-{number}")).await.into_iter().enumerate() {
        let ruling = case.approve(store.as_ref()).await;
        if number == 1 {
            let earlier = format!(
                "insert into events (id, record_id, flow_id, type, body, created_at, due_at) values ('evt_{}', 'r', '{}', 'operation.escalated', '{{}}', 1, 1)",
                EventId::generate().0.simple(),
                ruling.record.flow
            );
            database.try_run(&earlier).await.unwrap();
        }
        handed_over.push(finish_with(&store, &case, &ruling, Some(LEASE)).await.unwrap().event);
    }
    assert_eq!(handed_over[0].is_some(), backend == Backend::Postgres);
    assert!(handed_over[1].is_none(), "the earlier one comes first");
    let claimed = store.claim_events("me", LEASE, 9).await.unwrap();
    // A database that hands nothing over has both of them found by looking.
    let mut fresh = handed_over.swap_remove(0).into_iter().chain(claimed).collect::<Vec<_>>();
    fresh.sort_by_key(|event| event.event_type.clone());
    let types: Vec<_> = fresh.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["operation.approved", "operation.escalated"]);
    let stored = database.texts(format!("select body from events where id = '{}'", fresh[0].id)).await;
    assert_eq!(stored, [fresh[0].body.clone()], "byte for byte what is stored");
    let done = Delivery::Done("HTTP 204".into());
    assert!(!store.finish_event(fresh[0].lease, &done).await.unwrap(), "nothing else of that flow");
    assert!(matches!(store.finish_event(fresh[0].lease, &done).await, Err(StoreError::Fenced)), "once");
    assert!(store.finish_event(fresh[1].lease, &done).await.unwrap(), "the next of that flow waited for it");
    assert_eq!(store.claim_events("me", LEASE, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_comes_while_somebody_judges_stops_the_ruling() {
    let (database, store) = open(Backend::Postgres).await;
    archive(store.as_ref()).await;
    for scope in [assent::store::EVERYTHING, "tresor:t"] {
        received(store.as_ref(), scope).await;
        let mut case = Case::of(claim_one(store.as_ref()).await, "t");
        case.seen = store.lane_facts(&case.lane, None).await.unwrap().version;
        let judge = |ground: Ground| {
            // No lock is held meanwhile, so the command returns at once.
            let paused = store.pause(scope, "olga", None);
            let paused = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(paused));
            assert!(paused.unwrap());
            Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
        };
        let decided = case.try_decide(store.as_ref(), &judge).await.unwrap();
        assert!(matches!(decided, Decided::Parked(_)), "{decided:?}");
        let paused_on = format!("select paused_on from operations where id = '{}'", case.claimed.lease.id);
        assert_eq!(database.texts(paused_on).await, [scope]);
        assert_eq!(store.resume(scope, "olga", None).await.unwrap(), Some(1));
        database.try_run("update operations set due_at = null, state = 'failed' where operation_id <> 'archives'").await.unwrap();
    }
    assert_eq!(database.texts("select cast(count(*) as text) from decisions").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_not_noticed_by_whoever_reports() {
    let (database, store) = open(Backend::Postgres).await;
    archive(store.as_ref()).await;
    for round in 0..3 {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        database.try_run(cut).await.unwrap();
        let id = format!("op-{round}");
        received(store.as_ref(), &id).await;
        let case = Case::of(claim_one(store.as_ref()).await, &id);
        database.try_run(cut).await.unwrap();
        assert_eq!(store.lane_facts(&case.lane, None).await.unwrap().version, 0);
        database.try_run(cut).await.unwrap();
        // Nobody knows what became of a decision that was cut off: whoever wrote it gives the operation back and takes it up again.
        let ruled = case.try_decide(store.as_ref(), &|ground| Ok(case.ruling(&ground, Verdict::Approve, Step::Send))).await;
        if ruled.is_err_and(|error| matches!(error, StoreError::Unreachable(_))) {
            store.reschedule(&case.claimed.lease, Duration::ZERO, false, false, None).await.unwrap();
            let claimed = claim_one(store.as_ref()).await;
            if claimed.sent.is_none() {
                Case::of(claimed, &id).approve(store.as_ref()).await;
            }
        }
    }
    assert_eq!(database.texts("select cast(count(*) as text) from decisions where operation_id like 'op-%'").await, ["3"]);
}

async fn what_another_replica_did_is_not_overlooked(backend: Backend) {
    let (database, here) = open(backend).await;
    let there = database.open().await;
    archive(here.as_ref()).await;
    let counter = ("limit".to_owned(), "counter".to_owned(), Duration::from_secs(3600));
    let begin = async |id: &str, tresor: &str| {
        received(here.as_ref(), id).await;
        let mut case = Case::of(claim_one(here.as_ref()).await, tresor);
        case.queries = vec![counter.clone()];
        case.places = vec!["counter".into()];
        case.seen = here.lane_facts(&case.lane, None).await.unwrap().version;
        case
    };
    let counts = Mutex::new(Vec::new());
    let approve = async |case: &Case, store: &dyn Store| {
        let judge = |ground: Ground| {
            counts.lock().unwrap().push(ground.counts["limit"]);
            Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
        };
        let decided = case.try_decide(store, &judge).await.unwrap();
        (counts.lock().unwrap().pop(), decided)
    };
    let end = async |case: &Case, decided: Decided, store: &dyn Store, outcome| {
        let Decided::Ruled { ruling, .. } = decided else { panic!("{decided:?}") };
        end_with(store, case, &ruling, outcome, None).await.unwrap();
    };
    // Seen here, and taken there: a place.
    let one = begin("op-1", "one").await;
    let (seen, decided) = approve(&one, here.as_ref()).await;
    assert_eq!(seen, Some(0));
    end(&one, decided, here.as_ref(), Outcome::Applied).await;
    let two = begin("op-2", "two").await;
    let (seen, decided) = approve(&two, there.as_ref()).await;
    assert_eq!(seen, Some(1));
    let three = begin("op-3", "three").await;
    let (seen, decided_here) = approve(&three, here.as_ref()).await;
    assert_eq!(seen, Some(2));
    end(&three, decided_here, here.as_ref(), Outcome::Applied).await;
    // Given back there.
    end(&two, decided, there.as_ref(), Outcome::Failed).await;
    let four = begin("op-4", "four").await;
    let (seen, decided) = approve(&four, here.as_ref()).await;
    assert_eq!(seen, Some(2));
    end(&four, decided, here.as_ref(), Outcome::Applied).await;
    // A lane that was free here is held there, then freed there with something changed on it.
    let mut late = begin("op-5", "one").await;
    let holder = begin("op-6", "one").await;
    let (_, decided) = approve(&holder, there.as_ref()).await;
    assert!(matches!(approve(&late, here.as_ref()).await.1, Decided::Parked(_)));
    end(&holder, decided, there.as_ref(), Outcome::Applied).await;
    late.claimed = claim_one(here.as_ref()).await;
    assert!(matches!(approve(&late, here.as_ref()).await.1, Decided::Stale));
    late.seen = here.lane_facts(&late.lane, None).await.unwrap().version;
    assert!(matches!(approve(&late, here.as_ref()).await, (Some(4), Decided::Ruled { .. })));
    // And one that was changed there between two looks.
    let stale = begin("op-7", "two").await;
    let mut other = begin("op-8", "two").await;
    other.seen = there.lane_facts(&other.lane, None).await.unwrap().version;
    let (_, decided) = approve(&other, there.as_ref()).await;
    end(&other, decided, there.as_ref(), Outcome::Applied).await;
    assert!(matches!(approve(&stale, here.as_ref()).await.1, Decided::Stale));
}
