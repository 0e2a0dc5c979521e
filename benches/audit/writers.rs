//! Sixteen that write decisions, dawdle before they commit and roll back one time of four, beside two replicas that would seal.

use crate::cluster::{Cluster, number, run};
use assent::audit::LogKey;
use assent::store::{Sealed, Store};
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WRITERS: u64 = 16;
/// How long a writer waits before it commits, at most.
const DAWDLES: u64 = 100;
/// As the daemon seals: so many at once, then a pause where there are more, and else this long.
const AT_ONCE: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);
const EVERY: Duration = Duration::from_secs(2);

/// What came of it.
pub(crate) struct Written {
    pub(crate) rows: i64,
    pub(crate) rows_a_second: f64,
    /// From a row's own time to the checkpoint that covers it, in seconds.
    pub(crate) lag: [f64; 3],
    pub(crate) skipped: i64,
    pub(crate) doubled: i64,
}

async fn writer(cluster_url: String, number: u64, rows: u64) {
    let mut connection = PgConnection::connect(&cluster_url).await.unwrap();
    let mut random = number + 1;
    let mut next = move || {
        // An xorshift: what it gives need not be good, and is the same in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut written = 0;
    while written < rows {
        let many = (next() % 40 + 1).min(rows - written);
        run(&mut connection, "begin").await;
        let sql = "insert into decisions select gen_random_uuid(), clock_timestamp(), tenant, kind, operation_id, flow_id, attempt, tresor_id, \
                   actor_id, subject_id, requester_id, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, \
                   trace, shadow from pattern_decisions, generate_series(1, $1) limit $1";
        sqlx::query(sql).bind(many.cast_signed()).execute(&mut connection).await.unwrap();
        // Whoever wrote first may commit last.
        tokio::time::sleep(Duration::from_millis(next() % DAWDLES)).await;
        let is_undone = next() % 4 == 0;
        run(&mut connection, if is_undone { "rollback" } else { "commit" }).await;
        written += if is_undone { 0 } else { many };
    }
}

pub(crate) async fn measure(cluster: &Cluster, database: &str, key: &LogKey, rows: u64) -> Written {
    let url = cluster.url(database);
    let done = Arc::new(AtomicBool::new(false));
    let started = std::time::Instant::now();
    let mut sealers = vec![];
    for _ in 0..2 {
        let (store, done, key): (Arc<dyn Store>, _, _) =
            (assent::store::open(&url, 2).await.unwrap(), Arc::clone(&done), key.clone());
        sealers.push(tokio::spawn(async move {
            loop {
                let is_last = done.load(Ordering::Relaxed);
                match store.seal(&key, None, AT_ONCE).await.unwrap() {
                    Sealed::Nothing if is_last => return,
                    Sealed::Leaves { more: true, .. } => tokio::time::sleep(PAUSE).await,
                    _ if is_last => tokio::time::sleep(PAUSE).await,
                    _ => tokio::time::sleep(EVERY).await,
                }
            }
        }));
    }
    let writers: Vec<_> = (0..WRITERS).map(|one| tokio::spawn(writer(url.clone(), one, rows / WRITERS))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let elapsed = started.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    for sealer in sealers {
        sealer.await.unwrap();
    }
    let mut connection = cluster.connect(database).await;
    let lag = "select array(select percentile_cont(p) within group (order by extract(epoch from c.at - l.at)) from leaves l cross join lateral \
               (select at from checkpoints where size > l.leaf order by size limit 1) c, unnest(array[0.5, 0.99, 1]::float8[]) p group by p order by p)";
    let lag: Vec<f64> = sqlx::query_scalar(lag).fetch_one(&mut connection).await.unwrap();
    let rows = number(&mut connection, "select count(*) from decisions").await;
    let skipped = "select count(*) from decisions d where not exists (select 1 from leaves l where l.id = d.id and l.at = d.decided_at and l.stream = 1)";
    let doubled = "select count(*) - count(distinct (id, at, stream)) from leaves";
    Written {
        rows,
        rows_a_second: rows as f64 / elapsed,
        lag: lag.try_into().unwrap(),
        skipped: number(&mut connection, skipped).await,
        doubled: number(&mut connection, doubled).await,
    }
}
