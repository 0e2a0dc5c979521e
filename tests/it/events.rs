//! Events to the web app: signed, in order within a flow, sent again as the specification says, dead and sent again by hand.

use crate::harness::command::assent;
use crate::harness::{Backend, SECRET, Setting, Stage, on_both, until};
use assent::domain::kind::Kind;
use assent::domain::webhook::{self, WebhookSecret};
use assent::engine::Outbound;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

on_both!(
    every_end_and_every_escalation_is_told_once_and_signed_with_both_secrets,
    a_superseded_flow_is_told_in_order,
    what_is_not_taken_is_sent_again_under_the_same_id,
    a_web_app_that_asks_for_rest_gets_it,
    a_redirect_is_a_failure_and_a_dead_event_is_sent_again_by_hand,
    an_event_that_waits_for_an_earlier_one_keeps_nobody_awake,
    gone_means_stop,
    without_a_web_app_nothing_is_written,
);

const OLD_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAAAAA=";

/// One delivery as it came in.
#[derive(Clone)]
struct Delivered {
    id: String,
    body: Value,
    raw: Bytes,
    timestamp: String,
    signature: String,
}

/// A status, and a header with it.
type Prepared = (u16, Option<(&'static str, &'static str)>);

/// A web app that answers as it is told, then 200.
#[derive(Clone, Default)]
struct WebApp {
    got: Arc<Mutex<Vec<Delivered>>>,
    answers: Arc<Mutex<VecDeque<Prepared>>>,
}

impl WebApp {
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn answer(&self, status: u16, header: Option<(&'static str, &'static str)>) {
        self.answers.lock().unwrap().push_back((status, header));
    }

    fn all(&self) -> Vec<Delivered> {
        self.got.lock().unwrap().clone()
    }

    fn types(&self) -> Vec<String> {
        self.all().iter().map(|event| event.body["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn has(&self, number: usize) {
        until(&format!("{number} deliveries"), async || self.all().len() >= number).await;
    }
}

async fn take(State(app): State<WebApp>, headers: HeaderMap, raw: Bytes) -> Response {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let delivered = Delivered {
        id: text(webhook::ID),
        body: serde_json::from_slice(&raw).unwrap(),
        raw,
        timestamp: text(webhook::TIMESTAMP),
        signature: text(webhook::SIGNATURE),
    };
    app.got.lock().unwrap().push(delivered);
    let Some((status, header)) = app.answers.lock().unwrap().pop_front() else { return StatusCode::OK.into_response() };
    let status = StatusCode::from_u16(status).unwrap();
    header.map_or_else(|| status.into_response(), |header| (status, [header]).into_response())
}

async fn stage(backend: Backend, retries: &[u64]) -> (Stage, WebApp) {
    let app = WebApp::default();
    let outbound = Outbound {
        url: app.listen().await.parse().unwrap(),
        secrets: [SECRET, OLD_SECRET].map(|secret| WebhookSecret::parse(secret).unwrap()).into(),
        timeout: Duration::from_secs(2),
        schedule: retries.iter().copied().map(Duration::from_millis).collect(),
    };
    let stage = Stage::set_with(backend, Setting::default(), |config| config.outbound = Some(outbound)).await;
    (stage, app)
}

async fn share(stage: &Stage, want: &str) -> Value {
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    stage.simulator.world().approve_creation(&tresor).unwrap();
    let bob = stage.user("bob@example.com");
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    stage.report(stage.scenario.app().data(Kind::Share, &id, &ann, None), want).await.body
}

async fn states(stage: &Stage) -> Vec<String> {
    stage.database.texts("select state || ' ' || cast(tries as text) from events order by seq").await
}

async fn every_end_and_every_escalation_is_told_once_and_signed_with_both_secrets(backend: Backend) {
    let (stage, app) = stage(backend, &[20]).await;
    let mut reported = Vec::new();
    for (number, want) in ["approve", "reject", "escalate"].into_iter().enumerate() {
        reported.push(share(&stage, want).await);
        app.has(number + 1).await;
    }
    assert_eq!(app.types(), ["operation.approved", "operation.rejected", "operation.escalated"]);
    for (event, view) in app.all().iter().zip(&reported) {
        let data = &event.body["data"];
        for field in ["id", "flow_id", "attempt", "kind", "operation_id"] {
            assert_eq!(data[field], view[field], "{field}");
        }
        assert_eq!((&data["verdict"], &data["rules"]), (&view["decision"]["verdict"], &view["decision"]["rules"]));
        assert!(data["tresor_id"].is_string() && data["actor_id"].is_string() && data["subject_id"].is_string(), "{data}");
        assert!(event.body["timestamp"].is_string());
        // Either secret alone verifies it.
        for secret in [SECRET, OLD_SECRET] {
            let secrets = [WebhookSecret::parse(secret).unwrap()];
            let parts = (event.id.as_str(), event.timestamp.as_str(), event.signature.as_str());
            webhook::verify(&secrets, parts, &event.raw, stage.now().as_second(), Duration::from_secs(60)).unwrap();
        }
    }
    assert_eq!(app.all()[1].body["data"]["message"], "No.");
    until("all are delivered", async || states(&stage).await == ["delivered 1", "delivered 1", "delivered 1"]).await;
}

/// A share that loses to somebody else's, and the one after it that is approved; the first delivery is refused.
async fn lose_and_come_back(stage: &Stage, app: &WebApp) {
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    stage.simulator.world().approve_creation(&tresor).unwrap();
    let bob = stage.user("bob@example.com");
    let lost = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    // Somebody else's operation is first, without the daemon.
    let eve = stage.user("eve@example.com");
    let other = stage.simulator.world().share(&ann, &eve, &tresor, stage.now()).unwrap();
    let other = assent::domain::ids::OperationId::new(other).unwrap();
    stage.simulator.world().approve(Kind::Share, &other, None).unwrap();
    // The first event is refused once, so that the second is there before the first is taken.
    app.answer(500, None);
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &lost, &ann, None), "approve").await;
    assert_eq!(answer.state(), "superseded");
    let again = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    let flow = answer.text("flow_id").to_owned();
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &again, &ann, Some(&flow)), "approve").await;
    assert_eq!(answer.state(), "approved");
}

async fn a_superseded_flow_is_told_in_order(backend: Backend) {
    let (stage, app) = stage(backend, &[300, 300]).await;
    lose_and_come_back(&stage, &app).await;
    app.has(3).await;
    assert_eq!(app.types(), ["operation.superseded", "operation.superseded", "operation.approved"]);
    assert_eq!(app.all()[0].body["data"]["error_code"], "LatestGkfNotKnownByClient");
    assert_eq!(app.all()[2].body["data"]["attempt"], 2);
}

async fn an_event_that_waits_for_an_earlier_one_keeps_nobody_awake(backend: Backend) {
    let (stage, app) = stage(backend, &[3_600_000]).await;
    lose_and_come_back(&stage, &app).await;
    until("the first is put off", async || states(&stage).await == ["pending 1", "pending 0"]).await;
    let due = stage.daemon.engine.store().next_event_due().await.unwrap().unwrap();
    assert!(due > Duration::from_secs(1800), "{due:?}");
}

async fn what_is_not_taken_is_sent_again_under_the_same_id(backend: Backend) {
    let (stage, app) = stage(backend, &[20, 20, 20]).await;
    app.answer(500, None);
    app.answer(400, None);
    share(&stage, "approve").await;
    app.has(3).await;
    let all = app.all();
    assert!(all.iter().all(|event| event.id == all[0].id && event.raw == all[0].raw));
    until("it is delivered", async || states(&stage).await == ["delivered 3"]).await;
}

async fn a_web_app_that_asks_for_rest_gets_it(backend: Backend) {
    for status in [429, 502, 503, 504] {
        let (stage, app) = stage(backend, &[1, 1]).await;
        app.answer(status, Some(("retry-after", "1800")));
        share(&stage, "approve").await;
        until("it is put off", async || states(&stage).await == ["pending 1"]).await;
        let due = "select case when due_at - created_at > 1700000000 then 'late' else 'soon' end from events order by seq";
        assert_eq!(stage.database.texts(due).await, ["late"], "{status}");
        // What is told meanwhile rests, too.
        share(&stage, "approve").await;
        assert_eq!((states(&stage).await, app.all().len()), (vec!["pending 1".to_owned(), "pending 0".to_owned()], 1));
    }
}

async fn a_redirect_is_a_failure_and_a_dead_event_is_sent_again_by_hand(backend: Backend) {
    let (stage, app) = stage(backend, &[10]).await;
    app.answer(302, Some(("location", "/elsewhere")));
    app.answer(301, Some(("location", "/elsewhere")));
    share(&stage, "approve").await;
    until("it is dead", async || states(&stage).await == ["dead 2"]).await;
    let folder = tempfile::tempdir().unwrap();
    let config = stage.config_file(folder.path());
    let run = async |args: &[&str]| assent(&[args, &["--config", &config]].concat(), &[]).await;
    let ran = run(&["ops", "events", "--dead"]).await;
    let listed = ran.out;
    assert!(listed.contains("operation.approved") && listed.contains("HTTP 301"), "{listed}");
    let ran = run(&["ops", "events", "--resend-dead", "--operator", "olga"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "1 event is sent again\n"), "{}", ran.err);
    app.has(3).await;
    until("it is delivered", async || states(&stage).await == ["delivered 1"]).await;
    let acted = stage.database.texts("select operator || ' ' || action || ' ' || target from operator_actions").await;
    assert_eq!(acted, ["olga resend_events dead"]);
    let ran = run(&["ops", "events"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "no event waits to be delivered\n"));
}

async fn gone_means_stop(backend: Backend) {
    let (stage, app) = stage(backend, &[10, 10]).await;
    app.answer(410, None);
    share(&stage, "approve").await;
    until("it is dead", async || states(&stage).await == ["dead 1"]).await;
    share(&stage, "approve").await;
    until("the next one waits", async || states(&stage).await == ["dead 1", "pending 0"]).await;
    assert_eq!(app.all().len(), 1);
}

async fn without_a_web_app_nothing_is_written(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    share(&stage, "approve").await;
    assert_eq!(states(&stage).await, [""; 0]);
}
