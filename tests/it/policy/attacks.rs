//! What a hostile reading found once: texts that look right and mean something else, and tools that said too much.

use crate::harness::command::assent;
use crate::harness::{Backend, Setting, Stage, on_both};
use assent::domain::kind::Kind;
use assent::engine::{load_policy, start_policy};
use assent::policy::{Inquiry, Policy, SourceFile, coverage, load, load_cases, nearest_changes, warnings};
use serde_json::{Value, json};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fn policy(text: &str) -> Policy {
    load(&[file("p.yaml", text)]).unwrap_or_else(|problems| panic!("{}", problems[0].render(Some(text))))
}

fn inquiry(policy: &Policy, stated: Value) -> Inquiry {
    Inquiry::read(&stated, policy, "2026-03-02T10:00:00Z".parse().unwrap()).unwrap()
}

fn codes(policy: &Policy) -> Vec<&'static str> {
    warnings(policy, "2026-03-02T10:00:00Z".parse().unwrap()).into_iter().map(|problem| problem.code).collect()
}

#[test]
fn a_mark_before_a_list_and_a_hash_within_an_entry_change_nothing() {
    let rules = "version: 1\nlists: {deny: {file: deny.txt}}\nrules:\n  - {id: deny, on: [share], effect: reject, when: {subject.groups: {contains_any: {list: deny}}}}\n  - {id: a, on: [share], effect: approve, when: {actor.is_member: true}}\n";
    let policy =
        load(&[file("p.yaml", rules), file("deny.txt", "\u{feff}mallory   # the first\nc#-devs\n# a comment\n")]).unwrap();
    let verdict = |group: &str| {
        inquiry(&policy, json!({"kind": "share", "facts": {"actor.is_member": true, "subject.groups": [group]}}))
            .put_to(&policy)
            .verdict
            .as_str()
    };
    assert_eq!(["mallory", "c#-devs", "c", "staff"].map(verdict), ["reject", "reject", "approve", "approve"]);
}

#[test]
fn explanations_name_only_what_could_be_and_nothing_personal_of_anybody() {
    let policy = policy(
        "version: 1
rules:
  - {id: same, on: [share], effect: approve, when: {actor.attributes.dept: {eq: {fact: requester.attributes.dept}}}}
  - {id: vip, on: [share], effect: approve, when: {subject.groups: {contains: vip}}}
  - {id: board, on: [share], effect: reject, when: {subject.groups: {any: {starts_with: board-}}}}
  - {id: none, on: [share], effect: reject, when: {tresor.member_count: {lte: 0}}}
  - {id: huge, on: [share], effect: escalate, when: {tresor.members: {size: {gt: 9223372036854775807}}}}
  - {id: large, on: [share], effect: escalate, when: {subject.groups: {size: {gt: 20000000}}}}
",
    );
    let stated = json!({"kind": "share", "facts": {"actor.attributes.dept": "a", "requester.attributes.dept": "SECRET", "subject.groups": [], "tresor.member_count": 3, "tresor.members": []}});
    let inquiry = inquiry(&policy, stated);
    let changes = nearest_changes(&policy, &inquiry);
    let said = serde_json::to_string(&changes).unwrap();
    assert!(!said.contains("SECRET") && !said.contains("-1"), "{said}");
    // Every change that is named leads to what is said.
    let vip = changes.iter().find(|change| change.what == "subject.groups");
    assert!(vip.is_none_or(|change| change.verdict.as_str() == "approve" && change.to == "vip"), "{said}");
}

#[test]
fn a_change_shows_nothing_of_the_person_that_a_fact_is_compared_with() {
    let policy = policy(
        "version: 1\nrules:\n  - {id: a, on: [share], effect: reject, when: {subject.id: {ne: {fact: actor.attributes.manager}}}}\n  - {id: b, on: [share], effect: approve, when: {actor.is_member: true}}\n",
    );
    let stated =
        json!({"kind": "share", "facts": {"subject.id": "u1", "actor.attributes.manager": "SECRET", "actor.is_member": true}});
    let changes = nearest_changes(&policy, &inquiry(&policy, stated));
    let said = serde_json::to_string(&changes).unwrap();
    assert!(!changes.is_empty() && !said.contains("SECRET"), "{said}");
}

#[test]
fn what_was_counted_of_one_is_not_counted_of_another() {
    let policy = policy(
        "version: 1\nrules:\n  - {id: out, on: [share], effect: reject, when: {actor.id: bad}}\n  - {id: v, on: [share], effect: escalate, limit: {count: share, per: actor.id, within: 24h, max: 5}}\n  - {id: b, on: [share], effect: approve, when: {actor.is_member: true}}\n",
    );
    let stated = json!({"kind": "share", "facts": {"actor.id": "bad", "actor.is_member": true}, "limits": {"v": 5}});
    let changes = nearest_changes(&policy, &inquiry(&policy, stated));
    let another = changes.iter().find(|change| change.what == "actor.id").unwrap();
    assert_eq!(another.verdict.as_str(), "approve", "{changes:?}");
}

#[test]
fn the_fact_whose_type_was_chosen_is_the_one_that_does_not_fit() {
    let policy = policy(
        "version: 1\nrules:\n  - {id: a, on: [share], effect: reject, when: {tresor.members_after: {gt: {fact: actor.attributes.cap}}}}\n",
    );
    let stated = json!({"kind": "share", "facts": {"tresor.members_after": 3, "actor.attributes.cap": "20"}});
    let reason = inquiry(&policy, stated).put_to(&policy).reason;
    assert!(reason.contains("`actor.attributes.cap` has a value of another type"), "{reason}");
}

#[test]
fn warnings_are_right_about_twins_and_anchors() {
    let twins = policy(
        "version: 1\nrules:\n  - {id: a, on: [share], effect: reject, when: {actor.id: u1}, except: [{when: {subject.id: x}, owner: o, reason: r, expires: 2027-01-01}]}\n  - {id: b, on: [share], effect: reject, when: {actor.id: u1}, except: [{when: {subject.id: y}, owner: o, reason: r, expires: 2027-01-01}]}\n",
    );
    assert_eq!(codes(&twins), Vec::<&str>::new());
    let pattern = |ask: &str| {
        codes(&policy(&format!("version: 1\nrules:\n  - {{id: a, on: [share], effect: approve, when: {{{ask}}}}}\n")))
    };
    for loose in [
        "subject.email: {contains: '@example.com'}",
        "subject.email: {starts_with: ann}",
        "actor.id: {matches: \"^a|b$\"}",
        "actor.groups: {any: {matches: admin}}",
        "actor.id: {matches: \"^a\"}",
    ] {
        assert_eq!(pattern(loose), ["unanchored-pattern"], "{loose}");
    }
    for tight in
        ["actor.id: {matches: \"(?i)^x$\"}", "actor.id: {matches: '\\Ax\\z'}", "actor.groups: {any: {matches: \"^(a|b)$\"}}"]
    {
        assert_eq!(pattern(tight), Vec::<&str>::new(), "{tight}");
    }
}

#[test]
fn hours_do_not_hide_what_can_be_unknown_and_a_rule_that_is_off_breaks_no_test() {
    let text = "version: 1\ncalendars: {office: {timezone: UTC, hours: [\"Mon-Fri 08:00-18:00\"]}}\nrules:\n  - {id: a, on: [share], effect: approve, when: {all: [{time: {within: office}}, {actor.is_member: true}]}}\n  - {id: t, on: [share], effect: escalate, when: {time: {outside: office}}}\n  - {id: o, mode: off, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 1h, max: 1}}\n";
    let policy = policy(text);
    let tests = "base: {kind: share, facts: {actor.is_membr: true}, limits: {o: 3}}\ntests:\n  - {name: a, expect: {verdict: reject}}\n  - {name: b, expect: {verdict: reject}}\n";
    let problems = load_cases(&file("p.test.yaml", tests), &policy).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
        ["unknown-fact"],
        "said once, and nothing of the rule that is off"
    );
    let covered = coverage(&policy, &[]);
    assert_eq!(
        covered.iter().map(|rule| (rule.rule.as_str(), rule.unknown)).collect::<Vec<_>>(),
        [("a", Some(false)), ("t", None)]
    );
}

async fn an_archive_that_was_changed_is_not_believed(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    stage.daemon.stop().await;
    let drop_guard = match backend {
        Backend::Postgres => "alter table policies disable trigger all",
        Backend::Sqlite => "drop trigger policies_no_update",
    };
    stage.database.try_run(drop_guard).await.unwrap();
    let anything = json!({"files": {"p.yaml": "version: 1\nrules:\n  - {id: open, on: [share], effect: approve}\n"}}).to_string();
    stage.database.try_run(&format!("update policies set body = '{anything}'")).await.unwrap();
    let store = assent::store::open(&stage.database.url, 2).await.unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    assert!(start_policy(nowhere.path(), false, store.as_ref()).await.is_err());
}

async fn a_case_is_only_added_where_tests_are(backend: Backend) {
    let rules = "version: 1\nrules:\n  - {id: seed, on: [tresor_creation], effect: approve, when: {actor.id: {exists: true}}}\n  - {id: no, on: [share], effect: reject}\n";
    let stage = Stage::set(backend, Setting { policy: rules.into(), ..Setting::default() }).await;
    let (ann, ben) = (stage.user("ann@example.com"), stage.user("ben@example.com"));
    let tresor = stage.tresor(&ann).await;
    let operation = stage.simulator.world().share(&ann, &ben, &tresor, stage.now()).unwrap();
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &operation, &ann, None), "").await;
    let id = answer.body["decision"]["id"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = stage.config_file(folder.path());
    let policies = stage.policies().to_str().unwrap();
    for (name, text, told) in [
        ("more.yaml", None, "must end in `.test.yaml`"),
        ("odd.test.yaml", Some("tests: []\nnow: 2026-03-02T10:00:00Z\n"), "does not end in its list of tests"),
    ] {
        let path = stage.policies().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let ran = assent(
            &["policy", "test", policies, "--from-decision", id, "--config", &config, "--into", path.to_str().unwrap()],
            &[],
        )
        .await;
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains(told), "{}", ran.err);
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), text);
    }
    stage.daemon.stop().await;
}

on_both!(an_archive_that_was_changed_is_not_believed, a_case_is_only_added_where_tests_are);

/// Explaining is for policies that do not do what their tests say, most of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_tests_fail_can_be_explained_and_a_pipe_is_no_policy() {
    // One further down, as what is above it is linked to.
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("policies");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("p.yaml", "version: 1\nrules:\n  - {id: r, on: [share], effect: reject}\n");
    write("p.test.yaml", "tests:\n  - {name: a, kind: share, expect: {verdict: approve}}\n");
    write("o.json", r#"{"kind": "share"}"#);
    let operation = folder.join("o.json");
    let ran = assent(&["policy", "explain", folder.to_str().unwrap(), "--operation", operation.to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    std::fs::remove_file(folder.join("p.yaml")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("p.yaml")).status().unwrap().success());
    assert!(load_policy(&folder).unwrap_err().to_string().contains("it is no file"));
    std::fs::remove_file(folder.join("p.yaml")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
    std::fs::create_dir(folder.join("a")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("a/b")).unwrap();
    assert!(load_policy(&folder.join("a")).unwrap_err().to_string().contains("nested too deeply"));
}
