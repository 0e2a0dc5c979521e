//! The contract of plans: whatever the server believes of its tables when it makes one, what is done for an operation reads what it
//! is about, and not all there is. Postgres alone makes plans that it keeps.

use super::*;
use crate::harness::{log_key, until};
use assent::domain::effect::Action;
use assent::store::{Delivery, Sealed};

/// So many rows a table; far more than anything here is about.
const ROWS: u64 = 20_000;
/// So many pages of an index are looked at, at most, by all that a test does; whoever reads one whole looks at as many each time.
const AT_MOST: u64 = 500;

/// Rows that have nothing to do with what a test does, due when it says.
const OTHERS: [&str; 13] = [
    "insert into operations (id, kind, operation_id, flow_id, state, received_at, lane, due_at) select gen_random_uuid(), 'share', 'other-' || i, 'f' || i, 'running', i, 'lane-' || i, DUE + i from i",
    "insert into finished_operations (id, kind, operation_id, flow_id, attempt, state, received_at, settled_at) select '00000000-0000-7000-8000-' || lpad(i::text, 12, '0'), 'share', 'over-' || i, 'f' || i, 1, 'approved', i, i from i",
    "insert into notifications (webhook_id, body_mac, record_id, received_at) select 'w' || i, 'm', 'r' || i, i from i",
    "insert into lanes (lane, version) select 'lane-' || i, 0 from i",
    "insert into tresors (id, creator_id, created_at) select 't' || i, 'u' || i, 1 from i",
    "insert into flows (id, intent, attempts, lane, since) select 'f' || i, 'intent-' || i, 1, 'lane-' || i, i from i",
    "insert into limit_keys (limit_key) select 'key-' || i from i",
    "insert into limit_places (limit_key, record_id, taken_at) select 'key-' || i, 'r' || i, DUE from i",
    "insert into person_keys (person_id, wrapped, created_at) select 'u' || i, '\\x00', 1 from i",
    "insert into events (id, record_id, flow_id, type, body, created_at, due_at) select 'evt_' || i, 'r' || i, 'f' || i, 'operation.approved', '{}', i, DUE + i from i",
    "insert into events (id, record_id, flow_id, type, body, created_at, state, settled_at) select 'old_' || i, 'r' || i, 'f' || i, 'operation.approved', '{}', i, 'delivered', 9e15::bigint from i",
    "insert into operations (id, kind, operation_id, flow_id, state, received_at, review_until) select gen_random_uuid(), 'share', 'asked-' || i, 'f' || i, 'escalated', i, case when i = 1 then 1 else 9e15::bigint end from i where i <= 9",
    "insert into effects (id, decision_id, record_id, rule, action, user_id, enable, state, intended_at, due_at, active_since) select gen_random_uuid(), gen_random_uuid(), 'r' || i, 'rule', 'set_user_state', 'u' || i, true, 'due', now(), DUE + i, i from i",
];
const LOG: &str = "insert into decisions (id, decided_at, tenant, kind, operation_id, flow_id, attempt, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow) \
                   select gen_random_uuid(), now() + i * interval '1 microsecond', 't', 'share', 'other-' || i, gen_random_uuid(), 1, 'approve', 'policy', '[]', '', '', '', '{}', '{}', '[]', '[]' from i";
const OUTCOMES: &str = "insert into outcomes (id, decision_id, at, kind, operation_id, outcome, reconciled) select gen_random_uuid(), id, decided_at, kind, operation_id, 'applied', false from decisions";
const LEAVES: &str = "insert into leaves (leaf, at, id, stream, hash) select i, now(), gen_random_uuid(), 1, decode(repeat('00', 32), 'hex') from i";

const LATER: &str = "9e15::bigint";
const NOW: &str = "1";

/// A database that believes its tables empty, which they were when it last looked.
async fn believed_empty(due: &str) -> (Database, Arc<dyn Store>) {
    let database = Database::new(Backend::Postgres).await;
    let tables = "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace \
                  where nspname = 'public' and relkind = 'r' and relname <> '_sqlx_migrations' order by 1";
    let tables = database.texts(tables).await;
    for table in &tables {
        // Nobody is to look again meanwhile.
        database.try_run(&format!("alter table {table} set (autovacuum_enabled = false)")).await.unwrap();
    }
    let others = OTHERS.into_iter().chain([LOG, LEAVES]);
    let others: Vec<_> =
        others.map(|other| format!("with i as (select generate_series(1, {ROWS}) as i) {}", other.replace("DUE", due))).collect();
    // What reads all there is for each row of all there is would take an hour to fail.
    let soon = "do $$ begin execute format('alter database %I set statement_timeout = ''2min''', current_database()); end $$";
    database.try_run(soon).await.unwrap();
    // There for a while, and never committed.
    let while_it_lasts = format!("{}; {OUTCOMES}", others.join("; "));
    let taken_back = format!("do $$ begin {while_it_lasts}; raise exception 'back'; exception when raise_exception then end $$");
    database.try_run(&taken_back).await.unwrap();
    database.try_run("vacuum (analyze, truncate false)").await.unwrap();
    let believed = "select relname::text from pg_class where relname in ('operations', 'lanes', 'events', 'leaves') and relpages > 0 and reltuples = 0";
    assert_eq!(database.texts(believed).await.len(), 4, "the server takes these for empty, however long they get");
    for statement in others.iter().take(OTHERS.len() + 1).map(String::as_str).chain([OUTCOMES]) {
        database.try_run(statement).await.unwrap();
    }
    let sealer = database.open().await;
    while !matches!(sealer.seal(&log_key(), None, 1_000).await.unwrap(), Sealed::Nothing) {}
    gone(&database, sealer).await;
    database.try_run("select pg_stat_reset()").await.unwrap();
    let store = database.open().await;
    (database, store)
}

/// Until its connections are, too, so that all was counted that it read.
pub(super) async fn gone(database: &Database, store: Arc<dyn Store>) {
    drop(store);
    until("nobody is connected any more", async || {
        let connected = "select cast(pid as text) from pg_stat_activity where datname = current_database() and application_name like 'assent%'";
        database.texts(connected).await.is_empty()
    })
    .await;
}

/// Indexes of which more was read than what was done is about, and tables that were read without one.
async fn read_in_vain(database: &Database, store: Arc<dyn Store>, at_most: u64) -> Vec<String> {
    gone(database, store).await;
    let counted = "select relname::text from pg_statio_user_tables where relname = 'operations' and idx_blks_hit > 0";
    assert_eq!(database.texts(counted).await, ["operations"], "the server counts");
    let read = format!(
        "select indexrelname || ': ' || idx_blks_hit + idx_blks_read from pg_statio_user_indexes where idx_blks_hit + idx_blks_read > {at_most} \
         union all select relname || ': ' || seq_tup_read from pg_stat_user_tables where seq_tup_read > {at_most} order by 1"
    );
    database.texts(read).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_reads_no_more_where_tables_are_believed_empty() {
    let (database, store) = believed_empty(LATER).await;
    for number in 0..5 {
        let id = format!("op-{number}");
        received(store.as_ref(), &id).await;
        let mut case = Case::of(claim_one(store.as_ref()).await, &format!("tresor-{number}"));
        case.queries = vec![("window".into(), format!("limit-{number}"), Duration::from_secs(3600))];
        case.places = vec![format!("limit-{number}")];
        // What has effects ends by itself, the last one in a group.
        let goes_with_others = number == 4;
        if !goes_with_others {
            case.effects = vec![Effect { rule: "r".into(), action: Action::SetUserState, user: Some(user("bob")), enable: true }];
        }
        case.seen = store.lane_facts(&case.lane, Some(&format!("tresor-{number}"))).await.unwrap().version;
        let ruling = case.approve(store.as_ref()).await;
        let outcome = if number == 0 { Outcome::Failed } else { Outcome::Applied };
        if goes_with_others {
            groups::finish_with(&store, &case, &ruling, None).await.unwrap();
        } else {
            case.finish(store.as_ref(), Some(ruling.record.id), outcome).await;
        }
        assert!(store.operation(case.claimed.lease.id).await.unwrap().unwrap().outcome.is_some());
        let events = store.claim_events("me", LEASE, 9).await.unwrap();
        assert_eq!(events.len(), 1);
        store.finish_event(events[0].lease, &Delivery::Done("HTTP 204".into())).await.unwrap();
        store.claim_effects("me", LEASE, 9).await.unwrap();
        store.tidy(RULES).await.unwrap();
    }
    assert_eq!(store.expire_reviews().await.unwrap(), 1);
    assert_eq!(store.erase_events(Duration::ZERO).await.unwrap(), 5);
    store.erase_registrations(Duration::ZERO).await.unwrap();
    store.seal(&log_key(), None, 100).await.unwrap();
    assert_eq!(read_in_vain(&database, store, AT_MOST).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_claimed_than_is_asked_for_where_tables_are_believed_empty() {
    let (database, store) = believed_empty(NOW).await;
    assert_eq!(store.claim("me", LEASE, 7).await.unwrap().len(), 7);
    assert_eq!(store.claim_events("me", LEASE, 7).await.unwrap().len(), 7);
    assert_eq!(store.claim_effects("me", LEASE, 7).await.unwrap().len(), 7);
    assert_eq!(read_in_vain(&database, store, AT_MOST).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_the_queue_reads_nothing_of_what_left_before() {
    let (database, store) = believed_empty(LATER).await;
    let id = received(store.as_ref(), "over").await;
    Case::of(claim_one(store.as_ref()).await, "over").finish(store.as_ref(), None, Outcome::Failed).await;
    // One page of the queue.
    store.retire(None, Duration::ZERO).await.unwrap();
    let left = format!("select id from finished_operations where id = '{id}'");
    assert_eq!(database.texts(left).await, [id.to_string()]);
    // Each of a page's thousand is looked for by its key, and none of the others.
    assert_eq!(read_in_vain(&database, store, 5_000).await, [""; 0]);
}
