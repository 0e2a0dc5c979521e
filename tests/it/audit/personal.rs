//! What is personal: under seal in the log, destroyed with its key, and the proofs hold all the same.

use super::Auditor;
use crate::harness::site::Site;
use crate::harness::{Backend, on_both};
use assent::domain::kind::Kind;
use serde_json::{Value, json};

on_both!(
    who_is_forgotten_is_unreadable_and_the_log_still_holds,
    another_key_takes_the_place_of_the_first,
    nobodys_address_stands_in_logs_metrics_or_tables,
);

/// All that a dump of the database would have in it; bytes are in hex on Postgres.
async fn dump(site: &Site) -> String {
    if let Some(path) = site.database.url.strip_prefix("sqlite://") {
        let read = |path: String| std::fs::read(path).unwrap_or_default();
        let (file, log) = (read(path.to_owned()), read(format!("{path}-wal")));
        assert!(!log.is_empty(), "what was written last stands there");
        return String::from_utf8_lossy(&[file, log].concat()).into_owned();
    }
    let tables =
        "select quote_ident(relname) from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
    let mut all = String::new();
    for table in site.database.texts(tables).await {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        all += &site.database.texts(rows).await.concat();
    }
    all
}

async fn nobodys_address_stands_in_logs_metrics_or_tables(backend: Backend) {
    const ADDRESS: &str = "eve.secret";
    let policy = r#"
version: 1
rules:
  - {id: boss, on: share, effect: escalate, when: {actor.email: {eq: boss@example.com}}}
  - {id: domain, on: share, effect: approve, when: {actor.email_domain: {in: [example.com]}}}
"#;
    let site = Site::new(backend, policy, json!({})).await;
    let process = site.serve(&[("ASSENT_LOG", "trace")]).await;
    let (id, ann) = site.share();
    let data = |groups: Value| {
        let user = json!({ "email": "eve.secret@example.com", "groups": groups, "attributes": { "note": "eve.secret-note" } });
        json!({ "kind": Kind::Share, "operation_id": id, "requester_id": ann, "users": { (ann.as_str()): user }, "context": { "note": "eve.secret" } })
    };
    // Whoever is told what is wrong is told where it stands, and not what.
    let refused = site.report(&data(json!("eve.secret")), 0).await;
    assert_eq!(refused.status, 400, "{:?}", refused.body);
    assert!(!refused.body.to_string().contains(ADDRESS), "{:?}", refused.body);
    let answered = site.report(&data(json!(["eve.secret-group"])), 60).await;
    assert!(answered.status < 300, "{:?}", answered.body);
    let metrics = reqwest::get(format!("http://{}/metrics", process.address().unwrap())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("assent_"), "{metrics}");
    let said = process.said();
    assert!(said.iter().any(|line| line.contains("TRACE")), "all that there is to say is said");
    for line in said.iter().chain([&metrics]) {
        assert!(!line.contains(ADDRESS), "{line}");
    }
    let dump = dump(&site).await;
    assert!(dump.contains(&id), "the operation is there");
    assert!(!dump.contains(ADDRESS) && !dump.contains(&hex::encode(ADDRESS)), "personal facts stand under seal alone");
    process.kill().await;
}

async fn who_is_forgotten_is_unreadable_and_the_log_still_holds(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let kept = auditor.keep_checkpoint("kept.txt").await;
    let boss = auditor.stage.get(&format!("/v1/decisions/{}", decisions[2])).await["subject_id"].as_str().unwrap().to_owned();
    let again = async || {
        let ran = auditor.audit(&["verify", "--checkpoint", &kept, "--json"]).await;
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&said["sound"], ran.status), (&json!(true), 0), "{said}");
        said["decided_again"].clone()
    };
    assert_eq!(again().await, json!({"same": 5, "by_people": 0, "erased": 0, "sealed": 0}));
    let explain = async |decision: &str| {
        let args = ["policy", "explain", "--decision", decision, "--config", &auditor.config];
        crate::harness::command::assent(&args, &[]).await
    };
    let before = explain(&decisions[2]).await;
    assert!(before.out.starts_with("escalate  by boss"), "{}", before.out);

    let asked = auditor.audit(&["forget", &boss, "--operator", "anna"]).await;
    assert_eq!(asked.status, 1);
    assert!(asked.err.contains("`--yes` destroys the key of"), "{}", asked.err);
    let ran = auditor.audit(&["forget", &boss, "--operator", "anna", "--comment", "asked to", "--yes"]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("is destroyed: what was sealed under it cannot be read again"), "{}", ran.out);
    let ran = auditor.audit(&["forget", &boss, "--operator", "anna", "--yes"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("check the id, or it was forgotten before"), "{}", ran.err);
    auditor.all_sealed().await;

    // Every proof still holds; only that decision cannot be made again.
    assert_eq!(again().await, json!({"same": 4, "by_people": 0, "erased": 1, "sealed": 0}));
    let proof = auditor.path("boss.tlog-proof");
    assert_eq!(auditor.audit(&["prove", &decisions[2], "--out", &proof]).await.status, 0);
    assert_eq!(auditor.audit(&["verify", "--proof", &proof]).await.status, 0);
    let after = explain(&decisions[2]).await;
    assert!(after.out.contains("`subject.email` is unknown (personal, and cannot be read)"), "{}{}", after.out, after.err);
    // Who did it is in the log, and the address is nowhere.
    let acts = auditor
        .stage
        .database
        .texts("select operator || ' ' || action || ' ' || coalesce(comment, '') from operator_actions order by at")
        .await;
    assert_eq!(acts, ["anna forget asked to"]);
    // Somebody of that id who comes back has another key, and what was erased stays erased.
    let (stage, to) = (&auditor.stage, assent::domain::ids::UserId::new(boss.as_str()).unwrap());
    let tresor = stage.tresor(&auditor.ann).await;
    let operation = stage.simulator.world().share(&auditor.ann, &to, &tresor, stage.now()).unwrap();
    let data = stage.scenario.app().data(Kind::Share, &operation, &auditor.ann, None);
    assert_eq!(stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap().state(), "escalated");
    auditor.all_sealed().await;
    assert_eq!(again().await["erased"], 1);
    // A key that went another way hides what was decided on, and that is no erasure.
    super::as_superuser(backend, &auditor.stage.database, "delete from person_keys").await;
    let ran = auditor.audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("cannot be read by `encryption.key`, and no operator forgot that person"), "{}", ran.out);
    assert!(!ran.out.contains(&format!("facts of `{boss}`")), "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

async fn another_key_takes_the_place_of_the_first(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let kept = auditor.keep_checkpoint("kept.txt").await;
    let key = auditor.audit(&["key"]).await.out;
    let file = auditor.path("new-key");
    let fresh = "HxsdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    std::fs::write(&file, fresh).unwrap();
    let rekey = ["rekey", "--new-key-file", &file, "--operator", "anna", "--yes"];
    let ran = auditor.audit(&rekey).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.err.contains("stop every daemon and command, then try again"), "{}", ran.err);
    let asked = auditor.audit(&rekey[..5]).await;
    assert!(asked.err.contains("stop every daemon on this database, then say `--yes`"), "{}", asked.err);
    let (old_config, new_config) = (auditor.config.clone(), auditor.path("new.yaml"));
    let text = std::fs::read_to_string(&old_config).unwrap();
    std::fs::write(&new_config, text.replace(crate::harness::ENCRYPTION_KEY, fresh)).unwrap();
    let Auditor { stage, folder: _folder, .. } = auditor;
    stage.daemon.stop().await;
    let alone = async |args: &[&str], config: &str, environment: &[(&str, &str)]| {
        let all = [&["audit"], args, &["--config", config]].concat();
        crate::harness::command::assent(&all, environment).await
    };
    // What this process has open beside the daemon is somebody else's, too.
    let nobody_is_connected = async || {
        let close = "select pg_terminate_backend(pid)::text from pg_stat_activity where datname = current_database() and application_name like 'assent%'";
        let is_alone = async || match backend {
            Backend::Postgres => stage.database.texts(close).await.is_empty(),
            Backend::Sqlite => assent::store::is_unused(&stage.database.url).await.unwrap(),
        };
        crate::harness::until("nobody is connected", is_alone).await;
    };
    nobody_is_connected().await;
    // Broken off, nothing has changed.
    // Whoever is told that the old one can be destroyed must have another one.
    std::fs::write(&file, crate::harness::ENCRYPTION_KEY).unwrap();
    let ran = alone(&rekey, &old_config, &[]).await;
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("is the one that is in use already; make another"), "{}", ran.err);
    std::fs::write(&file, fresh).unwrap();
    nobody_is_connected().await;
    let ran = alone(&rekey, &old_config, &[("ASSENT_KILL_AT", "rekey.within")]).await;
    assert_eq!(ran.status, -1, "{}", ran.out);
    assert_eq!(alone(&["verify"], &old_config, &[]).await.status, 0);
    nobody_is_connected().await;
    let ran = alone(&rekey, &old_config, &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("are sealed under the new key"), "{}", ran.out);

    let ran = alone(&["verify"], &old_config, &[]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("`encryption.key` is not the one this database was written with"), "{}", ran.err);
    assert!(ran.err.contains("or the new one if `assent audit rekey` has run"), "{}", ran.err);
    // All is read as before, and the log's own key is the one that it was.
    let ran = alone(&["verify", "--checkpoint", &kept, "--json"], &new_config, &[]).await;
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["decided_again"], json!({"same": 5, "by_people": 0, "erased": 0, "sealed": 0}), "{said}{}", ran.err);
    assert_eq!(alone(&["key"], &new_config, &[]).await.out, key);
    let explain = ["policy", "explain", "--decision", &decisions[2], "--config", &new_config];
    let ran = crate::harness::command::assent(&explain, &[]).await;
    assert!(ran.out.starts_with("escalate  by boss"), "{}", ran.out);
}
