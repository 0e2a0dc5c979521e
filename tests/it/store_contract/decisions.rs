//! The contract of deciding and ending: lanes, limits, flows, intents, and the records that follow.

use super::*;
use crate::harness::on_both;

on_both!(
    a_decision_is_written_with_its_intent_and_read_back,
    a_lane_has_one_operation_in_flight_and_is_handed_on_in_order_of_arrival,
    facts_older_than_the_lane_are_gathered_again,
    whoever_holds_a_lane_goes_on_although_it_is_somebodys_turn,
    an_escalation_holds_no_lane,
    places_in_limits_are_counted_kept_and_released,
    a_superseded_flow_is_continued_by_id_and_by_equal_intent_but_not_by_another_intent,
    a_verdict_that_was_committed_before_is_told_to_the_judge,
    a_judge_that_fails_leaves_nothing_behind,
    a_person_has_one_key_for_ever,
    a_tresors_creator_is_remembered_once_its_creation_is_applied,
    a_crash_over_an_operation_spends_a_try,
);

async fn a_decision_is_written_with_its_intent_and_read_back(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let id = received(store, "a").await;
    let case = Case::of(claim_one(store).await, "t");
    let ruling = case.approve(store).await;
    let sent = store.leased(&case.claimed.lease).await.unwrap().sent.unwrap();
    assert_eq!((sent.decision, sent.verdict, sent.sends), (ruling.record.id, Verdict::Approve, 1));
    assert_eq!(sent.members_before.unwrap(), [user("ann")]);
    assert_eq!(store.intent_of(ruling.record.id).await.unwrap(), case.intent);
    assert_eq!(store.resend(&case.claimed.lease).await.unwrap(), 2);
    case.finish(store, Some(ruling.record.id), Outcome::Applied).await;
    let view = store.operation(id).await.unwrap().unwrap();
    let decision = view.decision.unwrap();
    assert_eq!((view.state, decision.verdict, decision.reason.as_str()), (State::Approved, Verdict::Approve, "because"));
    assert_eq!(
        (decision.rules, decision.message, decision.policy_hash),
        (vec!["r".to_owned()], Some("message".to_owned()), "hash".to_owned())
    );
    let outcome = view.outcome.unwrap();
    assert_eq!((outcome.outcome, outcome.error_code.as_deref()), (Outcome::Applied, Some("Code")));
    assert_eq!(
        database.texts("select verdict || ' ' || outcome || ' ' || detail from decision_history").await,
        ["approve applied detail"]
    );
    assert_eq!(database.texts("select body from policies where hash = 'hash'").await, ["body"]);
    assert_eq!(database.texts("select cast(count(*) as text) from operations where payload is not null").await, ["0"]);
}

async fn a_lane_has_one_operation_in_flight_and_is_handed_on_in_order_of_arrival(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let mut cases = vec![];
    for id in ["a", "b", "c"] {
        received(store, id).await;
        cases.push(Case::of(claim_one(store).await, "t"));
    }
    let ruling = cases[0].approve(store).await;
    // The later one comes first to the lane, and still waits behind the earlier one.
    for case in [&cases[2], &cases[1]] {
        assert!(matches!(case.decide(store, Verdict::Approve, Step::Send).await, Decided::Parked(_)));
    }
    assert!(store.claim("me", LEASE, 9).await.unwrap().is_empty(), "who waits in line is not due");
    let next = cases[0].finish(store, Some(ruling.record.id), Outcome::Applied).await;
    assert_eq!(next, Some(cases[1].claimed.lease.id));
    let handed = claim_one(store).await;
    assert_eq!(handed.lease.id, cases[1].claimed.lease.id);
    // A newcomer does not overtake whoever was given the lane.
    received(store, "d").await;
    let newcomer = Case::of(claim_one(store).await, "t");
    assert!(matches!(newcomer.decide(store, Verdict::Approve, Step::Send).await, Decided::Parked(_)));
    let mut second = Case::of(handed, "t");
    second.seen = store.lane_facts(&second.lane, None).await.unwrap().version;
    assert_eq!(second.seen, 1);
    second.approve(store).await;
    let forced = database.try_run("update operations set lane = 'tresor:t' where operation_id = 'd'").await;
    assert!(forced.is_err(), "a unique index, not care, keeps a lane to one operation");
    // Another lane is free.
    received(store, "e").await;
    Case::of(claim_one(store).await, "other").approve(store).await;
}

async fn facts_older_than_the_lane_are_gathered_again(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let first = Case::of(claim_one(store).await, "t");
    let ruling = first.approve(store).await;
    first.finish(store, Some(ruling.record.id), Outcome::Applied).await;
    received(store, "b").await;
    let mut second = Case::of(claim_one(store).await, "t");
    assert!(matches!(second.decide(store, Verdict::Approve, Step::Send).await, Decided::Stale));
    // The lane is taken meanwhile, so that nobody else moves it.
    received(store, "c").await;
    let mut third = Case::of(claim_one(store).await, "t");
    third.seen = 1;
    assert!(matches!(third.decide(store, Verdict::Approve, Step::Send).await, Decided::Parked(_)));
    second.seen = 1;
    second.approve(store).await;
}

async fn whoever_holds_a_lane_goes_on_although_it_is_somebodys_turn(backend: Backend) {
    // The release before this one takes lanes without asking for turns, and leaves the turn of whoever comes back as it is.
    for turn_until in ["9000000000000000", "1"] {
        let (database, store) = open(backend).await;
        let store = store.as_ref();
        let id = received(store, "a").await;
        let case = Case::of(claim_one(store).await, "t");
        let lane = case.lane.as_str();
        let hold = format!("update operations set lane = '{lane}', place_in_line = received_at, attempt = 2");
        database.try_run(&hold).await.unwrap();
        let turn = format!(
            "insert into flows (id, intent, attempts, lane, since, turn_since, turn_until) select flow_id, 'x', 2, '{lane}', 1, 1, {turn_until} from operations"
        );
        database.try_run(&turn).await.unwrap();
        let ruling = case.approve(store).await;
        case.finish(store, Some(ruling.record.id), Outcome::Applied).await;
        assert_eq!(store.operation(id).await.unwrap().unwrap().state, State::Approved);
        assert_eq!(database.texts("select id from flows where turn_until is not null").await, [""; 0]);
    }
}

async fn an_escalation_holds_no_lane(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    let id = received(store, "a").await;
    let case = Case::of(claim_one(store).await, "t");
    let decided = case.decide(store, Verdict::Escalate, Step::AwaitReview).await;
    assert!(matches!(decided, Decided::Ruled { sent: None, passed: Passed { handed_to: None, .. }, .. }));
    let view = store.operation(id).await.unwrap().unwrap();
    assert_eq!((view.state, view.outcome), (State::Escalated, None));
    assert_eq!(store.next_due().await.unwrap(), None);
    received(store, "b").await;
    Case::of(claim_one(store).await, "t").approve(store).await;
}

async fn places_in_limits_are_counted_kept_and_released(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    // Each on a lane of its own; what the limit saw, and how it ends.
    let expected = [
        (0, Outcome::Applied),
        (1, Outcome::Failed),
        (1, Outcome::Unknown),
        (2, Outcome::Superseded),
        (2, Outcome::Applied),
        (3, Outcome::Applied),
    ];
    for (index, (seen, outcome)) in expected.into_iter().enumerate() {
        let name = format!("op{index}");
        received(store, &name).await;
        let mut case = Case::of(claim_one(store).await, &name);
        case.queries = vec![
            ("limit".into(), "share|actor.id|ann".into(), Duration::from_secs(60)),
            ("none".into(), "share|actor.id|ann".into(), Duration::ZERO),
        ];
        case.places = vec!["share|actor.id|ann".into()];
        let counted = std::sync::Mutex::new(None);
        let judge = |ground: Ground| {
            *counted.lock().unwrap() = Some((ground.counts["limit"], ground.counts["none"]));
            Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
        };
        let Decided::Ruled { ruling, .. } = case.try_decide(store, &judge).await.unwrap() else { panic!() };
        assert_eq!(counted.into_inner().unwrap().unwrap(), (seen, 0), "{index}");
        case.finish(store, Some(ruling.record.id), outcome).await;
    }
}

async fn a_superseded_flow_is_continued_by_id_and_by_equal_intent_but_not_by_another_intent(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    let mut version = 0;
    let mut attempt = async |id: &str, flow: Option<FlowId>, subject: &str, kind: Kind| {
        received(store, id).await;
        let mut case = Case::of(claim_one(store).await, "t");
        case.intent.subject = Some(user(subject));
        case.intent.kind = kind;
        case.seen = version;
        case.flow = flow;
        let ruling = case.approve(store).await;
        case.finish(store, Some(ruling.record.id), Outcome::Superseded).await;
        version += 1;
        (ruling.record.flow, ruling.record.attempt)
    };
    let (flow, first) = attempt("a", None, "bob", Kind::Share).await;
    assert_eq!(first, 1);
    assert_eq!(attempt("b", Some(flow), "bob", Kind::Share).await, (flow, 2), "by id");
    assert_eq!(attempt("c", None, "bob", Kind::Share).await, (flow, 3), "by equal intent");
    let (other, first) = attempt("d", Some(flow), "cleo", Kind::Share).await;
    assert!(other != flow && first == 1, "another intent is another flow, whatever it says");
    assert_eq!(
        attempt("e", Some(FlowId::generate()), "bob", Kind::Share).await,
        (flow, 4),
        "an id that nobody gave out says nothing"
    );
    let (link, _) = attempt("f", None, "-", Kind::InvitationLinkCreation).await;
    assert_ne!(attempt("g", None, "-", Kind::InvitationLinkCreation).await.0, link, "two links are two intents");
    assert_eq!(attempt("h", Some(link), "-", Kind::InvitationLinkCreation).await, (link, 2), "unless the client says otherwise");
}

async fn a_verdict_that_was_committed_before_is_told_to_the_judge(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let case = Case::of(claim_one(store).await, "t");
    let first = case.approve(store).await;
    // A clear answer said that nothing was done: it runs again, and the judge hears what was committed.
    store.reschedule(&case.claimed.lease, Duration::ZERO, true, true, None).await.unwrap();
    let claimed = claim_one(store).await;
    assert!(claimed.sent.is_none(), "nothing is at the platform");
    assert_eq!(claimed.decision, Some(first.record.id));
    let case = Case::of(claimed, "t");
    let heard = std::sync::Mutex::new(None);
    let judge = |ground: Ground| {
        *heard.lock().unwrap() = ground.committed;
        Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
    };
    let Decided::Ruled { ruling, sent, .. } = case.try_decide(store, &judge).await.unwrap() else { panic!() };
    assert_eq!(heard.into_inner().unwrap(), Some(Verdict::Approve));
    // Each ruling is a decision on its own facts; the operation, and so its outcome, belongs to the last.
    assert_ne!(ruling.record.id, first.record.id);
    assert_eq!(sent.unwrap().decision, ruling.record.id);
    assert_eq!(store.leased(&case.claimed.lease).await.unwrap().decision, Some(ruling.record.id));
    assert_eq!(database.texts("select cast(count(*) as text) from decisions").await, ["2"]);
    assert_eq!((ruling.record.flow, ruling.record.attempt), (first.record.flow, 1), "and the attempt is the same");
    // And so does the judge of a later attempt at the same operation.
    case.finish(store, Some(ruling.record.id), Outcome::Failed).await;
    store.receive(new("again", "a")).await.unwrap();
    let mut case = Case::of(claim_one(store).await, "t");
    case.seen = 1;
    let heard = std::sync::Mutex::new(None);
    let judge = |ground: Ground| {
        *heard.lock().unwrap() = ground.committed;
        Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
    };
    case.try_decide(store, &judge).await.unwrap();
    assert_eq!(heard.into_inner().unwrap(), Some(Verdict::Approve));
}

async fn a_judge_that_fails_leaves_nothing_behind(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let case = Case::of(claim_one(store).await, "t");
    let failed = case.try_decide(store, &|_| Err("no key".to_owned().into())).await;
    assert!(matches!(failed, Err(StoreError::Judge(cause)) if cause == "no key"));
    let counts = "select cast(count(*) as text) from decisions union all select cast(count(*) as text) from flows union all select cast(count(*) as text) from lanes";
    assert_eq!(database.texts(counts).await, ["0", "0", "0"]);
    case.approve(store).await;
}

async fn a_person_has_one_key_for_ever(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    let master = MasterKey::generate().unwrap();
    let mut keys = vec![];
    for id in ["a", "b"] {
        received(store, id).await;
        let mut case = Case::of(claim_one(store).await, id);
        case.persons =
            ["ann", "bob"].map(|name| Person { id: user(name), fresh_key: master.new_person_key(name).unwrap() }).to_vec();
        let seen = std::sync::Mutex::new(None);
        let judge = |ground: Ground| {
            *seen.lock().unwrap() = Some(ground.person_keys.clone());
            Ok(case.ruling(&ground, Verdict::Approve, Step::Send))
        };
        case.try_decide(store, &judge).await.unwrap();
        keys.push(seen.into_inner().unwrap().unwrap());
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0].len(), 2);
    assert!(master.person_key("ann", &keys[0][&user("ann")]).is_ok());
}

async fn a_tresors_creator_is_remembered_once_its_creation_is_applied(backend: Backend) {
    let (database, store) = open(backend).await;
    let store = store.as_ref();
    let ends = [("t1", Outcome::Applied, true), ("t2", Outcome::Failed, false), ("t3", Outcome::Unknown, false)];
    for (tresor, outcome, known) in ends {
        let new = NewOperation {
            key: OperationKey { kind: Kind::TresorCreation, operation_id: OperationId::new(tresor).unwrap() },
            ..new(tresor, tresor)
        };
        store.receive(new).await.unwrap();
        let mut case = Case::of(claim_one(store).await, tresor);
        case.intent = Intent { kind: Kind::TresorCreation, subject: None, ..share(tresor) };
        let ruling = case.approve(store).await;
        case.finish(store, Some(ruling.record.id), outcome).await;
        let facts = store.lane_facts(&case.lane, Some(tresor)).await.unwrap();
        assert_eq!((facts.version, facts.creator), (1, known.then(|| user("ann"))));
    }
    // What is found out of the last one days later was so before.
    let of_last = "from operations where operation_id = 't3'";
    database.try_run("update operations set settled_at = settled_at - 86400000000 where operation_id = 't3'").await.unwrap();
    let unknown = database.texts(format!("select id || ' ' || cast(settled_at as text) {of_last}")).await.concat();
    let (id, since) = unknown.split_once(' ').unwrap();
    let resolved = store.resolve(RecordId::parse(id).unwrap(), true, "olga", "it is there", RULES).await.unwrap();
    assert!(matches!(resolved, assent::store::Resolved::Closed(_)), "{resolved:?}");
    assert_eq!(database.texts("select cast(created_at as text) from tresors where id = 't3'").await, [since]);
}

async fn a_crash_over_an_operation_spends_a_try(backend: Backend) {
    let (_database, store) = open(backend).await;
    let store = store.as_ref();
    received(store, "a").await;
    let mut tries = vec![];
    for _ in 0..3 {
        // A lease of nothing: the owner never came back.
        tries.push(store.claim("me", Duration::ZERO, 1).await.unwrap().pop().unwrap().tries);
    }
    assert_eq!(tries, [0, 1, 2]);
}
