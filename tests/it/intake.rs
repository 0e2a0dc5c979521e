//! `POST /v1/operations`: who is believed, what is refused and how, and what is answered twice.

use crate::harness::{Backend, Database, MachineClock, SECRET, Setting, Stage, TOKEN, on_both};
use assent::domain::clock::{Clock as _, FixedClock};
use assent::domain::webhook::WebhookSecret;
use assent::http::{Api, router};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

on_both!(
    the_same_message_is_answered_as_the_first_time_and_another_body_is_a_conflict,
    the_same_operation_under_another_message_is_the_same_operation,
);

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../reference/standardwebhooks-python.json")).unwrap()
}

#[test]
fn signatures_are_those_of_the_official_library_and_the_published_vector() {
    for vector in vectors() {
        let secret = WebhookSecret::parse(vector["secret"].as_str().unwrap()).unwrap();
        let (id, timestamp) = (vector["id"].as_str().unwrap(), vector["timestamp"].as_i64().unwrap());
        let body = vector["body"].as_str().unwrap().as_bytes();
        assert_eq!(secret.sign(id, timestamp, body), vector["signature"], "{id}");
    }
    // The vector that the specification's own test suites publish.
    assert_eq!(vectors()[0]["signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

/// A daemon's HTTP side with a clock that stands still at `now`; its address.
async fn frozen(stage: &Stage, now: i64, secrets: &[&str]) -> String {
    let api = Api {
        engine: Arc::clone(&stage.daemon.engine),
        clock: Arc::new(FixedClock::at(jiff::Timestamp::from_second(now).unwrap())),
        secrets: secrets.iter().map(|secret| WebhookSecret::parse(secret).unwrap()).collect(),
        tolerance: Duration::from_mins(5),
        tokens: vec![],
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router(api)).await });
    format!("http://{address}/v1/operations")
}

async fn post(url: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if status >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    (status, response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_seven_kinds_signed_by_the_official_python_library_are_taken_in() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let mut kinds = vec![];
    for vector in vectors() {
        let (id, timestamp) = (vector["id"].as_str().unwrap(), vector["timestamp"].as_i64().unwrap());
        let url = frozen(&stage, timestamp + 200, &[vector["secret"].as_str().unwrap()]).await;
        let stamp = timestamp.to_string();
        let headers =
            [("webhook-id", id), ("webhook-timestamp", &stamp), ("webhook-signature", vector["signature"].as_str().unwrap())];
        let (status, answer) = post(&url, &headers, vector["body"].as_str().unwrap()).await;
        if status == 202 {
            kinds.push(answer["kind"].as_str().unwrap().to_owned());
            assert_eq!(answer["operation_id"], format!("id-of-{}", answer["kind"].as_str().unwrap()));
        } else {
            // The published vector and the one of odd characters are signed rightly and are no notifications.
            assert_eq!((status, &answer["field"]), (400, &json!("type")), "{answer}");
        }
    }
    let all: Vec<_> = assent::domain::kind::Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_to_be_believed_gets_401() {
    const NOW: i64 = 1_772_445_600;
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let url = frozen(&stage, NOW, &["whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVy", SECRET]).await;
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let body =
        json!({"type": "operation.pending", "data": {"kind": "share", "operation_id": "o", "requester_id": "u"}}).to_string();
    let stamp = NOW.to_string();
    let sign = |id: &str, at: i64| secret.sign(id, at, body.as_bytes());
    let good = sign("msg", NOW);
    // What is right stays right: several signatures, the second secret, at the edges of the tolerance.
    let many = format!("v1,AAAA v1a,ed25519 {good}");
    for (id, at, signature) in [
        ("msg", NOW, good.as_str()),
        ("msg", NOW, many.as_str()),
        ("msg", NOW - 300, sign("msg", NOW - 300).as_str()),
        ("msg", NOW + 300, sign("msg", NOW + 300).as_str()),
    ] {
        let stamp = at.to_string();
        let (status, answer) =
            post(&url, &[("webhook-id", id), ("webhook-timestamp", &stamp), ("webhook-signature", signature)], &body).await;
        assert_eq!(status, 202, "{answer}");
    }
    let prefix = &good[..good.len() - 8];
    let mut padded = good.clone();
    padded.push_str("AAAA");
    let dotted = sign("a.b", NOW);
    let wrong = [
        ("a bare version", "msg", stamp.as_str(), "v1,"),
        ("nothing", "msg", &stamp, ""),
        ("a prefix", "msg", &stamp, prefix),
        ("more than a signature", "msg", &stamp, &padded),
        ("an unknown version", "msg", &stamp, &good.replace("v1,", "v2,")),
        ("no version", "msg", &stamp, good.strip_prefix("v1,").unwrap()),
        ("another id's", "msg2", &stamp, &good),
        ("a dot in the id", "a.b", &stamp, &dotted),
        ("an empty id", "", &stamp, &good),
        ("too old", "msg", "1772445299", &sign("msg", NOW - 301)),
        ("too new", "msg", "1772445901", &sign("msg", NOW + 301)),
        ("an extreme timestamp", "msg", "9223372036854775807", &sign("msg", i64::MAX)),
        ("a more extreme one", "msg", "99999999999999999999", &good),
        ("a negative one", "msg", "-9223372036854775808", &good),
        ("a signed one", "msg", "+1772445600", &good),
        ("a fractional one", "msg", "1772445600.0", &good),
        ("an empty one", "msg", "", &good),
    ];
    for (what, id, stamp, signature) in wrong {
        let (status, answer) =
            post(&url, &[("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", signature)], &body).await;
        assert_eq!(status, 401, "{what}: {answer}");
    }
    let whole = [("webhook-id", "msg"), ("webhook-timestamp", stamp.as_str()), ("webhook-signature", good.as_str())];
    for (index, (name, value)) in whole.iter().enumerate() {
        let mut missing = whole.to_vec();
        missing.remove(index);
        let (status, answer) = post(&url, &missing, &body).await;
        assert_eq!((status, answer["detail"].as_str().unwrap()), (401, format!("header `{name}` is missing").as_str()));
        let mut doubled = whole.to_vec();
        doubled.push((name, value));
        let (status, answer) = post(&url, &doubled, &body).await;
        assert_eq!((status, answer["detail"].as_str().unwrap()), (401, format!("header `{name}` is there twice").as_str()));
    }
    let (status, _) = post(&url, &whole, &format!("{body} ")).await;
    assert_eq!(status, 401, "one more byte in the body");
}

proptest::proptest! {
    #[test]
    fn no_headers_whatever_make_the_verification_panic_or_succeed(id in ".{0,40}", timestamp in ".{0,30}", signature in ".{0,80}", now: i64) {
        let secrets = [WebhookSecret::parse(SECRET).unwrap()];
        let verified = assent::domain::webhook::verify(&secrets, (&id, &timestamp, &signature), b"{}", now, Duration::from_mins(5));
        proptest::prop_assert!(verified.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_names_the_field() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let share = json!({"kind": "share", "operation_id": "o", "requester_id": "u"});
    let with = |changes: Value| {
        let mut data = share.clone();
        for (key, value) in changes.as_object().unwrap() {
            data[key] = value.clone();
        }
        data
    };
    let cases = [
        with(json!({"kind": "shore"})),
        with(json!({"kind": null})),
        with(json!({"operation_id": ""})),
        with(json!({"operation_id": 5})),
        with(json!({"operation_id": "a b"})),
        with(json!({"operation_id": "x".repeat(300)})),
        with(json!({"requester_id": null})),
        with(json!({"requestor_id": "u"})),
        with(json!({"tresor_id": "t"})),
        with(json!({"flow_id": "mine"})),
        with(json!({"registration": {}})),
        with(json!({"users": {"u": {"email": 1}}})),
        with(json!({"users": {"u": {"emial": "a@b.c"}}})),
        with(json!({"users": {"u": {"groups": ["a", 1]}}})),
        with(json!({"context": {"ip": 1}})),
        json!({"kind": "user_validation", "user_id": "u"}),
        json!({"kind": "user_validation", "user_id": "u", "registration": {"session_id": "s"}}),
        json!({"kind": "tresor_creation", "operation_id": "o", "requester_id": "u"}),
        json!("nothing"),
        with(json!({"users": {"u": {"groups": ["a\u{0}b"]}}})),
    ];
    let mut report = String::new();
    for data in cases {
        let answer = stage.scenario.app().report(&data, 0, stage.now().as_second()).await.unwrap();
        assert_eq!(answer.status, 400, "{data}");
        report.push_str(&format!("{:<34} {}\n", answer.text("field"), answer.text("detail")));
    }
    insta::assert_snapshot!(report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_256_kib_gets_413_and_odd_addresses_get_problems_too() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let (status, answer) = post(&stage.url("/v1/operations"), &[], &"x".repeat(256 * 1024 + 1)).await;
    assert_eq!((status, answer["type"].as_str().unwrap()), (413, "urn:assent:problem:body-too-large"));
    let (status, _) = post(&stage.url("/v1/nothing"), &[], "").await;
    assert_eq!(status, 404);
    let (status, _) = post(&stage.url("/livez"), &[], "").await;
    assert_eq!(status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_shown_to_bearers_of_a_token_only() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    let data = stage.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), &ann, None);
    let answer = stage.report(data, "approve").await;
    let url = stage.url(&format!("/v1/operations/{}", answer.text("id")));
    let client = reqwest::Client::new();
    for token in [None, Some("wrong"), Some("")] {
        let mut request = client.get(&url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    }
    assert_eq!(stage.operation(answer.text("id")).await, answer.body);
    for id in ["nothing", "00000000-0000-7000-8000-000000000000"] {
        let response = client.get(stage.url(&format!("/v1/operations/{id}"))).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(response.status(), 404);
    }
}

async fn the_same_message_is_answered_as_the_first_time_and_another_body_is_a_conflict(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let url = stage.url("/v1/operations");
    let now = MachineClock.now().as_second();
    let stamp = now.to_string();
    let body = |id: &str| {
        json!({"type": "operation.pending", "data": {"kind": "share", "operation_id": id, "requester_id": "u"}}).to_string()
    };
    let send = async |body: &str| {
        let signature = secret.sign("msg_1", now, body.as_bytes());
        post(
            &url,
            &[("webhook-id", "msg_1"), ("webhook-timestamp", &stamp), ("webhook-signature", &signature), ("prefer", "wait=60")],
            body,
        )
        .await
    };
    let (status, first) = send(&body("a")).await;
    assert_eq!((status, first["state"].as_str().unwrap()), (200, "failed"), "the platform does not know it: {first}");
    assert_eq!(send(&body("a")).await, (200, first));
    let (status, problem) = send(&body("b")).await;
    assert_eq!((status, problem["type"].as_str().unwrap()), (409, "urn:assent:problem:webhook-id-reused"));
    assert_eq!(stage.database.texts("select cast(count(*) as text) from operations").await, ["1"]);
}

async fn the_same_operation_under_another_message_is_the_same_operation(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    let data = stage.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), &ann, None);
    let first = stage.report(data.clone(), "approve").await;
    assert_eq!(first.state(), "approved");
    // Final, it is returned as it is, whatever the new message wants.
    let second = stage.report(data, "reject").await;
    assert_eq!(second.body, first.body);
    let effects = stage.simulator.world().effects().len();
    assert_eq!(effects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_down_a_notification_gets_503_and_readiness_is_gone() {
    // A cluster of its own, since it is stopped.
    let cluster = crate::harness::postgres::start();
    let database = Database::at(format!("{}/postgres", cluster.url));
    let stage = Stage::on(database, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    let mut data = stage.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), &ann, None);
    data["context"] = json!({ "want": "approve" });
    drop(cluster);
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let now = MachineClock.now().as_second();
    let body = json!({ "type": "operation.pending", "data": data }).to_string();
    let response = {
        let request = reqwest::Client::new()
            .post(stage.url("/v1/operations"))
            .header("webhook-id", "msg_down")
            .header("webhook-timestamp", now)
            .header("webhook-signature", secret.sign("msg_down", now, body.as_bytes()))
            .body(body.clone());
        request.send().await.unwrap()
    };
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:assent:problem:database-unavailable");
    let ready = reqwest::get(stage.url("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(reqwest::get(stage.url("/livez")).await.unwrap().status(), 200);
}

/// A creation to be reported, whose details nobody is told for longer than anybody waits.
async fn platform_that_hangs() -> (Stage, Value) {
    let change = |config: &mut assent::cli::config::Config| config.call_timeout = Duration::from_secs(60);
    let stage = Stage::set(Backend::Sqlite, Setting { change, ..Setting::default() }).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    stage.simulator.plan_fault(assent::zerokit::Endpoint::LIST_MEMBERS, assent::simulator::Fault::HangBefore, 1);
    let data = stage.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), &ann, None);
    (stage, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_is_answered_202_with_the_state_so_far() {
    let (stage, data) = platform_that_hangs().await;
    for wait in [0, 1] {
        let answer = stage.scenario.app().report(&data, wait, stage.now().as_second()).await.unwrap();
        assert_eq!((answer.status, answer.state()), (202, "running"), "{}", answer.body);
        assert!(answer.body["decision"].is_null() && answer.body["outcome"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_answered_so_when_the_database_goes_while_somebody_waits() {
    let (stage, data) = platform_that_hangs().await;
    let goes = async {
        crate::harness::until("it is stored", async || stage.database.texts("select id from operations").await.len() == 1).await;
        stage.database.try_run("alter table operations rename to elsewhere").await.unwrap();
    };
    let (answer, ()) = tokio::join!(stage.scenario.app().report(&data, 30, stage.now().as_second()), goes);
    assert_eq!(answer.unwrap().status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_optional_requester_a_report_may_leave_it_out() {
    let stage =
        Stage::set(Backend::Sqlite, Setting { change: |config| config.requester_required = false, ..Setting::default() }).await;
    let (ann, mallory) = (stage.user("ann@example.com"), stage.user("mallory@example.com"));
    for (requester, state) in [(Value::Null, "approved"), (json!(ann), "approved"), (json!(mallory), "refused")] {
        let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
        let mut data = stage.scenario.app().data(assent::domain::kind::Kind::TresorCreation, tresor.as_str(), &ann, None);
        data["requester_id"] = requester;
        assert_eq!(stage.report(data, "approve").await.state(), state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_answers_whoever_waits() {
    let (stage, data) = platform_that_hangs().await;
    let (scenario, now) = (stage.scenario.clone(), stage.now().as_second());
    let waiting = tokio::spawn(async move { scenario.app().report(&data, 60, now).await });
    while !stage.simulator.calls().contains(&"ListMembers") {
        tokio::task::yield_now().await;
    }
    stage.daemon.engine.stop_waiting();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.state()), (202, "running"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_asks_whether_a_daemon_is_ready_takes_no_connections_from_its_work() {
    let stage = Stage::set(Backend::Postgres, Setting::default()).await;
    let count = async || {
        let count =
            "select count(*)::text from pg_stat_activity where datname = current_database() and application_name like 'assent%'";
        stage.database.texts(count).await[0].parse::<usize>().unwrap()
    };
    let before = count().await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        crowd.spawn(reqwest::get(stage.url("/readyz")));
    }
    assert!(crowd.join_all().await.into_iter().all(|answer| answer.unwrap().status() == 200));
    let after = count().await;
    assert!(after <= before + 3, "{before} connections before, {after} after");
    stage.daemon.stop().await;
}
