//! Reviews of what was escalated: who may decide, what the policy still has to say, and what a later attempt inherits.

use crate::harness::command::assent;
use crate::harness::site::{REVIEWER_TOKEN, token};
use crate::harness::{Backend, Setting, Stage, command, on_both, until};
use assent::cli::config::Config;
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::engine::{Mode, load_policy};
use assent::http::{Role, Token};
use assent::simulator::Answer;
use serde_json::{Value, json};

on_both!(
    a_reviewer_approves_and_the_record_says_who,
    a_reviewer_rejects_and_the_platform_is_told,
    only_reviewers_who_are_no_party_decide_and_they_say_why,
    a_reject_rule_counts_more_than_a_review,
    what_was_reviewed_must_not_have_changed,
    a_later_attempt_of_the_flow_needs_no_second_review,
    what_nobody_reviews_in_time_is_rejected,
    what_is_overdue_is_not_approved_by_whoever_comes_before_that_was_seen_to,
    patience_can_be_asked_for,
    observing_rejects_nothing_when_a_review_is_overdue,
    reviewers_work_on_the_command_line_too,
);

const POLICY: &str = r#"
version: 1
defaults: {review: {ttl: 1h}}
rules:
  - {id: too-big, on: [share], effect: reject, when: {tresor.members_after: {gt: 3}}}
  - {id: guest, on: [share, kick], effect: escalate, when: {subject.groups: {contains: guest}}}
  - {id: soon, on: [share], effect: escalate, when: {subject.groups: {contains: soon}}, review: {ttl: 300ms}}
  - {id: patient, on: [share], effect: escalate, when: {subject.groups: {contains: patient}}, review: {ttl: 300ms, on_timeout: keep}}
  - {id: all, on: [share, kick, tresor_creation], effect: approve}
"#;

fn reviewer(name: &str, text: &str, user: Option<String>) -> Token {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Token {
        name: name.into(),
        role: Role::Reviewer,
        sha256: hash.as_ref().try_into().unwrap(),
        user_id: user.map(|user| UserId::new(user).unwrap()),
    }
}

async fn stage(backend: Backend, change: fn(&mut Config)) -> (Stage, UserId, TresorId) {
    let setting = Setting { policy: POLICY.to_owned(), change, ..Setting::default() };
    let stage = Stage::set_with(backend, setting, |config| {
        config.tokens.push(reviewer("rita", REVIEWER_TOKEN, Some("rita@somewhere".into())));
        // Users are numbered from one: the first one is Ann, the second one Gus.
        config.tokens.push(reviewer("ann", "ann-token", Some("20260302100000.u0000001@tenant1234.tresorit.io".into())));
        config.tokens.push(reviewer("gus", "gus-token", Some("20260302100000.u0000004@tenant1234.tresorit.io".into())));
    })
    .await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    (stage, ann, tresor)
}

impl Stage {
    fn member_of(&self, group: &str) -> UserId {
        self.scenario.add_user(json!({ "email": "gus@example.com", "groups": [group] })).unwrap()
    }

    async fn shares(&self, ann: &UserId, about: &UserId, tresor: &TresorId, flow: Option<&str>) -> Answer {
        let id = self.simulator.world().share(ann, about, tresor, self.now()).unwrap();
        let data = self.scenario.app().data(Kind::Share, &id, ann, flow);
        self.scenario.app().report(&data, 60, self.now().as_second()).await.unwrap()
    }

    async fn review(&self, token: &str, record: &str, body: Value) -> (u16, Value) {
        let url = self.url(&format!("/v1/operations/{record}/review"));
        let request = reqwest::Client::new().post(url).bearer_auth(token).header("prefer", "wait=60").json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn text(&self, sql: &str) -> String {
        self.database.texts(sql).await.join(" ")
    }
}

fn approve() -> Value {
    json!({ "verdict": "approve", "comment": "seen with legal" })
}

async fn a_reviewer_approves_and_the_record_says_who(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let gus = stage.member_of("guest");
    let escalated = stage.shares(&ann, &gus, &tresor, None).await;
    assert_eq!((escalated.status, escalated.state()), (200, "escalated"));
    let (status, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!((status, &shown["state"], &shown["decision"]["verdict"]), (200, &json!("approved"), &json!("approve")));
    assert_eq!(shown["decision"]["reason"], "approved by rita: seen with legal");
    assert!(stage.simulator.world().members(&tresor).unwrap().contains(&gus));
    assert_eq!(
        stage.text("select decided_by from decisions where kind = 'share' order by decided_at").await,
        "policy reviewer:rita"
    );
    let reviews = "select verdict || ' ' || reviewer || ' ' || user_id || ' ' || comment from reviews";
    assert_eq!(stage.text(reviews).await, "approve rita rita@somewhere seen with legal");
    assert!(stage.database.try_run("update reviews set comment = 'x'").await.is_err(), "reviews are insert-only");
    assert!(stage.database.try_run("delete from reviews").await.is_err());
    let (status, problem) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:assent:problem:not-escalated")), "{problem}");
}

async fn a_reviewer_rejects_and_the_platform_is_told(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let escalated = stage.shares(&ann, &stage.member_of("guest"), &tresor, None).await;
    let body = json!({ "verdict": "reject", "comment": "not them" });
    let (status, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), body).await;
    assert_eq!((status, &shown["state"]), (200, &json!("rejected")));
    assert_eq!(shown["decision"]["reason"], "rejected by rita: not them");
    assert_eq!(stage.simulator.calls().iter().filter(|call| **call == "RejectShare").count(), 1);
    assert_eq!(stage.text("select decided_by from decisions where verdict = 'reject'").await, "reviewer:rita");
}

async fn only_reviewers_who_are_no_party_decide_and_they_say_why(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let gus = stage.member_of("guest");
    assert_eq!(
        (ann.as_str(), gus.as_str()),
        ("20260302100000.u0000001@tenant1234.tresorit.io", "20260302100000.u0000004@tenant1234.tresorit.io")
    );
    let record = stage.shares(&ann, &gus, &tresor, None).await.text("id").to_owned();
    let refused = async |token: &str, body: Value| {
        let (status, problem) = stage.review(token, &record, body).await;
        format!("{status} {}", problem["detail"].as_str().unwrap())
    };
    let involved = "403 the reviewer is the requester, the actor or the subject of this operation; somebody else must review it";
    assert_eq!(refused("ann-token", approve()).await, involved);
    assert_eq!(refused("gus-token", approve()).await, involved);
    assert_eq!(
        refused(crate::harness::TOKEN, approve()).await,
        "403 this needs a token with `role: reviewer`, and this one has `role: auditor`"
    );
    assert!(refused("nobody's", approve()).await.starts_with("401 "));
    assert_eq!(refused(REVIEWER_TOKEN, json!({ "verdict": "approve" })).await, "400 `comment` is missing");
    assert_eq!(
        refused(REVIEWER_TOKEN, json!({ "verdict": "approve", "comment": " " })).await,
        "400 `comment` must say why, in at most 4096 bytes"
    );
    assert_eq!(
        refused(REVIEWER_TOKEN, json!({ "verdict": "escalate", "comment": "x" })).await,
        "400 `verdict` must be `approve` or `reject`"
    );
    assert_eq!(
        refused(REVIEWER_TOKEN, json!({ "verdict": "approve", "coment": "x" })).await,
        "400 `coment` is not a known field; did you mean `comment`?"
    );
    let (status, _) = stage.review(REVIEWER_TOKEN, "01a20b0c-0000-7000-8000-000000000000", approve()).await;
    assert_eq!(status, 404);
    assert_eq!(stage.text("select state from operations where state <> 'approved'").await, "escalated", "nothing came of it");
    assert_eq!(stage.text("select cast(count(*) as text) from reviews").await, "0");
}

async fn a_reject_rule_counts_more_than_a_review(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let escalated = stage.shares(&ann, &stage.member_of("guest"), &tresor, None).await;
    // The tresor fills up while the reviewer thinks.
    for _ in 0..2 {
        let user = stage.user("bob@example.com");
        stage.simulator.world().add_member(&tresor, &user).unwrap();
    }
    let (_, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!((&shown["state"], &shown["decision"]["rules"]), (&json!("rejected"), &json!(["too-big"])));
    assert_eq!(stage.text("select decided_by from decisions where verdict = 'reject'").await, "policy");
}

async fn what_was_reviewed_must_not_have_changed(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let gus = stage.member_of("guest");
    let escalated = stage.shares(&ann, &gus, &tresor, None).await;
    // A new rule escalates for a reason that nobody has seen.
    let stricter = POLICY.replace(
        "  - {id: all,",
        "  - {id: odd, on: [share], effect: escalate, when: {tresor.members_after: {gt: 1}}}\n  - {id: all,",
    );
    std::fs::write(stage.policies().join("policy.yaml"), stricter).unwrap();
    stage.daemon.engine.reload_policy().await.unwrap();
    let (_, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!(shown["state"], "escalated", "{shown}");
    assert_eq!(shown["decision"]["rules"], json!(["guest", "odd"]));
    let reason = "rule `guest` matched; rule `odd` matched; the review by rita does not hold: policy or facts have changed since";
    assert_eq!(shown["decision"]["reason"], reason);
    // Whoever has only seen the first decision approves nothing; whoever has seen both may approve both.
    let seen = |decision: &Value| json!({ "verdict": "approve", "comment": "seen", "decision_id": decision });
    let stale = stage.review(REVIEWER_TOKEN, escalated.text("id"), seen(&escalated.body["decision"]["id"])).await;
    assert_eq!((stale.0, &stale.1["type"]), (409, &json!("urn:assent:problem:another-decision")));
    let (_, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), seen(&shown["decision"]["id"])).await;
    assert_eq!(shown["state"], "approved", "{shown}");
}

async fn a_later_attempt_of_the_flow_needs_no_second_review(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let (gus, bob) = (stage.member_of("guest"), stage.member_of("staff"));
    let escalated = stage.shares(&ann, &gus, &tresor, None).await;
    // Another approval comes first, so that the reviewed operation is lost at the platform.
    assert_eq!(stage.shares(&ann, &bob, &tresor, None).await.state(), "approved");
    let (_, shown) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!(shown["state"], "superseded", "{shown}");
    let again = stage.shares(&ann, &gus, &tresor, Some(shown["flow_id"].as_str().unwrap())).await;
    assert_eq!((again.state(), again.body["attempt"].as_u64()), ("approved", Some(2)), "{}", again.body);
    assert_eq!(again.body["decision"]["reason"], "approved by rita: seen with legal");
    // Another flow with the same people has no part in that.
    stage.simulator.world().remove_member(&tresor, &gus).unwrap();
    assert_eq!(stage.shares(&ann, &gus, &tresor, None).await.state(), "escalated");
}

async fn what_nobody_reviews_in_time_is_rejected(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let escalated = stage.shares(&ann, &stage.member_of("soon"), &tresor, None).await;
    assert_eq!(escalated.state(), "escalated");
    until("it is rejected", async || stage.text("select state from operations where kind = 'share'").await == "rejected").await;
    let decided = "select decided_by || ': ' || reason from decisions where verdict = 'reject'";
    assert_eq!(stage.text(decided).await, "review-timeout: nobody reviewed it in time");
    assert_eq!(stage.simulator.calls().iter().filter(|call| **call == "RejectShare").count(), 1);
    let (status, _) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!(status, 409, "it is too late");
}

async fn what_is_overdue_is_not_approved_by_whoever_comes_before_that_was_seen_to(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let escalated = stage.shares(&ann, &stage.member_of("guest"), &tresor, None).await;
    assert_eq!(escalated.state(), "escalated");
    stage.database.try_run("update operations set review_until = 1 where state = 'escalated'").await.unwrap();
    let (status, said) = stage.review(REVIEWER_TOKEN, escalated.text("id"), approve()).await;
    assert_eq!(status, 409, "{said}");
}

async fn patience_can_be_asked_for(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let waits = stage.shares(&ann, &stage.member_of("patient"), &tresor, None).await;
    let overdue = stage.shares(&ann, &stage.member_of("soon"), &tresor, None).await;
    until("the other one is rejected", async || stage.operation(overdue.text("id")).await["state"] == "rejected").await;
    assert_eq!(stage.operation(waits.text("id")).await["state"], "escalated");
}

async fn observing_rejects_nothing_when_a_review_is_overdue(backend: Backend) {
    let (stage, ann, tresor) = {
        let setting = Setting { policy: POLICY.to_owned(), change: |config| config.mode = Mode::Observe, ..Setting::default() };
        let stage = Stage::set(backend, setting).await;
        let ann = stage.user("ann@example.com");
        let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
        stage.simulator.world().approve_creation(&tresor).unwrap();
        (stage, ann, tresor)
    };
    stage.shares(&ann, &stage.member_of("soon"), &tresor, None).await;
    until("it has ended", async || stage.text("select state from operations").await == "unknown").await;
    assert!(!stage.simulator.calls().contains(&"RejectShare"));
}

async fn reviewers_work_on_the_command_line_too(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let escalated = stage.shares(&ann, &stage.member_of("guest"), &tresor, None).await;
    let folder = tempfile::tempdir().unwrap();
    let config = stage.config_file(folder.path());
    let mut text: Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    text["tokens"] = json!([
        token("rita", "rita's", "reviewer", Some("none")),
        token("ann", "ann's", "reviewer", Some(ann.as_str())),
        token("olga", "olga's", "operator", None)
    ]);
    command::write(folder.path(), &text);
    let record = escalated.text("id").to_owned();
    let listed = assent(&["ops", "review", "--json", "--config", &config], &[]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(
        (&listed["operations"][0]["id"], &listed["operations"][0]["reason"]),
        (&json!(record), &json!("rule `guest` matched"))
    );
    let said = async |token: &str, more: &[&str]| {
        let args = [&["ops", "review", &record, "--config", &config], more].concat();
        let ran = assent(&args, &[("ASSENT_TOKEN", token)]).await;
        format!("{} {}{}", ran.status, ran.out, ran.err).trim().to_owned()
    };
    assert!(said("rita's", &[]).await.contains(&format!("decision     {}", escalated.body["decision"]["id"].as_str().unwrap())));
    assert_eq!(said("rita's", &["--comment", "x"]).await, "2 error: say `--approve` or `--reject`");
    assert_eq!(said("rita's", &["--approve"]).await, "2 error: `--comment` must say why; it goes into the record");
    let comment = ["--approve", "--comment", "seen"];
    assert_eq!(said("nobody's", &comment).await, "1 error: this token is not among `tokens` of the configuration");
    assert_eq!(
        said("olga's", &comment).await,
        "1 error: this needs a token with `role: reviewer`, and this one has `role: operator`"
    );
    assert_eq!(
        said("ann's", &comment).await,
        "1 error: ann is the requester, the actor or the subject of it; somebody else must review it"
    );
    assert!(said("rita's", &comment).await.ends_with("is allowed by rita; the daemon looks at it again"));
    until("the daemon has found it", async || stage.operation(&record).await["state"] == "approved").await;
    assert!(said("rita's", &comment).await.starts_with("1 error: this operation is approved; only one that is escalated"));
}

#[test]
fn a_review_is_checked_where_it_is_written() {
    let problems = |text: &str| {
        let folder = crate::harness::policy_directory(text);
        load_policy(folder.path()).err().map(|error| match error {
            assent::engine::PolicyError::Invalid { problems, .. } => {
                problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        })
    };
    let rule = |review: &str, effect: &str| {
        format!("version: 1\nrules:\n  - {{id: r, on: [share], effect: {effect}, review: {review}}}\n")
    };
    assert_eq!(problems(&rule("{ttl: 4h, on_timeout: reject}", "escalate")), None);
    assert_eq!(problems(&rule("{ttl: 0s}", "escalate")).unwrap(), "`ttl` must leave a reviewer some time");
    assert!(problems(&rule("{on_timeout: approve}", "escalate")).unwrap().contains("on_timeout"));
    assert!(problems(&rule("{tll: 4h}", "escalate")).unwrap().contains("tll"));
    assert_eq!(
        problems(&rule("{ttl: 4h}", "reject")).unwrap(),
        "`review` says how an escalation waits for a person, and this rule makes none"
    );
}
