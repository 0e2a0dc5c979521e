//! Work that is dropped midway, at every point where it can be: no transaction stays open, and no connection is spoilt.

use crate::drill::{Drill, POLICY};
use crate::harness::site::Site;
use crate::harness::{Backend, Database, until};
use assent::domain::ids::{OperationId, RecordId};
use assent::domain::kind::Kind;
use assent::domain::operation::OperationKey;
use assent::domain::verdict::Verdict;
use assent::store::{ByHand, HandOrder, HandRole, LaneRules, NewOperation, Store};
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A future that is dropped when it has to wait for the `left`th time.
struct Cut<F> {
    work: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => {
                self.left -= 1;
                Poll::Pending
            }
        }
    }
}

/// How often each is done. On a busy machine an answer is often there before anybody waits for it, and then there is nothing
/// to drop at.
const ROUNDS: usize = 8;

/// Runs it again and again, dropped at its first wait, at its second, and so on, until it comes to its end, and that in several
/// rounds. How many times it was dropped.
async fn cut_everywhere<F: Future>(database: &Database, store: &Arc<dyn Store>, what: &str, work: impl Fn(usize) -> F) -> usize {
    let mut dropped = 0;
    for round in 0..ROUNDS {
        dropped += cut_once(database, store, what, |left| work(round * 1000 + left)).await;
    }
    dropped
}

async fn cut_once<F: Future>(database: &Database, store: &Arc<dyn Store>, what: &str, work: impl Fn(usize) -> F) -> usize {
    for left in 0..200 {
        let ended = Cut { work: Box::pin(work(left)), left }.await.is_some();
        // The pool has one connection: were it spoilt, or in a transaction, nothing would come of this.
        let asked = tokio::time::timeout(Duration::from_secs(10), store.now()).await;
        asked.expect("the connection is free").unwrap_or_else(|error| panic!("{what} dropped at wait {left}: {error}"));
        if database.url.starts_with("postgres") {
            let open = "select coalesce(string_agg(query, '; '), '') from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
            until(&format!("{what} dropped at wait {left} leaves no transaction open"), async || {
                database.texts(open).await == [""]
            })
            .await;
        }
        if ended {
            return left;
        }
    }
    panic!("{what} never came to its end");
}

async fn everywhere(backend: Backend) {
    let database = Database::new(backend).await;
    drop(database.open().await);
    let store = assent::store::open(&database.url, 1).await.unwrap();
    let key = |name: &str, number: usize| OperationKey {
        kind: Kind::Share,
        operation_id: OperationId::new(format!("{name}-{number}")).unwrap(),
    };
    let new = |number: usize| NewOperation {
        webhook_id: format!("msg-{number}"),
        body_mac: "mac".into(),
        id: RecordId::generate(),
        key: key("share", number),
        requester: None,
        requested_flow: None,
        payload: Some(vec![1]),
        replica: "me".into(),
        lease: None,
    };
    let order = |number: usize| HandOrder {
        id: RecordId::generate(),
        key: key("by-hand", number),
        by_hand: ByHand {
            verdict: Verdict::Reject,
            role: HandRole::Operator,
            operator: "olga".into(),
            comment: None,
            additional_info: None,
        },
        payload: None,
        owner: "me".into(),
        lease: Duration::from_secs(1),
    };
    let minute = Duration::from_secs(60);
    let rules = LaneRules { turn: minute, wait: minute, join_window: minute, events: true };
    let mut dropped = 0;
    dropped += cut_everywhere(&database, &store, "receive", |number| store.receive(new(number))).await;
    dropped += cut_everywhere(&database, &store, "claim", |_| store.claim("me", Duration::from_millis(1), 10)).await;
    dropped += cut_everywhere(&database, &store, "order-by-hand", |number| store.order_by_hand(order(number))).await;
    dropped += cut_everywhere(&database, &store, "pause", |number| {
        let (store, scope) = (Arc::clone(&store), format!("tresor:{number}"));
        async move { store.pause(&scope, "olga", None).await }
    })
    .await;
    dropped += cut_everywhere(&database, &store, "tidy", |_| store.tidy(rules)).await;
    dropped += cut_everywhere(&database, &store, "resume", |number| {
        let (store, scope) = (Arc::clone(&store), format!("tresor:{number}"));
        async move { store.resume(&scope, "olga", None).await }
    })
    .await;
    dropped += cut_everywhere(&database, &store, "claim-events", |_| store.claim_events("me", minute, 5)).await;
    assert!(dropped > 40, "only {dropped} times, so hardly anything was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_anywhere_leaves_nothing_open_on_postgres() {
    everywhere(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_anywhere_leaves_nothing_open_on_sqlite() {
    everywhere(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_midway_leave_nothing_open() {
    let site = Site::new(Backend::Postgres, POLICY, json!({})).await;
    let _daemon = site.serve(&[]).await;
    let mut messages = Vec::new();
    for number in 0..60_u64 {
        let (id, ann) = site.share();
        let message = site.message(&Drill::data(Kind::Share, &id, &ann, "approve"));
        // Gone after half a millisecond, after one, and so on: in the middle of whatever was being done.
        let _ = tokio::time::timeout(Duration::from_micros(500 * number), site.try_report(&message, 5)).await;
        messages.push(message);
    }
    // Asked again, each is the same operation, whatever became of the first try; and it comes to its end.
    let mut records = std::collections::BTreeSet::new();
    for message in &messages {
        let answered = site.try_report(message, 5).await.expect("it is answered");
        records.insert(answered.text("id").to_owned());
        assert_eq!(site.comes_to(answered.text("id"), &["approved", "failed"]).await.text("state"), "approved");
    }
    assert_eq!(records.len(), messages.len());
    let open = "select cast(count(*) as text) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    until("no transaction is open", async || site.database.texts(open).await == ["0"]).await;
}
