//! The endpoint of the web app: what it may answer, what is kept, and what is tried again.

use super::*;

/// An endpoint that counts what it is asked.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) asked: Arc<AtomicUsize>,
    pub(super) failing: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Endpoint {
    pub(super) async fn start() -> (Self, SocketAddr) {
        let endpoint = Self { asked: Arc::default(), failing: Arc::default(), gate: Arc::new(Semaphore::new(1000)) };
        let router = Router::new()
            .route("/users/{id}", get(answer))
            .route("/tresors/{id}", get(|| async { axum::Json(json!({"creator_id": "zoe", "created_at": "2020-01-01T00:00:00Z", "attributes": {"classification": "secret"}})) }))
            .with_state(endpoint.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (endpoint, address)
    }
}

async fn answer(State(endpoint): State<Endpoint>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    endpoint.asked.fetch_add(1, Ordering::SeqCst);
    let _open = endpoint.gate.acquire().await.unwrap();
    if endpoint.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match id.as_str() {
        "ann" => axum::Json(json!({"email": "ann@mail.example.co.uk", "groups": ["legal"], "attributes": {"plan": "pro"}}))
            .into_response(),
        "a/b?c#d%e/../ann" => axum::Json(json!({"email": "odd@example.com"})).into_response(),
        "moved" => (StatusCode::FOUND, [(header::LOCATION, "/users/ann")]).into_response(),
        "broken" => "<html>".into_response(),
        "other" => axum::Json(json!({"mail": "x@example.com"})).into_response(),
        "denied" => StatusCode::FORBIDDEN.into_response(),
        "large" => "x".repeat(300_000).into_response(),
        "whoami" => axum::Json(json!({"groups": [headers[header::AUTHORIZATION].to_str().unwrap()]})).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) fn http(address: SocketAddr) -> HttpSettings {
    HttpSettings {
        user_url: Some(format!("http://{address}/users/{{user_id}}")),
        tresor_url: Some(format!("http://{address}/tresors/{{tresor_id}}")),
        token: Some(Secret::new("s3cret".into())),
        timeout: Duration::from_millis(250),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_answers_and_everything_else_it_says_is_no_answer() {
    let (endpoint, address) = Endpoint::start().await;
    let directory = Directory::open(&DirectorySettings { http: Some(http(address)), ..settings() }).unwrap();
    assert_eq!(
        ask(&directory, "ann", None, &ALL).await,
        [
            "actor.attributes.plan = pro (http)",
            "actor.email = ann@mail.example.co.uk (http)",
            "actor.email_domain = mail.example.co.uk (http)",
            "actor.groups = legal (http)",
            "actor.registrable_domain = example.co.uk (http)",
        ]
    );
    // The id is encoded into the address, whatever it holds.
    assert_eq!(ask(&directory, "a/b?c#d%e/../ann", None, &["actor.email"]).await[0], "actor.email = odd@example.com (http)");
    assert_eq!(
        ask(&directory, "..", None, &["actor.groups"]).await,
        ["actor.groups unknown: directory http: this id cannot be part of an address"]
    );
    assert_eq!(ask(&directory, "whoami", None, &["actor.groups"]).await, ["actor.groups = Bearer s3cret (http)"]);
    assert_eq!(ask(&directory, "nobody", None, &["actor.groups"]).await, ["actor.groups absent"]);
    for (id, cause) in [
        ("moved", "HTTP 302: redirects are not followed"),
        ("broken", "the answer is no JSON (line 1, column 1)"),
        ("other", "the answer is no such record (line 1, column 7)"),
        ("denied", "HTTP 403"),
        ("large", "the answer is larger than 256 KiB"),
    ] {
        assert_eq!(
            ask(&directory, id, None, &["actor.groups"]).await,
            [format!("actor.groups unknown: directory http: {cause}")]
        );
    }
    // Nothing that is not needed is asked for.
    let before = endpoint.asked.load(Ordering::SeqCst);
    assert!(ask(&directory, "fresh", None, &["actor.is_member", "tresor.id"]).await.is_empty());
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_and_asked_for_once_and_failures_are_tried_again() {
    let (endpoint, address) = Endpoint::start().await;
    let asked = || endpoint.asked.load(Ordering::SeqCst);
    let directory =
        Directory::open(&DirectorySettings { http: Some(http(address)), negative_ttl: Duration::ZERO, ..settings() }).unwrap();
    // Two failures within the budget are no failure.
    endpoint.failing.store(2, Ordering::SeqCst);
    assert_eq!(ask(&directory, "ann", None, &["actor.groups"]).await, ["actor.groups = legal (http)"]);
    assert_eq!(asked(), 3);
    ask(&directory, "ann", None, &ALL).await;
    assert_eq!(asked(), 3, "kept");
    // That there is no such entry is kept for another time: here for none.
    ask(&directory, "nobody", None, &["actor.groups"]).await;
    ask(&directory, "nobody", None, &["actor.groups"]).await;
    assert_eq!(asked(), 5);
    // However many want the same, one asks.
    let fresh = Directory::open(&DirectorySettings {
        http: Some(HttpSettings { timeout: Duration::from_secs(20), ..http(address) }),
        budget: Duration::from_secs(20),
        ..settings()
    })
    .unwrap();
    let gate = endpoint.gate.acquire_many(1000).await.unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let fresh = fresh.clone();
            tokio::spawn(async move { ask(&fresh, "ann", None, &["actor.groups"]).await })
        })
        .collect();
    until("somebody asks", async || asked() == 6).await;
    drop(gate);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), ["actor.groups = legal (http)"]);
    }
    assert_eq!(asked(), 6);
    // Down for longer than the budget: unknown, and not kept.
    let down = Directory::open(&DirectorySettings { http: Some(http(address)), ..settings() }).unwrap();
    endpoint.failing.store(1000, Ordering::SeqCst);
    assert_eq!(ask(&down, "ann", None, &["actor.groups"]).await, ["actor.groups unknown: directory http: HTTP 503"]);
    endpoint.failing.store(0, Ordering::SeqCst);
    assert_eq!(ask(&down, "ann", None, &["actor.groups"]).await, ["actor.groups = legal (http)"]);
    // Nobody listens there.
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = Directory::open(&DirectorySettings { http: Some(http(nowhere)), ..settings() }).unwrap();
    assert_eq!(
        ask(&nobody, "ann", None, &["actor.groups"]).await,
        ["actor.groups unknown: directory http: it cannot be reached"]
    );
    assert!(nobody.check().await.unwrap_err().to_string().contains("check `directory.http`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tresors_older_than_the_daemon_are_known_to_the_directory() {
    let (_endpoint, address) = Endpoint::start().await;
    let directory = Directory::open(&DirectorySettings { http: Some(http(address)), ..settings() }).unwrap();
    let (tresor, now) = (TresorId::new("0000old").unwrap(), "2020-01-03T00:00:00Z".parse().unwrap());
    let names = needed(&["tresor.creator_id", "tresor.age", "tresor.attributes.classification", "tresor.attributes.other"]);
    let facts = directory.tresor(&tresor, None, None, now, &names).await;
    let of =
        |facts: &[(FactName, FactState)], name: &str| facts.iter().find(|(fact, _)| fact.as_str() == name).unwrap().1.clone();
    assert_eq!(of(&facts, "tresor.creator_id"), FactState::Known(FactValue::Text("zoe".into()), Source::Http));
    assert_eq!(of(&facts, "tresor.age"), FactState::Known(FactValue::Duration(Duration::from_secs(172_800)), Source::Http));
    assert_eq!(of(&facts, "tresor.attributes.classification"), FactState::Known(FactValue::Text("secret".into()), Source::Http));
    assert_eq!(of(&facts, "tresor.attributes.other"), FactState::Absent);
    // What Assent decided itself comes first.
    let facts = directory.tresor(&tresor, Some(&user("ann")), Some(now), now, &names).await;
    assert_eq!(of(&facts, "tresor.creator_id"), FactState::Known(FactValue::Text("ann".into()), Source::Record));
    assert_eq!(of(&facts, "tresor.age"), FactState::Known(FactValue::Duration(Duration::ZERO), Source::Record));
}
