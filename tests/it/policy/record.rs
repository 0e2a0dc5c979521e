//! Real decisions, looked at again: explained, replayed by another policy, made into test cases. And what the language
//! leaves in the record: shadows, windows, pairs, and counters of personal values.

use crate::harness::command::assent;
use crate::harness::{Backend, Setting, Stage, on_both};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use serde_json::{Value, json};

const POLICY: &str = "version: 1
lists: {insiders: [example.com, \"*.example.org\"]}
rules:
  - {id: outsider, on: [share], effect: reject, when: {subject.email_domain: {not_in: {list: insiders}}}, reason: \"{subject.email_domain} is outside\"}
  - {id: named, on: [share], effect: escalate, when: {subject.email: {starts_with: boss@}}}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: [actor.id, tresor.id], windows: [{within: 1h, max: 3}, {within: 24h, max: 5}]}}
  - {id: per-address, on: [share], effect: reject, limit: {count: share, per: context.ip, within: 1h, max: 100}}
  - {id: members, on: [share], effect: approve, when: {actor.is_member: true}}
  - {id: creators, on: [tresor_creation], effect: approve, when: {actor.id: {exists: true}}}
  - {id: tighter, mode: shadow, owner: anna, expires: 2099-01-01, on: [share], effect: reject, when: {tresor.members_after: {gt: 2}}}
";

struct Story {
    stage: Stage,
    ann: UserId,
    tresor: TresorId,
}

impl Story {
    /// A daemon by [`POLICY`], and a tresor of Ann's.
    async fn begin(backend: Backend) -> Self {
        let stage = Stage::set(backend, Setting { policy: POLICY.into(), ..Setting::default() }).await;
        let ann = stage.user("ann@example.com");
        let tresor = stage.tresor(&ann).await;
        Self { stage, ann, tresor }
    }

    async fn share(&self, email: &str) -> Value {
        let to = self.stage.user(email);
        let operation = self.stage.simulator.world().share(&self.ann, &to, &self.tresor, self.stage.now()).unwrap();
        let mut data = self.stage.scenario.app().data(Kind::Share, &operation, &self.ann, None);
        data["context"] = json!({ "ip": "192.0.2.7" });
        self.stage.scenario.app().report(&data, 60, self.stage.now().as_second()).await.unwrap().body
    }

    async fn json(&self, column: &str, decision: &Value) -> Value {
        let text = if self.stage.database.url.starts_with("sqlite") { "" } else { "::text" };
        let sql = format!("select {column}{text} from decisions where id = '{}'", decision["decision"]["id"].as_str().unwrap());
        let written = &self.stage.database.texts(sql).await[0];
        let value: Value = serde_json::from_str(written).unwrap();
        assert_eq!(written, &value.to_string(), "{column} is kept in canonical form");
        value
    }
}

async fn what_the_language_says_is_in_the_record(backend: Backend) {
    let story = Story::begin(backend).await;
    let first = story.share("ben@example.com").await;
    let second = story.share("cleo@example.com").await;
    assert_eq!((first["state"].clone(), second["state"].clone()), (json!("approved"), json!("approved")));
    // The second share would have had three members: the shadow saw it, and it did not count.
    let shadow = async |decision: &Value| story.json("shadow", decision).await[0].clone();
    assert_eq!(shadow(&first).await["says"], Value::Null);
    let seen = shadow(&second).await;
    assert_eq!((&seen["rule"], &seen["mode"], &seen["says"]), (&json!("tighter"), &json!("shadow"), &json!("reject")));
    let trace = story.json("trace", &second).await;
    assert!(trace.as_array().unwrap().iter().all(|rule| rule["mode"] == "enforce"));
    // The limit counts by a pair, in two windows, and the trace says what it saw.
    let limit = |trace: &Value, rule: &str| {
        trace.as_array().unwrap().iter().find(|traced| traced["rule"] == rule).unwrap()["limit"].clone()
    };
    let velocity = limit(&trace, "velocity");
    assert_eq!(velocity["per"], "actor.id,tresor.id");
    assert_eq!(
        velocity["windows"],
        json!([{"within": "1h", "seen": 1, "max": 3, "result": "false"}, {"within": "24h", "seen": 1, "max": 5, "result": "false"}])
    );
    story.share("dan@example.com").await;
    let fourth = story.share("eva@example.com").await;
    assert_eq!((fourth["state"].clone(), fourth["decision"]["rules"].clone()), (json!("rejected"), json!(["velocity"])));
    // A counter of a personal value is a keyed hash, and counts all the same.
    assert_eq!(limit(&story.json("trace", &fourth).await, "per-address")["windows"][0]["seen"], 3);
    story.json("facts", &fourth).await;
    story.json("facts_personal", &fourth).await;
    let counters = story.stage.database.texts("select limit_key from limit_keys").await;
    assert!(counters.iter().any(|key| key.starts_with("share|context.ip|hmac:")), "{counters:?}");
    assert!(!counters.iter().any(|key| key.contains("192.0.2.7")), "{counters:?}");
    story.stage.daemon.stop().await;
}

async fn a_decision_is_explained_by_the_policy_that_made_it(backend: Backend) {
    let story = Story::begin(backend).await;
    let rejected = story.share("eve@elsewhere.example").await;
    let id = rejected["decision"]["id"].as_str().unwrap().to_owned();
    // What stands in the directory now is another policy.
    std::fs::write(story.stage.policies().join("policy.yaml"), "version: 1\nrules: []\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = story.stage.config_file(folder.path());
    let ran = assent(&["policy", "explain", "--decision", &id, "--config", &config], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.starts_with("reject  by outsider\n  elsewhere.example is outside\n"), "{}", ran.out);
    assert!(
        ran.out.contains("subject.email_domain not_in list `insiders` (is elsewhere.example, from notification): yes"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("subject.email starts_with (personal) (is (personal), from notification): no"), "{}", ran.out);
    assert!(
        ran.out.contains("approve  if subject.email_domain were example.com instead of elsewhere.example, by members"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("eve@"), "{}", ran.out);
    // By the other one, on the same facts.
    let other = assent(
        &["policy", "explain", story.stage.policies().to_str().unwrap(), "--decision", &id, "--config", &config, "--json"],
        &[],
    )
    .await;
    let other: Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(other["evaluation"]["reason"], "no rule matched; the default is reject");
    let nobody =
        assent(&["policy", "explain", "--decision", "01a20bc0-af1d-7692-829d-16c653e008f6", "--config", &config], &[]).await;
    assert_eq!(nobody.status, 1);
    assert!(nobody.err.contains("there is no decision"), "{}", nobody.err);
    story.stage.daemon.stop().await;
}

async fn recorded_decisions_are_decided_again_by_another_policy(backend: Backend) {
    let story = Story::begin(backend).await;
    for email in ["ben@example.com", "boss@example.com", "eve@elsewhere.example", "cleo@example.com", "dan@example.com"] {
        story.share(email).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = story.stage.config_file(folder.path());
    let directory = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("p.yaml"), text).unwrap();
        path.display().to_string()
    };
    let replay = async |policy: &str, more: &[&str]| {
        let args = [&["policy", "replay", "--since", "1h", "--json", "--config", &config, "--policy", policy], more].concat();
        let ran = assent(&args, &[]).await;
        assert_eq!(ran.status, 0, "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()["difference"].clone()
    };
    // By the same policy nothing is different: personal facts are opened with the key.
    let same = directory("same", POLICY);
    let difference = replay(&same, &[]).await;
    assert_eq!(
        (&difference["evaluated"], &difference["changed"], &difference["incomplete"]),
        (&json!(6), &json!(0), &json!(0)),
        "{difference:#}"
    );
    // The shadow in earnest.
    let tighter = directory("tighter", &POLICY.replace("mode: shadow, owner: anna, expires: 2099-01-01, ", ""));
    let difference = replay(&tighter, &[]).await;
    assert_eq!(difference["shifts"][0]["from"], "approve");
    assert_eq!((&difference["shifts"][0]["to"], &difference["shifts"][0]["count"]), (&json!("reject"), &json!(2)));
    assert_eq!(difference["rules"]["tighter"], json!({"then": 0, "now": 4}));
    assert_eq!(difference["shifts"][0]["examples"][0]["rules_now"], json!(["tighter"]));
    // A limit that the record did not count is counted from what was approved.
    let fewer = directory(
        "fewer",
        &POLICY.replace("within: 1h, max: 3}, {within: 24h, max: 5}", "within: 2h, max: 1}, {within: 24h, max: 5}"),
    );
    let difference = replay(&fewer, &[]).await;
    assert_eq!(difference["shifts"][0]["examples"][0]["rules_now"], json!(["velocity"]), "{difference:#}");
    // A fact that no rule used then was not recorded.
    let other = directory(
        "other",
        "version: 1\nrules:\n  - {id: a, on: [share], effect: approve, when: {subject.groups: {contains: staff}}}\n",
    );
    let difference = replay(&other, &[]).await;
    assert_eq!(difference["incomplete"], 5, "{difference:#}");
    assert!(difference.to_string().contains("`subject.groups` is unknown (not recorded with the decision)"), "{difference:#}");
    assert_eq!(replay(&same, &["--limit", "2"]).await["evaluated"], 2);
    // For people.
    let ran = assent(&["policy", "replay", "--since", "1h", "--config", &config, "--policy", &tighter], &[]).await;
    let mut said: String = ran.said(&[]);
    for id in story
        .stage
        .database
        .texts(if backend == Backend::Postgres { "select id::text from decisions" } else { "select id from decisions" })
        .await
    {
        said = said.replace(&id, "ID");
    }
    let said: Vec<_> = said.lines().map(|line| if line.starts_with("  ID  ") { "  ID  TIME  share" } else { line }).collect();
    insta::assert_snapshot!("replay", said.join("\n"));
    story.stage.daemon.stop().await;
}

async fn a_test_case_is_made_of_a_real_decision(backend: Backend) {
    let story = Story::begin(backend).await;
    let rejected = story.share("eve@elsewhere.example").await;
    let id = rejected["decision"]["id"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = story.stage.config_file(folder.path());
    let policies = story.stage.policies().to_str().unwrap();
    let tests = story.stage.policies().join("real.test.yaml");
    for _ in 0..2 {
        let ran = assent(
            &["policy", "test", policies, "--from-decision", id, "--config", &config, "--into", tests.to_str().unwrap()],
            &[],
        )
        .await;
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    }
    let text = std::fs::read_to_string(&tests).unwrap();
    assert!(text.contains("subject.email_domain: elsewhere.example") && text.contains("verdict: reject"), "{text}");
    assert!(!text.contains("eve@") && text.contains("subject.email: \"personal, and not copied here\""), "{text}");
    let ran = assent(&["policy", "test", policies], &[]).await;
    assert_eq!(ran.status, 0, "{}{}\n{text}", ran.out, ran.err);
    assert!(ran.out.contains("2 passed"), "{}", ran.out);
    let whole = assent(&["policy", "test", policies, "--from-decision", id, "--with-personal", "--config", &config], &[]).await;
    assert!(whole.out.contains("subject.email: eve@elsewhere.example") && whole.err.is_empty(), "{}{}", whole.out, whole.err);
    story.stage.daemon.stop().await;
}

on_both!(
    what_the_language_says_is_in_the_record,
    a_decision_is_explained_by_the_policy_that_made_it,
    recorded_decisions_are_decided_again_by_another_policy,
    a_test_case_is_made_of_a_real_decision,
);

#[tokio::test(flavor = "multi_thread")]
async fn the_api_evaluates_what_somebody_states_by_the_same_evaluator() {
    let story = Story::begin(Backend::Sqlite).await;
    let ask = async |body: Value| {
        let request =
            reqwest::Client::new().post(story.stage.url("/v1/policy/evaluate")).bearer_auth(crate::harness::TOKEN).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let known = json!({"actor.id": "u1", "tresor.id": "t1", "actor.is_member": true, "subject.email_domain": "Elsewhere.example", "subject.email": "a@b", "context.ip": "x", "tresor.members_after": 3});
    let (status, said) = ask(json!({"kind": "share", "facts": known})).await;
    assert_eq!(
        (status, &said["verdict"], &said["rules"], &said["reason"], &said["message"]),
        (200, &json!("reject"), &json!(["outsider"]), &json!("elsewhere.example is outside"), &Value::Null)
    );
    assert_eq!(said["shadow"], json!(["tighter"]));
    assert_eq!(said["trace"].as_array().unwrap().len(), 6);
    let (_, said) = ask(json!({"kind": "share", "facts": {"actor.is_member": true, "subject.email": "a@b", "actor.id": "u1", "tresor.id": "t1", "context.ip": "x"}, "unknown": ["subject.email_domain"], "now": "2026-03-02T10:00:00Z"})).await;
    assert_eq!(
        (&said["verdict"], &said["rules"], &said["unknown"]),
        (&json!("escalate"), &json!(["outsider"]), &json!(["outsider"]))
    );
    let (_, said) = ask(json!({"kind": "share", "facts": {"actor.id": "u1", "tresor.id": "t1", "context.ip": "x", "subject.email_domain": "example.com", "subject.email": "a@b"}, "limits": {"velocity": {"1h": 3}}})).await;
    assert_eq!(said["rules"], json!(["velocity"]));
    // A wrong request names its field.
    let (status, problem) = ask(json!({"kind": "share", "facts": {"actor.is_member": "yes"}})).await;
    assert_eq!(
        (status, &problem["field"], &problem["detail"]),
        (400, &json!("facts.actor.is_member"), &json!("`facts.actor.is_member` must be a truth value"))
    );
    let (status, problem) = ask(json!({"kind": "share", "unknown": ["subject.emial"]})).await;
    assert_eq!((status, &problem["field"]), (400, &json!("unknown.subject.emial")));
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `subject.email`?"), "{problem}");
    let nobody = reqwest::Client::new().post(story.stage.url("/v1/policy/evaluate")).json(&json!({})).send().await.unwrap();
    assert_eq!(nobody.status().as_u16(), 401);
    story.stage.daemon.stop().await;
}
