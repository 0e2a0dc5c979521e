//! `assent demo`: platform, clients and daemon in one process, on a SQLite file, with the policies of this repository.

use super::output::Paint;
use super::simulator::{DEMO_ADMIN_KEY, DEMO_TENANT, MachineClock};
use super::{Daemon, Failure, config::Config, output, serve};
use crate::audit::{LogVerifier, MasterKey};
use crate::directory::DirectorySettings;
use crate::domain::clock::Clock as _;
use crate::domain::ids::UserId;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::domain::webhook::WebhookSecret;
use crate::engine::{Mode, Notice, Sealing, derived_log_key, load_policy};
use crate::flow::State;
use crate::simulator::{Scenario, Simulator, WebApp};
use crate::store;
use crate::zerokit::{AdminKey, ServiceUrl, TenantId};
use base64::Engine as _;
use clap::Args;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The policy directory
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// Where to leave the database; a temporary folder by default
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// How long the browsers rest between two acts, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 430)]
    pause: u64,
}

/// How many operations ended in which way, by kind.
type Tally = BTreeMap<Kind, BTreeMap<&'static str, u32>>;

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    output::start_logging("warn");
    let paint = Paint::stdout();
    let policy = load_policy(&options.policies)?;
    let database = database_path(options.keep)?;
    let (stop, stopped) = watch::channel(false);
    let broken = |what: &'static str| move |error: std::io::Error| Failure::input(format!("{what}: {error}"));
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));

    let tenant = TenantId::parse(DEMO_TENANT).ok_or_else(|| Failure::input("the demo's tenant is malformed"))?;
    let admin_key = AdminKey::parse(DEMO_ADMIN_KEY).map_err(|error| Failure::input(error.to_string()))?;
    let simulator = Simulator::new(tenant, admin_key.clone(), Arc::new(MachineClock), true, Duration::from_millis(3));
    let platform = TcpListener::bind(local).await.map_err(broken("the emulated platform cannot listen"))?;
    let platform_address = platform.local_addr().map_err(broken("the emulated platform cannot listen"))?;
    let platform_task = tokio::spawn(simulator.clone().serve(platform, stopped));

    let secret = demo_secret()?;
    let config = demo_config(&database, platform_address, admin_key, secret.clone(), &options.policies)?;
    let store = store::open(&config.database_url, 4).await?;
    store.migrate().await?;
    let listener = TcpListener::bind(local).await.map_err(broken("the daemon cannot listen"))?;
    let log_key = config.sealing.key.verifier().map_err(|error| Failure::input(error.to_string()))?;
    let rules = policy.rules.len();
    let daemon = Daemon::start(config, store, policy, listener).await?;
    let app = WebApp::new(&format!("http://{}", daemon.address), secret)
        .map_err(|error| Failure::input(format!("TLS cannot be set up: {error}")))?;
    let app = Arc::new(app);
    let scenario = Scenario::new(simulator, Arc::clone(&app));

    println!("{}", paint.bold("assent demo"));
    println!("  platform  emulated, at http://{platform_address}");
    println!("  daemon    at http://{}, deciding by {rules} rules in {}/", daemon.address, options.policies.display());
    println!("  database  {}", database.display());
    println!();
    println!("{}", paint.dim(&row(["time", "kind", "who", "verdict", "rule", "ms", "reason"])));

    let mut notices = daemon.engine.watch();
    let mut tally = Tally::new();
    let pause = Duration::from_millis(options.pause);
    let mut morning = tokio::spawn(async move { scenario.morning(pause).await });
    let interrupted = serve::stop_signal();
    tokio::pin!(interrupted);
    let mut failure = None;
    loop {
        tokio::select! {
            notice = notices.recv() => match notice {
                Ok(notice) => show(paint, &app, &notice, &mut tally),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            },
            played = &mut morning => {
                if let Ok(Err(error)) = played {
                    failure = Some(Failure::no(format!("the browsers were interrupted: {error}")));
                }
                break;
            }
            () = &mut interrupted => {
                morning.abort();
                println!("{}", paint.dim("interrupted; finishing what is under way"));
                break;
            }
        }
    }
    daemon.stop().await;
    let _ = stop.send(true);
    let _ = tokio::time::timeout(Duration::from_secs(1), platform_task).await;
    while let Ok(notice) = notices.try_recv() {
        show(paint, &app, &notice, &mut tally);
    }
    summarise(paint, &tally, &database, &log_key);
    failure.map_or(Ok(()), Err)
}

fn database_path(keep: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let Some(path) = keep else {
        let folder = std::env::temp_dir().join(format!("assent-demo-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::input(format!("no temporary folder: {error}")))?;
        return Ok(folder.join("assent.db"));
    };
    if path.exists() {
        return Err(Failure::input(format!("`{}` is there already; name another file with --keep", path.display())));
    }
    Ok(path)
}

fn demo_secret() -> Result<WebhookSecret, Failure> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::input("the system gives no random numbers"))?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    WebhookSecret::parse(&text).ok_or_else(|| Failure::input("the demo's secret is malformed"))
}

fn demo_config(
    database: &std::path::Path,
    platform: SocketAddr,
    admin_key: AdminKey,
    secret: WebhookSecret,
    policies: &std::path::Path,
) -> Result<Config, Failure> {
    let service = ServiceUrl::parse(&format!("http://{platform}/tenant-{DEMO_TENANT}"), None);
    let encryption = MasterKey::generate().map_err(|error| Failure::input(error.to_string()))?;
    let key = derived_log_key("assent/demo", &encryption);
    let key = key.map_err(|error| Failure::input(error.to_string()))?;
    let configuration = serde_json::json!({ "demo": true });
    Ok(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        database_url: format!("sqlite://{}", database.display()),
        database_connections: 4,
        service: service.map_err(|error| Failure::input(error.to_string()))?,
        admin_key,
        call_timeout: Duration::from_secs(4),
        inbound_secrets: vec![secret],
        tolerance: Duration::from_mins(5),
        outbound: None,
        policies: policies.to_owned(),
        require_tests: false,
        directory: DirectorySettings::default(),
        requester_required: true,
        registration_max_age: Duration::from_hours(24),
        mode: Mode::Enforce,
        workers: 16,
        lease: Duration::from_secs(13),
        quiet_period: Duration::from_secs(10),
        retry_budget: 12,
        retry_base: Duration::from_millis(200),
        retry_max: Duration::from_secs(30),
        join_window: Duration::from_mins(2),
        turn: Duration::from_secs(3),
        max_wait: Duration::from_mins(1),
        max_attempts: 10,
        drain: Duration::ZERO,
        tokens: Vec::new(),
        encryption,
        sealing: Sealing { key, is_key_derived: true, every: Duration::from_secs(1), destinations: Vec::new(), configuration },
        told: None,
    })
}

fn row([time, kind, who, verdict, rule, ms, reason]: [&str; 7]) -> String {
    format!("  {time:<8}  {kind:<26}  {who:<12}  {verdict:<10}  {rule:<22}  {ms:>4}  {reason}")
}

fn show(paint: Paint, app: &WebApp, notice: &Notice, tally: &mut Tally) {
    let word = match (notice.state, notice.verdict) {
        (State::Approved, _) => "approve",
        (State::Rejected, _) => "reject",
        (State::Escalated, _) => "escalate",
        // It lost to another approval; its client is told when it is its turn.
        (State::Waiting, _) => State::Superseded.as_str(),
        (state, _) => state.as_str(),
    };
    *tally.entry(notice.kind).or_default().entry(word).or_default() += 1;
    let time = MachineClock.now().strftime("%H:%M:%S").to_string();
    let name = |user: &Option<UserId>| user.as_ref().map(|user| app.name_of(user).unwrap_or_else(|| user.to_string()));
    let who: Vec<_> = [name(&notice.actor), name(&notice.subject)].into_iter().flatten().collect();
    // The demo knows its people; a reason quotes ids, as the log must.
    let reason = app.with_names(&notice.reason);
    let reason = match (notice.state, notice.attempt) {
        (State::Superseded | State::Waiting, _) => "another approval came first; the client starts again".to_owned(),
        (_, attempt) if attempt > 1 => format!("{reason} (attempt {attempt})"),
        _ => reason,
    };
    let rule = match notice.rules.as_slice() {
        [] => "-".to_owned(),
        [rule] => rule.clone(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    };
    let ms = notice.elapsed.as_millis().to_string();
    let line = row([&time, notice.kind.as_str(), &who.join(" > "), word, &rule, &ms, &reason]);
    let painted = match (notice.state, notice.verdict) {
        (State::Approved, _) => paint.green(word),
        (State::Rejected, _) => paint.red(word),
        (State::Escalated | State::Superseded | State::Waiting, _) | (_, Some(Verdict::Escalate)) => paint.yellow(word),
        _ => paint.bold(word),
    };
    println!("{}", line.replacen(&format!("  {word} "), &format!("  {painted} "), 1));
}

fn summarise(paint: Paint, tally: &Tally, database: &std::path::Path, log_key: &LogVerifier) {
    let words = ["approve", "reject", "escalate", "superseded", "failed", "refused", "unknown"];
    let total = |word: &str| tally.values().filter_map(|by| by.get(word)).sum::<u32>();
    let used: Vec<_> = words.into_iter().filter(|word| total(word) > 0).collect();
    let line = |name: &str, cell: &dyn Fn(&str) -> String| {
        let cells: Vec<_> = used.iter().map(|word| format!("{:>12}", cell(word))).collect();
        format!("  {name:<26}{}", cells.concat())
    };
    println!();
    println!("{}", paint.dim(&line("", &|word| word.to_owned())));
    for (kind, by) in tally {
        println!("{}", line(kind.as_str(), &|word| by.get(word).map_or_else(|| "-".to_owned(), ToString::to_string)));
    }
    println!("{}", paint.bold(&line("all", &|word| total(word).to_string())));
    println!();
    println!("The decisions are in {}", database.display());
    println!();
    println!("  sqlite3 {} \\", database.display());
    println!("    \"select decided_at, kind, verdict, rules, reason, outcome from decision_history order by decided_at\"");
    println!();
    println!("Whether anybody changed them since:");
    println!();
    // As it was started: nobody may have it among the commands yet. Of a configuration that lies here nothing is about this database.
    let program = std::env::args().next().unwrap_or_else(|| "assent".to_owned());
    println!(
        "  ASSENT_DATABASE__URL=sqlite://{} {program} audit verify --config /dev/null --key {}",
        database.display(),
        log_key.as_str()
    );
}
