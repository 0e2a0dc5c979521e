//! What stands beside the log: checkpoints that were kept, rows of `checkpoints`, hashes of the tree, exports that were broken off. Where
//! one of these is not what it was, that is said, and nothing is taken for granted that stands on it.

use super::{Auditor, as_superuser};
use crate::harness::{Backend, on_both, until};

on_both!(what_the_tree_is_kept_by_is_held_against_it, checkpoints_that_are_none_are_said_by_their_size);

async fn what_the_tree_is_kept_by_is_held_against_it(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    auditor.some_decisions().await;
    let database = &auditor.stage.database;
    let id = if backend == Backend::Postgres { "gen_random_uuid()" } else { "printf('00000000-0000-7000-8000-%012d', i)" };
    let insert = format!(
        "insert into operator_actions (id, at, operator, action, target) with recursive n(i) as (select 1 union all select i + 1 from n \
         where i < 300) select {id}, '2026-03-02T10:00:00.000000Z', 'anna', 'test', 'it' from n"
    );
    database.try_run(&insert).await.unwrap();
    auditor.all_sealed().await;
    let ran = auditor.audit(&["verify"]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let zeros = if backend == Backend::Postgres { "decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
    as_superuser(backend, database, &format!("update tree_nodes set hash = {zeros}")).await;
    let ran = auditor.audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("`tree_nodes` is not what the leaves come to"), "{}", ran.out);
}

async fn checkpoints_that_are_none_are_said_by_their_size(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    auditor.share("zoe@elsewhere.example").await;
    auditor.all_sealed().await;
    let database = &auditor.stage.database;
    let sizes = database.texts("select cast(size as text) from checkpoints order by checkpoints.size").await;
    let (first, last) = (sizes.first().unwrap(), sizes.last().unwrap());
    assert_ne!(first, last);

    as_superuser(backend, database, &format!("update checkpoints set note = 'gone' where size = {first}")).await;
    let ran = auditor.audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let said = format!("the checkpoint of size {first} was put out of its row of `checkpoints`, or changed there");
    assert!(ran.out.contains(&said), "{}", ran.out);
    let ran = auditor.audit(&["export", &auditor.path("without")]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);

    // Whoever has no key of the log cannot be given a proof that proves nothing either.
    let keyless = auditor.path("keyless.yaml");
    let url = &database.url;
    std::fs::write(&keyless, format!("database: {{url: \"{url}\"}}")).unwrap();
    let prove = async || crate::harness::command::assent(&["audit", "prove", &decisions[1], "--config", &keyless], &[]).await;
    assert_eq!(prove().await.status, 0, "{}", prove().await.err);
    as_superuser(backend, database, &format!("update decisions set reason = 'all is well' where id = '{}'", decisions[1])).await;
    let ran = prove().await;
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("it cannot be proved"), "{}", ran.err);

    // The newest is an old one: what came after it would not be missed.
    let older = format!("(select note from checkpoints where size = {})", sizes[1]);
    as_superuser(backend, database, &format!("update checkpoints set note = {older} where size = {last}")).await;
    let why = format!("the newest row of `checkpoints` says that it is of size {last}, and its note says otherwise");
    for (command, status) in [(vec!["verify"], 1), (vec!["export", &auditor.path("shorter")], 2)] {
        let ran = auditor.audit(&command).await;
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(&why), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_file_that_was_cut_is_not_taken_for_all_that_was_kept() {
    let auditor = Auditor::begin(Backend::Sqlite).await;
    auditor.some_decisions().await;
    let early = std::fs::read_to_string(auditor.keep_checkpoint("early.txt").await).unwrap();
    auditor.share("zoe@elsewhere.example").await;
    auditor.all_sealed().await;
    let late = std::fs::read_to_string(auditor.keep_checkpoint("late.txt").await).unwrap();
    let (kept, cut) = (auditor.path("kept.txt"), auditor.path("cut.txt"));
    std::fs::write(&kept, format!("{early}{late}")).unwrap();
    std::fs::write(&cut, format!("{early}{}", &late[..late.len() - 120])).unwrap();
    let ran = auditor.audit(&["verify", "--checkpoint", &kept]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let ran = auditor.audit(&["verify", "--checkpoint", &cut]).await;
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("cut.txt` ends in something that is no whole checkpoint; copy the file once more"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_gone_on_with_from_its_beginning_on_and_from_its_own_log_alone() {
    let auditor = Auditor::begin(Backend::Sqlite).await;
    auditor.some_decisions().await;
    let folder = auditor.path("broken");
    // As it was left before its first part was whole.
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(format!("{folder}/.log-000000.jsonl"), "{\"index\":0").unwrap();
    let ran = auditor.audit(&["export", &folder]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = auditor.audit(&["verify", "--export", &folder]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let (manifest, told) =
        (format!("{folder}/manifest.json"), std::fs::read_to_string(format!("{folder}/manifest.json")).unwrap());
    let said: serde_json::Value = serde_json::from_str(&told).unwrap();
    let rows = format!("\"rows\": {}", said["tables"]["decision"]["rows"]);
    std::fs::write(&manifest, told.replace(&rows, "\"rows\": 3")).unwrap();
    let ran = auditor.audit(&["verify", "--export", &folder]).await;
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("the manifest's rows or digest of `decision` are not those of the export"), "{}", ran.out);
    std::fs::write(&manifest, &told).unwrap();

    // As it was left before it was done, and gone on with by somebody whose configuration is another's.
    std::fs::write(&manifest, told.replace("\"complete\": true", "\"complete\": false")).unwrap();
    let other = Auditor::begin(Backend::Sqlite).await;
    other.some_decisions().await;
    let ran = other.audit(&["export", &folder]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.err.contains("was begun of another log, or of this one before it was changed"), "{}", ran.err);
    let ran = auditor.audit(&["export", &folder]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_was_killed_goes_on_after_its_last_whole_file() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    // One file has 100,000 leaves.
    let many = "insert into operator_actions (id, at, operator, action, target) \
                select gen_random_uuid(), clock_timestamp(), 'w', 'test', i::text from generate_series(1, 150000) i";
    auditor.stage.database.try_run(many).await.unwrap();
    let store = auditor.stage.daemon.engine.store();
    until("all is sealed", async || store.unsealed().await.unwrap() == 0).await;

    let (folder, whole) = (auditor.path("killed"), auditor.path("whole"));
    let first = format!("{folder}/log-000000.jsonl");
    let mut export = tokio::process::Command::new(env!("CARGO_BIN_EXE_assent"));
    let mut export = export.args(["audit", "export", &folder, "--config", &auditor.config]).kill_on_drop(true).spawn().unwrap();
    let manifest = format!("{folder}/manifest.json");
    let is_whole = async || std::fs::read_to_string(&manifest).is_ok_and(|text| text.contains("log-000000.jsonl"));
    until("the first file is whole", is_whole).await;
    export.kill().await.unwrap();
    assert!(!std::fs::exists(format!("{folder}/log-000001.jsonl")).unwrap(), "it was killed before the second");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(auditor.audit(&["verify", "--export", &folder]).await.status, 2, "what is not done is not all there is");

    let ran = auditor.audit(&["export", &folder]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(std::fs::metadata(&first).unwrap().modified().unwrap(), written, "what was whole is not written again");
    let ran = auditor.audit(&["verify", "--export", &folder]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(auditor.audit(&["export", &whole]).await.status, 0);
    let tables = |folder: &str| {
        let manifest = std::fs::read_to_string(format!("{folder}/manifest.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&manifest).unwrap()["tables"].clone()
    };
    assert_eq!(tables(&folder), tables(&whole));
    auditor.stage.daemon.stop().await;
}
