//! User registration as a service: the web app gets a user and a session, and the verifier stays with the daemon.

use crate::harness::{APP_TOKEN, Backend, Setting, Stage, TOKEN, on_both, until};
use assent::domain::ids::UserId;
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::{Value, json};
use std::time::Duration;

on_both!(
    a_validation_needs_only_the_clients_verifier,
    the_verifier_is_sealed_and_erased_when_it_was_used,
    old_registrations_are_erased,
    a_registration_that_was_not_begun_here_needs_all_its_secrets,
);

struct Begun {
    user: UserId,
    session: String,
    verifier: String,
}

async fn begin(stage: &Stage) -> Begun {
    let request = reqwest::Client::new().post(stage.url("/v1/registrations")).bearer_auth(APP_TOKEN);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()), (201, "no-store"));
    let body: Value = answer.json().await.unwrap();
    let mut names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["registration_session_id", "user_id"], "the verifier never leaves the daemon");
    let user = UserId::new(body["user_id"].as_str().unwrap()).unwrap();
    // The browser completes it.
    let verifier = stage.simulator.world().register(&user).unwrap();
    Begun { user, session: body["registration_session_id"].as_str().unwrap().to_owned(), verifier }
}

fn report(stage: &Stage, begun: &Begun, registration: Value) -> Value {
    let mut data = stage.scenario.app().data(Kind::UserValidation, begun.user.as_str(), &begun.user, None);
    data["registration"] = registration;
    data
}

async fn kept(stage: &Stage) -> usize {
    stage.database.texts("select user_id from registrations").await.len()
}

async fn a_validation_needs_only_the_clients_verifier(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    for with_session in [false, true] {
        let begun = begin(&stage).await;
        let mut registration = json!({ "validation_verifier": begun.verifier });
        if with_session {
            registration["session_id"] = json!(begun.session);
        }
        let data = report(&stage, &begun, registration);
        let answer = stage.report(data.clone(), "approve").await;
        assert_eq!(answer.state(), "approved", "{}", answer.body);
        // The same operation again is the same, although its secret is gone.
        let again = stage.report(data, "approve").await;
        assert_eq!((again.status, &again.body["id"]), (200, &answer.body["id"]));
    }
    // A validation that failed may be reported again while the secret is there.
    let begun = begin(&stage).await;
    let wrong = report(&stage, &begun, json!({ "validation_verifier": "wrong" }));
    let answer = stage.report(wrong, "approve").await;
    assert_eq!(answer.body["outcome"]["error_code"], "InvalidRegistrationValidationVerifier");
    let right = report(&stage, &begun, json!({ "validation_verifier": begun.verifier }));
    assert_eq!(stage.report(right, "approve").await.state(), "approved");
}

async fn the_verifier_is_sealed_and_erased_when_it_was_used(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let begun = begin(&stage).await;
    let picture = stage.simulator.world().picture();
    let secret = picture["users"][0]["session_verifier"].as_str().unwrap().to_owned();
    let is_sqlite = backend == Backend::Sqlite;
    let sql = if is_sqlite { "select hex(sealed) from registrations" } else { "select encode(sealed, 'hex') from registrations" };
    let sealed = stage.database.texts(sql).await;
    assert!(sealed.len() == 1 && !sealed[0].to_lowercase().contains(&hex::encode(&secret)), "{sealed:?}");
    let rejected = begin(&stage).await;
    let data = report(&stage, &rejected, json!({ "validation_verifier": rejected.verifier }));
    assert_eq!(stage.report(data, "reject").await.state(), "rejected");
    assert_eq!(kept(&stage).await, 2, "nothing was used yet");
    let data = report(&stage, &begun, json!({ "validation_verifier": begun.verifier }));
    assert_eq!(stage.report(data, "approve").await.state(), "approved");
    assert_eq!(kept(&stage).await, 1, "erased once used");
    let payloads = stage.database.texts("select id from operations where payload is not null").await;
    assert_eq!(payloads, [""; 0], "nor does the queue hold it any longer");
}

async fn old_registrations_are_erased(backend: Backend) {
    let stage = Stage::set(
        backend,
        Setting { change: |config| config.registration_max_age = Duration::from_millis(1), ..Setting::default() },
    )
    .await;
    let begun = begin(&stage).await;
    until("it is old", async || {
        let answer = stage.report(report(&stage, &begun, json!({ "validation_verifier": begun.verifier })), "approve").await;
        answer.status == 400
    })
    .await;
    let store = stage.database.open().await;
    assert_eq!(store.erase_registrations(Duration::from_hours(1)).await.unwrap(), 0, "only the old ones");
    // The daemon may have been there first.
    until("it is erased", async || {
        store.erase_registrations(Duration::ZERO).await.unwrap();
        kept(&stage).await == 0
    })
    .await;
}

async fn a_registration_that_was_not_begun_here_needs_all_its_secrets(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let (user, secrets) = stage.simulator.world().begin_registration().unwrap();
    let begun = Begun {
        user,
        session: secrets["session_id"].as_str().unwrap().into(),
        verifier: secrets["validation_verifier"].as_str().unwrap().into(),
    };
    let answer = stage.report(report(&stage, &begun, json!({ "validation_verifier": begun.verifier })), "approve").await;
    assert_eq!((answer.status, answer.text("field")), (400, "data.registration.session_verifier"), "{}", answer.body);
    assert!(answer.text("detail").contains("send `session_id` and `session_verifier`"), "{}", answer.body);
    assert_eq!(stage.database.texts("select id from operations").await, [""; 0], "nothing was stored");
    // Another session than the one that was begun here is not ours either.
    let ours = begin(&stage).await;
    let foreign = json!({ "session_id": "another", "validation_verifier": ours.verifier });
    assert_eq!(stage.report(report(&stage, &ours, foreign), "approve").await.status, 400);
    // A verifier without its session names no session.
    let answer =
        stage.report(report(&stage, &begun, json!({ "session_verifier": "x", "validation_verifier": "y" })), "approve").await;
    assert_eq!((answer.status, answer.text("field")), (400, "data.registration.session_id"), "{}", answer.body);
    assert_eq!(stage.report(report(&stage, &begun, secrets), "approve").await.state(), "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_web_app_begins_registrations_and_a_platform_that_fails_is_told() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let mut said = String::new();
    let mut ask = async |name: &str, token: Option<&str>, body: &'static str| {
        let mut request = reqwest::Client::new().post(stage.url("/v1/registrations")).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        said.push_str(&format!("---- {name}\n{} {kind}\n{}\n\n", answer.status().as_u16(), answer.text().await.unwrap()));
    };
    ask("no token", None, "").await;
    ask("an auditor's token", Some(TOKEN), "").await;
    ask("a body", Some(APP_TOKEN), r#"{"user_id":"mine"}"#).await;
    ask("an empty object", Some(APP_TOKEN), "{}").await;
    for (name, fault) in [
        ("a platform that is away", Fault::DropBefore),
        ("a platform that is disabled", Fault::Code(ErrorCode::TenantDisabled)),
        ("a platform that refuses", Fault::Code(ErrorCode::InvalidAuthorization)),
        ("a proxy", Fault::NotJson(200)),
    ] {
        stage.simulator.plan_fault(Endpoint::INIT_USER_REGISTRATION, fault, 1);
        ask(name, Some(APP_TOKEN), "").await;
    }
    assert_eq!(kept(&stage).await, 1);
    insta::assert_snapshot!(said);
}
