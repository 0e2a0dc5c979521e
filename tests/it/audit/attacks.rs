//! What somebody can do who owns the database, and perhaps the log's key: each is caught by whoever kept one older checkpoint,
//! on an export, without the database.

use super::{Auditor, as_superuser, copied};
use crate::harness::command::{Ran, assent};
use crate::harness::{Backend, Database, log_key, on_both};
use assent::audit::{LogKey, Nodes, Stream, audit_time, edge, leaf_hash};
use assent::store::{LeafRow, RowPlace, Store};
use std::sync::Arc;

on_both!(whoever_owns_the_database_changes_nothing_unseen, forgeries_beside_the_tree_are_seen);

/// What is attacked: a database that nobody writes to any more, and what an auditor took out of the house before.
struct Scene {
    backend: Backend,
    origin: Database,
    folder: tempfile::TempDir,
    config: serde_json::Value,
    key: String,
    kept: String,
    decisions: Vec<String>,
}

/// A copy of the database, to be attacked.
struct Copy<'s> {
    scene: &'s Scene,
    database: Database,
}

impl Scene {
    async fn set(backend: Backend) -> (Self, Database) {
        let auditor = Auditor::begin(backend).await;
        let decisions = auditor.some_decisions().await;
        // An old backup, from before the checkpoint that is kept.
        let old = copied(backend, &auditor.stage.database).await;
        auditor.share("zoe@elsewhere.example").await;
        auditor.all_sealed().await;
        auditor.keep_checkpoint("kept.txt").await;
        auditor.share("yves@elsewhere.example").await;
        auditor.all_sealed().await;
        let key = auditor.audit(&["key"]).await.out.trim().to_owned();
        let config = serde_json::from_str(&std::fs::read_to_string(&auditor.config).unwrap()).unwrap();
        let kept = auditor.path("kept.txt");
        let Auditor { stage, folder, .. } = auditor;
        stage.daemon.stop().await;
        (Self { backend, origin: stage.database, folder, config, key, kept, decisions }, old)
    }

    /// `one` for each of the databases.
    fn sql<'t>(&self, postgres: &'t str, sqlite: &'t str) -> &'t str {
        if self.backend == Backend::Postgres { postgres } else { sqlite }
    }

    async fn copy(&self) -> Copy<'_> {
        Copy { scene: self, database: copied(self.backend, &self.origin).await }
    }

    /// What somebody finds who has the export, the key and the checkpoint.
    async fn verified(&self, database: &Database) -> Ran {
        let folder = self.folder.path().join(format!("export-{}", uuid::Uuid::now_v7()));
        let mut config = self.config.clone();
        config["database"]["url"] = serde_json::json!(database.url);
        let file = folder.with_extension("yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
        let ran = assent(&["audit", "export", folder, "--config", file], &[]).await;
        assert_eq!(ran.status, 0, "{}", ran.err);
        assent(&["audit", "verify", "--export", folder, "--key", &self.key, "--checkpoint", &self.kept, "--config", "none"], &[])
            .await
    }
}

impl Copy<'_> {
    /// As a superuser, whom no trigger stops.
    async fn run(&self, postgres: &str, sqlite: &str) {
        let (one, other) = (&self.scene.decisions[1], &self.scene.decisions[3]);
        let named = |sql: &str| sql.replace("{one}", &format!("'{one}'")).replace("{other}", &format!("'{other}'"));
        as_superuser(self.scene.backend, &self.database, &named(self.scene.sql(postgres, sqlite))).await;
    }

    async fn both(&self, sql: &str) {
        self.run(sql, sql).await;
    }

    async fn is_caught(&self, attack: &str, by: &str) {
        let ran = self.scene.verified(&self.database).await;
        let by = by.replace("{one}", &self.scene.decisions[1]).replace("{other}", &self.scene.decisions[3]);
        assert_eq!(ran.status, 1, "{attack}: not caught\n{}", ran.out);
        assert!(ran.out.contains(&by), "{attack}: `{by}` is not said\n{}", ran.out);
    }

    /// Makes the tree anew over what stands in the tables now, as the sealer would have; signs it with a key.
    async fn seal_anew(&self, key: &LogKey) {
        let store = self.database.open().await;
        let leaves = store.leaves(0, u64::from(u32::MAX)).await.unwrap();
        let rows = store.rows(&leaves).await.unwrap();
        let kept: Vec<(LeafRow, _)> = leaves.into_iter().zip(rows).filter_map(|(leaf, row)| Some((leaf, row?))).collect();
        let mut nodes = Nodes::default();
        let mut statements = vec!["delete from leaves".to_owned(), "delete from checkpoints".to_owned()];
        for (index, (leaf, row)) in (0..).zip(&kept) {
            let hash = leaf_hash(&row.bytes);
            nodes.add(index, hash).unwrap();
            let bytes = self.scene.sql("decode('HEX', 'hex')", "x'HEX'").replace("HEX", &hex::encode(hash.0));
            let LeafRow { place: RowPlace { id, at }, stream, .. } = leaf;
            let at = audit_time(*at);
            let number = stream.number();
            statements.push(format!(
                "insert into leaves (leaf, at, id, stream, hash) values ({index}, '{at}', '{id}', {number}, {bytes})"
            ));
        }
        // One for each size, so that nobody misses the one that was kept.
        for size in 1..=kept.len() as u64 {
            let note = key.sign(size, nodes.root(size).unwrap()).unwrap().note;
            statements.push(format!(
                "insert into checkpoints (size, at, note) values ({size}, '2026-01-01T00:00:00.000000Z', '{note}')"
            ));
        }
        drop(store);
        self.both(&statements.join("; ")).await;
    }
}

async fn last_leaves(store: &Arc<dyn Store>) -> Vec<LeafRow> {
    store.leaves(0, u64::from(u32::MAX)).await.unwrap()
}

async fn whoever_owns_the_database_changes_nothing_unseen(backend: Backend) {
    let (scene, old) = Scene::set(backend).await;
    let sound = scene.verified(&scene.origin).await;
    assert_eq!(sound.status, 0, "{}", sound.out);

    let edits = [
        ("a verdict", "update decisions set verdict = 'approve' where id = {one}"),
        ("a reason", "update decisions set reason = 'all is well' where id = {one}"),
        ("who decided", "update decisions set decided_by = 'operator:anna' where id = {one}"),
        ("the rules", "update decisions set rules = '[\"members\"]' where id = {one}"),
        ("a fact", "update decisions set facts = '{}' where id = {one}"),
        ("a trace", "update decisions set trace = '[{}]' where id = {one}"),
        ("what is personal", "update decisions set facts_personal = '{\"ann\": \"AAAA\"}' where id = {one}"),
        ("the policy", "update decisions set policy_hash = 'another' where id = {one}"),
    ];
    for (what, sql) in edits {
        let copy = scene.copy().await;
        copy.both(sql).await;
        copy.is_caught(&format!("edit {what}"), "row `{one}` of `decisions` (leaf ").await;
    }

    let copy = scene.copy().await;
    copy.run(
        "update decisions set decided_at = decided_at - interval '1 hour' where id = {one}",
        "update decisions set decided_at = '2026-01-01T00:00:00.000000Z' where id = {one}",
    )
    .await;
    copy.is_caught("edit a time", "is gone, or its time was changed").await;

    let copy = scene.copy().await;
    copy.both("update outcomes set outcome = 'failed'").await;
    copy.is_caught("edit an outcome", "of `outcomes` (leaf ").await;

    let copy = scene.copy().await;
    copy.both("delete from decisions where id = {one}").await;
    copy.is_caught("delete one", "row `{one}` of `decisions` (leaf ").await;

    let copy = scene.copy().await;
    copy.both("delete from decisions where id = {one}; delete from leaves where id = {one}").await;
    copy.is_caught("delete one, and its leaf", " are gone").await;

    // As if it had never been: rows, leaves, and the checkpoints that covered them.
    let copy = scene.copy().await;
    let store = copy.database.open().await;
    let tail = store.checkpoints(0, u64::from(u32::MAX)).await.unwrap()[0].as_ref().unwrap().size;
    drop(store);
    copy.both(&format!(
        "delete from decisions where id in (select id from leaves where leaf >= {tail}); delete from outcomes where id in (select id from leaves \
         where leaf >= {tail}); delete from leaves where leaf >= {tail}; delete from checkpoints where size > {tail}"
    ))
    .await;
    copy.is_caught("delete the tail", "the end of the log is gone").await;

    let copy = scene.copy().await;
    let fresh = uuid::Uuid::now_v7();
    let columns = "tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, requester_id, verdict, decided_by, rules, reason, \
                   policy_hash, evaluator_version, facts, facts_personal, trace, shadow";
    copy.run(
        &format!(
            "insert into decisions (id, decided_at, {columns}) select '{fresh}', decided_at - interval '1 hour', {columns} from decisions where id = {{one}}"
        ),
        &format!(
            "insert into decisions (id, decided_at, {columns}) select '{fresh}', '2026-01-01T00:00:00.000000Z', {columns} from decisions where id = {{one}}"
        ),
    )
    .await;
    copy.is_caught("insert in the past", &format!("row `{fresh}` of `decisions` was never sealed")).await;

    let copy = scene.copy().await;
    copy.run(
        &format!(
            "insert into decisions (id, decided_at, {columns}) select '{fresh}', decided_at + interval '1 microsecond', {columns} from decisions where id = {{one}}"
        ),
        &format!(
            "insert into decisions (id, decided_at, {columns}) select '{fresh}', decided_at, {columns} from decisions where id = {{one}}"
        ),
    )
    .await;
    copy.is_caught("insert in between", &format!("row `{fresh}` of `decisions` was never sealed")).await;

    // SQLite cannot be talked out of a key.
    if backend == Backend::Postgres {
        let copy = scene.copy().await;
        copy.both(&format!(
            "alter table decisions drop constraint decisions_pkey; insert into decisions (id, decided_at, {columns}) select id, decided_at, {} \
             from decisions where id = {{one}}",
            columns.replace("verdict", "'approve'")
        ))
        .await;
        copy.is_caught("a second row of the same id and time", "row `{one}` of `decisions` was never sealed").await;

        for (column, values, named) in [("decided_at", "id, null", "{one}"), ("id", "null, decided_at", "without an id")] {
            let copy = scene.copy().await;
            copy.both(&format!(
                "alter table decisions drop constraint decisions_pkey; alter table decisions alter column {column} drop not null; insert into \
                 decisions (id, decided_at, {columns}) select {values}, {columns} from decisions where id = {{one}}"
            ))
            .await;
            copy.is_caught(&format!("a row with no {column}"), &format!("row `{named}` of `decisions` was never sealed")).await;
        }
    }

    let copy = scene.copy().await;
    copy.both("update leaves set leaf = leaf + 1000000 where id in ({one}, {other})").await;
    let (one, other) = {
        let store = scene.origin.open().await;
        let at = async |id: &str| store.leaf_of(Stream::Decision, id).await.unwrap().unwrap().index;
        (at(&scene.decisions[1]).await, at(&scene.decisions[3]).await)
    };
    copy.both(&format!(
        "update leaves set leaf = {other} where id = {{one}}; update leaves set leaf = {one} where id = {{other}}"
    ))
    .await;
    copy.is_caught("swap two", "history was rewritten").await;

    let copy = scene.copy().await;
    copy.both("update decisions set verdict = 'approve', rules = '[\"members\"]' where id = {one}").await;
    copy.seal_anew(&LogKey::new(log_key().name(), [9; 32]).unwrap()).await;
    copy.is_caught("seal anew without the key", "carries no valid signature of the log's key").await;

    let copy = scene.copy().await;
    copy.both("update decisions set reason = 'all is well' where id = {one}").await;
    copy.seal_anew(&log_key()).await;
    copy.is_caught("seal anew with the key", "history was rewritten").await;

    let copy = scene.copy().await;
    copy.both("update decisions set verdict = 'approve' where id = {one}").await;
    copy.seal_anew(&log_key()).await;
    copy.is_caught("seal another verdict anew with the key", "decision `{one}` says approve by [outsider]").await;

    let ran = scene.verified(&old).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("the end of the log is gone"), "restore an old backup: {}", ran.out);

    // Names that mean something to a library that reads JSON, and names that stand twice.
    let copy = scene.copy().await;
    copy.run(
        "update decisions set rules = jsonb_build_object('$serde_json::private::RawValue', rules::text) where id = {one}",
        "update decisions set rules = json_object('$serde_json::private::RawValue', rules) where id = {one}",
    )
    .await;
    copy.is_caught("say the rules in a library's own way", "row `{one}` of `decisions` (leaf ").await;
    let copy = scene.copy().await;
    copy.run(
        "update decisions set facts = ('{\"subject.email_domain\":0,' || substr(facts::text, 2))::json where id = {one}",
        "update decisions set facts = '{\"subject.email_domain\":0,' || substr(facts, 2) where id = {one}",
    )
    .await;
    copy.is_caught("say a fact twice", "row `{one}` of `decisions` (leaf ").await;
    // Whoever looks for the word in the text of it would find nothing.
    let copy = scene.copy().await;
    copy.run(
        "update decisions set trace = replace(trace::text, 'outsider', '\\u006futsider')::json where id = {one}",
        "update decisions set trace = replace(trace, 'outsider', '\\u006futsider') where id = {one}",
    )
    .await;
    copy.is_caught("spell a trace otherwise", "row `{one}` of `decisions` (leaf ").await;

    let copy = scene.copy().await;
    copy.run("execute 'drop table ' || (select tableoid::regclass from decisions limit 1)", "delete from decisions").await;
    copy.is_caught("drop a partition", "row `{one}` of `decisions` (leaf ").await;

    let copy = scene.copy().await;
    copy.both("update policies set body = replace(body, 'outsider', 'insider')").await;
    copy.is_caught("change an archived policy", "is not what its hash says").await;

    let copy = scene.copy().await;
    copy.both("delete from policies").await;
    copy.is_caught("remove an archived policy", "is not in the archive").await;

    // With the same key, over what never was.
    let copy = scene.copy().await;
    let store = copy.database.open().await;
    let last = store.last_checkpoint().await.unwrap().unwrap();
    let other = store.nodes(&edge(last.size)).await.unwrap().root(last.size - 1).unwrap_or(last.root);
    drop(store);
    let forged = LogKey::new(log_key().name(), [9; 32]).unwrap().sign(last.size, other).unwrap().note;
    copy.both(&format!("update checkpoints set note = '{forged}' where size = {}", last.size)).await;
    copy.is_caught("replace a checkpoint", &format!("the checkpoint of size {} carries no valid signature", last.size)).await;

    let copy = scene.copy().await;
    copy.both("delete from checkpoints where size = (select max(size) from checkpoints)").await;
    copy.is_caught("remove a checkpoint", "leaves stand where the tree has no place").await;
}

/// What the daemon's own role may write, and whoever edits an export: no superuser is needed for these.
async fn forgeries_beside_the_tree_are_seen(backend: Backend) {
    let (scene, _old) = Scene::set(backend).await;
    let columns = "tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, requester_id, verdict, decided_by, rules, reason, \
                   policy_hash, evaluator_version, facts, facts_personal, trace, shadow";
    let forged = uuid::Uuid::now_v7();
    let insert = |id: &str| {
        format!(
            "insert into decisions (id, decided_at, {columns}) select {id}, '2026-01-01T00:00:00.000000Z', {columns} from decisions where id = {{other}}"
        )
    };
    let zeros = scene.sql("decode(repeat('00', 32), 'hex')", "zeroblob(32)");

    // A row whose only leaf stands where nobody looks.
    for place in ["1000000", "9223372036854775806"] {
        let copy = scene.copy().await;
        let leaf = format!(
            "insert into leaves (leaf, at, id, stream, hash) values ({place}, '2026-01-01T00:00:00.000000Z', '{forged}', 1, {zeros})"
        );
        copy.both(&format!("{}; delete from unsealed; {leaf}", insert(&format!("'{forged}'")))).await;
        copy.is_caught("a leaf after the last", &format!("row `{forged}` of `decisions` was never sealed")).await;
        copy.is_caught("a leaf after the last", "1 leaves stand where the tree has no place").await;
    }

    // Another row under the id of one that is sealed. SQLite has one row an id.
    if backend == Backend::Postgres {
        let copy = scene.copy().await;
        copy.both(&format!("{}; delete from unsealed", insert("{one}"))).await;
        copy.is_caught("a second row of the same id", "row `{one}` of `decisions` was never sealed").await;
    }

    // One that waits twice is sealed once, and one that was sealed is not sealed again.
    let copy = scene.copy().await;
    copy.run(
        "insert into unsealed select at, id, stream from leaves union all select at, id, stream from leaves",
        "insert into unsealed (at, id, stream) select at, id, stream from leaves union all select at, id, stream from leaves",
    )
    .await;
    let store = copy.database.open().await;
    let before = last_leaves(&store).await.len();
    while store.unsealed().await.unwrap() > 0 {
        store.seal(&log_key(), None, 500).await.unwrap();
    }
    assert_eq!(last_leaves(&store).await.len(), before);

    // The whole history anew, with the sealer itself to sign it: it knows better, and does without the key's signature nothing.
    let copy = scene.copy().await;
    let store = copy.database.open().await;
    let known = store.last_checkpoint().await.unwrap().unwrap();
    copy.both(
        "delete from decisions where id = {one}; insert into unsealed (at, id, stream) select at, id, stream from leaves; delete from leaves; \
         delete from tree_nodes; delete from checkpoints",
    )
    .await;
    let refused = store.seal(&log_key(), Some(&known), 500).await.unwrap_err();
    assert!(
        refused.to_string().contains(&format!("it was signed when it had {} leaves, and is not that log any more", known.size)),
        "{refused}"
    );
    let stranger = LogKey::new(log_key().name(), [9; 32]).unwrap();
    let copy = scene.copy().await;
    copy.seal_anew(&stranger).await;
    let store = copy.database.open().await;
    store.pause("one", "anna", None).await.unwrap();
    // Where the triggers are gone.
    copy.database.try_run("insert into unsealed (at, id, stream) select at, id, 4 from operator_actions").await.unwrap();
    let refused = store.seal(&log_key(), None, 500).await.unwrap_err();
    assert!(refused.to_string().contains("`audit.previous_keys` must name the one before"), "{refused}");
    // A key that was replaced on purpose.
    let replaced = log_key().after(vec![stranger.verifier().unwrap()]);
    assert!(store.seal(&replaced, None, 500).await.is_ok());
}

/// An export, edited: what is hashed is what is looked at, and all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_export_is_seen() {
    let (scene, _old) = Scene::set(Backend::Sqlite).await;
    let folder = scene.folder.path().join("edited");
    let config = scene.folder.path().join("config.yaml");
    let mut settings = scene.config.clone();
    settings["database"]["url"] = serde_json::json!(scene.origin.url);
    std::fs::write(&config, settings.to_string()).unwrap();
    let ran = assent(&["audit", "export", folder.to_str().unwrap(), "--config", config.to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let (log, manifest) = (folder.join("log-000000.jsonl"), folder.join("manifest.json"));
    let (lines, told) = (std::fs::read_to_string(&log).unwrap(), std::fs::read_to_string(&manifest).unwrap());
    let hash = |text: &str| hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()));
    let verify = async |text: String| {
        // The manifest is nobody's to trust.
        std::fs::write(&manifest, told.replace(&hash(&lines), &hash(&text))).unwrap();
        std::fs::write(&log, text).unwrap();
        assent(&["audit", "verify", "--export", folder.to_str().unwrap(), "--key", &scene.key, "--config", "none"], &[]).await
    };
    assert_eq!(verify(lines.clone()).await.status, 0);
    let one = lines.lines().find(|line| line.contains(&format!("\"id\":\"{}\"", scene.decisions[1]))).unwrap();
    let last_checkpoint = lines.rfind("{\"checkpoint\"").unwrap();
    let cut = lines[..last_checkpoint].rfind("{\"checkpoint\"").unwrap();
    let cut = cut + lines[cut..].find('\n').unwrap() + 1;
    let edits: Vec<(&str, String, &str)> = vec![
        (
            "another table",
            lines.replace(one, &one.replace("\"table\":\"decision\"", "\"table\":\"outcome\"")),
            "of `outcomes` (leaf ",
        ),
        ("another id", lines.replace(one, &one.replacen(&scene.decisions[1], &scene.decisions[3], 1)), "of `decisions` (leaf "),
        (
            "a name twice",
            lines.replace(one, &one.replacen("\"attempt\":1", "\"attempt\":2,\"attempt\":1", 1)),
            "of `decisions` (leaf ",
        ),
        ("no row", lines.replace(one, &format!("{},\"record\":null}}", &one[..one.find(",\"record\"").unwrap()])), "is gone"),
        ("cut off at a checkpoint", lines[..cut].to_owned(), "the end of the log is gone"),
        ("rubbish", format!("{lines}\u{0}rubbish\n"), "a line of the export is none of its form"),
        ("huge", lines.replace(one, &one.replacen("\"index\":", "\"index\":1844674407370955161", 1)), "are gone"),
        ("nothing", String::new(), "the end of the log is gone"),
    ];
    for (what, text, said) in edits {
        let ran = verify(text).await;
        assert_eq!(ran.status, 1, "{what}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(said), "{what}: {}", ran.out);
        // Whoever exported before the checkpoint was kept finds the same.
        let may_be_older = ran.out.contains("an export from before that checkpoint says the same: export again, and verify that");
        assert_eq!(may_be_older, ran.out.contains("the end of the log is gone"), "{what}: {}", ran.out);
    }
    std::fs::write(&manifest, told.replace("log-000000.jsonl", "../../etc/passwd")).unwrap();
    let ran =
        assent(&["audit", "verify", "--export", folder.to_str().unwrap(), "--key", &scene.key, "--config", "none"], &[]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("names a file outside of it"), "{}", ran.err);
}
