//! What an auditor is told of a database as it stands: each change by itself, and every decision on some page.

use super::{Auditor, as_superuser, copied};
use crate::harness::command::assent;
use crate::harness::{Backend, Database, on_both};
use serde_json::{Value, json};
use std::collections::BTreeSet;

on_both!(
    an_old_database_that_was_put_back_is_seen_by_the_file_of_checkpoints,
    one_leaf_that_is_gone_is_not_many_findings,
    a_log_without_checkpoints_is_said_to_be_that,
    every_decision_stands_on_one_page,
    a_checkpoint_that_was_given_and_is_of_another_log_is_no_fault_of_this_one
);

async fn an_old_database_that_was_put_back_is_seen_by_the_file_of_checkpoints(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    auditor.all_sealed().await;
    let old = copied(backend, &auditor.stage.database).await;
    auditor.share("zoe@elsewhere.example").await;
    auditor.all_sealed().await;
    let file = auditor.keep_checkpoint("carried.txt").await;
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&auditor.config).unwrap()).unwrap();
    config["database"]["url"] = json!(old.url);
    let put_back = auditor.path("put-back.yaml");
    std::fs::write(&put_back, config.to_string()).unwrap();
    let verify = ["audit", "verify", "--config", &put_back];
    assert_eq!(assent(&verify, &[]).await.status, 0, "nobody can tell without one");
    config["audit"]["checkpoints"] = json!({ "file": file });
    std::fs::write(&put_back, config.to_string()).unwrap();
    let ran = assent(&verify, &[]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("the end of the log is gone"), "{}", ran.out);
    assert!(ran.out.contains("no checkpoint from elsewhere was given"), "it is beside the daemon: {}", ran.out);
    // Another log's in the same file changes nothing; a file that is not there, or is none, is said to be that.
    let whole = std::fs::read_to_string(&file).unwrap();
    let other = assent::audit::LogKey::new("another", [9; 32]).unwrap().sign(4711, assent::audit::leaf_hash(b"")).unwrap();
    std::fs::write(&file, format!("{whole}{}", other.note)).unwrap();
    assert_eq!(assent(&verify, &[]).await.status, 1);
    for file in ["nowhere.txt", &auditor.config] {
        config["audit"]["checkpoints"] = json!({ "file": file });
        std::fs::write(&put_back, config.to_string()).unwrap();
        let ran = assent(&verify, &[]).await;
        assert_eq!(ran.status, 0, "{file}: {}", ran.out);
        let note = format!("`{file}`, where the daemon writes checkpoints, has none that can be read here");
        assert!(ran.err.contains(&note), "{}", ran.err);
    }
    // What is given and not signed by the log's key is not held against it, and that is said.
    std::fs::write(&file, other.note).unwrap();
    let ran = assent(&["audit", "verify", "--config", &put_back, "--checkpoint", &file], &[]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("no checkpoint that was given is signed by the log's key"), "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

fn findings(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.starts_with("x ")).collect()
}

async fn one_leaf_that_is_gone_is_not_many_findings(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    for _ in 0..3 {
        auditor.some_decisions().await;
        auditor.all_sealed().await;
    }
    let kept = auditor.keep_checkpoint("kept.txt").await;
    as_superuser(backend, &auditor.stage.database, "delete from leaves where leaf = 3").await;
    let ran = auditor.audit(&["verify", "--checkpoint", &kept]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    let found = findings(&ran.out);
    assert!(found[0].ends_with("leaves 3 to 3 are gone"), "{}", ran.out);
    assert!(found[1].contains(" are not those that the checkpoint of size "), "{}", ran.out);
    assert!(found[2].contains(" was never sealed: somebody added it"), "{}", ran.out);
    assert_eq!(found.len(), 3, "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

async fn a_log_without_checkpoints_is_said_to_be_that(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    auditor.all_sealed().await;
    let Auditor { stage, config, folder: _folder, .. } = auditor;
    stage.daemon.stop().await;
    as_superuser(backend, &stage.database, "delete from checkpoints").await;
    let ran = assent(&["audit", "verify", "--config", &config], &[]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(findings(&ran.out)[0].ends_with(" are under no checkpoint"), "{}", ran.out);
    assert_eq!(findings(&ran.out).len(), 1, "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_hides_no_other() {
    let auditor = Auditor::begin(Backend::Sqlite).await;
    let decisions = auditor.some_decisions().await;
    auditor.all_sealed().await;
    let [one, other] = [&decisions[1], &decisions[3]];
    let database = &auditor.stage.database;
    as_superuser(Backend::Sqlite, database, &format!("update decisions set reason = 'another' where id = '{other}'")).await;
    for odd in ["trace = x'ff00'", "trace = cast(x'ff00' as text)", "attempt = 1.5"] {
        as_superuser(Backend::Sqlite, database, &format!("update decisions set {odd} where id = '{one}'")).await;
        let ran = auditor.audit(&["verify"]).await;
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        for id in [one, other] {
            let line = format!("x row `{id}` of `decisions`");
            assert!(findings(&ran.out).iter().any(|found| found.starts_with(&line) && found.contains("changed")), "{}", ran.out);
        }
        // What cannot be written is not left out.
        let ran = auditor.audit(&["export", &auditor.path(&format!("export-{}", odd.len()))]).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.err.contains(&format!("row `{one}` of `decisions` cannot be read")), "{}", ran.err);
    }
    // Nor is a leaf that somebody made of nothing one of it.
    let leaf = hex::encode(assent::audit::leaf_hash(b"").0);
    as_superuser(Backend::Sqlite, database, &format!("update leaves set hash = x'{leaf}' where id = '{one}'")).await;
    let ran = auditor.audit(&["verify"]).await;
    assert!(ran.out.contains(&format!("x row `{one}` of `decisions`")), "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

async fn every_decision_stands_on_one_page(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    let database = &auditor.stage.database;
    as_superuser(backend, database, "update decisions set decided_at = (select min(decided_at) from decisions)").await;
    let all: BTreeSet<_> = database.texts("select cast(id as text) from decisions").await.into_iter().collect();
    let (mut seen, mut next) = (Vec::new(), Value::Null);
    loop {
        let mut page = vec!["query", "--json", "--limit", "2"];
        page.extend(next.as_str().map(|next| ["--after", next]).into_iter().flatten());
        let ran = auditor.audit(&page).await;
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        seen.extend(said["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        next = said["next"].clone();
        assert!(seen.len() <= all.len(), "a page came again: {seen:?}");
        if next.is_null() {
            break;
        }
    }
    assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (all.len(), all));
    // Whoever cuts a list is told so, in each form.
    for form in [&["--csv"][..], &[]] {
        let ran = auditor.audit(&[&["query", "--limit", "2"], form].concat()).await;
        assert!(ran.err.contains("the newest 2 of more; for the next of them: `--after "), "{}", ran.err);
        let ran = auditor.audit(&[&["query", "--limit", "5"], form].concat()).await;
        assert_eq!(ran.err, "", "all five");
    }
    let ran = auditor.audit(&["query", "--csv"]).await;
    assert!(
        ran.out.starts_with("decided at,kind,verdict,outcome,rules,actor,subject,id,reason,tresor,operation\n"),
        "{}",
        ran.out
    );
    let policy = database.texts("select policy_hash from decisions limit 1").await.pop().unwrap();
    let ran = auditor.audit(&["query", "--csv", "--policy", &policy[..9].to_uppercase()]).await;
    assert_eq!(ran.out.lines().count(), 6, "{}", ran.out);
    // A variable that is not set asks for nothing, and not for everything.
    for filter in ["--text", "--policy", "--actor", "--rule"] {
        let ran = auditor.audit(&["query", filter, ""]).await;
        assert_eq!(ran.status, 2, "{filter}: {}", ran.out);
        assert!(ran.err.contains("must not be empty; leave it out to ask for all"), "{}", ran.err);
    }
    let ran = auditor.audit(&["query", "--after", "yesterday"]).await;
    assert!(ran.err.contains("must be `next` of the page before"), "{}", ran.err);
    auditor.stage.daemon.stop().await;
}

async fn a_checkpoint_that_was_given_and_is_of_another_log_is_no_fault_of_this_one(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    auditor.all_sealed().await;
    let file = auditor.keep_checkpoint("kept.txt").await;
    let kept = std::fs::read_to_string(&file).unwrap();
    let (log, rest) = kept.split_once('\n').unwrap();
    let advice = "where the log's key was replaced";
    for (altered, said, is_advised) in [
        (format!("other/log\n{rest}"), "is of the log `other/log`, which is another one", false),
        (format!("{log}\n1{rest}"), "carries no valid signature of the log's key", true),
    ] {
        std::fs::write(&file, altered).unwrap();
        let ran = auditor.audit(&["verify", "--checkpoint", &file]).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.out.contains("of those that were given the checkpoint of size ") && ran.out.contains(said), "{}", ran.out);
        assert_eq!(ran.out.contains(advice), is_advised, "{}", ran.out);
    }
    auditor.stage.daemon.stop().await;
}

/// To read and to write `jsonb` takes a server several times as long; a log that stands is written anew when its owner says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_an_older_release_began_is_used_as_ever_and_written_anew_when_asked() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let database = &auditor.stage.database;
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    for statement in [
        &format!("create role {role}"),
        &format!("create role {role}_of_columns"),
        &format!("grant select on decisions, outcomes to {role}"),
        "create table kept as select pg_get_viewdef('decision_history'::regclass) as history",
        "drop view decision_history",
        "alter table decisions alter column trace type jsonb using trace::jsonb, alter column shadow type jsonb using shadow::jsonb, \
         alter column facts type jsonb using facts::jsonb, alter column facts_personal type jsonb using facts_personal::jsonb",
        &format!(
            "do $$ begin execute 'create view decision_history with (security_barrier) as ' || (select history from kept); \
             alter view decision_history owner to {role}; grant select (outcome) on decision_history to {role}_of_columns; end $$"
        ),
        "drop table kept",
    ] {
        database.try_run(statement).await.unwrap();
    }
    auditor.some_decisions().await;
    auditor.all_sealed().await;
    let copy = copied(Backend::Postgres, database).await;
    let is_sound = async |decisions: u64| {
        let ran = auditor.audit(&["verify", "--json"]).await;
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(said["decided_again"], json!({"same": decisions, "by_people": 0, "erased": 0, "sealed": 0}), "{said}");
        let page = auditor.stage.get("/v1/decisions?limit=50").await;
        assert_eq!(page["decisions"].as_array().map(Vec::len), usize::try_from(decisions).ok());
    };
    is_sound(5).await;
    let migrate = async |database: &Database, args: &[&str]| {
        let args: Vec<_> = ["migrate", "--config", "/nowhere/config.yaml"].iter().chain(args).copied().collect();
        assent(&args, &[("ASSENT_DATABASE__URL", &database.url)]).await
    };
    let ran = migrate(database, &[]).await;
    assert!(ran.err.contains("when no daemon need run for a while: assent migrate --rewrite"), "{}", ran.err);
    let ran = migrate(database, &["--rewrite"]).await;
    assert!(ran.status == 1 && ran.err.contains("stop every daemon and command, then try again"), "{}", ran.err);
    let ran = migrate(&copy, &["--rewrite"]).await;
    assert_eq!(ran.out, "the schema is up to date\n5 decisions written anew\n", "{}", ran.err);
    assert!(!ran.err.contains("--rewrite"), "{}", ran.err);
    let ran = migrate(&copy, &["--rewrite"]).await;
    assert!(ran.status == 0 && ran.out.contains("nothing to write anew"), "{}", ran.out);
    database.texts("select assent_keep_json()::text").await;
    // Whoever is connected all the same goes on, and what is written from now on stands as it was written.
    auditor.share("zoe@elsewhere.example").await;
    auditor.all_sealed().await;
    is_sound(6).await;
    assert_eq!(Auditor::ids(&auditor.audit(&["query", "--csv", "--domain", "elsewhere.example"]).await).len(), 3);
    for (what, sql, answer) in [
        ("the last is as it was written", "select count(*) from decisions where trace::text not like '%: %'", "1"),
        ("whose the history was", "select relowner::regrole from pg_class where relname = 'decision_history'", &role),
        ("how it is read", "select reloptions from pg_class where relname = 'decision_history'", "{security_barrier=true}"),
        (
            "who could read a column of it",
            "select attname || ' ' || has_column_privilege('{role}_of_columns', attrelid, attnum, 'select') from pg_attribute where attacl is not null and attrelid = 'decision_history'::regclass",
            "outcome true",
        ),
        (
            "how it is compressed",
            "select string_agg(distinct attcompression::text, '') from pg_attribute where attname in ('facts', 'facts_personal', 'trace', 'shadow') and attrelid = any(select inhrelid from pg_inherits where inhparent = 'decisions'::regclass)",
            "l",
        ),
        ("all of it", "select count(facts) from decision_history", "6"),
        ("no index is missing", "select count(*) from (select assent_indexes_to_build()) lacking", "0"),
    ] {
        assert_eq!(database.texts(format!("select ({})::text", sql.replace("{role}", &role))).await, [answer], "{what}");
    }
    auditor.stage.daemon.stop().await;
}
