//! The daemon is killed with SIGKILL at the worst moments; after a restart every operation has exactly one outcome, and
//! the platform saw exactly one effect.

use crate::harness::{self, Backend, Database, on_both, until};
use assent::domain::ids::UserId;
use assent::domain::kind::Kind;
use assent::domain::webhook::WebhookSecret;
use assent::simulator::{Fault, Simulator, WebApp};
use assent::zerokit::Endpoint;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

on_both!(
    killed_between_intent_and_call,
    killed_while_the_platform_has_not_begun,
    killed_after_the_platform_applied_and_before_it_answered,
    killed_between_answer_and_outcome,
);

/// The moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeCall,
    PlatformHangsBefore,
    PlatformHangsAfter,
    AfterAnswer,
}

async fn killed_between_intent_and_call(backend: Backend) {
    kill_and_restart(backend, Moment::BeforeCall).await;
}

async fn killed_while_the_platform_has_not_begun(backend: Backend) {
    kill_and_restart(backend, Moment::PlatformHangsBefore).await;
}

async fn killed_after_the_platform_applied_and_before_it_answered(backend: Backend) {
    kill_and_restart(backend, Moment::PlatformHangsAfter).await;
}

async fn killed_between_answer_and_outcome(backend: Backend) {
    kill_and_restart(backend, Moment::AfterAnswer).await;
}

/// A daemon in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(config: &std::path::Path, stop_at: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
        command
            .args(["serve", "--migrate", "--config"])
            .arg(config)
            .env("ASSENT_LOG", "info")
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(point) = stop_at {
            command.env("ASSENT_STOP_AT", point);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the daemon ended before it served");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if event["fields"]["message"] == "assent serves" {
                break event["fields"]["http.address"].as_str().unwrap().parse().unwrap();
            }
        };
        // Its log must be read on, or it would block.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address }
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A tresor that is approved at the platform without the daemon.
fn tresor(simulator: &Simulator, by: &UserId) -> assent::domain::ids::TresorId {
    let mut world = simulator.world();
    let tresor = world.create_tresor(by).unwrap();
    world.approve_creation(&tresor).unwrap();
    tresor
}

/// One pending operation of every kind, each on a tresor of its own.
fn begin_all(simulator: &Simulator, app: &WebApp) -> Vec<(Kind, Value)> {
    let now = simulator.now();
    let person = |name: &str| {
        let user = simulator.world().add_user().unwrap();
        app.know(&user, json!({ "email": format!("{name}@example.com") }));
        user
    };
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let (ann, bob) = (person("ann"), person("bob"));
            let place = tresor(simulator, &ann);
            let mut world = simulator.world();
            let (id, requester) = match kind {
                Kind::Share => (world.share(&ann, &bob, &place, now).unwrap(), &ann),
                Kind::Kick => {
                    world.add_member(&place, &bob).unwrap();
                    (world.kick(&ann, &bob, &place, now).unwrap(), &ann)
                }
                Kind::TresorCreation => (world.create_tresor(&ann).unwrap().to_string(), &ann),
                Kind::InvitationLinkCreation => (world.create_link(&ann, &place, now).unwrap().0, &ann),
                Kind::InvitationLinkAcception => {
                    let link = world.add_link(&place).unwrap();
                    (world.accept_link(&ann, &bob, &place, &link, now).unwrap(), &bob)
                }
                Kind::InvitationLinkRevocation => {
                    let link = world.add_link(&place).unwrap();
                    (world.revoke_link(&ann, &place, &link, now).unwrap(), &ann)
                }
                Kind::UserValidation => {
                    let (user, registration) = world.begin_registration().unwrap();
                    let mut data = app.data(kind, user.as_str(), &user, None);
                    data["registration"] = registration;
                    return (kind, data);
                }
            };
            drop(world);
            (kind, app.data(kind, &id, requester, None))
        })
        .collect()
}

fn config_file(folder: &std::path::Path, database: &Database, platform: SocketAddr) -> std::path::PathBuf {
    std::fs::create_dir(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/policy.yaml"), harness::OBEDIENT).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "database": { "url": database.url },
        "zerokit": { "service_url": format!("http://{platform}/tenant-{}", harness::TENANT), "admin_key": harness::ADMIN_KEY, "timeout": "500ms" },
        "webhooks": { "inbound": { "secrets": [harness::SECRET] } },
        "policies": { "path": folder.join("policies") },
        "engine": { "lease": "1500ms", "quiet_period": "600ms", "retry_base": "20ms", "retry_max": "200ms" },
        "encryption": { "key": harness::ENCRYPTION_KEY },
    });
    let path = folder.join("config.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn kill_and_restart(backend: Backend, moment: Moment) {
    for want in ["approve", "reject"] {
        let database = Database::new(backend).await;
        let (simulator, platform, _stop) = harness::start_simulator(true, Duration::ZERO).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config_file(folder.path(), &database, platform);
        let fault = match moment {
            Moment::PlatformHangsBefore => Some(Fault::HangBefore),
            Moment::PlatformHangsAfter => Some(Fault::HangAfter),
            Moment::BeforeCall | Moment::AfterAnswer => None,
        };
        let verdict_calls: Vec<Endpoint> = Endpoint::ALL
            .iter()
            .copied()
            .filter(|endpoint| ["Approve", "Reject", "ValidateUser"].iter().any(|start| endpoint.name.starts_with(start)))
            .collect();
        if let Some(fault) = fault {
            verdict_calls.iter().for_each(|endpoint| simulator.plan_fault(*endpoint, fault, 1));
        }
        let stop_at = match moment {
            Moment::BeforeCall => Some("after-intent"),
            Moment::AfterAnswer => Some("after-answer"),
            _ => None,
        };
        let daemon = Process::start(&config, stop_at).await;
        let app = WebApp::new(&format!("http://{}", daemon.address), WebhookSecret::parse(harness::SECRET).unwrap()).unwrap();
        let mut reports = begin_all(&simulator, &app);
        for (_, data) in &mut reports {
            data["context"] = json!({ "want": want });
            let answer = app.report(data, 0, simulator.now().as_second()).await.unwrap();
            assert_eq!(answer.status, 202, "{}", answer.body);
        }
        // A validation that is rejected calls nobody.
        let expected = if want == "approve" { 7 } else { 6 };
        until("every verdict was committed", async || {
            let sql = "select cast(count(*) as text) from operations where sends > 0";
            database.texts(sql).await == [expected.to_string()]
        })
        .await;
        if moment != Moment::BeforeCall {
            until("every verdict reached the platform", async || {
                let calls = simulator.calls();
                calls.iter().filter(|name| verdict_calls.iter().any(|endpoint| endpoint.name == **name)).count() == expected
            })
            .await;
        }
        if moment == Moment::AfterAnswer {
            until("every verdict was applied", async || simulator.world().effects().len() == expected).await;
        }
        daemon.kill().await;

        let daemon = Process::start(&config, None).await;
        until("every operation has an outcome", async || {
            database.texts("select cast(count(*) as text) from outcomes").await == ["7"]
        })
        .await;
        for (kind, data) in &reports {
            let id = ["operation_id", "tresor_id", "user_id"].iter().find_map(|field| data[field].as_str()).unwrap();
            let outcomes = database.texts(format!("select outcome from outcomes where operation_id = '{id}'")).await;
            let decisions = database.texts(format!("select verdict from decisions where operation_id = '{id}'")).await;
            assert_eq!(decisions, [want], "{moment:?} {kind}");
            let effects: Vec<_> = simulator
                .world()
                .effects()
                .iter()
                .filter(|effect| effect.operation_id == id)
                .map(|effect| effect.verdict.as_str())
                .collect();
            // What became of a lost approval of a link cannot be known, and it is not sent again.
            let is_unknowable =
                want == "approve" && matches!(kind, Kind::InvitationLinkCreation | Kind::InvitationLinkRevocation);
            let applied = matches!(moment, Moment::PlatformHangsAfter | Moment::AfterAnswer);
            match (is_unknowable, *kind == Kind::UserValidation && want == "reject") {
                (true, _) => {
                    assert_eq!(outcomes, ["unknown"], "{moment:?} {kind}");
                    assert_eq!(effects.len(), usize::from(applied), "{moment:?} {kind}");
                }
                (_, true) => assert_eq!((outcomes, effects), (vec!["applied".to_owned()], vec![]), "{moment:?} {kind}"),
                _ => assert_eq!((outcomes, effects), (vec!["applied".to_owned()], vec![want]), "{moment:?} {kind}"),
            }
        }
        daemon.kill().await;
    }
}
