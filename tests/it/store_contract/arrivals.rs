//! The contract of what is stored together with its decision: the same rows as in two transactions, or none.

use super::groups::finish_with;
use super::*;
use tokio::task::JoinSet;

const HOUR: Duration = Duration::from_secs(3600);

/// A message that comes in on a tresor, and counts.
struct Coming {
    new: NewOperation,
    case: Case,
}

impl Coming {
    async fn new(store: &dyn Store, id: &str, tresor: &str) -> Self {
        let mut coming = Self::guessed(id, tresor);
        coming.case.seen = store.lane_facts(&coming.case.lane, Some(tresor)).await.unwrap().version;
        coming
    }

    /// Nobody has asked how its lane stands.
    fn guessed(id: &str, tresor: &str) -> Self {
        let new = NewOperation { lease: Some(LEASE), ..new(&format!("msg-{id}"), id) };
        let mut case = Case::of(new.claimed(), tresor);
        case.queries = vec![("window".into(), format!("shares|{tresor}"), HOUR)];
        case.places = vec![format!("shares|{tresor}")];
        Self { new, case }
    }

    /// The creation of a tresor.
    fn creation(tresor: &str) -> Self {
        let mut coming = Self::guessed(tresor, tresor);
        let key = OperationKey { kind: Kind::TresorCreation, operation_id: OperationId::new(tresor).unwrap() };
        (coming.new.key, coming.case.claimed.key) = (key.clone(), key);
        coming.case.intent = Intent { kind: Kind::TresorCreation, subject: None, ..share(tresor) };
        coming
    }

    async fn decide(&self, store: &dyn Store) -> Option<Ruling> {
        self.decide_as(store, Step::Send).await
    }

    async fn decide_as(&self, store: &dyn Store, step: Step) -> Option<Ruling> {
        self.decide_by(store, &|ground| Ok(self.case.ruling(&ground, Verdict::Approve, step.clone()))).await
    }

    async fn decide_by(&self, store: &dyn Store, judge: assent::store::Judge<'_>) -> Option<Ruling> {
        match store.decide_arrival(&self.new, self.case.deciding(&[user("ann")]), judge).await.unwrap() {
            Some(Decided::Ruled { ruling, sent: Some(sent), .. }) => {
                assert_eq!((sent.decision, sent.sends), (ruling.record.id, 1));
                Some(*ruling)
            }
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    }
}

/// Operations on a tresor, until all that one is judged by is known here: the policy, the lane and its counter.
async fn acquainted(store: &Arc<dyn Store>, tresor: &str) {
    for id in ["before", "first"] {
        let coming = Coming::new(store.as_ref(), &format!("{id}-on-{tresor}"), tresor).await;
        let ruling = match coming.decide(store.as_ref()).await {
            Some(ruling) => ruling,
            None => {
                assert!(matches!(store.receive(coming.new.clone()).await.unwrap(), Received::New(_, Some(_))));
                coming.case.approve(store.as_ref()).await
            }
        };
        finish_with(store, &coming.case, &ruling, None).await.unwrap();
    }
}

/// All that a message left behind, but for ids and times of its own.
async fn left_behind(database: &Database, new: &NewOperation) -> Vec<String> {
    let id = new.id;
    let operation = format!("select o.id, o.decision_id, o.flow_id from operations o where o.id = '{id}'");
    let rows = [
        "select (to_jsonb(o) - array['id', 'operation_id', 'flow_id', 'decision_id', 'received_at', 'due_at', 'decided_at', 'sent_at', 'place_in_line'])::text from operations o join own on o.id = own.id",
        "select (o.place_in_line - o.received_at, o.received_at > 0, o.due_at - o.received_at >= 60000000, o.sent_at >= o.received_at)::text from operations o join own on o.id = own.id",
        "select (webhook_id, body_mac, received_at > 0)::text from notifications n join own on n.record_id = own.id",
        "select (to_jsonb(d) - array['id', 'decided_at', 'operation_id', 'flow_id'])::text from decisions d join own on d.id::text = own.decision_id and d.flow_id::text = own.flow_id",
        "select (to_jsonb(f) - array['id', 'since'])::text from flows f join own on f.id = own.flow_id",
        "select p.limit_key from limit_places p join own on p.record_id = own.id",
        "select (e.rule, e.action, e.user_id, e.state)::text from effects e join own on e.record_id = own.id",
        "select u.stream::text from unsealed u join own on u.id::text = own.decision_id",
    ];
    let mut found = Vec::new();
    for select in rows {
        let texts = database.texts(format!("with own as ({operation}) {select}")).await;
        assert_eq!(texts.len(), 1, "{select}: {texts:?}");
        found.extend(texts.into_iter().map(|text| text.replace(&new.webhook_id, "msg").replace(&new.body_mac, "mac")));
    }
    found
}

async fn counts(database: &Database) -> Vec<String> {
    let tables = ["notifications", "operations", "decisions", "flows", "limit_places", "unsealed", "effects"];
    let counts = tables.map(|table| format!("(select count(*) from {table})")).join(", ");
    database.texts(format!("select ({counts})::text")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_leaves_what_two_transactions_leave_and_ends_as_they_do() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let effect = |coming: &mut Coming| {
        coming.case.effects = vec![Effect {
            rule: "r".into(),
            action: assent::domain::effect::Action::SetUserState,
            user: Some(user("bob")),
            enable: true,
        }];
    };
    let mut one = Coming::new(store.as_ref(), "one", "t").await;
    effect(&mut one);
    let ruling = one.decide(store.as_ref()).await.expect("all of it is known");
    let together = left_behind(&database, &one.new).await;
    let view = store.operation(one.new.id).await.unwrap().unwrap();
    assert_eq!((view.state, view.flow_id, view.decision.unwrap().id), (State::Running, ruling.record.flow, ruling.record.id));
    finish_with(&store, &one.case, &ruling, None).await.unwrap();
    assert_eq!(store.operation(one.new.id).await.unwrap().unwrap().state, State::Approved);

    let mut two = Coming::new(store.as_ref(), "two", "t").await;
    effect(&mut two);
    assert!(matches!(store.receive(two.new.clone()).await.unwrap(), Received::New(_, Some(_))));
    two.case.approve(store.as_ref()).await;
    assert_eq!(together, left_behind(&database, &two.new).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_plain_leaves_nothing_and_is_taken_in_by_itself() {
    let (database, store) = open(Backend::Postgres).await;
    let there = database.open().await;
    acquainted(&store, "left").await;
    store.retire(None, Duration::ZERO).await.unwrap();
    let left_the_queue = "select operation_id from finished_operations where operation_id = 'first-on-left'";
    assert_eq!(database.texts(left_the_queue).await, ["first-on-left"]);
    for tresor in ["held", "moved", "counted", "paused", "asked", "message", "operation"] {
        acquainted(&store, tresor).await;
    }
    let coming = async |tresor: &str| Coming::new(store.as_ref(), &format!("on-{tresor}"), tresor).await;
    // Somebody at another replica has the lane.
    let held = coming("held").await;
    let holder = Coming::new(there.as_ref(), "holder", "held").await;
    there.receive(holder.new.clone()).await.unwrap();
    holder.case.approve(there.as_ref()).await;
    // Had it, and changed something.
    let moved = coming("moved").await;
    let other = Coming::new(there.as_ref(), "other", "moved").await;
    there.receive(other.new.clone()).await.unwrap();
    let ruling = other.case.approve(there.as_ref()).await;
    finish_with(&there, &other.case, &ruling, None).await.unwrap();
    // Has taken a place that it counts.
    let mut counted = coming("counted").await;
    counted.case.lane = Lane::of(&share("elsewhere"));
    counted.case.seen = store.lane_facts(&counted.case.lane, None).await.unwrap().version;
    database.try_run("update limit_keys set limit_key = limit_key where limit_key = 'shares|counted'").await.unwrap();
    // An operator has stopped it.
    let paused = coming("paused").await;
    assert!(there.pause("tresor:paused", "olga", None).await.unwrap());
    // The message, or the operation, is known: in the queue, or from long ago.
    let mut message = coming("message").await;
    message.new.webhook_id = "msg-first-on-message".into();
    let mut operation = coming("operation").await;
    (operation.new.key, operation.case.claimed.key) = (key("first-on-operation"), key("first-on-operation"));
    let mut left = coming("left").await;
    (left.new.key, left.case.claimed.key) = (key("first-on-left"), key("first-on-left"));
    // A person is asked.
    let asked = coming("asked").await;

    let before = counts(&database).await;
    for (what, coming, step) in [
        // First: once something is found to have moved, counters are looked at anew.
        ("counted", &counted, Step::Send),
        ("held", &held, Step::Send),
        ("moved", &moved, Step::Send),
        ("paused", &paused, Step::Send),
        ("asked", &asked, Step::AwaitReview),
        ("message", &message, Step::Send),
        ("operation", &operation, Step::Send),
        ("left", &left, Step::Send),
    ] {
        assert!(coming.decide_as(store.as_ref(), step).await.is_none(), "{what}");
        assert_eq!(counts(&database).await, before, "{what}");
    }
    for (coming, is_known) in
        [(&held, false), (&moved, false), (&counted, false), (&paused, false), (&operation, true), (&left, true)]
    {
        let received = store.receive(coming.new.clone()).await.unwrap();
        assert_eq!(matches!(received, Received::Known(_)), is_known, "{received:?}");
    }
    assert!(matches!(store.receive(message.new.clone()).await.unwrap(), Received::WebhookReused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_message_is_known_makes_nobody_doubt_what_is_known_of_the_lane() {
    let (_database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let mut again = Coming::new(store.as_ref(), "again", "t").await;
    (again.new.key, again.case.claimed.key) = (key("first-on-t"), key("first-on-t"));
    assert!(again.decide(store.as_ref()).await.is_none());
    // Were it doubted, only what was seen in the last tenth of a second would count, for a minute.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let next = Coming::new(store.as_ref(), "next", "t").await;
    assert!(next.decide(store.as_ref()).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_is_stored_once_and_decided_once() {
    let (database, store) = open(Backend::Postgres).await;
    for number in 0..12 {
        acquainted(&store, &format!("tresor-{number}")).await;
    }
    let mut arrivals = JoinSet::new();
    for number in 0..12 {
        let tresor = format!("tresor-{number}");
        let one = Coming::new(store.as_ref(), &format!("op-{number}"), &tresor).await;
        // The same operation under another message, and the same message with another operation on another tresor.
        let mut other = Coming::new(store.as_ref(), &format!("op-{number}"), &tresor).await;
        other.new.webhook_id = format!("other-{number}");
        let mut reused = Coming::new(store.as_ref(), &format!("reused-{number}"), &format!("tresor-{}", (number + 1) % 12)).await;
        (reused.new.webhook_id, reused.new.body_mac) = (one.new.webhook_id.clone(), "other".into());
        for coming in [one, other, reused] {
            let store = Arc::clone(&store);
            arrivals.spawn(async move {
                if coming.decide(store.as_ref()).await.is_some() {
                    return true;
                }
                // As the engine does: whoever is not decided is received.
                matches!(store.receive(coming.new).await.unwrap(), Received::New(..))
            });
        }
    }
    let stored = arrivals.join_all().await.into_iter().filter(|is_stored| *is_stored).count();
    let count = |what: &str| format!("select cast(count(*) as text) from {what}");
    let later = "where operation_id not like '%-on-%'";
    assert_eq!(database.texts(count(&format!("operations {later}"))).await, [stored.to_string()]);
    assert_eq!(
        database.texts(count(&format!("(select distinct kind, operation_id from operations {later}) o"))).await,
        [stored.to_string()]
    );
    let twice = "(select operation_id from decisions group by operation_id having count(*) > 1) d";
    assert_eq!(database.texts(count(twice)).await, ["0"]);
    let lost = "notifications n where not exists (select 1 from operations o where o.id = n.record_id)";
    assert_eq!(database.texts(count(lost)).await, ["0"], "no message points to nothing");
    assert!((12..=24).contains(&stored), "{stored}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_nobody_has_asked_for_in_a_while_decides_nothing() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let before = counts(&database).await;
    let coming = Coming::new(store.as_ref(), "late", "t").await;
    // As on a machine that stood still for a while, and its clock with it.
    let late = |mut ground: Ground| {
        ground.now -= Duration::from_secs(10);
        Ok(coming.case.ruling(&ground, Verdict::Approve, Step::Send))
    };
    assert!(coming.decide_by(store.as_ref(), &late).await.is_none());
    assert_eq!(counts(&database).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_meanwhile_is_not_decided_here_and_what_is_known_stays_known() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let before = counts(&database).await;
    let coming = Coming::new(store.as_ref(), "slow", "t").await;
    let judge = |_: Ground| Err(NoRuling::BeingStored);
    let decided = store.decide_arrival(&coming.new, coming.case.deciding(&[user("ann")]), &judge).await;
    assert!(matches!(decided, Err(StoreError::BeingStored)), "{decided:?}");
    assert_eq!(counts(&database).await, before);
    assert!(coming.decide(store.as_ref()).await.is_some(), "nobody has to look for anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_nobody_has_come_to_is_made_with_what_takes_it_and_remembered_as_it_ends() {
    let (database, store) = open(Backend::Postgres).await;
    let there = database.open().await;
    let lane = |tresor: &str| Lane::of(&share(tresor));
    assert!(store.new_lane_facts(&lane("new")).is_none(), "nobody has asked for the time");
    acquainted(&store, "t").await;
    assert!(store.new_lane_facts(&lane("t")).is_none(), "somebody has been there");
    let guess = store.new_lane_facts(&lane("new")).unwrap();
    assert_eq!((guess.version, guess.creator), (0, None));

    let creation = Coming::creation("new");
    let ruling = creation.decide(store.as_ref()).await.expect("what its limit counts was looked at");
    let stands = "select l.version || ' ' || o.state from operations o join lanes l on l.lane = o.lane";
    assert_eq!(database.texts(stands).await, ["0 running"]);
    assert!(store.new_lane_facts(&lane("new")).is_none(), "it is made");
    finish_with(&store, &creation.case, &ruling, None).await.unwrap();

    let next = Coming::new(store.as_ref(), "next", "new").await;
    let here = store.lane_facts(&next.case.lane, Some("new")).await.unwrap();
    let recorded = there.lane_facts(&next.case.lane, Some("new")).await.unwrap();
    assert_eq!((here.version, &here.creator, here.created_at), (1, &Some(user("ann")), recorded.created_at));
    assert_eq!((recorded.version, recorded.creator), (here.version, here.creator));
    assert!(here.created_at.is_some());
    // And nobody had to be asked.
    database.try_run("update tresors set creator_id = 'eve' where id = 'new'").await.unwrap();
    assert_eq!(store.lane_facts(&next.case.lane, Some("new")).await.unwrap().creator, Some(user("ann")));
    assert!(next.decide(store.as_ref()).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tresor_that_is_known_otherwise_than_its_creation_says_is_not_remembered_by_that() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    for (tresor, verdict) in [("approved", Verdict::Approve), ("rejected", Verdict::Reject)] {
        let creation = Coming::creation(tresor);
        let judge = |ground: Ground| Ok(creation.case.ruling(&ground, verdict, Step::Send));
        let ruling = creation.decide_by(store.as_ref(), &judge).await.unwrap();
        let otherwise = format!("insert into tresors (id, creator_id, created_at) values ('{tresor}', 'eve', 1)");
        database.try_run(&otherwise).await.unwrap();
        finish_with(&store, &creation.case, &ruling, None).await.unwrap();
        let recorded = store.lane_facts(&creation.case.lane, Some(tresor)).await.unwrap();
        assert_eq!((recorded.version, recorded.creator), (1, Some(user("eve"))), "{tresor}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_by_itself_leaves_nothing_old_behind() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let creation = Coming::creation("new");
    let ruling = creation.decide(store.as_ref()).await.unwrap();
    // As where somebody stands in line: not in a group.
    creation.case.finish(store.as_ref(), Some(ruling.record.id), Outcome::Applied).await;
    // Two more go the long way, with the lane in their hands when anybody looks at it.
    let share = Coming::guessed("share", "new");
    assert!(matches!(store.receive(share.new.clone()).await.unwrap(), Received::New(_, Some(_))));
    let (hold, mut again) = (share.case.decide(store.as_ref(), Verdict::Approve, Step::Send).await, share);
    assert!(matches!(hold, Decided::Stale), "{hold:?}");
    again.case.seen = store.lane_facts(&again.case.lane, Some("new")).await.unwrap().version;
    let ruling = again.case.approve(store.as_ref()).await;
    finish_with(&store, &again.case, &ruling, None).await.unwrap();
    let facts = store.lane_facts(&again.case.lane, Some("new")).await.unwrap();
    assert_eq!((facts.version, facts.creator), (2, Some(user("ann"))));
    assert_eq!(database.texts("select creator_id from tresors where id = 'new'").await, ["ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobodys_key_is_made_for_what_may_be_known() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let mut creation = Coming::creation("new");
    creation.case.persons = vec![Person { id: user("ann"), fresh_key: assent::audit::WrappedKey(vec![1]) }];
    assert!(creation.decide(store.as_ref()).await.is_none());
    assert_eq!(database.texts("select person_id from person_keys").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_lane_with_a_counter_that_has_moved_is_taken_in_by_itself() {
    let (database, store) = open(Backend::Postgres).await;
    acquainted(&store, "t").await;
    let mut creation = Coming::creation("new");
    (creation.case.queries, creation.case.places) = (vec![("window".into(), "shares|t".into(), HOUR)], vec!["shares|t".into()]);
    let before = counts(&database).await;
    database.try_run("update limit_keys set limit_key = limit_key where limit_key = 'shares|t'").await.unwrap();
    assert!(creation.decide(store.as_ref()).await.is_none());
    assert_eq!(counts(&database).await, before);
    assert!(matches!(store.receive(creation.new.clone()).await.unwrap(), Received::New(_, Some(_))));
    creation.case.approve(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_that_guess_at_once_one_has_the_lane() {
    let (database, here) = open(Backend::Postgres).await;
    let there = database.open().await;
    acquainted(&here, "t").await;
    acquainted(&there, "u").await;
    let mut creations = JoinSet::new();
    for number in 0..40 {
        let store = Arc::clone(if number % 2 == 0 { &here } else { &there });
        let mut creation = Coming::creation(&format!("tresor-{}", number / 2));
        creation.new.webhook_id = format!("msg-{number}");
        let key = OperationKey { operation_id: OperationId::new(format!("op-{number}")).unwrap(), ..creation.new.key };
        (creation.new.key, creation.case.claimed.key) = (key.clone(), key);
        creations.spawn(async move { creation.decide(store.as_ref()).await.is_some() });
    }
    let decided = creations.join_all().await.into_iter().filter(|is_decided| *is_decided).count();
    let held = "select count(lane) || ' ' || count(distinct lane) from operations where operation_id like 'op-%'";
    assert_eq!(database.texts(held).await, [format!("{decided} {decided}")]);
    // Whoever has lost one may have to be decided by itself, and so may who looked at a counter that is just being made.
    assert!((1..=20).contains(&decided), "{decided}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_somebody_was_there_the_guess_writes_nothing() {
    let (database, store) = open(Backend::Postgres).await;
    let there = database.open().await;
    acquainted(&store, "t").await;
    // One lane that somebody has looked at, one that is held, and one that has moved.
    there.lane_facts(&Lane::of(&share("looked-at")), None).await.unwrap();
    let held = Coming::new(there.as_ref(), "holder", "held").await;
    there.receive(held.new.clone()).await.unwrap();
    held.case.approve(there.as_ref()).await;
    acquainted(&there, "moved").await;
    let paused = Coming::creation("paused");
    let before = counts(&database).await;
    let guessed = ["looked-at", "held", "moved"].map(Coming::creation);
    for one in &guessed {
        let what = &one.new.key.operation_id;
        assert!(store.new_lane_facts(&one.case.lane).is_some(), "{what}: nothing is known of it here");
        assert!(one.decide(store.as_ref()).await.is_none(), "{what}");
        assert_eq!(counts(&database).await, before, "{what}");
    }
    // By itself each finds how things are.
    for one in guessed {
        assert!(matches!(store.receive(one.new.clone()).await.unwrap(), Received::New(_, Some(_))));
        let decided = one.case.decide(store.as_ref(), Verdict::Approve, Step::Send).await;
        match one.new.key.operation_id.as_str() {
            "looked-at" => assert!(matches!(decided, Decided::Ruled { .. }), "{decided:?}"),
            "held" => assert!(matches!(decided, Decided::Parked(_)), "{decided:?}"),
            _ => assert!(matches!(decided, Decided::Stale), "{decided:?}"),
        }
    }
    // A pause of everything is nothing that a lane says.
    assert!(there.pause("*", "olga", None).await.unwrap());
    let before = counts(&database).await;
    assert!(paused.decide(store.as_ref()).await.is_none());
    assert_eq!(counts(&database).await, before);
    assert_eq!(database.texts("select lane from lanes where lane = 'tresor:paused'").await, [""; 0]);
    there.resume("*", "olga", None).await.unwrap();
    assert!(paused.decide(store.as_ref()).await.is_some());
}

#[tokio::test]
async fn a_database_that_takes_no_sets_never_does_it() {
    let (_database, store) = open(Backend::Sqlite).await;
    assert!(!store.decides_arrivals());
    assert!(store.new_lane_facts(&Lane::of(&share("t"))).is_none());
    let coming = Coming::new(store.as_ref(), "one", "t").await;
    assert!(coming.decide(store.as_ref()).await.is_none());
}
