//! `assent audit verify`, `prove`, `key` and `export` as they are used.

use super::Auditor;
use crate::harness::command::assent;
use crate::harness::{Backend, on_both};
use serde_json::Value;

on_both!(
    a_log_that_nobody_touched_is_sound,
    a_decision_is_proved_to_whoever_has_the_key,
    an_export_is_checked_without_the_database,
    decisions_are_found_by_whatever_is_known_of_them,
);

async fn a_log_that_nobody_touched_is_sound(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    let kept = auditor.keep_checkpoint("kept.txt").await;
    auditor.share("zoe@elsewhere.example").await;
    auditor.all_sealed().await;
    let ran = auditor.audit(&["verify", "--checkpoint", &kept]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.ends_with("nothing was changed, removed or added\n"), "{}", ran.out);
    let ran = auditor.audit(&["verify", "--json"]).await;
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    // The tresor's creation, and five shares: all of them follow from their facts and the policy.
    assert_eq!(said["decided_again"], serde_json::json!({"same": 6, "by_people": 0, "erased": 0, "sealed": 0}), "{said}");
    assert_eq!((&said["sound"], &said["verified"]["anchored"]), (&Value::Bool(true), &Value::Bool(false)));
    auditor.stage.daemon.stop().await;
}

async fn a_decision_is_proved_to_whoever_has_the_key(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let key = auditor.audit(&["key"]).await;
    std::fs::write(auditor.path("key.txt"), &key.out).unwrap();
    let proof = auditor.path("decision.tlog-proof");
    let ran = auditor.audit(&["prove", &decisions[1], "--out", &proof]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    // Without any configuration.
    let check = async |proof: &str| assent(&["audit", "verify", "--proof", proof, "--key", &auditor.path("key.txt")], &[]).await;
    let ran = check(&proof).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("\"reason\": \"elsewhere.example is outside\""), "{}", ran.out);
    assert!(!ran.out.contains("eve@"), "{}", ran.out);
    let text = std::fs::read_to_string(&proof).unwrap();
    let forged = auditor.path("forged.tlog-proof");
    std::fs::write(&forged, text.replacen("index ", "index 1", 1)).unwrap();
    let ran = check(&forged).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.err.contains("proves nothing"), "{}", ran.err);
    let ran = auditor.audit(&["prove", "01a20bc0-af1d-7692-829d-16c653e008f6"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("nothing in the log has the id"), "{}", ran.err);
    auditor.stage.daemon.stop().await;
}

async fn an_export_is_checked_without_the_database(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    let kept = auditor.keep_checkpoint("kept.txt").await;
    let (folder, key) = (auditor.path("export"), auditor.audit(&["key"]).await.out);
    let ran = auditor.audit(&["export", &folder]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let again = auditor.audit(&["export", &folder]).await;
    assert_eq!(again.status, 2);
    assert!(again.err.contains("holds a complete export; name another folder"), "{}", again.err);
    let verify = async || {
        let args =
            ["audit", "verify", "--export", &folder, "--key", key.trim(), "--checkpoint", &kept, "--config", "nowhere.yaml"];
        assent(&args, &[]).await
    };
    let ran = verify().await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    // Without the key of the house what is personal stays sealed; two decisions stand on it.
    assert!(ran.out.contains("decided again  3 the same, 0 by people, 0 erased, 2 with personal facts"), "{}", ran.out);
    let csv = auditor.path("tables");
    assert_eq!(auditor.audit(&["export", &csv, "--format", "csv"]).await.status, 0);
    let manifest = |folder: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(format!("{folder}/manifest.json")).unwrap()).unwrap()
    };
    // The same rows, whatever they are written as.
    assert_eq!(manifest(&folder)["tables"], manifest(&csv)["tables"]);
    let decisions = std::fs::read_to_string(format!("{csv}/decisions-000000.csv")).unwrap();
    assert_eq!(decisions.lines().count(), 6, "{decisions}");
    let log = std::path::Path::new(&folder).join("log-000000.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replacen("elsewhere.example is outside", "elsewhere.example is inside", 1)).unwrap();
    let ran = verify().await;
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("is not the file that the manifest names"), "{}", ran.out);
    assert!(ran.out.contains("of `decisions` (leaf "), "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

async fn decisions_are_found_by_whatever_is_known_of_them(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let all: Vec<String> = {
        let ran = auditor.audit(&["query", "--json"]).await;
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        said["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(all[..4], [&decisions[3], &decisions[2], &decisions[1], &decisions[0]].map(Clone::clone), "the newest first");
    let creation = all[4].as_str();
    let (ann, tresor) = (auditor.ann.as_str().to_owned(), auditor.tresor.as_str().to_owned());
    let (one, escalated, three) = (decisions[1].as_str(), decisions[2].as_str(), decisions[3].as_str());
    let mut cases: Vec<(&str, String, Vec<&str>)> = vec![
        ("verdict", "reject".into(), vec![three, one]),
        ("kind", "tresor_creation".into(), vec![creation]),
        ("rule", "boss".into(), vec![escalated]),
        ("rule", "outsid".into(), vec![]),
        ("domain", "Elsewhere.example".into(), vec![three, one]),
        ("text", "ELSEWHERE.example is".into(), vec![three, one]),
        ("text", "else%".into(), vec![]),
        ("tresor", tresor, all.iter().map(String::as_str).collect()),
        ("actor", ann.clone(), all.iter().map(String::as_str).collect()),
        ("subject", ann, vec![]),
        ("reviewer", "rita".into(), vec![]),
        ("until", "2026-01-01T00:00:00Z".into(), vec![]),
        ("since", "2026-01-01T00:00:00Z".into(), all.iter().map(String::as_str).collect()),
    ];
    let hash = auditor.stage.daemon.engine.policy().hash.to_string();
    cases.push(("policy", hash[..9].to_owned(), all.iter().map(String::as_str).collect()));
    for (name, value, expected) in &cases {
        let ran = auditor.audit(&["query", &format!("--{name}"), value, "--csv"]).await;
        let found = Auditor::ids(&ran);
        assert_eq!(&found, expected, "--{name} {value}: {}{}", ran.out, ran.err);
        // A program is answered the same.
        let path = format!("/v1/decisions?{name}={}", value.replace('%', "%25").replace(' ', "+"));
        let answer = auditor.stage.get(&path).await;
        let ids: Vec<_> = answer["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(&ids, expected, "{path}: {answer}");
    }
    // Page by page.
    let (mut paged, mut next) = (vec![], String::new());
    loop {
        let answer = auditor.stage.get(&format!("/v1/decisions?limit=2{next}")).await;
        paged.extend(answer["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = answer["next"].as_str() else { break };
        next = format!("&after={cursor}");
    }
    assert_eq!(paged, all);
    let shown = auditor.stage.get(&format!("/v1/decisions/{one}")).await;
    assert_eq!(
        (&shown["reason"], &shown["outcome"]["outcome"]),
        (&"elsewhere.example is outside".into(), &"applied".into()),
        "{shown}"
    );
    assert!(!shown.to_string().contains("eve@"), "{shown}");
    let wrong = auditor.stage.get("/v1/decisions?verdikt=reject").await;
    assert_eq!(wrong["detail"], "`verdikt` is not a known filter; did you mean `verdict`?");
    let app = reqwest::Client::new()
        .get(auditor.stage.url("/v1/decisions"))
        .bearer_auth(crate::harness::APP_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(app.status(), 403);
    let ran = auditor.audit(&["query", "--count"]).await;
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().skip(1).collect()).collect();
    assert_eq!(lines[0], ["rule", "verdict", "decisions"], "{}", ran.out);
    assert!(lines.contains(&vec!["outsider", "reject", "2"]) && lines.contains(&vec!["members", "approve", "1"]), "{}", ran.out);
    let ran = auditor.audit(&["query", "--since", "last week"]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("or how long ago, such as `30d`"), "{}", ran.err);
    auditor.stage.daemon.stop().await;
}
