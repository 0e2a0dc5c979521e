//! The configuration: `config.yaml`, every key also as `ASSENT_SECTION__KEY`. Unknown keys are errors.
//!
//! Read through the same tree as policies, so a mistake shows its line and the nearest key. Secrets may stand in files of
//! their own, and are parsed at once into types that cannot be printed.

use super::Failure;
use super::config_reader::Reader;
pub use super::config_source::KEYS;
use super::config_source::Source;
pub use super::config_source::Told;
use crate::audit::{LogKey, MasterKey};
use crate::directory::DirectorySettings;
use crate::domain::diagnostic::{Diagnostic, Spot};
use crate::domain::ids::UserId;
use crate::domain::webhook::WebhookSecret;
use crate::domain::yaml::{Fields, Node, Problems};
use crate::engine::{Destination, Mode, Outbound, RETRY_SCHEDULE, Sealing};
use crate::http::{Role, Token};
use crate::zerokit::{AdminKey, ServiceUrl};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the daemon is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// `postgres://` or `sqlite://`.
    pub database_url: String,
    /// How many connections it may open.
    pub database_connections: u32,
    /// The platform's address and tenant.
    pub service: ServiceUrl,
    /// The key that signs.
    pub admin_key: AdminKey,
    /// How long a call to the platform may take.
    pub call_timeout: Duration,
    /// What notifications may be signed with.
    pub inbound_secrets: Vec<WebhookSecret>,
    /// How far a notification's timestamp may be off.
    pub tolerance: Duration,
    /// Where the web app is told of what became of operations.
    pub outbound: Option<Outbound>,
    /// The policy directory.
    pub policies: PathBuf,
    /// Whether a policy without tests is none.
    pub require_tests: bool,
    /// What is known of people and tresors beyond the notification.
    pub directory: DirectorySettings,
    /// Whether a notification must say who was logged in.
    pub requester_required: bool,
    /// How long the secrets of a registration are kept for its validation.
    pub registration_max_age: Duration,
    /// Whether verdicts are sent.
    pub mode: Mode,
    /// How many operations are worked on at once.
    pub workers: usize,
    /// How long an operation belongs to a worker that says nothing more.
    pub lease: Duration,
    /// How long after a lost answer the platform is taken to be done.
    pub quiet_period: Duration,
    /// How many tries an operation has.
    pub retry_budget: u32,
    /// The first back-off.
    pub retry_base: Duration,
    /// The longest back-off.
    pub retry_max: Duration,
    /// How long a superseded flow waits to be continued by equal intent.
    pub join_window: Duration,
    /// The longest time that a turn holds a lane.
    pub turn: Duration,
    /// The longest time that an operation waits for its flow's turn.
    pub max_wait: Duration,
    /// How many operations a flow may need.
    pub max_attempts: u32,
    /// How long to go on serving after readiness was taken back.
    pub drain: Duration,
    /// Who may use the API.
    pub tokens: Vec<Token>,
    /// The key for personal data and for what waits in the queue.
    pub encryption: MasterKey,
    /// How the decision log is sealed.
    pub sealing: Sealing,
    /// What it was told, to be recorded; nothing where nobody told it anything.
    pub told: Option<Told>,
}

const TOP: [&str; 11] =
    ["listen", "database", "zerokit", "webhooks", "policies", "directory", "intake", "engine", "tokens", "encryption", "audit"];
const ZEROKIT: [&str; 5] = ["service_url", "admin_key", "admin_key_file", "tenant_id", "timeout"];
const ENGINE: [&str; 12] = [
    "mode",
    "workers",
    "lease",
    "quiet_period",
    "retry_budget",
    "retry_base",
    "retry_max",
    "join_window",
    "turn",
    "max_wait",
    "max_attempts",
    "drain",
];

/// Reads a file and the environment.
///
/// # Errors
/// Everything that is wrong with them, with places.
pub fn read(path: &Path) -> Result<Config, Failure> {
    read_part(path, |reader, root, top| reader.config(root, top))
}

/// Reads `database.url` alone, for commands that need no more.
///
/// # Errors
/// It is missing, or the file cannot be read.
pub fn read_database_url(path: &Path) -> Result<String, Failure> {
    read_part(path, |reader, _, top| {
        let database = reader.section(top, "database", &["url", "connections"])?;
        reader.database_url(database)
    })
}

/// Whether there is a web app to be told, for commands that need no more.
///
/// # Errors
/// The file cannot be read.
pub fn has_outbound(path: &Path) -> Result<bool, Failure> {
    let source = Source::read(path)?;
    Ok(source.root.to_json().pointer("/webhooks/outbound").is_some_and(|outbound| !outbound.is_null()))
}

/// What `assent admin` needs: where the platform is, and whether verdicts can be recorded.
#[derive(Debug, Clone)]
pub struct PlatformConfig {
    /// The platform's address and tenant.
    pub service: ServiceUrl,
    /// The key that signs.
    pub admin_key: AdminKey,
    /// How long a call to the platform may take.
    pub call_timeout: Duration,
    /// Whether a database is configured.
    pub has_database: bool,
}

/// Reads the section `zerokit` alone, for commands that need no more.
///
/// # Errors
/// It is missing or wrong, or the file cannot be read.
pub fn read_platform(path: &Path) -> Result<PlatformConfig, Failure> {
    read_part(path, |reader, _, top| {
        let zerokit = reader.section(top, "zerokit", &ZEROKIT)?;
        let (service, admin_key, call_timeout) = reader.platform(zerokit);
        let has_database = top.get("database").is_some();
        Some(PlatformConfig { service: service?, admin_key: admin_key?, call_timeout: call_timeout?, has_database })
    })
}

/// What the policy tools need of the record: where it is, and the key to what is personal in it, if there is one.
#[derive(Debug, Clone)]
pub struct RecordConfig {
    /// `postgres://` or `sqlite://`.
    pub database_url: String,
    /// The key for personal data.
    pub encryption: Option<MasterKey>,
    /// The policy directory.
    pub policies: Option<PathBuf>,
}

/// Reads where the record is, for commands that only look at it.
///
/// # Errors
/// It is missing or wrong, or the file cannot be read.
pub fn read_record(path: &Path) -> Result<RecordConfig, Failure> {
    read_part(path, |reader, _, top| {
        let database = reader.section(top, "database", &["url", "connections"])?;
        let database_url = reader.database_url(database);
        let encryption = reader.encryption(top)?;
        let policies = match reader.optional_section(top, "policies", &["path", "require_tests"])? {
            Some(section) => Some(PathBuf::from(reader.text(section, "path")?)),
            None => None,
        };
        Some(RecordConfig { database_url: database_url?, encryption, policies })
    })
}

/// What an auditor's commands need: where the log is, and the keys, where they are known here.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// `postgres://` or `sqlite://`.
    pub database_url: String,
    /// The key for personal data.
    pub encryption: Option<MasterKey>,
    /// The key that signs checkpoints.
    pub log_key: Option<LogKey>,
    /// Whether that follows from the key for personal data.
    pub is_key_derived: bool,
    /// The file that the daemon writes checkpoints to.
    pub checkpoints: Option<Destination>,
}

/// Reads where the log is, for commands that only look at it: an auditor's configuration may have no more than that.
///
/// # Errors
/// It is missing or wrong, or the file cannot be read.
pub fn read_audit(path: &Path) -> Result<AuditConfig, Failure> {
    read_part(path, |reader, _, top| {
        let database = reader.section(top, "database", &["url", "connections"])?;
        let database_url = reader.database_url(database);
        let encryption = reader.encryption(top)?;
        let service = match reader.optional_section(top, "zerokit", &ZEROKIT)? {
            Some(section) => Some(reader.service(section)?),
            None => None,
        };
        let section = reader.audit_section(top)?;
        let is_key_derived = !reader.has_signing_key(section);
        let can_sign = encryption.is_some() || !is_key_derived;
        let is_named = service.is_some() || section.is_some_and(|section| section.get("name").is_some());
        let log_key = match can_sign && is_named {
            true => Some(reader.log_key(section, encryption.as_ref(), service.as_ref())?),
            false => None,
        };
        let checkpoints = reader.destinations_of(section)?.into_iter().find(|to| matches!(to, Destination::File(_)));
        Some(AuditConfig { database_url: database_url?, encryption, log_key, is_key_derived, checkpoints })
    })
}

/// Reads what a command needs; everything that is wrong with that, with places.
fn read_part<T>(path: &Path, read: impl FnOnce(&mut Reader<'_>, &Node, Fields<'_>) -> Option<T>) -> Result<T, Failure> {
    let source = Source::read(path)?;
    let mut reader = Reader { problems: Problems::of(&source.file) };
    let top = reader.problems.mapping(&source.root, "the configuration", &TOP);
    let value = top.and_then(|top| read(&mut reader, &source.root, top));
    let found = reader.problems.into_found();
    match value {
        Some(value) if found.is_empty() => Ok(value),
        _ => Err(source.unusable(found)),
    }
}

impl<'f> Reader<'f> {
    fn config(&mut self, root: &Node, top: Fields<'_>) -> Option<Config> {
        // Each is read even if an earlier one is wrong, so that all mistakes are shown at once.
        let database = self.section(top, "database", &["url", "connections"]);
        let zerokit = self.section(top, "zerokit", &ZEROKIT);
        let webhooks = self.section(top, "webhooks", &["inbound", "outbound"]);
        let inbound = webhooks.and_then(|webhooks| self.section(webhooks, "inbound", &["secrets", "secrets_file", "tolerance"]));
        let policies = self.section(top, "policies", &["path", "require_tests"]);
        let encryption = self.section(top, "encryption", &["key", "key_file"]);
        let intake = self.optional_section(top, "intake", &["requester", "registration_max_age"]);
        let engine = self.optional_section(top, "engine", &ENGINE);
        let (database, zerokit, webhooks, inbound) = (database?, zerokit?, webhooks?, inbound?);
        let (policies, encryption, intake, engine) = (policies?, encryption?, intake?, engine?);
        let listen =
            self.parsed(Some(top), "listen", "127.0.0.1:8080", "an address such as `0.0.0.0:8080`", |text| text.parse().ok());
        let database_url = self.database_url(database);
        let database_connections = self.number(Some(database), "connections", 16, 1..=1000);
        let (service, admin_key, call_timeout) = self.platform(zerokit);
        let inbound_secrets = self.secrets(inbound, "secrets");
        let outbound = self.outbound(webhooks);
        let tolerance = self.duration(Some(inbound), "tolerance", Duration::from_mins(5));
        let require_tests = self.flag(policies, "require_tests", false);
        let policies = self.text(policies, "path").map(PathBuf::from);
        let directory = self.directory(top);
        let encryption = self.secret(encryption, "key", |text| MasterKey::parse(text).map_err(|error| error.to_string()));
        let requester = self.choice(intake, "requester", true, &[("required", true), ("optional", false)]);
        let registration_max_age = self.duration(intake, "registration_max_age", Duration::from_hours(24));
        let mode = self.choice(engine, "mode", Mode::Enforce, &[("enforce", Mode::Enforce), ("observe", Mode::Observe)]);
        let workers = self.number(engine, "workers", 256, 1..=4096);
        let lease = self.duration(engine, "lease", Duration::from_secs(13));
        let quiet_period = self.duration(engine, "quiet_period", Duration::from_secs(10));
        let retry_budget = self.number(engine, "retry_budget", 12, 1..=1000);
        let retry_base = self.duration(engine, "retry_base", Duration::from_millis(200));
        let retry_max = self.duration(engine, "retry_max", Duration::from_secs(30));
        let join_window = self.duration(engine, "join_window", Duration::from_mins(2));
        let turn = self.duration(engine, "turn", Duration::from_secs(3));
        let max_wait = self.duration(engine, "max_wait", Duration::from_mins(1));
        let max_attempts = self.number(engine, "max_attempts", 10, 1..=1000);
        let drain = self.duration(engine, "drain", Duration::from_secs(3));
        let tokens = self.tokens(top);
        let sealing = self.sealing(top, encryption.as_ref(), service.as_ref());
        if drain.is_some_and(|drain| drain > Duration::from_secs(10)) {
            let spot = Self::set_at(engine, "drain").unwrap_or_default();
            self.problems.error("bad-value", spot, "`engine.drain` must be at most 10s: a stop is over within 25s");
        }
        let (call_timeout, lease, quiet_period) = (call_timeout?, lease?, quiet_period?);
        self.check_times((zerokit, engine), call_timeout, lease, quiet_period);
        Some(Config {
            listen: listen?,
            database_url: database_url?,
            database_connections: database_connections?,
            service: service?,
            admin_key: admin_key?,
            call_timeout,
            inbound_secrets: inbound_secrets?,
            tolerance: tolerance?,
            outbound: outbound?,
            policies: policies?,
            require_tests: require_tests?,
            directory: directory?,
            requester_required: requester?,
            registration_max_age: registration_max_age?,
            mode: mode?,
            workers: usize::try_from(workers?).ok()?,
            lease,
            quiet_period,
            retry_budget: retry_budget?,
            retry_base: retry_base?,
            retry_max: retry_max?,
            join_window: join_window?,
            turn: turn?,
            max_wait: max_wait?,
            max_attempts: max_attempts?,
            drain: drain?,
            tokens: tokens?,
            encryption: encryption?,
            sealing: sealing?,
            told: Some(Told::new(root)),
        })
    }

    /// The key for personal data, where it is known.
    #[expect(clippy::option_option, reason = "a wrong key and none are different things")]
    fn encryption(&mut self, top: Fields<'_>) -> Option<Option<MasterKey>> {
        match self.optional_section(top, "encryption", &["key", "key_file"])? {
            Some(section) => {
                self.secret(section, "key", |text| MasterKey::parse(text).map_err(|error| error.to_string())).map(Some)
            }
            None => Some(None),
        }
    }

    /// Each is read even if an earlier one is wrong.
    fn platform(&mut self, zerokit: Fields<'_>) -> (Option<ServiceUrl>, Option<AdminKey>, Option<Duration>) {
        let service = self.service(zerokit);
        let admin_key = self.secret(zerokit, "admin_key", |text| AdminKey::parse(text).map_err(|error| error.to_string()));
        (service, admin_key, self.duration(Some(zerokit), "timeout", Duration::from_secs(4)))
    }

    /// Times that would let one worker's call outlive its lease, or a lost call outlive the quiet period.
    fn check_times(
        &mut self,
        (zerokit, engine): (Fields<'_>, Option<Fields<'_>>),
        call: Duration,
        lease: Duration,
        quiet: Duration,
    ) {
        // At least one of two is set, as the presets fit each other. What the environment says was said last.
        let of_two = |first: Option<Spot>, second: Option<Spot>| {
            let mut set = first.into_iter().chain(second);
            set.clone().find(|spot| spot.line == 0).or_else(|| set.next()).unwrap_or_default()
        };
        let timeout = Self::set_at(Some(zerokit), "timeout");
        if call * 3 >= lease {
            let spot = of_two(Self::set_at(engine, "lease"), timeout);
            self.problems.error("bad-value", spot, "`zerokit.timeout` must be under a third of `engine.lease`");
        }
        if call > quiet {
            let spot = of_two(Self::set_at(engine, "quiet_period"), timeout);
            self.problems.error("bad-value", spot, "`engine.quiet_period` must be at least `zerokit.timeout`");
        }
    }

    fn database_url(&mut self, database: Fields<'_>) -> Option<String> {
        let url = self.text(database, "url")?;
        if !["postgres://", "postgresql://", "sqlite://"].iter().any(|scheme| url.starts_with(scheme)) {
            let spot = database.get("url").map(|node| node.spot).unwrap_or_default();
            self.problems.error("bad-value", spot, "`url` must begin with `postgres://` or `sqlite://`");
            return None;
        }
        Some(url.to_owned())
    }

    fn service(&mut self, zerokit: Fields<'_>) -> Option<ServiceUrl> {
        let tenant = match zerokit.get("tenant_id") {
            Some(node) => Some(self.problems.text(node, "tenant_id")?),
            None => None,
        };
        let url = self.text(zerokit, "service_url")?;
        match ServiceUrl::parse(url, tenant) {
            Ok(service) => Some(service),
            Err(error) => {
                let spot = zerokit.get("service_url").map(|node| node.spot).unwrap_or_default();
                self.problems.error("bad-value", spot, format!("`service_url` {error}"));
                None
            }
        }
    }

    fn secrets(&mut self, fields: Fields<'_>, name: &str) -> Option<Vec<WebhookSecret>> {
        self.secret(fields, name, |text| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let secrets: Option<Vec<_>> = lines.map(WebhookSecret::parse).collect();
            let must_be = || "must be one or more of `whsec_` and 24 to 64 bytes in base64".to_owned();
            secrets.filter(|secrets| !secrets.is_empty()).ok_or_else(must_be)
        })
    }

    #[expect(clippy::option_option, reason = "a wrong section and an absent one are different things")]
    fn outbound(&mut self, webhooks: Fields<'_>) -> Option<Option<Outbound>> {
        let keys = ["url", "secret", "secret_file", "timeout", "retry_after"];
        let Some(section) = self.optional_section(webhooks, "outbound", &keys)? else { return Some(None) };
        let secrets = self.secrets(section, "secret");
        let timeout = self.duration(Some(section), "timeout", Duration::from_secs(10));
        let schedule = match section.get("retry_after") {
            Some(node) => {
                let waits: Vec<_> = self
                    .problems
                    .list(node, "retry_after")?
                    .iter()
                    .map(|wait| self.problems.duration(wait, "retry_after"))
                    .collect();
                waits.into_iter().collect()
            }
            None => Some(RETRY_SCHEDULE.to_vec()),
        };
        let url = self.address(section, "url")?;
        Some(Some(Outbound { url, secrets: secrets?, timeout: timeout?, schedule: schedule? }))
    }

    fn tokens(&mut self, top: Fields<'_>) -> Option<Vec<Token>> {
        let Some(node) = top.get("tokens") else { return Some(Vec::new()) };
        let items = self.problems.list(node, "tokens")?;
        let tokens: Vec<_> = items.iter().map(|item| self.token(item)).collect();
        tokens.into_iter().collect()
    }

    /// The platform's user behind a token; `none` says that there is none.
    #[expect(clippy::option_option, reason = "a wrong user and nobody are different things")]
    fn user_of_token(&mut self, node: &Node) -> Option<Option<UserId>> {
        match self.problems.text(node, "user_id")? {
            "none" => Some(None),
            text => match UserId::new(text) {
                Ok(user) => Some(Some(user)),
                Err(error) => {
                    self.problems.error("bad-value", node.spot, format!("`user_id` {error}"));
                    None
                }
            },
        }
    }

    fn token(&mut self, node: &Node) -> Option<Token> {
        let fields = self.problems.mapping(node, "a token", &["name", "role", "sha256", "user_id"])?;
        let name = self.text(fields, "name")?.to_owned();
        let Some(role) = fields.get("role") else {
            self.problems.error("missing-key", fields.spot, "`role` is missing");
            return None;
        };
        let roles = [("app", Role::App), ("operator", Role::Operator), ("reviewer", Role::Reviewer), ("auditor", Role::Auditor)];
        let role = self.problems.choice(role, "role", &roles)?;
        let hash = self.text(fields, "sha256")?;
        let mut sha256 = [0; 32];
        if hex::decode_to_slice(hash, &mut sha256).is_err() {
            let spot = fields.get("sha256").map(|node| node.spot).unwrap_or_default();
            let problem = Diagnostic::error("bad-value", self.problems.file(), spot, "`sha256` must be 64 hex digits");
            self.problems.add(problem.with_help("`printf %s TOKEN | sha256sum` prints them"));
            return None;
        }
        let user_id = match fields.get("user_id") {
            Some(node) => self.user_of_token(node)?,
            None if role == Role::Reviewer => {
                let what = "a reviewer must have `user_id`, so that nobody reviews what they have a part in";
                let problem = Diagnostic::error("missing-key", self.problems.file(), fields.spot, what);
                self.problems.add(problem.with_help("write `user_id: none` for somebody who is no user of the platform"));
                return None;
            }
            None => None,
        };
        Some(Token { name, role, sha256, user_id })
    }
}
