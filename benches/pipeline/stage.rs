//! One setting of the bench: a database of its own, daemons, a platform with its browsers, a web app; and the loads that are
//! put on it.

use super::process::{self, Daemon};
use super::town::Town;
use super::wire::{Answer, Connection, Hook, SECRET};
use super::{ADMIN_KEY, MachineClock, TENANT};
use assent::domain::webhook::WebhookSecret;
use assent::simulator::{Fault, Simulator};
use assent::zerokit::{AdminKey, Endpoint, TenantId};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Milliseconds from before an operation is reported.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    /// Until the platform has the verdict: from then on the operation stands in nobody's way.
    pub(crate) applied: f64,
    /// Until whoever reported it is told its end, which is durable then.
    pub(crate) answered: f64,
}

pub(crate) struct Stage {
    pub(crate) daemons: Vec<Daemon>,
    pub(crate) simulator: Simulator,
    pub(crate) hook: Hook,
    town: Town,
    secret: WebhookSecret,
    idle: Vec<Mutex<Vec<Connection>>>,
    /// Operations that came to their end.
    pub(crate) ended: AtomicU64,
    /// Those that came to another end than they should.
    pub(crate) wrong: Mutex<Vec<String>>,
    sent: AtomicU64,
    _platform: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn set(program: &Path, url: &str, policies: &Path, daemons: usize, tresors: u64) -> Arc<Self> {
        let tenant = TenantId::parse(TENANT).unwrap();
        let simulator = Simulator::new(tenant, AdminKey::parse(ADMIN_KEY).unwrap(), Arc::new(MachineClock), true, Duration::ZERO);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let platform = format!("http://{}/tenant-{TENANT}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(simulator.clone().serve(listener, stopped));
        let hook = Hook::open().await;
        let folder = tempfile::tempdir().unwrap();
        let config = process::configuration(folder.path(), url, &platform, hook.address, policies);
        process::migrate(program, &config);
        let mut running = Vec::new();
        for _ in 0..daemons {
            running.push(Daemon::start(program, &config).await);
        }
        Arc::new(Self {
            idle: running.iter().map(|_| Mutex::default()).collect(),
            daemons: running,
            town: Town::new(simulator.clone(), tresors),
            simulator,
            hook,
            secret: WebhookSecret::parse(SECRET).unwrap(),
            ended: AtomicU64::new(0),
            wrong: Mutex::default(),
            sent: AtomicU64::new(0),
            _platform: stop,
            _folder: folder,
        })
    }

    /// Operations that came to their end so far.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Reports to one daemon after the other, over a connection that is kept.
    async fn report(&self, body: &str, waits: bool) -> Answer {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let which = usize::try_from(number).unwrap() % self.daemons.len();
        let idle = || self.idle[which].lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.daemons[which].address).await,
        };
        let now = self.simulator.now().as_second();
        let answer = connection.report(&format!("msg_{number}"), body, &self.secret, now, waits).await;
        idle().push(connection);
        answer
    }

    /// Has somebody do something, and waits for what comes of it; how long it took from `since`. Nothing if everybody is busy.
    async fn act(&self, since: Instant) -> Option<Took> {
        let act = self.town.next()?;
        let answer = self.report(&act.body, true).await;
        let answered = since.elapsed().as_secs_f64() * 1e3;
        let told_at = self.simulator.told_at(&act.id).unwrap_or(jiff::Timestamp::MAX);
        let took = Took { applied: answered - self.simulator.now().duration_since(told_at).as_millis_f64(), answered };
        let (state, wanted) = (answer.state(), act.end);
        if !self.town.ended(act, &state) {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.push(format!("HTTP {}: {state}, and should be {wanted}", answer.status));
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
        Some(took)
    }

    /// So many clients, each of which goes on as soon as it is answered; how long each operation took.
    pub(crate) async fn closed_loop(self: &Arc<Self>, clients: usize, time: Duration) -> Vec<Took> {
        let until = Instant::now() + time;
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let stage = Arc::clone(self);
            running.spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < until {
                    match stage.act(Instant::now()).await {
                        Some(took) => times.push(took),
                        None => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                times
            });
        }
        running.join_all().await.concat()
    }

    /// So many operations a second, however long each takes; how long each took from when it was to begin.
    pub(crate) async fn open_loop(self: &Arc<Self>, rate: f64, time: Duration) -> Vec<Took> {
        let started = Instant::now();
        let mut running = JoinSet::new();
        for due in plan(started, rate, time) {
            tokio::time::sleep_until(due.into()).await;
            let stage = Arc::clone(self);
            running.spawn(async move { stage.act(due).await });
        }
        running.join_all().await.into_iter().flatten().collect()
    }

    /// The platform answers nothing any more, and so many notifications a second come in; the milliseconds of each `202`.
    pub(crate) async fn while_the_platform_hangs(self: &Arc<Self>, rate: u32, time: Duration) -> Vec<f64> {
        for endpoint in [Endpoint::SHARE_DETAILS, Endpoint::KICK_DETAILS, Endpoint::LIST_MEMBERS] {
            self.simulator.plan_fault(endpoint, Fault::HangBefore, 1_000_000);
        }
        let (ann, bob) = {
            let mut world = self.simulator.world();
            (world.add_user().unwrap(), world.add_user().unwrap())
        };
        let started = Instant::now();
        let mut running = JoinSet::new();
        for (number, due) in plan(started, f64::from(rate), time).enumerate() {
            tokio::time::sleep_until(due.into()).await;
            let stage = Arc::clone(self);
            let body = serde_json::json!({ "type": "operation.pending", "timestamp": "2026-03-02T10:00:00Z", "data": {
                "kind": "share", "operation_id": format!("hang-{number}"), "requester_id": ann,
                "users": { bob.as_str(): { "email": "someone@example.com", "groups": ["staff"] } },
            }});
            let body = body.to_string();
            running.spawn(async move {
                let answer = stage.report(&body, false).await;
                assert_eq!(answer.status, 202, "{}", answer.state());
                due.elapsed().as_secs_f64() * 1e3
            });
        }
        running.join_all().await
    }
}

/// When each of so many a second is to begin.
fn plan(started: Instant, rate: f64, time: Duration) -> impl Iterator<Item = Instant> {
    let planned = (0_u32..).map(move |number| Duration::from_secs_f64(f64::from(number) / rate));
    planned.take_while(move |planned| *planned < time).map(move |planned| started + planned)
}
