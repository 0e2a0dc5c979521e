//! A platform that was down for hours: how long it takes to claim from a backlog, with long reads open and work going on that leaves
//! old versions of rows behind.

use super::cluster::{self, Cluster};
use super::measure::Latency;
use assent::store;
use std::time::{Duration, Instant};

/// What came of it.
pub(crate) struct Claimed {
    pub(crate) operations: u64,
    pub(crate) claim: Latency,
    pub(crate) resident_before: f64,
    pub(crate) resident_after: f64,
}

/// Claims and gives back, again and again, from so many operations that are due; three reads of the whole log stand open meanwhile.
pub(crate) async fn claim(cluster: &Cluster, operations: u64, time: Duration) -> Claimed {
    let database = "backlog";
    cluster.create(database).await;
    let store = store::open(&cluster.url(database), 16).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = cluster.connect(database).await;
    let sql = format!(
        "insert into operations (id, kind, operation_id, flow_id, state, received_at, payload, fence, due_at, home) \
         select gen_random_uuid(), 'share', 'late-' || g, gen_random_uuid(), 'received', g, '\\x00', 0, g, 'bench' from generate_series(1, {operations}) g"
    );
    cluster::run(&mut connection, &sql).await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = cluster.connect(database).await;
        cluster::run(&mut reader, "begin isolation level repeatable read; select count(*) from operations").await;
        readers.push(reader);
    }
    let resident_before = super::memory::mib(std::process::id(), "VmRSS");
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < time {
        let since = Instant::now();
        let claimed = store.claim("bench", Duration::from_secs(60), 32).await.unwrap();
        times.push(since.elapsed().as_secs_f64() * 1e3);
        assert_eq!(claimed.len(), 32);
        for one in claimed {
            // As when the platform is away: later.
            store.reschedule(&one.lease, Duration::from_secs(30), false, true, None).await.unwrap();
        }
    }
    let resident_after = super::memory::mib(std::process::id(), "VmRSS");
    drop(readers);
    drop(connection);
    drop(store);
    cluster.drop(database).await;
    Claimed { operations, claim: Latency::of(times), resident_before, resident_after }
}
