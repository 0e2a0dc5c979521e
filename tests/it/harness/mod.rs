//! What the tests stand on: throw-away databases, the simulator on a port, daemons in this process.

pub(crate) mod command;
pub(crate) mod ledger;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod site;
pub(crate) mod witness;

use assent::audit::{LogKey, MasterKey};
use assent::cli::Daemon;
use assent::cli::config::Config;
use assent::directory::DirectorySettings;
use assent::domain::clock::Clock;
use assent::domain::ids::{TresorId, UserId};
use assent::domain::webhook::WebhookSecret;
use assent::engine::{Mode, Sealing, load_policy};
use assent::http::{Role, Token};
use assent::simulator::{Answer, Scenario, Simulator, WebApp};
use assent::store::{self, Store};
use assent::zerokit::{AdminKey, ServiceUrl, TenantId};
use serde_json::{Value, json};
use sqlx::Row as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Postgres,
    Sqlite,
}

/// Makes one test of each function for each database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() { super::$name(crate::harness::Backend::Postgres).await }
            )+
        }
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() { super::$name(crate::harness::Backend::Sqlite).await }
            )+
        }
    };
}
pub(crate) use on_both;

pub(crate) const TENANT: &str = "tenant1234";
pub(crate) const ADMIN_KEY: &str = "c5a3f2e1d4b6978800112233445566778899aabbccddeeff0123456789abcdef";
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
pub(crate) const TOKEN: &str = "test-token";
pub(crate) const APP_TOKEN: &str = "app-token";
pub(crate) const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Decides as the notification's `context.want` says, so that a test can have any verdict.
pub(crate) const OBEDIENT: &str = r#"
version: 1
rules:
  - {id: wants-rejection, on: &all [share, kick, tresor_creation, invitation_link_creation, invitation_link_acception, invitation_link_revocation, user_validation], effect: reject, when: {context.want: reject}, reason: "as wanted", message: "No."}
  - {id: wants-review, on: *all, effect: escalate, when: {context.want: escalate}}
  - {id: wants-approval, on: *all, effect: approve, when: {context.want: approve}}
"#;

/// The machine's clock, which the tests' databases share.
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "the tests' platform lives in real time")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// How a stage is set.
pub(crate) struct Setting {
    pub(crate) policy: String,
    pub(crate) invalidates: bool,
    pub(crate) latency: Duration,
    pub(crate) change: fn(&mut Config),
}

impl Default for Setting {
    fn default() -> Self {
        Self { policy: OBEDIENT.to_owned(), invalidates: true, latency: Duration::ZERO, change: |_| {} }
    }
}

/// An empty database of its own.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    pub(crate) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => Self { url: postgres::new_database().await, _folder: None },
            Backend::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                Self { url: format!("sqlite://{}", folder.path().join("assent.db").display()), _folder: Some(folder) }
            }
        }
    }

    /// A database that is there already.
    pub(crate) fn at(url: String) -> Self {
        Self { url, _folder: None }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        let store = store::open(&self.url, 12).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// The one text column that a query gives, row by row.
    pub(crate) async fn texts(&self, sql: impl Into<String>) -> Vec<String> {
        let sql = sqlx::AssertSqlSafe(sql.into());
        if let Some(path) = self.url.strip_prefix("sqlite://") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::query(sql).fetch_all(&pool).await.unwrap().iter().map(|row| row.get(0)).collect()
        } else {
            let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&pool).await.unwrap().iter().map(|row| row.get(0)).collect();
            pool.close().await;
            rows
        }
    }

    /// Runs a statement; the database's refusal, if it refuses.
    pub(crate) async fn try_run(&self, sql: &str) -> Result<u64, String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(path) = self.url.strip_prefix("sqlite://") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::query(sql).execute(&pool).await.map(|done| done.rows_affected()).map_err(|error| error.to_string())
        } else {
            let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
            let ran = sqlx::query(sql).execute(&pool).await;
            pool.close().await;
            ran.map(|done| done.rows_affected()).map_err(|error| error.to_string())
        }
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never came: {what}"));
}

/// A simulator on a port.
pub(crate) async fn start_simulator(invalidates: bool, latency: Duration) -> (Simulator, SocketAddr, watch::Sender<bool>) {
    let tenant = TenantId::parse(TENANT).unwrap();
    let simulator = Simulator::new(tenant, AdminKey::parse(ADMIN_KEY).unwrap(), Arc::new(MachineClock), invalidates, latency);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(simulator.clone().serve(listener, stopped));
    (simulator, address, stop)
}

/// A policy directory with one rule file.
pub(crate) fn policy_directory(policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    folder
}

/// The configuration of a test's daemon: short times, so that nothing is waited for long.
pub(crate) fn test_config(database: &Database, platform: SocketAddr, policies: PathBuf) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        database_url: database.url.clone(),
        database_connections: 12,
        service: ServiceUrl::parse(&format!("http://{platform}/tenant-{TENANT}"), None).unwrap(),
        admin_key: AdminKey::parse(ADMIN_KEY).unwrap(),
        call_timeout: Duration::from_millis(500),
        inbound_secrets: vec![WebhookSecret::parse(SECRET).unwrap()],
        tolerance: Duration::from_mins(5),
        outbound: None,
        policies,
        require_tests: false,
        directory: DirectorySettings::default(),
        requester_required: true,
        registration_max_age: Duration::from_hours(24),
        mode: Mode::Enforce,
        workers: 64,
        lease: Duration::from_secs(5),
        quiet_period: Duration::from_millis(600),
        retry_budget: 8,
        retry_base: Duration::from_millis(20),
        retry_max: Duration::from_millis(200),
        join_window: Duration::from_mins(2),
        turn: Duration::from_secs(3),
        max_wait: Duration::from_mins(1),
        max_attempts: 10,
        drain: Duration::ZERO,
        tokens: vec![token(TOKEN, Role::Auditor), token(APP_TOKEN, Role::App)],
        encryption: MasterKey::parse(ENCRYPTION_KEY).unwrap(),
        sealing: Sealing {
            key: log_key(),
            is_key_derived: true,
            every: Duration::from_millis(100),
            destinations: vec![],
            configuration: json!({ "a": "test" }),
        },
        told: None,
    }
}

/// The key that follows from [`ENCRYPTION_KEY`] where none is set.
pub(crate) fn log_key() -> LogKey {
    let seed = MasterKey::parse(ENCRYPTION_KEY).unwrap().derived("audit.signing_key");
    LogKey::new(&format!("assent/{TENANT}"), seed).unwrap()
}

fn token(text: &str, role: Role) -> Token {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Token { name: "test".into(), role, sha256: hash.as_ref().try_into().unwrap(), user_id: None }
}

/// A platform, a daemon and a web app, on a database of their own.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) daemon: Daemon,
    policies: tempfile::TempDir,
    platform: SocketAddr,
    _platform: watch::Sender<bool>,
}

impl Stage {
    /// Another daemon on the same database and platform, and browsers that report to it.
    pub(crate) async fn another_replica(&self) -> (Daemon, Scenario) {
        let config = test_config(&self.database, self.platform, self.policies.path().to_owned());
        let store = store::open(&self.database.url, 12).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let daemon = Daemon::start(config, store, load_policy(self.policies.path()).unwrap(), listener).await.unwrap();
        let app = WebApp::new(&format!("http://{}", daemon.address), WebhookSecret::parse(SECRET).unwrap()).unwrap();
        (daemon, Scenario::new(self.simulator.clone(), Arc::new(app)))
    }

    /// A configuration file for commands that work beside the daemon, on its database and platform.
    pub(crate) fn config_file(&self, folder: &std::path::Path) -> String {
        let config = command::good_config(folder, &self.platform.to_string(), &self.database.url, self.policies.path());
        command::write(folder, &config).display().to_string()
    }

    /// The policy directory of its daemons.
    pub(crate) fn policies(&self) -> &std::path::Path {
        self.policies.path()
    }

    /// A GET with the auditor's token.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(self.url(path)).bearer_auth(TOKEN);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The platform's address in its hosted form.
    pub(crate) fn platform_url(&self) -> String {
        format!("http://{}/tenant-{TENANT}", self.platform)
    }

    pub(crate) async fn set(backend: Backend, setting: Setting) -> Self {
        Self::on(Database::new(backend).await, setting).await
    }

    pub(crate) async fn on(database: Database, setting: Setting) -> Self {
        Self::on_with(database, setting, |_| {}).await
    }

    /// With a change of the configuration that knows more than a constant can.
    pub(crate) async fn set_with(backend: Backend, setting: Setting, change: impl FnOnce(&mut Config)) -> Self {
        Self::on_with(Database::new(backend).await, setting, change).await
    }

    async fn on_with(database: Database, setting: Setting, change: impl FnOnce(&mut Config)) -> Self {
        let store = database.open().await;
        let (simulator, platform, stop) = start_simulator(setting.invalidates, setting.latency).await;
        let policies = policy_directory(&setting.policy);
        let mut config = test_config(&database, platform, policies.path().to_owned());
        (setting.change)(&mut config);
        change(&mut config);
        let policy = load_policy(policies.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let daemon = Daemon::start(config, store, policy, listener).await.unwrap();
        let app = WebApp::new(&format!("http://{}", daemon.address), WebhookSecret::parse(SECRET).unwrap()).unwrap();
        let scenario = Scenario::new(simulator.clone(), Arc::new(app));
        Self { database, simulator, scenario, daemon, policies, platform, _platform: stop }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.daemon.address)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        MachineClock.now()
    }

    /// A validated user with an address.
    pub(crate) fn user(&self, email: &str) -> UserId {
        self.scenario.add_user(json!({ "email": email })).unwrap()
    }

    /// A tresor that exists and is approved at the platform, whatever the policy would say.
    pub(crate) async fn tresor(&self, by: &UserId) -> TresorId {
        let tresor = self.simulator.world().create_tresor(by).unwrap();
        let answer = self
            .report(self.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), by, None), "approve")
            .await;
        assert_eq!(answer.state(), "approved", "{:?}", answer.body);
        tresor
    }

    /// Reports with a wish in the context, and waits for the end.
    pub(crate) async fn report(&self, mut data: Value, want: &str) -> Answer {
        data["context"] = json!({ "want": want });
        self.scenario.app().report(&data, 60, self.now().as_second()).await.unwrap()
    }

    /// `GET /v1/operations/{id}`, waiting for the end.
    pub(crate) async fn operation(&self, id: &str) -> Value {
        let client = reqwest::Client::new();
        let request = client.get(self.url(&format!("/v1/operations/{id}"))).bearer_auth(TOKEN).header("prefer", "wait=60");
        request.send().await.unwrap().json().await.unwrap()
    }
}
