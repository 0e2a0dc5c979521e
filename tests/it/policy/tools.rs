//! The author's tools as a person runs them: check, test, explain, schema and facts. What they say is pinned.

use crate::harness::command::{Ran, assent};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A policy directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

async fn policy(folder: &Path, args: &[&str]) -> Ran {
    let folder = folder.to_str().unwrap();
    let args: Vec<&str> = ["policy"].into_iter().chain(args.iter().map(|arg| if *arg == "DIR" { folder } else { arg })).collect();
    assent(&args, &[]).await
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const CAREFUL: &str = "version: 1
lists:
  partners: [example.com, \"*.example.org\", legal.example.org]
  friends: [example.com, legal.example.org, \"*.example.org\"]
  nobody: [x.example]
  spam: [example.com, \"*.example.org\"]
rules:
  - {id: open, on: [share], effect: approve}
  - {id: never, on: [share], effect: reject, when: {all: [{tresor.members_after: {gt: 10}}, {tresor.members_after: {lt: 5}}]}}
  - {id: never-2, on: [share], effect: reject, when: {actor.id: {eq: u1, in: [u2, u3]}}}
  - {id: never-3, on: [share], effect: reject, when: {all: [{actor.email: {exists: false}}, {actor.email: {ends_with: \"@x\"}}]}}
  - {id: twin, on: [share], effect: reject, when: {any: [{actor.id: u1}, {actor.id: u2}]}}
  - {id: twin-2, on: [share], effect: reject, when: {any: [{actor.id: u2}, {actor.id: u1}]}}
  - {id: loose, on: [share], effect: approve, when: {actor.id: {matches: \"admin\"}}}
  - {id: let-in, on: [share], effect: approve, when: {subject.email_domain: {in: {list: partners}}}}
  - {id: keep-out, on: [share], effect: reject, when: {subject.email_domain: {in: {list: spam}}}}
  - {id: let-in-2, on: [share, kick], effect: approve, when: {subject.email_domain: {in: {list: friends}}}}
  - {id: soon, mode: shadow, owner: anna, expires: 2026-03-10, on: [share], effect: reject, when: {actor.id: u7}}
  - {id: late, mode: shadow, owner: anna, expires: 2026-03-01, on: [share], effect: reject, when: {actor.id: u8}}
  - id: excepting
    on: [share]
    effect: reject
    when: {actor.id: u9}
    except:
      - {when: {tresor.id: t1}, owner: bela, reason: migration, ticket: OPS-7, expires: 2026-02-01}
      - {when: {tresor.id: t2}, owner: bela, reason: migration, expires: 2026-03-05}
  - {id: silent, mode: off, on: [share], effect: approve}
";

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_of_what_was_probably_not_meant() {
    let folder = directory(&[("rules.yaml", CAREFUL)]);
    let now = ["--now", "2026-03-02T10:00:00Z"];
    let warned = policy(folder.path(), &[&["check", "DIR"], &now[..]].concat()).await;
    insta::assert_snapshot!("check_warns", warned.said(&[]));
    let denied = policy(folder.path(), &[&["check", "--deny-warnings", "DIR"], &now[..]].concat()).await;
    assert_eq!(
        (denied.status, denied.err.lines().last()),
        (1, warned.out.lines().last().unwrap().split(", ").last().map(|count| format!("error: {count}")).as_deref())
    );
    // Before anything ends there is less to say.
    let early = policy(folder.path(), &["check", "--json", "--now", "2026-01-01T00:00:00Z", "DIR"]).await;
    let early: Value = serde_json::from_str(&early.out).unwrap();
    let codes: Vec<_> = early["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    assert!(!codes.iter().any(|code| code.starts_with("exp")), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_speaks_sarif() {
    let folder = directory(&[(
        "rules.yaml",
        "version: 1\nrules:\n  - {id: a, on: [share], effect: reject, when: {tresor.member_after: 3}}\n",
    )]);
    let ran = policy(folder.path(), &["check", "--sarif", "DIR"]).await;
    assert_eq!((ran.status, ran.err.as_str()), (2, ""));
    insta::assert_snapshot!(
        "check_sarif",
        ran.out.replace(folder.path().to_str().unwrap(), "DIR").replace(env!("CARGO_PKG_VERSION"), "VERSION")
    );
}

const RULES: &str = "version: 1
rules:
  - {id: member-cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 20}}, reason: \"{tresor.members_after} are too many\", message: Full.}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, windows: [{within: 1h, max: 3}, {within: 24h, max: 9}]}}
  - {id: members, on: [share], effect: approve, when: {actor.is_member: true}}
  - {id: tighter, mode: shadow, owner: anna, expires: 2027-01-01, on: [share], effect: reject, when: {tresor.members_after: {gt: 10}}}
";

const WRONG_CASES: &str = "# How it must be.
now: 2026-03-02T10:00:00Z
base: {kind: share, facts: {actor.id: u1, actor.is_member: true, tresor.members_after: 20}}
tests:
  - name: the 21st   # too many
    facts: {tresor.members_after: 21}
    expect: {verdict: approve, rules: [members], reason: \"it's } fine\"}   # stays
  - name: nobody knows
    unknown: {tresor.members_after: timeout}
    expect:
      verdict: reject
      rules: [member-cap]
      unknown: []
      shadow: [tighter]

  # The last one.
  - name: busy
    limits: {velocity: {1h: 3, 24h: 3}}
    expect: {verdict: reject, rules: [velocity], message: null}
";

#[tokio::test(flavor = "multi_thread")]
async fn test_shows_the_difference_and_writes_it_on_request() {
    let folder = directory(&[("rules.yaml", RULES), ("rules.test.yaml", WRONG_CASES)]);
    let failed = policy(folder.path(), &["test", "DIR"]).await;
    insta::assert_snapshot!("test_difference", failed.said(&[]));
    let updated = policy(folder.path(), &["test", "--update", "DIR"]).await;
    assert_eq!(updated.status, 0, "{}", updated.err);
    insta::assert_snapshot!("test_updated", std::fs::read_to_string(folder.path().join("rules.test.yaml")).unwrap());
    let passed = policy(folder.path(), &["test", "DIR"]).await;
    assert_eq!(passed.status, 0, "{}{}", passed.out, passed.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn test_reports_to_build_servers_and_says_what_is_covered() {
    let folder = directory(&[("rules.yaml", RULES), ("rules.test.yaml", WRONG_CASES)]);
    let report = folder.path().join("report.xml");
    let ran = policy(folder.path(), &["test", "--coverage", "--junit", report.to_str().unwrap(), "DIR"]).await;
    assert_eq!(ran.status, 1);
    insta::assert_snapshot!("test_coverage", ran.out.split("failed\n").nth(1).unwrap());
    insta::assert_snapshot!("test_junit", std::fs::read_to_string(&report).unwrap());
    policy(folder.path(), &["test", "--update", "DIR"]).await;
    let low = policy(folder.path(), &["test", "--min-coverage", "100", "DIR"]).await;
    insta::assert_snapshot!("test_min_coverage", format!("exit status {}\n{}", low.status, low.err));
    let enough = policy(folder.path(), &["test", "--min-coverage", "50", "DIR"]).await;
    assert_eq!(enough.status, 0, "{}", enough.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_tree_and_the_nearest_change() {
    let folder = directory(&[("rules.yaml", &format!("{RULES}  - id: partners
    on: [share]
    effect: escalate
    when: {{all: [{{not: {{subject.email_domain: {{eq: {{fact: actor.email_domain}}}}}}}}, {{any: [{{subject.groups: {{any: {{starts_with: legal-}}}}}}, {{actor.email: {{ends_with: \"@example.com\"}}}}]}}]}}
    except: [{{when: {{actor.id: u1}}, owner: bela, reason: audit, ticket: SEC-1, expires: 2027-01-01}}, {{when: {{actor.id: u2}}, owner: bela, reason: audit, expires: 2026-01-01}}]
"))]);
    let operation = folder.path().join("share.json");
    std::fs::write(&operation, r#"{"kind": "share", "now": "2026-03-02T10:00:00Z", "unknown": {"subject.groups": "timeout"}, "facts": {"actor.id": "u1", "actor.is_member": true, "tresor.members_after": 21, "actor.email": "ann@example.com", "subject.email_domain": "example.org", "actor.email_domain": "example.com"}}"#).unwrap();
    let operation = operation.to_str().unwrap();
    let ran = policy(folder.path(), &["explain", "DIR", "--operation", operation]).await;
    insta::assert_snapshot!("explain", ran.said(&[]));
    assert!(!ran.out.contains("ann@example.com"), "personal");
    let pretended =
        policy(folder.path(), &["explain", "DIR", "--operation", operation, "--limit", "velocity@24h=9", "--json"]).await;
    let pretended: Value = serde_json::from_str(&pretended.out).unwrap();
    assert_eq!(pretended["evaluation"]["rules"], serde_json::json!(["member-cap", "velocity"]));
    let wrong = policy(folder.path(), &["explain", "DIR", "--operation", operation, "--limit", "velocity@2h=9"]).await;
    assert_eq!(
        (wrong.status, wrong.err.as_str()),
        (2, "error: `--limit velocity@2h=9`: `velocity` has no window `2h`; its windows are `1h`, `24h`\n")
    );
    let limit = policy(folder.path(), &["explain", "DIR", "--operation", operation, "--limit", "veloci=9"]).await;
    assert!(limit.err.contains("did you mean `velocity`?"), "{}", limit.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_is_wrong_with_an_operation() {
    let folder = directory(&[("rules.yaml", RULES)]);
    let path = folder.path().join("o.json");
    let mut said = String::new();
    for text in [
        "not json",
        "[]",
        "{}",
        r#"{"kind": "shares"}"#,
        r#"{"kind": "share", "fact": {}}"#,
        r#"{"kind": "share", "facts": {"tresor.member_after": 3}}"#,
        r#"{"kind": "share", "facts": {"tresor.members_after": "three"}}"#,
        r#"{"kind": "tresor_creation", "facts": {"subject.id": "u1"}}"#,
        r#"{"kind": "share", "unknown": "all"}"#,
        r#"{"kind": "share", "limits": {"member-cap": 3}}"#,
        r#"{"kind": "share", "now": "noon"}"#,
    ] {
        std::fs::write(&path, text).unwrap();
        let ran = policy(folder.path(), &["explain", "DIR", "--operation", path.to_str().unwrap()]).await;
        assert_eq!(ran.status, 2, "{text}");
        said.push_str(&format!("{text}\n  {}", ran.err.replace(path.to_str().unwrap(), "o.json")));
    }
    insta::assert_snapshot!("explain_wrong", said);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_committed_and_the_shipped_policies_are_valid_by_it() {
    let policies = repository().join("policies");
    for (args, file) in
        [(&["policy", "schema"][..], "policy.schema.json"), (&["policy", "schema", "--tests"], "policy-test.schema.json")]
    {
        let printed = assent(args, &[]).await.out;
        let committed = std::fs::read_to_string(policies.join(file)).unwrap_or_default();
        if printed != committed && std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(policies.join(file), &printed).unwrap();
        } else {
            assert!(printed == committed, "policies/{file} is not what `assent {}` prints", args.join(" "));
        }
    }
    let validator = |file: &str| {
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(policies.join(file)).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let (rules, cases) = (validator("policy.schema.json"), validator("policy-test.schema.json"));
    for entry in std::fs::read_dir(&policies).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(schema) = name
            .ends_with(".yaml")
            .then(|| if name.ends_with(".test.yaml") { "policy-test.schema.json" } else { "policy.schema.json" })
        else {
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("# yaml-language-server: $schema={schema}\n")), "{name} does not name its schema");
        let value = assent::domain::yaml::parse(&name, &text).unwrap().to_json();
        let validator = if schema == "policy.schema.json" { &rules } else { &cases };
        let wrong: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
    // What does not load for a reason that a schema can see is not valid.
    for wrong in [
        r#"{"version": 1, "rules": [{"id": "a", "on": ["share"], "effect": "reject", "when": {"tresor.member_after": 3}}]}"#,
        r#"{"version": 1, "rules": [{"id": "a", "on": ["share"], "effect": "reject", "when": {"actor.is_member": {"gt": 3}}}]}"#,
        r#"{"version": 1, "rules": [{"id": "a", "on": ["share"], "effect": "allow"}]}"#,
        r#"{"version": 1, "defaults": {"verdict": "approve"}}"#,
        r#"{"version": 2}"#,
    ] {
        assert!(!rules.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_policy_is_an_example_to_follow() {
    let policies = repository().join("policies");
    let tested = policy(&policies, &["test", "--min-coverage", "100", "DIR"]).await;
    assert_eq!(tested.status, 0, "{}", tested.err);
    let checked = policy(&policies, &["check", "--deny-warnings", "DIR"]).await;
    assert_eq!(checked.status, 0, "{}", checked.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_is_listed_with_its_type_source_and_kinds() {
    let ran = assent(&["policy", "facts"], &[]).await;
    insta::assert_snapshot!("facts", ran.out);
    let json: Value = serde_json::from_str(&assent(&["policy", "facts", "--json"], &[]).await.out).unwrap();
    let of = |name: &str| json.as_array().unwrap().iter().find(|fact| fact["fact"] == name).unwrap().clone();
    assert_eq!(of("subject.is_member")["kinds"], serde_json::json!(["share", "kick", "invitation_link_acception"]));
    assert_eq!(
        (of("actor.email")["personal"].clone(), of("actor.email_domain")["personal"].clone()),
        (true.into(), false.into())
    );
    let validation: Value =
        serde_json::from_str(&assent(&["policy", "facts", "--kind", "user_validation", "--json"], &[]).await.out).unwrap();
    assert!(validation.as_array().unwrap().iter().all(|fact| !fact["fact"].as_str().unwrap().starts_with("actor.")));
}
