//! User facts from files, an endpoint and a query: which source answers, what is kept, and what happens when one is down.

use crate::harness::{Backend, Database, Setting, Stage, on_both, until};
use assent::directory::{Directory, DirectorySettings, FileSettings, HttpSettings, Place, SqlSettings};
use assent::domain::fact::{FactName, FactState, FactValue, Source};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::domain::operation::UserClaims;
use assent::domain::secret::Secret;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

fn user(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

fn needed(names: &[&str]) -> BTreeSet<FactName> {
    names.iter().map(|name| FactName::new(*name)).collect()
}

const ALL: [&str; 5] = ["actor.email", "actor.email_domain", "actor.registrable_domain", "actor.groups", "actor.attributes.plan"];

/// What the directory says of a user, in short.
async fn ask(directory: &Directory, id: &str, notified: Option<&UserClaims>, names: &[&str]) -> Vec<String> {
    let mut said: Vec<_> = directory
        .person("actor", &user(id), notified, &needed(names))
        .await
        .into_iter()
        .map(|(name, state)| match state {
            FactState::Known(value, source) => format!("{name} = {} ({})", value.display(), json!(source).as_str().unwrap()),
            FactState::Absent => format!("{name} absent"),
            FactState::Unknown(cause) => format!("{name} unknown: {cause}"),
        })
        .collect();
    said.sort();
    said
}

fn settings() -> DirectorySettings {
    DirectorySettings { budget: Duration::from_millis(600), ..DirectorySettings::default() }
}

/// An endpoint that counts what it is asked.
#[derive(Clone)]
struct Endpoint {
    asked: Arc<AtomicUsize>,
    failing: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Endpoint {
    async fn start() -> (Self, SocketAddr) {
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

fn http(address: SocketAddr) -> HttpSettings {
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

fn files(folder: &std::path::Path, users: &str, text: &str) -> FileSettings {
    std::fs::write(folder.join(users), text).unwrap();
    FileSettings { users: Some(folder.join(users)), tresors: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_sources_says_who_answers_and_a_source_that_is_down_leaves_the_rest_unknown() {
    let (endpoint, address) = Endpoint::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = files(folder.path(), "users.yaml", "ann: {groups: [from-file], attributes: {plan: free}}\n");
    let open = |sources: Vec<Place>| {
        Directory::open(&DirectorySettings { sources, http: Some(http(address)), file: Some(file.clone()), ..settings() })
            .unwrap()
    };
    let notified = UserClaims { email: Some("ann@notified.example".into()), ..UserClaims::default() };
    let usual = open(vec![]);
    let said =
        ask(&usual, "ann", Some(&notified), &["actor.email", "actor.groups", "actor.attributes.plan", "actor.attributes.level"])
            .await;
    assert_eq!(
        said,
        [
            "actor.attributes.level absent",
            "actor.attributes.plan = free (file)",
            "actor.email = ann@notified.example (notification)",
            "actor.email_domain = notified.example (notification)",
            "actor.groups = from-file (file)",
            "actor.registrable_domain = notified.example (notification)",
        ]
    );
    // What is settled before asks nobody.
    let before = endpoint.asked.load(Ordering::SeqCst);
    ask(&usual, "ann", Some(&notified), &["actor.email", "actor.groups"]).await;
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), before);
    let endpoint_first = open(vec![Place::Http, Place::Notification, Place::File]);
    assert_eq!(ask(&endpoint_first, "ann", Some(&notified), &["actor.groups"]).await, ["actor.groups = legal (http)"]);
    // The endpoint might have said otherwise, so what stands behind it is not believed.
    endpoint.failing.store(usize::MAX, Ordering::SeqCst);
    let down = open(vec![Place::Http, Place::Notification, Place::File]);
    assert_eq!(ask(&down, "ann", Some(&notified), &["actor.groups"]).await, ["actor.groups unknown: directory http: HTTP 503"]);
    let behind = open(vec![Place::Notification, Place::File, Place::Http]);
    assert_eq!(ask(&behind, "ann", None, &["actor.groups"]).await, ["actor.groups = from-file (file)"]);
    assert_eq!(
        ask(&behind, "ann", None, &["actor.attributes.level"]).await,
        ["actor.attributes.level unknown: directory http: HTTP 503"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_yaml_or_csv_and_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "user_id, email, groups, plan, level\nann, ann@example.com, legal; staff, pro, 3\nbob,,,,\n";
    let file = files(folder.path(), "users.csv", csv);
    let directory = Directory::open(&DirectorySettings { file: Some(file.clone()), ..settings() }).unwrap();
    let names = ["actor.email", "actor.groups", "actor.attributes.plan", "actor.attributes.level"];
    let said = ask(&directory, "ann", None, &names).await;
    assert!(
        said.contains(&"actor.groups = legal, staff (file)".into()) && said.contains(&"actor.attributes.level = 3 (file)".into()),
        "{said:?}"
    );
    assert!(ask(&directory, "bob", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    assert!(ask(&directory, "zoe", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    for (text, cause) in [
        ("user_id,groups\nann,new\n", None),
        ("id,groups\nann,new\n", Some("has no column `user_id`")),
        ("user_id,groups\nann,a,b\n", Some("has a row that cannot be read (line 2): has it as many fields as the head?")),
        ("user_id,groups\nann,a\nann,b\n", Some("names an id twice (line 3)")),
        ("user_id,groups\n,a\n", Some("has a row without an id (line 2)")),
    ] {
        std::fs::write(file.users.as_ref().unwrap(), text).unwrap();
        let expected = cause.map_or("actor.groups = new (file)".to_owned(), |cause| {
            format!("actor.groups unknown: directory file: `users.csv` {cause}")
        });
        assert_eq!(ask(&directory, "ann", None, &["actor.groups"]).await, [expected]);
    }
    std::fs::remove_file(file.users.as_ref().unwrap()).unwrap();
    assert_eq!(
        ask(&directory, "ann", None, &["actor.groups"]).await,
        ["actor.groups unknown: directory file: `users.csv` cannot be read (entity not found)"]
    );
    for (text, cause) in [
        ("ann: {groups: [a}\n", "is not valid YAML (line 1)"),
        ("- ann\n", "must be a mapping of ids, and is a list"),
        ("zoe: {}\nann: {group: [a]}\n", "has an entry that is no such record (line 2)"),
    ] {
        let directory =
            Directory::open(&DirectorySettings { file: Some(files(folder.path(), "u.yaml", text)), ..settings() }).unwrap();
        let said = ask(&directory, "ann", None, &["actor.groups"]).await;
        assert!(said[0].starts_with(&format!("actor.groups unknown: directory file: `u.yaml` {cause}")), "{said:?}");
    }
}

/// A database of the web app's.
async fn app_database(backend: Backend) -> (Database, SqlSettings) {
    let database = Database::new(backend).await;
    if backend == Backend::Sqlite {
        std::fs::write(database.url.strip_prefix("sqlite://").unwrap(), "").unwrap();
    }
    let (list, text) = match backend {
        Backend::Postgres => ("array['legal', 'staff']", "varchar(99)"),
        Backend::Sqlite => ("'[\"legal\", \"staff\"]'", "text"),
    };
    database
        .try_run(&format!(
            "create table people (id text primary key, mail {text}, groups {}, level bigint, active boolean)",
            if backend == Backend::Postgres { "text[]" } else { "text" }
        ))
        .await
        .unwrap();
    database
        .try_run(&format!(
            "insert into people values ('ann', 'ann@example.com', {list}, 3, true), ('bob', null, null, null, null)"
        ))
        .await
        .unwrap();
    let sql = SqlSettings {
        url: Secret::new(database.url.clone()),
        user_query: Some("select mail as email, groups, level, active from people where id = $1;".into()),
        tresor_query: None,
        timeout: Duration::from_millis(300),
        connections: 2,
    };
    (database, sql)
}

async fn a_query_gives_one_row_and_can_do_nothing_else(backend: Backend) {
    let (database, sql) = app_database(backend).await;
    let open = |query: &str| {
        let sql = SqlSettings { user_query: Some(query.into()), ..sql.clone() };
        Directory::open(&DirectorySettings { sql: Some(sql), negative_ttl: Duration::ZERO, ..settings() }).unwrap()
    };
    let directory = open(sql.user_query.as_ref().unwrap());
    let names =
        ["actor.email_domain", "actor.groups", "actor.attributes.level", "actor.attributes.active", "actor.attributes.plan"];
    let said = ask(&directory, "ann", None, &names).await;
    let active = match backend {
        Backend::Postgres => "actor.attributes.active = true (sql)",
        // SQLite keeps truth values as numbers, and says so only for the column.
        Backend::Sqlite => said[0].as_str(),
    };
    assert_eq!(
        said,
        [
            active,
            "actor.attributes.level = 3 (sql)",
            "actor.attributes.plan absent",
            "actor.email = ann@example.com (sql)",
            "actor.email_domain = example.com (sql)",
            "actor.groups = legal, staff (sql)",
            "actor.registrable_domain = example.com (sql)",
        ]
    );
    assert!(ask(&directory, "bob", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    // An id that looks like SQL is only an id.
    assert_eq!(ask(&directory, "'||(select-1)--", None, &["actor.groups"]).await, ["actor.groups absent"]);
    let cause = |said: Vec<String>| said[0].clone();
    let many = open("select groups from people where $1 <> ''");
    assert!(cause(ask(&many, "ann", None, &["actor.groups"]).await).contains("more than one row"));
    // Whatever the operator writes, nothing is changed by it.
    for query in [
        "select 1 from people where id = $1) x; delete from people; --",
        "delete from people where id = $1 returning id",
        "with gone as (delete from people where id = $1 returning id) select id from gone",
    ] {
        let said = cause(ask(&open(query), "ann", None, &["actor.groups"]).await);
        assert!(said.contains("the database refuses the query"), "{query}: {said}");
    }
    assert_eq!(database.texts("select cast(count(*) as text) from people").await, ["2"]);
    let wrong_type = open(match backend {
        Backend::Postgres => "select 1.5::numeric as level from people where id = $1",
        Backend::Sqlite => "select 1.5 as level from people where id = $1",
    });
    assert!(
        cause(ask(&wrong_type, "ann", None, &["actor.attributes.level"]).await).contains("cast it to text, bigint or boolean")
    );
    if backend == Backend::Postgres {
        let slow = open("select pg_sleep(30)::text as plan from people where id = $1");
        let said = cause(ask(&slow, "ann", None, &["actor.attributes.plan"]).await);
        assert!(
            said.contains("no answer in time")
                || said.contains("refuses the query (code 57014)")
                || said.contains("within the budget"),
            "{said}"
        );
        // A function that writes is stopped by the session, not only by the form of the query.
        database
            .try_run("create function spoil(text) returns text language sql as $$ update people set mail = 'x'; select 'done' $$")
            .await
            .unwrap();
        let said = cause(ask(&open("select spoil($1) as plan"), "ann", None, &["actor.attributes.plan"]).await);
        assert!(said.contains("code 25006"), "{said}");
        assert_eq!(database.texts("select mail from people where id = 'ann'").await, ["ann@example.com"]);
    }
}

/// Through the whole daemon: the facts of rules come from the directory, with their source in the record, and a directory that
/// is down escalates.
async fn decisions_stand_on_the_directory_and_say_so(backend: Backend) {
    const POLICY: &str = "version: 1
rules:
  - {id: seed, on: [tresor_creation], effect: approve, when: {actor.id: {exists: true}}}
  - {id: leaver, on: [share], effect: reject, when: {subject.groups: {contains: leaver}}}
  - {id: secret, on: [share], effect: reject, when: {tresor.attributes.classification: {exists: true, eq: secret}}}
  - {id: new-tresor, on: [share], effect: escalate, when: {tresor.age: {gt: 1h}}}
  - {id: requesters, on: [share], effect: approve, when: {requester.attributes.plan: pro, requester.is_member: true, operation.age: {lt: 1h}, tresor.created_at: {gt: 2020-01-01}}}
";
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.csv");
    std::fs::write(&users, "user_id,groups\n").unwrap();
    static USERS: std::sync::Mutex<Vec<PathBuf>> = std::sync::Mutex::new(Vec::new());
    USERS.lock().unwrap().push(users.clone());
    let setting = Setting {
        policy: POLICY.into(),
        change: |config| {
            let users = USERS.lock().unwrap().pop();
            config.directory =
                DirectorySettings { file: Some(FileSettings { users, tresors: None }), ..DirectorySettings::default() };
        },
        ..Setting::default()
    };
    let stage = Stage::set(backend, setting).await;
    let (ann, ben) = (stage.user("ann@example.com"), stage.user("ben@example.com"));
    std::fs::write(&users, format!("user_id,groups,plan\n{ann},,pro\n{ben},staff,\n")).unwrap();
    let tresor = stage.tresor(&ann).await;
    let share = async |stage: &Stage, to: &UserId| {
        let operation = stage.simulator.world().share(&ann, to, &tresor, stage.now()).unwrap();
        stage.report(stage.scenario.app().data(Kind::Share, &operation, &ann, None), "").await
    };
    let answer = share(&stage, &ben).await;
    assert_eq!(answer.state(), "approved", "{}", answer.body);
    let fact = |name: &str| match backend {
        Backend::Postgres => {
            format!("select (facts -> '{name}')::text from decisions where kind = 'share' order by decided_at desc limit 1")
        }
        Backend::Sqlite => {
            format!("select facts -> '$.\"{name}\"' from decisions where kind = 'share' order by decided_at desc limit 1")
        }
    };
    let json =
        async |name: &str| -> serde_json::Value { serde_json::from_str(&stage.database.texts(fact(name)).await[0]).unwrap() };
    assert_eq!(json("subject.groups").await, json!({"value": ["staff"], "source": "file"}));
    assert_eq!(json("requester.attributes.plan").await, json!({"personal": true, "source": "file"}));
    assert_eq!(json("tresor.created_at").await["source"], "record");
    assert_eq!(json("tresor.attributes.classification").await, json!({"absent": true}));
    // The file breaks: nobody is let in on what is not known.
    std::fs::write(&users, "nonsense").unwrap();
    let answer = share(&stage, &stage.user("cleo@example.com")).await;
    assert_eq!((answer.state(), answer.body["decision"]["rules"].clone()), ("escalated", json!(["leaver"])), "{}", answer.body);
    assert!(
        answer.body["decision"]["reason"].as_str().unwrap().contains("directory file: `users.csv` has no column `user_id`"),
        "{}",
        answer.body
    );
    stage.daemon.stop().await;
}

on_both!(a_query_gives_one_row_and_can_do_nothing_else, decisions_stand_on_the_directory_and_say_so);

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

#[test]
fn settings_that_cannot_work_are_told() {
    let said = |settings: DirectorySettings| Directory::open(&settings).err().map(|error| error.to_string()).unwrap_or_default();
    let of_http = |user_url: &str| {
        said(DirectorySettings {
            http: Some(HttpSettings { user_url: Some(user_url.into()), ..http("127.0.0.1:1".parse().unwrap()) }),
            ..settings()
        })
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    assert_eq!(
        said(DirectorySettings { sources: vec![Place::Sql], ..settings() }),
        "`directory.sources` names `sql`, and there is no section `directory.sql`"
    );
    assert_eq!(
        of_http("https://app.example/users"),
        "`directory.http.user_url` must hold `{user_id}`, which is replaced by the id"
    );
    for wrong in
        ["https://{user_id}.example/x", "ftp://app.example/{user_id}", "app.example/{user_id}", "https://app.example:{user_id}/"]
    {
        assert!(of_http(wrong).contains("in its path or query"), "{wrong}: {}", of_http(wrong));
    }
    let of_sql = |url: &str, query: &str| {
        said(DirectorySettings {
            sql: Some(SqlSettings {
                url: Secret::new(url.into()),
                user_query: Some(query.into()),
                tresor_query: None,
                timeout: Duration::from_secs(1),
                connections: 1,
            }),
            ..settings()
        })
    };
    assert_eq!(of_sql("sqlite://x", "select 1"), "`directory.sql.user_query` must hold `$1`, which stands for the id");
    assert!(of_sql("mysql://x", "select $1").contains("must begin with `postgres://` or `sqlite://`"));
}
