//! The daemon's role on Postgres: it does all that a daemon does, and cannot change or remove what is in the log.

use crate::drill::Drill;
use crate::harness::command::{assent, good_config, write};
use crate::harness::ledger;
use crate::harness::site::Site;
use crate::harness::{Backend, Database, until};
use assent::audit::Stream;
use assent::domain::kind::Kind;
use serde_json::{Value, json};
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemons_role_works_and_cannot_change_the_log() {
    let site = Site::new(Backend::Postgres, crate::harness::OBEDIENT, json!({})).await;
    let name = format!("daemon_{}", site.database.url.rsplit_once('/').unwrap().1);
    let config = site.config_path().to_str().unwrap().to_owned();
    let ran = assent(&["migrate", "--daemon-role", &name, "--config", &config], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(
        ran.out.contains(&format!("role {name} may read and write, and cannot change or remove what is in the log")),
        "{}",
        ran.out
    );
    // After another migration the grants are renewed for whoever has them.
    let ran = assent(&["migrate", "--config", &config], &[]).await;
    assert!(ran.out.contains(&format!("role {name} may")), "{}", ran.out);

    // Whoever may do all that the owner may is no such role.
    let ran = assent(&["migrate", "--daemon-role", "assent", "--config", &config], &[]).await;
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("role assent owns the log, or may do all that its owner may"), "{}", ran.err);
    let as_daemon = Database::at(site.database.url.replacen("assent@", &format!("{name}@"), 1));
    let mut settings: Value = serde_json::from_str(&std::fs::read_to_string(&config).unwrap()).unwrap();
    settings["database"]["url"] = json!(as_daemon.url);
    std::fs::write(&config, settings.to_string()).unwrap();
    let process = site.serve(&[]).await;
    for want in ["approve", "reject"] {
        let (id, ann) = site.share();
        let answered = site.report(&Drill::data(Kind::Share, &id, &ann, want), 60).await;
        assert!(answered.text("state").starts_with(want), "{:?}", answered.body);
    }
    until("all is sealed, and fits", async || ledger::unsound(&site).await.is_empty()).await;
    assert!(!process.last_words().contains("can change the decision log"), "{}", process.last_words());

    // Of months to come, too, nothing is counted that no plan asks for.
    as_daemon.try_run("select assent_ensure_partitions(9)").await.unwrap();
    let months = "pg_inherits join pg_attribute on attrelid = inhrelid where attnum > 0 and inhparent = 'decisions'::regclass";
    let counted =
        format!("select distinct attname || ' ' || attstattarget from {months} and attname in ('facts', 'kind') order by 1");
    assert_eq!(site.database.texts(&counted).await, ["facts 0", "kind 10"]);
    let of_indexes = "select distinct attstattarget::text from pg_inherits join pg_index x on indrelid = inhrelid \
                      join pg_attribute on attrelid = indexrelid where inhparent = 'decisions'::regclass and indkey[attnum - 1] = 0";
    assert_eq!(site.database.texts(of_indexes).await, ["10"]);
    let compressed = format!("select distinct attcompression::text from {months} and attname = 'trace'");
    let best =
        "select case when 'lz4' = any(enumvals) then 'l' else '' end from pg_settings where name = 'default_toast_compression'";
    assert_eq!(site.database.texts(&compressed).await, site.database.texts(best).await);
    let refused = as_daemon.try_run("select assent_make_months(9)").await.unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");

    let partition = site.database.texts("select tableoid::regclass::text from decisions limit 1").await.concat();
    let mut tables: Vec<String> = Stream::ALL.iter().map(|stream| stream.table().to_owned()).collect();
    tables.extend(["policies", "leaves", "tree_nodes", "checkpoints", "cosignatures"].map(str::to_owned));
    tables.push(partition);
    for table in &tables {
        for attempt in [
            format!(
                "update {table} set {column} = {column}",
                column = match table.as_str() {
                    "policies" | "policy_activations" | "leaves" | "tree_nodes" => "hash",
                    "checkpoints" | "cosignatures" => "at",
                    _ => "id",
                }
            ),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("alter table {table} disable trigger all"),
            format!("drop table {table}"),
            format!("alter table {table} rename to gone"),
        ] {
            let refused = as_daemon.try_run(&attempt).await.expect_err(&attempt);
            assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{attempt}: {refused}");
        }
    }
    for attempt in [
        "set session_replication_role = replica",
        "drop function assent_insert_only() cascade",
        "create or replace function assent_await_sealing() returns trigger language plpgsql as $$ begin return null; end $$",
        "create table mine (x int)",
        "select assent_grant('public')",
    ] {
        let refused = as_daemon.try_run(attempt).await.expect_err(attempt);
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{attempt}: {refused}");
    }
    process.kill().await;
}

/// Mistakes of the owner are stopped by triggers, on both databases.
async fn even_an_owner_is_stopped(backend: Backend) {
    let database = Database::new(backend).await;
    let store = database.open().await;
    store.pause("one", "anna", None).await.unwrap();
    store.change_configuration("replica", "1", &json!({})).await.unwrap();
    let key = crate::harness::log_key();
    store.seal(&key, None, 10).await.unwrap();
    store.keep_cosignatures(2, &["line".to_owned()]).await.unwrap();
    for table in ["operator_actions", "configuration_changes", "leaves", "checkpoints", "cosignatures"] {
        for attempt in [format!("update {table} set at = at"), format!("delete from {table}")] {
            let refused = database.try_run(&attempt).await.expect_err(&attempt);
            assert!(refused.contains("is insert-only"), "{attempt}: {refused}");
        }
    }
}

crate::harness::on_both!(even_an_owner_is_stopped);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_no_roles_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("a.db").display());
    let config = write(folder.path(), &good_config(folder.path(), "127.0.0.1:1", &url, Path::new("policies")));
    let ran = assent(&["migrate", "--daemon-role", "assent_daemon", "--config", config.to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("SQLite has no roles"), "{}", ran.err);
}
