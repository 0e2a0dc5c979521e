//! How a policy comes into force: as a whole, only if it loads and its tests pass, and never at the expense of the last good
//! one. Real files, real signals, real databases.

use crate::harness::command::{good_config, write};
use crate::harness::{self, Backend, Database, Setting, Stage, on_both, start_simulator, test_config, until};
use assent::cli::Daemon;
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::engine::{load_policy, start_policy};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// A policy that approves by a rule of this name.
fn version(name: &str) -> String {
    format!(
        "version: 1\nrules:\n  - {{id: {name}, on: [share, kick, tresor_creation], effect: approve, when: {{actor.id: {{exists: true}}}}}}\n"
    )
}

fn setting(policy: &str) -> Setting {
    Setting { policy: policy.to_owned(), ..Setting::default() }
}

async fn waits_for(stage: &Stage, rule: &str) {
    let rule = rule.to_owned();
    until(&format!("rule {rule} in force"), async || stage.get("/v1/policy").await["rules"][0]["id"] == rule).await;
}

/// One share, reported; the rules that decided it.
async fn decided_by(stage: &Stage, tresor: &TresorId, ann: &UserId) -> Value {
    let ben = stage.user("ben@example.com");
    let operation = stage.simulator.world().share(ann, &ben, tresor, stage.now()).unwrap();
    let data = stage.scenario.app().data(Kind::Share, &operation, ann, None);
    let answer = stage.report(data, "").await;
    answer.body["decision"]["rules"].clone()
}

async fn a_directory_that_changes_is_put_in_force_and_a_broken_one_is_not(backend: Backend) {
    let stage = Stage::set(backend, setting(&version("v1"))).await;
    let file = stage.policies().join("policy.yaml");
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    assert_eq!(decided_by(&stage, &tresor, &ann).await, json!(["v1"]));
    // Written in place.
    std::fs::write(&file, version("v2")).unwrap();
    waits_for(&stage, "v2").await;
    // Renamed over the old one, as editors do.
    std::fs::write(stage.policies().join(".policy.tmp"), version("v3")).unwrap();
    std::fs::rename(stage.policies().join(".policy.tmp"), &file).unwrap();
    waits_for(&stage, "v3").await;
    assert_eq!(decided_by(&stage, &tresor, &ann).await, json!(["v3"]));
    // A policy that does not load changes nothing but what is said of it.
    std::fs::write(&file, "version: 1\nrules:\n  - {id: v4, on: [share], effect: aprove}\n").unwrap();
    until("the failure is seen", async || !stage.get("/v1/policy").await["error"].is_null()).await;
    let status = stage.get("/v1/policy").await;
    assert_eq!(status["rules"][0]["id"], "v3");
    assert_eq!(status["error"]["problems"][0]["code"], "bad-value");
    assert_eq!(status["error"]["problems"][0]["line"], 3);
    let metrics = reqwest::get(stage.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nassent_policy_error 1\n") && metrics.contains("\nassent_policy_from_archive 0\n"), "{metrics}");
    assert!(metrics.contains("\nassent_policy_reloads_total 2\n"), "{metrics}");
    assert_eq!(decided_by(&stage, &tresor, &ann).await, json!(["v3"]));
    // One whose tests fail is no policy either.
    std::fs::write(stage.policies().join("policy.test.yaml"), "tests:\n  - {name: nobody, kind: share, expect: {verdict: escalate}}\n  - {name: somebody, kind: share, facts: {actor.id: a}, expect: {verdict: reject}}\n").unwrap();
    std::fs::write(&file, version("v5")).unwrap();
    until("the failing tests are seen", async || {
        stage.get("/v1/policy").await["error"]["message"].to_string().contains("fails 2 of its own tests")
    })
    .await;
    assert_eq!(stage.get("/v1/policy").await["rules"][0]["id"], "v3");
    std::fs::remove_file(stage.policies().join("policy.test.yaml")).unwrap();
    waits_for(&stage, "v5").await;
    let status = stage.get("/v1/policy").await;
    assert_eq!((status["error"].clone(), status["source"].clone()), (Value::Null, json!("directory")));
    // What was in force, from when on; and every policy that decided is in the archive.
    let activations =
        stage.database.texts("select p.body from policy_activations a join policies p on p.hash = a.hash order by a.id").await;
    let named: Vec<_> = activations
        .iter()
        .map(|body| ["v1", "v2", "v3", "v4", "v5"].into_iter().find(|name| body.contains(*name)).unwrap())
        .collect();
    assert_eq!(named, ["v1", "v2", "v3", "v5"]);
    assert_eq!(stage.database.texts("select cast(count(*) as text) from decisions d left join policies p on p.hash = d.policy_hash where p.hash is null").await, ["0"]);
    stage.daemon.stop().await;
}

async fn after_a_restart_the_last_good_policy_comes_from_the_archive(backend: Backend) {
    let stage = Stage::set(backend, setting(&version("good"))).await;
    let hash = stage.get("/v1/policy").await["hash"].clone();
    std::fs::write(stage.policies().join("policy.yaml"), "version: 1\nrules: [\n").unwrap();
    let store = assent::store::open(&stage.database.url, 4).await.unwrap();
    let start = start_policy(stage.policies(), false, store.as_ref()).await.unwrap();
    assert!(start.failure.is_some());
    let (_simulator, platform, _stop) = start_simulator(true, Duration::ZERO).await;
    let config = test_config(&Database::at(stage.database.url.clone()), platform, stage.policies().to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let daemon = Daemon::start(config, store, start, listener).await.unwrap();
    let status = daemon.engine.policy_status();
    assert_eq!((json!(status.hash), status.source), (hash.clone(), "archive"));
    assert!(status.error.unwrap().message.contains("does not load"));
    // Mended, it is the directory's again.
    std::fs::write(stage.policies().join("policy.yaml"), version("good")).unwrap();
    let mended = Arc::clone(&daemon.engine);
    until("the directory is in force", async || mended.policy_status().source == "directory").await;
    assert!(daemon.engine.policy_status().error.is_none());
    // A policy that was never in force is no last good one.
    let empty = Database::new(backend).await;
    let store = empty.open().await;
    std::fs::write(stage.policies().join("policy.yaml"), "version: 1\nrules: [\n").unwrap();
    assert!(start_policy(stage.policies(), false, store.as_ref()).await.is_err());
    daemon.stop().await;
    stage.daemon.stop().await;
}

on_both!(
    a_directory_that_changes_is_put_in_force_and_a_broken_one_is_not,
    after_a_restart_the_last_good_policy_comes_from_the_archive,
);

/// A mounted ConfigMap: files are links into a folder that a link names, and the update swaps that link.
#[tokio::test(flavor = "multi_thread")]
async fn a_symlink_that_is_swapped_is_a_change() {
    use std::os::unix::fs::symlink;
    let stage = Stage::set(Backend::Sqlite, setting(&version("v1"))).await;
    let root = stage.policies();
    std::fs::create_dir(root.join("..2026_01")).unwrap();
    std::fs::write(root.join("..2026_01/policy.yaml"), version("v1")).unwrap();
    symlink("..2026_01", root.join("..data")).unwrap();
    std::fs::remove_file(root.join("policy.yaml")).unwrap();
    symlink("..data/policy.yaml", root.join("policy.yaml")).unwrap();
    std::fs::create_dir(root.join("..2026_02")).unwrap();
    std::fs::write(root.join("..2026_02/policy.yaml"), version("v2")).unwrap();
    symlink("..2026_02", root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    waits_for(&stage, "v2").await;
    stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_tests_is_refused_where_tests_are_required() {
    let folder = harness::policy_directory(&version("v1"));
    assert!(load_policy(folder.path()).is_ok());
    let refused = assent::engine::load_tested_policy(folder.path(), true).unwrap_err().to_string();
    assert!(refused.contains("has no tests") && refused.contains("policies.require_tests"), "{refused}");
    std::fs::write(
        folder.path().join("a.test.yaml"),
        "tests:\n  - {name: a, kind: share, facts: {actor.id: x}, expect: {verdict: approve}}\n",
    )
    .unwrap();
    assert!(assent::engine::load_tested_policy(folder.path(), true).is_ok());
}

/// The real binary: SIGHUP has the directory read at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_directory_again() {
    let (_simulator, platform, _stop) = start_simulator(true, Duration::ZERO).await;
    let folder = tempfile::tempdir().unwrap();
    let policies = harness::policy_directory(&version("v1"));
    let database = format!("sqlite://{}", folder.path().join("assent.db").display());
    let config = write(folder.path(), &good_config(folder.path(), &platform.to_string(), &database, policies.path()));
    let log = folder.path().join("log");
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_assent"))
        .args(["serve", "--config", config.to_str().unwrap()])
        .env("ASSENT_LOG", "info")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = |what: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(what);
    until("it serves", async || said("assent serves")).await;
    std::fs::write(policies.path().join("policy.yaml"), version("v2")).unwrap();
    let hangup = std::process::Command::new("kill").args(["-HUP", &serve.id().to_string()]).status().unwrap();
    assert!(hangup.success());
    until("the new policy is in force", async || said("the policy directory is in force")).await;
    std::process::Command::new("kill").arg(serve.id().to_string()).status().unwrap();
    assert!(serve.wait().unwrap().success());
}

/// What counts is the policy in force when the decision is made, not when the facts for it began to be gathered.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_replaced_while_facts_are_gathered_decides_nothing_more() {
    let stage = Stage::set(Backend::Sqlite, Setting { latency: Duration::from_millis(200), ..setting(&version("v1")) }).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    let replacing = async {
        until("the details are read", async || stage.simulator.calls().contains(&"GetShareDetails")).await;
        std::fs::write(stage.policies().join("policy.yaml"), version("v2")).unwrap();
        stage.daemon.engine.reload_policy().await.unwrap();
    };
    let (rules, ()) = tokio::join!(decided_by(&stage, &tresor, &ann), replacing);
    assert_eq!(rules, json!(["v2"]));
    stage.daemon.stop().await;
}

/// Half of the reloads are broken. Whoever reports after a version is in force is decided by that version or a later one,
/// and nothing fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_never_decide_by_anything_but_the_last_good_policy() {
    let stage = Stage::set(Backend::Sqlite, Setting { invalidates: false, ..setting(&version("v0")) }).await;
    let file = stage.policies().join("policy.yaml");
    let ann = stage.user("ann@example.com");
    let engine = Arc::clone(&stage.daemon.engine);
    let done = AtomicBool::new(false);
    let number = |rule: &Value| rule.as_str().unwrap().trim_start_matches('v').parse::<u32>().unwrap();
    let in_force = || number(&json!(engine.policy().rules[0].id));
    let reloading = async {
        for round in 1..=1000_u32 {
            let broken = round % 2 == 1;
            let text = if broken {
                format!("version: 1\nrules:\n  - {{id: v{round}, on: [share]}}\n")
            } else {
                version(&format!("v{round}"))
            };
            std::fs::write(&file, text).unwrap();
            let taken = engine.reload_policy().await;
            assert_eq!(taken.is_err(), broken, "round {round}: {taken:?}");
            assert_eq!(in_force(), round - u32::from(broken));
        }
        done.store(true, Ordering::Relaxed);
    };
    let worker = async || {
        let mut decided = 0_u32;
        while !done.load(Ordering::Relaxed) {
            let before = in_force();
            let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
            let data = stage.scenario.app().data(Kind::TresorCreation, tresor.as_str(), &ann, None);
            let answer = stage.report(data, "").await;
            let after = in_force();
            assert_eq!(answer.state(), "approved", "{:?}", answer.body);
            let by = number(&answer.body["decision"]["rules"][0]);
            assert!(before <= by && by <= after && by % 2 == 0, "decided by v{by}, in force were v{before} to v{after}");
            decided += 1;
        }
        decided
    };
    let (_, a, b, c) = tokio::join!(reloading, worker(), worker(), worker());
    assert!(a + b + c > 20, "hardly anything was decided: {a}, {b}, {c}");
    assert_eq!(stage.database.texts("select distinct outcome from outcomes").await, ["applied"]);
    let unknown = "select cast(count(*) as text) from decisions d left join policy_activations a on a.hash = d.policy_hash where a.hash is null";
    assert_eq!(stage.database.texts(unknown).await, ["0"]);
    println!("{} decisions during 1,000 reloads", a + b + c);
    stage.daemon.stop().await;
}
