//! The contract of sealing: a decision's leaf is its row's, whether whoever seals it has written it or reads it, and nothing that
//! happens to the row in between changes it.

use super::plans::gone;
use super::*;
use crate::harness::{log_key, on_both};
use assent::audit::{Stream, leaf_hash};
use assent::store::Sealed;

on_both!(a_decisions_leaf_is_that_of_its_row, what_is_changed_before_it_is_sealed_changes_no_leaf);

/// Facts in JSON: what is plain, then what a database spells in another way than we do, or might.
const FACTS: [&str; 9] = [
    "{}",
    r#"{"actor.id":{"source":"details","value":"ann"},"a":{"absent":true},"tresor.members":{"value":-7}}"#,
    r#"{"subject.id":{"source":"details","value":"bøb \"the\" \\ \t€ 😀 / "},"zz":{"value":true},"z":{"value":null}}"#,
    r#"{"context.deep":{"value":{"b":{"a":[[],{},[{"y":1,"x":2}]]},"aa":"x"}},"n":{"value":999999999999999}}"#,
    r#"{"n":{"value":9007199254740993}}"#,
    r#"{"n":{"value":[-0.0,1e16,1.50,1E+2,0.1]}}"#,
    r#"{"n":{"value":-0}}"#,
    r#"{"n":{"value":"\u0007\u00e9\/"}}"#,
    r#"{"é":{"value":"a"},"":{"value":"empty"}}"#,
];
/// How many of them are plain.
const PLAIN: usize = 4;

/// Decides on an operation of its own with these facts.
async fn decided(store: &dyn Store, number: usize) -> Ruling {
    received(store, &format!("op-{number}")).await;
    let case = Case::of(claim_one(store).await, &format!("tresor-{number}"));
    let judge = |ground: Ground| {
        let mut ruling = case.ruling(&ground, Verdict::Approve, Step::Send);
        let record = &mut ruling.record;
        record.facts = FACTS[number % FACTS.len()].into();
        record.reason = format!("because of \"{number}\"\n\u{1}é\u{2028}");
        record.rules = vec!["one".into(), format!("rule \"{number}\" é")];
        if number.is_multiple_of(2) {
            (record.intent.subject, record.requester) = (None, None);
            record.facts_personal = r#"{"bob": "AAAA", "ann": "BBBB"}"#.into();
        }
        record.trace = format!("[{}]", record.facts);
        Ok(ruling)
    };
    match case.try_decide(store, &judge).await.unwrap() {
        Decided::Ruled { ruling, .. } => *ruling,
        other => panic!("{other:?}"),
    }
}

async fn a_decisions_leaf_is_that_of_its_row(backend: Backend) {
    let (database, writer) = open(backend).await;
    let reader = database.open().await;
    let key = log_key();
    // Whoever comes to seal once keeps what it writes from then on.
    assert!(matches!(writer.seal(&key, None, 100).await.unwrap(), Sealed::Nothing));
    let count = FACTS.len() * 2;
    let mut leaves = Vec::new();
    for (first, sealer) in [(0, &writer), (count, &reader)] {
        for number in first..first + count {
            let ruling = decided(writer.as_ref(), number).await;
            let known = ruling.record.leaf().map(|leaf| leaf_hash(&leaf.bytes));
            assert_eq!(known.is_some(), number % FACTS.len() < PLAIN, "{}", ruling.record.facts);
            leaves.push((ruling.record.id.0, known));
        }
        let sealed = sealer.seal(&key, None, 100).await.unwrap();
        assert!(matches!(sealed, Sealed::Leaves { count: sealed, .. } if sealed == count as u64), "{sealed:?}");
    }
    let sealed = reader.leaves(0, 1_000).await.unwrap();
    let rows = reader.rows(&sealed).await.unwrap();
    for ((leaf, row), (id, known)) in sealed.iter().zip(rows).zip(leaves) {
        let row = row.expect("it is there");
        let said = String::from_utf8_lossy(&row.bytes);
        assert_eq!((leaf.stream, leaf.place.id), (Stream::Decision, id));
        assert_eq!(leaf.hash, leaf_hash(&row.bytes), "{said}");
        assert!(known.is_none_or(|known| known == leaf.hash), "{said}");
    }
    let (_, counts) = reader.sealed_counts().await.unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), count as u64 * 2);
    assert!(counts.iter().all(|(_, count)| *count == 1), "each by rules of its own: {counts:?}");
}

async fn what_is_changed_before_it_is_sealed_changes_no_leaf(backend: Backend) {
    let (database, store) = open(backend).await;
    let key = log_key();
    store.seal(&key, None, 100).await.unwrap();
    let mut written = Vec::new();
    for number in 0..3 {
        written.push(leaf_hash(&decided(store.as_ref(), number).await.record.leaf().unwrap().bytes));
    }
    let stop = ["drop trigger decisions_insert_only on decisions", "drop trigger decisions_no_update"];
    database.try_run(stop[usize::from(backend == Backend::Sqlite)]).await.unwrap();
    database.try_run("update decisions set reason = 'another one' where operation_id = 'op-1'").await.unwrap();
    store.seal(&key, None, 100).await.unwrap();
    let leaves = store.leaves(0, 100).await.unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.hash).collect::<Vec<_>>(), written);
    let rows = store.rows(&leaves).await.unwrap().into_iter().map(|row| leaf_hash(&row.unwrap().bytes));
    let is_as_written: Vec<_> = rows.zip(written).map(|(row, written)| row == written).collect();
    assert_eq!(is_as_written, [true, false, true], "and a check of the log says which row is another one");
}

/// So many rows more that wait.
async fn wait(database: &Database, count: usize) {
    let rows = format!(
        "insert into operator_actions (id, at, operator, action, target) select gen_random_uuid(), clock_timestamp(), 'ann', \
         'resend_events', 'dead' from generate_series(1, {count})"
    );
    database.try_run(&rows).await.unwrap();
}

async fn seal_all(store: &dyn Store) {
    while !matches!(store.seal(&log_key(), None, 1_000).await.unwrap(), Sealed::Nothing) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_is_not_gone_through_again_for_each_that_is_sealed_next() {
    let database = Database::new(Backend::Postgres).await;
    let before = database.open().await;
    database.try_run("alter table unsealed set (autovacuum_enabled = false)").await.unwrap();
    wait(&database, 20_000).await;
    seal_all(before.as_ref()).await;
    gone(&database, before).await;
    database.try_run("select pg_stat_reset()").await.unwrap();
    let store = database.open().await;
    wait(&database, 21).await;
    for _ in 0..20 {
        assert!(matches!(store.seal(&log_key(), None, 1).await.unwrap(), Sealed::Leaves { count: 1, more: true, .. }));
    }
    gone(&database, store).await;
    let pages = "select cast(heap_blks_hit + heap_blks_read as text) from pg_statio_user_tables where relname = 'unsealed'";
    let pages: u64 = database.texts(pages).await[0].parse().unwrap();
    // 150 that hold what was sealed, once.
    assert!((150..1_000).contains(&pages), "{pages} pages were looked at");
}

/// 55 rows wait after the last one that was sealed, and three where others were before that.
async fn some_wait_before_the_front() -> (Database, Arc<dyn Store>) {
    let database = Database::new(Backend::Postgres).await;
    let store = database.open().await;
    database.try_run("alter table unsealed set (autovacuum_enabled = false)").await.unwrap();
    seal_all(store.as_ref()).await;
    database.try_run("vacuum unsealed").await.unwrap();
    wait(&database, 60).await;
    for _ in 0..5 {
        seal_one(store.as_ref()).await;
    }
    database.try_run("vacuum unsealed").await.unwrap();
    wait(&database, 3).await;
    assert_eq!(database.texts(BEFORE).await, ["(0,1)", "(0,2)", "(0,3)"]);
    (database, store)
}

const BEFORE: &str = "select cast(ctid as text) from unsealed where ctid < '(0,4)' order by ctid";

/// While more wait.
async fn seal_one(store: &dyn Store) {
    assert!(matches!(store.seal(&log_key(), None, 1).await.unwrap(), Sealed::Leaves { count: 1, more: true, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_where_others_did_is_sealed_however_many_follow() {
    let (database, store) = some_wait_before_the_front().await;
    for _ in 0..40 {
        seal_one(store.as_ref()).await;
    }
    assert_eq!(database.texts(BEFORE).await, [""; 0]);
    assert_eq!(store.unsealed().await.unwrap(), 55 + 3 - 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_where_others_did_is_sealed_with_the_last() {
    let (_database, store) = some_wait_before_the_front().await;
    assert!(matches!(store.seal(&log_key(), None, 100).await.unwrap(), Sealed::Leaves { count: 58, more: false, .. }));
    assert_eq!(store.unsealed().await.unwrap(), 0);
}
