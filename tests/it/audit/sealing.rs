//! What is recorded becomes leaves: each row once, none left out, whoever writes at the same time, and by whichever replica.

use super::Auditor;
use crate::harness::site::Site;
use crate::harness::witness::Witness;
use crate::harness::{Backend, Database, Setting, Stage, log_key, on_both, postgres, until};
use assent::audit::{Checkpoint, LogKey, Stream, TreeHash, WitnessKey};
use assent::engine::Destination;
use assent::store::{Sealed, StoreError};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_both!(
    every_row_for_auditors_becomes_a_leaf,
    nothing_is_signed_over_a_tree_that_somebody_changed,
    checkpoints_leave_the_house,
    an_unchanged_configuration_is_recorded_once
);

async fn every_row_for_auditors_becomes_a_leaf(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let paused = crate::harness::command::assent(
        &["ops", "pause", "--operator", "anna", "--comment", "a drill", "--config", &auditor.config],
        &[],
    )
    .await;
    assert_eq!(paused.status, 0, "{}", paused.err);
    auditor.all_sealed().await;
    let store = auditor.stage.daemon.engine.store();
    let leaves = store.leaves(0, u64::from(u32::MAX)).await.unwrap();
    assert!(leaves.iter().map(|leaf| leaf.index).eq(0..leaves.len() as u64), "without gaps: {leaves:?}");
    for (stream, table) in Stream::ALL.map(|stream| (stream, stream.table())) {
        let text = if backend == Backend::Postgres { "::text" } else { "" };
        let rows = auditor.stage.database.texts(format!("select cast(count(*) as text){text} from {table}")).await;
        let sealed = leaves.iter().filter(|leaf| leaf.stream == stream).count();
        assert_eq!(rows[0], sealed.to_string(), "{table}");
        // Nobody has reviewed anything here.
        assert!(sealed > 0 || stream == Stream::Review, "{table}");
    }
    let sealed: BTreeSet<_> = leaves.iter().map(|leaf| leaf.place.id.to_string()).collect();
    assert!(decisions.iter().all(|id| sealed.contains(id)));
    let checkpoint = store.last_checkpoint().await.unwrap().unwrap();
    assert_eq!((checkpoint.size, checkpoint.origin.as_str()), (leaves.len() as u64, log_key().name()));
    assert_eq!(log_key().verifier().unwrap().check(&checkpoint), Ok(()));
    auditor.stage.daemon.stop().await;
}

async fn nothing_is_signed_over_a_tree_that_somebody_changed(backend: Backend) {
    let database = Database::new(backend).await;
    let store = database.open().await;
    let act = async |what: &str| store.pause(what, "anna", None).await.unwrap();
    act("one").await;
    assert!(matches!(store.seal(&log_key(), None, 10).await.unwrap(), Sealed::Leaves { count: 1, more: false, .. }));
    assert_eq!(store.seal(&log_key(), None, 10).await.unwrap(), Sealed::Nothing);
    let triggers =
        if backend == Backend::Postgres { "drop trigger leaves_insert_only on leaves" } else { "drop trigger leaves_no_update" };
    database.try_run(triggers).await.unwrap();
    let zeros = if backend == Backend::Postgres { "decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
    database.try_run(&format!("update leaves set hash = {zeros}")).await.unwrap();
    act("two").await;
    let refused = store.seal(&log_key(), None, 10).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Tree(_)), "{refused}");
    assert!(refused.to_string().contains("run `assent audit verify`"), "{refused}");
    assert_eq!(store.unsealed().await.unwrap(), 1, "what waits goes on waiting");
}

async fn an_unchanged_configuration_is_recorded_once(backend: Backend) {
    let database = Database::new(backend).await;
    let store = database.open().await;
    for (version, body) in
        [("1", json!({"b": 1, "a": 2})), ("1", json!({"a": 2, "b": 1})), ("2", json!({"a": 2, "b": 1})), ("2", json!({"a": 3}))]
    {
        store.change_configuration("replica", version, &body).await.unwrap();
    }
    assert_eq!(database.texts("select version from configuration_changes order by at, id").await, ["1", "2", "2"]);
}

/// Takes what is posted, unless it is down.
async fn archive(is_down: Arc<AtomicBool>, refused: Arc<AtomicBool>) -> (reqwest::Url, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/checkpoints", listener.local_addr().unwrap()).parse().unwrap();
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&taken);
    let router = axum::Router::new().fallback(async move |body: String| {
        if is_down.load(Ordering::Relaxed) {
            refused.store(true, Ordering::Relaxed);
            return axum::http::StatusCode::BAD_GATEWAY;
        }
        kept.lock().unwrap().push(body);
        axum::http::StatusCode::OK
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, taken)
}

async fn checkpoints_leave_the_house(backend: Backend) {
    let (witness, folder) = (Witness::start().await, tempfile::tempdir().unwrap());
    let (is_down, refused) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (url, taken) = archive(Arc::clone(&is_down), Arc::clone(&refused)).await;
    let file = folder.path().join("checkpoints");
    let destinations = vec![
        Destination::File(file.clone()),
        Destination::Url(url),
        Destination::Witness(witness.url.parse().unwrap(), WitnessKey::parse(&witness.key).unwrap()),
    ];
    let stage = Stage::set_with(backend, Setting::default(), |config| config.sealing.destinations = destinations).await;
    let store = Arc::clone(stage.daemon.engine.store());
    for what in ["one", "two", "three"] {
        let before = store.last_checkpoint().await.unwrap().map_or(0, |checkpoint| checkpoint.size);
        store.pause(what, "anna", None).await.unwrap();
        until("it is sealed and witnessed", async || {
            let last = store.last_checkpoint().await.unwrap();
            last.is_some_and(|last| {
                last.size > before && witness.signed().1 == last.size && last.note.contains("witness.example/w1")
            })
        })
        .await;
        // Nobody waits for anybody: the witness may have the first one before the archive was asked.
        until("the archive was asked while it was down", async || refused.load(Ordering::Relaxed)).await;
        // Whoever was down has the next one, which covers those that it missed.
        is_down.store(false, Ordering::Relaxed);
    }
    let last = store.last_checkpoint().await.unwrap().unwrap();
    until("it is posted", async || taken.lock().unwrap().last().is_some_and(|note| last.note.starts_with(note))).await;
    until("it is in the file", async || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with(taken.lock().unwrap().last().unwrap()))
    })
    .await;
    let written = Checkpoint::parse_all(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(written.len() >= 3 && written.is_sorted_by_key(|checkpoint| checkpoint.size), "{written:?}");
    assert!(taken.lock().unwrap().len() < written.len(), "it was down");
    let key = log_key().verifier().unwrap();
    assert!(written.iter().all(|checkpoint| key.check(checkpoint).is_ok()));
    assert!(witness.signed().0 >= 3, "each of them grew out of the one before");
    stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_go_to_standard_output_where_the_operator_says_so() {
    let site = Site::new(Backend::Sqlite, crate::harness::OBEDIENT, json!({})).await;
    let site = site.configured(|config| config["audit"] = json!({ "seal_every": "100ms", "checkpoints": { "stdout": true } }));
    let process = site.serve(&[]).await;
    site.store().await.pause("one", "anna", None).await.unwrap();
    let newest = async || site.store().await.last_checkpoint().await.unwrap().map_or(String::new(), |last| last.note);
    until("the newest is printed", async || {
        let newest = newest().await;
        !newest.is_empty() && process.printed().ends_with(&newest)
    })
    .await;
    assert!(!Checkpoint::parse_all(&process.printed()).unwrap().is_empty(), "nothing else is printed there");
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_roll_back_and_dawdle_leave_no_row_out_and_none_twice() {
    const WRITERS: u32 = 16;
    // `cargo test` does with less; a million are the bench's.
    let rows: u32 = std::env::var("SOAK_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(24_000);
    let database = Database::at(postgres::new_database().await);
    let store = database.open().await;
    let url = database.url.clone();
    let mut writers = vec![];
    for writer in 0..WRITERS {
        let url = url.clone();
        writers.push(tokio::spawn(async move {
            let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
            let mut random = u64::from(writer) + 1;
            let mut next = move || {
                // An xorshift: what it gives need not be good, and is the same in every run.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let mut written = 0;
            while written < rows / WRITERS {
                let many = i32::try_from(next() % 40 + 1).unwrap().min(i32::try_from(rows / WRITERS - written).unwrap());
                let mut tx = pool.begin().await.unwrap();
                sqlx::query(
                    "insert into operator_actions (id, at, operator, action, target) \
                     select gen_random_uuid(), clock_timestamp(), 'w', 'test', i::text from generate_series(1, $1) i",
                )
                .bind(many)
                .execute(&mut *tx)
                .await
                .unwrap();
                // Whoever wrote first may commit last.
                sqlx::query("select pg_sleep($1)")
                    .bind(f64::from(u32::try_from(next() % 8).unwrap()) / 1000.0)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                if next() % 4 == 0 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                    written += u32::try_from(many).unwrap();
                }
            }
            pool.close().await;
        }));
    }
    let done = Arc::new(AtomicBool::new(false));
    // Two that would seal: one of them does at a time.
    let mut sealers = vec![];
    for _ in 0..2 {
        let (store, done) = (database.open().await, Arc::clone(&done));
        sealers.push(tokio::spawn(async move {
            loop {
                let last = done.load(Ordering::Relaxed);
                let key = LogKey::new("log", [1; 32]).unwrap();
                match store.seal(&key, None, 500).await.unwrap() {
                    Sealed::Nothing if last => return,
                    Sealed::Leaves { .. } => {}
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for sealer in sealers {
        sealer.await.unwrap();
    }
    let (mut seen, mut from) = (BTreeSet::new(), 0);
    loop {
        let page = store.leaves(from, from + 10_000).await.unwrap();
        if page.is_empty() {
            break;
        }
        for leaf in page {
            assert_eq!(leaf.index, from, "dense");
            from += 1;
            assert!(seen.insert(leaf.place.id.to_string()), "none twice");
        }
    }
    let mut pool = database.texts("select id::text from operator_actions").await;
    pool.sort();
    assert!(pool.iter().eq(seen.iter()), "none left out");
    assert_eq!(store.strays(&[], 10).await.unwrap(), []);
    let last = store.last_checkpoint().await.unwrap().unwrap();
    let nodes = store.nodes(&assent::audit::edge(last.size)).await.unwrap();
    let root: TreeHash = nodes.root(last.size).unwrap();
    assert_eq!((last.size, last.root), (from, root));
    until("nothing waits", async || store.unsealed().await.unwrap() == 0).await;
}
