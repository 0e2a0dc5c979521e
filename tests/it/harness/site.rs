//! A site: platform, database, web app and configuration for daemons in processes of their own, which come and go.

use super::process::Process;
use super::{ADMIN_KEY, Backend, Database, ENCRYPTION_KEY, MachineClock, SECRET, TENANT, TOKEN, start_simulator};
use assent::domain::clock::Clock as _;
use assent::domain::ids::{TresorId, UserId};
use assent::domain::webhook::{self, WebhookSecret};
use assent::simulator::Simulator;
use assent::store::Store;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const REVIEWER_TOKEN: &str = "reviewer-token";
pub(crate) const APP_TOKEN: &str = super::APP_TOKEN;

/// One event as the web app got it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) webhook_id: String,
    pub(crate) body: Value,
}

/// What a client is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answered {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }
}

pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) simulator: Simulator,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
    /// Whoever serves now; clients take one of them.
    pub(crate) addresses: Arc<Mutex<Vec<SocketAddr>>>,
    told: Arc<Mutex<Vec<Told>>>,
    http: reqwest::Client,
    /// Opened once, as whatever works beside a store keeps it.
    store: tokio::sync::OnceCell<Arc<dyn Store>>,
    counter: AtomicU64,
    _platform: watch::Sender<bool>,
}

async fn take(State(told): State<Arc<Mutex<Vec<Told>>>>, headers: axum::http::HeaderMap, raw: Bytes) -> StatusCode {
    let webhook_id = headers[webhook::ID].to_str().unwrap().to_owned();
    told.lock().unwrap().push(Told { webhook_id, body: serde_json::from_slice(&raw).unwrap() });
    StatusCode::OK
}

/// A token as the configuration has it.
pub(crate) fn token(name: &str, text: &str, role: &str, user: Option<&str>) -> Value {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut token = json!({ "name": name, "role": role, "sha256": hex::encode(hash) });
    if let Some(user) = user {
        token["user_id"] = json!(user);
    }
    token
}

impl Site {
    pub(crate) async fn new(backend: Backend, policy: &str, engine: Value) -> Self {
        Self::on(Database::new(backend).await, policy, engine, true).await
    }

    pub(crate) async fn on(database: Database, policy: &str, engine: Value, invalidates: bool) -> Self {
        drop(database.open().await);
        let (simulator, platform, _platform) = start_simulator(invalidates, Duration::ZERO).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/policy.yaml"), policy).unwrap();
        let mut short = json!({ "lease": "1200ms", "quiet_period": "400ms", "retry_base": "20ms", "retry_max": "200ms", "retry_budget": 30, "drain": "0s", "turn": "1s", "max_wait": "5s" });
        let short_map = short.as_object_mut().unwrap();
        short_map.extend(engine.as_object().unwrap().clone());
        short_map.retain(|_, value| !value.is_null());
        // On a busy machine a web app may well miss its second more than once.
        let hook = json!({ "url": hook, "secret": SECRET, "timeout": "1s", "retry_after": vec!["300ms"; 50] });
        let config = json!({
            "listen": "127.0.0.1:0",
            "database": { "url": database.url, "connections": 8 },
            "zerokit": { "service_url": format!("http://{platform}/tenant-{TENANT}"), "admin_key": ADMIN_KEY, "timeout": "350ms" },
            "webhooks": { "inbound": { "secrets": [SECRET] }, "outbound": hook },
            "policies": { "path": folder.path().join("policies") },
            "engine": short,
            "tokens": [
                token("app", APP_TOKEN, "app", None), token("auditor", TOKEN, "auditor", None),
                token("rita", REVIEWER_TOKEN, "reviewer", Some("none")),
            ],
            "encryption": { "key": ENCRYPTION_KEY },
        });
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, format!("{config:#}")).unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
        let (addresses, counter) = (Arc::default(), AtomicU64::new(0));
        let store = tokio::sync::OnceCell::new();
        Self { database, simulator, folder, config: path, addresses, told, http, store, counter, _platform }
    }

    /// Its database, to look into.
    pub(crate) async fn store(&self) -> &Arc<dyn Store> {
        self.store.get_or_init(async || assent::store::open(&self.database.url, 2).await.unwrap()).await
    }

    /// Has its daemons show every checkpoint to a witness.
    pub(crate) async fn with_witness(self) -> Self {
        let witness = super::witness::Witness::start().await;
        self.configured(|config| {
            config["audit"] =
                json!({ "seal_every": "400ms", "checkpoints": { "witness_url": witness.url, "witness_key": witness.key } });
        })
    }

    /// With another configuration.
    pub(crate) fn configured(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&self.config).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&self.config, format!("{config:#}")).unwrap();
        self
    }

    /// A validated user.
    pub(crate) fn person(&self) -> UserId {
        self.simulator.world().add_user().unwrap()
    }

    /// An approved tresor of somebody.
    pub(crate) fn tresor(&self, by: &UserId) -> TresorId {
        let mut world = self.simulator.world();
        let tresor = world.create_tresor(by).unwrap();
        world.approve_creation(&tresor).unwrap();
        tresor
    }

    /// Somebody begins to share a tresor of theirs; the operation, and who.
    pub(crate) fn share(&self) -> (String, UserId) {
        let (ann, bob) = (self.person(), self.person());
        let tresor = self.tresor(&ann);
        (self.simulator.world().share(&ann, &bob, &tresor, self.simulator.now()).unwrap(), ann)
    }

    /// Starts a daemon in a process of its own.
    pub(crate) fn start(&self, environment: &[(&str, &str)]) -> Process {
        Process::start(env!("CARGO_BIN_EXE_assent"), &self.config, environment)
    }

    /// Starts a daemon, waits until it serves, and sends clients there, too.
    pub(crate) async fn serve(&self, environment: &[(&str, &str)]) -> Process {
        let process = self.start(environment);
        let address = process.serves().await;
        let address = address.unwrap_or_else(|| panic!("it does not serve: {}", process.last_words()));
        self.addresses.lock().unwrap().push(address);
        process
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config_path(&self) -> &Path {
        &self.config
    }

    /// What the web app was told.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// One of the daemons that serve now, one after the other.
    fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.lock().unwrap();
        let next = usize::try_from(self.counter.fetch_add(1, Ordering::Relaxed)).unwrap();
        (!addresses.is_empty()).then(|| addresses[next % addresses.len()])
    }

    /// Reports an operation as a careful web app does: the same message until it is answered. `wait` in seconds.
    pub(crate) async fn report(&self, data: &Value, wait: u32) -> Answered {
        let message = self.message(data);
        loop {
            if let Some(answered) = self.try_report(&message, wait).await {
                return answered;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A signed message, to be sent any number of times.
    pub(crate) fn message(&self, data: &Value) -> (String, String) {
        let id = format!("msg_{}", uuid::Uuid::now_v7().simple());
        let body = json!({ "type": "operation.pending", "timestamp": MachineClock.now().to_string(), "data": data }).to_string();
        (id, body)
    }

    /// Sends a message once, to one of the daemons; nothing if it was not taken.
    pub(crate) async fn try_report(&self, (id, body): &(String, String), wait: u32) -> Option<Answered> {
        let address = self.address()?;
        let now = MachineClock.now().as_second();
        let secret = WebhookSecret::parse(SECRET).unwrap();
        let mut request = self
            .http
            .post(format!("http://{address}/v1/operations"))
            .header(webhook::ID, id)
            .header(webhook::TIMESTAMP, now)
            .header(webhook::SIGNATURE, secret.sign(id, now, body.as_bytes()))
            .body(body.clone());
        if wait > 0 {
            request = request.header("prefer", format!("wait={wait}"));
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.json().await.ok()?;
        (status < 500).then_some(Answered { status, body })
    }

    /// A call of the API with a token, until it is answered by other than 5xx.
    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answered {
        loop {
            if let Some(address) = self.address() {
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let mut request = self.http.request(method, format!("http://{address}{path}")).bearer_auth(token);
                if let Some(body) = &body {
                    request = request.json(body);
                }
                if let Ok(response) = request.send().await {
                    let status = response.status().as_u16();
                    if let (true, Ok(body)) = (status < 500, response.json().await) {
                        return Answered { status, body };
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an operation has come to one of some states.
    pub(crate) async fn comes_to(&self, record: &str, states: &[&str]) -> Answered {
        let came = tokio::time::timeout(Duration::from_mins(5), async {
            loop {
                let shown = self.call("GET", &format!("/v1/operations/{record}"), TOKEN, None).await;
                if states.contains(&shown.text("state")) {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        });
        came.await.unwrap_or_else(|_| panic!("{record} never came to one of {states:?}"))
    }
}
