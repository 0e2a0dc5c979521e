//! The commands as a person meets them: every failure ends in one sentence that says what to do, and in the right status.

use crate::harness::command::{Ran, assent, good_config, write};
use crate::harness::{self, Backend, Database, policy_directory, start_simulator};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_keeps_the_daemon_from_serving_is_said_in_one_sentence() {
    let (_simulator, platform, _stop) = start_simulator(true, Duration::ZERO).await;
    let platform = platform.to_string();
    let database = Database::new(Backend::Sqlite).await;
    database.open().await;
    let policies = policy_directory(harness::OBEDIENT);
    let folder = tempfile::tempdir().unwrap();
    let good = good_config(folder.path(), &platform, &database.url, policies.path());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let changed = |path: &str, value: Value| {
        let mut config = good.clone();
        *config.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        config
    };
    let with = |path: &str, key: &str, value: Value| {
        let mut config = good.clone();
        config.pointer_mut(path).unwrap()[key] = value;
        config
    };
    let cases = vec![
        ("in order", good.clone(), 0),
        ("unknown key", with("/zerokit", "admin_kye", json!("x")), 2),
        ("secret under a misspelt key", with("/zerokit", "admin_kye", json!(harness::ADMIN_KEY)), 2),
        ("password in an address of another sort", changed("/database/url", json!("mysql://anna:hunter2hunter2@db/x")), 2),
        ("unknown section", with("", "databse", json!({})), 2),
        ("bad admin key length", changed("/zerokit/admin_key", json!("abc123")), 2),
        ("admin key that is no hex", changed("/zerokit/admin_key", json!("zz".repeat(32))), 2),
        ("bad encryption key", changed("/encryption/key", json!("c2hvcnQ=")), 2),
        ("bad webhook secret", changed("/webhooks/inbound/secrets", json!(["whsec_short"])), 2),
        ("no tenant", changed("/zerokit/service_url", json!("http://127.0.0.1:1")), 2),
        ("no address", changed("/zerokit/service_url", json!("tenant1234")), 2),
        ("database of another sort", changed("/database/url", json!("mysql://localhost/x")), 2),
        ("section of another type", changed("/policies", json!("policies")), 2),
        ("missing section", changed("/encryption", Value::Null), 2),
        (
            "two missing sections",
            with("", "encryption", Value::Null)
                .as_object()
                .map(|config| {
                    config.iter().filter(|(key, _)| *key != "policies").map(|(key, value)| (key.clone(), value.clone())).collect()
                })
                .unwrap(),
            2,
        ),
        ("call longer than the lease", with("", "engine", json!({"lease": "2s"})), 2),
        (
            "reviewer who may be anybody",
            with("", "tokens", json!([{"name": "rita", "role": "reviewer", "sha256": "00".repeat(32)}])),
            2,
        ),
        (
            "reviewer who is nobody",
            with("", "tokens", json!([{"name": "rita", "role": "reviewer", "sha256": "00".repeat(32), "user_id": "rita smith"}])),
            2,
        ),
        ("stop that takes too long", with("", "engine", json!({"drain": "1m"})), 2),
        ("bad duration", with("/webhooks/inbound", "tolerance", json!("five minutes")), 2),
        ("no policy directory", changed("/policies/path", json!("/nowhere/policies")), 2),
        ("key in two places", with("/zerokit", "admin_key_file", json!("/nowhere/key")), 2),
        ("checkpoints that cannot be written", with("", "audit", json!({"checkpoints": {"file": "/nowhere/kept.txt"}})), 2),
        ("missing secret file", changed("/encryption", json!({"key_file": "/nowhere/key"})), 2),
        ("secret file without a secret", changed("/encryption", json!({"key_file": "/dev/null"})), 2),
        ("secret where the path of a file belongs", changed("/encryption", json!({"key_file": harness::ENCRYPTION_KEY})), 2),
        (
            "directory whose token is not there",
            with("", "directory", json!({"http": {"user_url": "http://127.0.0.1:1/{user_id}", "token_file": "/nowhere/token"}})),
            2,
        ),
        ("address of another machine", changed("/listen", json!("192.0.2.1:1")), 2),
        ("database in a folder that is not there", changed("/database/url", json!("sqlite:///nowhere/assent.db")), 2),
        ("unreachable database", changed("/database/url", json!(format!("postgres://assent@{closed}/assent"))), 3),
        (
            "unreachable platform",
            changed("/zerokit/service_url", json!(format!("http://{closed}/tenant-{}", harness::TENANT))),
            3,
        ),
        ("wrong signature at the platform", changed("/zerokit/admin_key", json!("00".repeat(32))), 1),
        (
            "another tenant at the platform",
            changed("/zerokit/service_url", json!(format!("http://{platform}/tenant-tenant9999"))),
            1,
        ),
    ];
    let replace = [
        (platform.as_str(), "PLATFORM"),
        (closed.as_str(), "CLOSED"),
        (folder.path().to_str().unwrap(), "FOLDER"),
        (policies.path().to_str().unwrap(), "POLICIES"),
    ];
    let mut said = String::new();
    for (name, config, status) in cases {
        let path = write(folder.path(), &config);
        let ran = assent(&["serve", "--check", "--config", path.to_str().unwrap()], &[]).await;
        let text = ran.said(&replace);
        assert_eq!(ran.status, status, "{name}: {text}");
        assert!(!text.contains("hunter2"), "{name} shows a password: {text}");
        assert!(!text.contains(harness::ADMIN_KEY) && !text.contains(harness::ENCRYPTION_KEY), "{name} shows a secret: {text}");
        said.push_str(&format!("---- {name}\n{text}\n"));
    }
    // The database was written with another key.
    let key = assent::audit::MasterKey::generate().unwrap();
    database.open().await.key_sentinel(Some(key.seal("sentinel", b"assent").unwrap())).await.unwrap();
    let path = write(folder.path(), &good);
    let ran = assent(&["serve", "--config", path.to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 2);
    said.push_str(&format!("---- another encryption key\n{}\n", ran.said(&replace)));
    let ran = assent(&["serve", "--config", "/nowhere/config.yaml"], &[]).await;
    said.push_str(&format!("---- missing config\n{}\n", ran.said(&[])));
    let ran = assent(&["serve", "--config", "/nowhere/config.yaml"], &[("ASSENT_DATABASE__ULR", "x")]).await;
    said.push_str(&format!("---- misspelt environment\n{}\n", ran.said(&[])));
    let ran = assent(&["serve", "--config", "/nowhere/config.yaml"], &[("ASSENT_DATABASE__URL", &database.url)]).await;
    said.push_str(&format!("---- environment that does not say enough\n{}\n", ran.said(&[])));
    let wrong = [
        ("ASSENT_ENGINE__LEASE", "soon"),
        ("ASSENT_ZEROKIT__ADMIN_KEY", "abc123"),
        ("ASSENT_WEBHOOKS__INBOUND__SECRETS", "[12]"),
    ];
    let ran = assent(&["serve", "--config", path.to_str().unwrap()], &wrong).await;
    said.push_str(&format!("---- wrong environment\n{}\n", ran.said(&replace)));
    let together = [("ASSENT_ZEROKIT__TIMEOUT", "1m"), ("ASSENT_AUDIT__SEAL_EVERY", "1h"), ("ASSENT_ENGINE__DRAIN", "1h")];
    let ran = assent(&["serve", "--config", path.to_str().unwrap()], &together).await;
    said.push_str(&format!("---- environment that does not fit\n{}\n", ran.said(&replace)));
    let secrets = format!("[{}]", harness::SECRET);
    let all = [
        ("ASSENT_DATABASE__URL", database.url.as_str()),
        ("ASSENT_ZEROKIT__SERVICE_URL", "https://tenant1234.api.tresorit.io"),
        ("ASSENT_ZEROKIT__ADMIN_KEY", harness::ADMIN_KEY),
        ("ASSENT_WEBHOOKS__INBOUND__SECRETS", secrets.as_str()),
        ("ASSENT_POLICIES__PATH", "policies"),
        ("ASSENT_ENCRYPTION__KEY", harness::ENCRYPTION_KEY),
        ("ASSENT_ENGINE__LEASE", "soon"),
    ];
    let ran = assent(&["serve", "--config", "/nowhere/config.yaml"], &all).await;
    said.push_str(&format!("---- one wrong value in an environment that says enough\n{}\n", ran.said(&replace)));
    let ran = assent(&["serve", "--config", path.to_str().unwrap()], &[("ASSENT_LISTEN", "[")]).await;
    said.push_str(&format!("---- environment that is no YAML\n{}\n", ran.said(&replace)));
    let ran = assent(&["serve", "--config", path.to_str().unwrap()], &[("ASSENT_ZEROKIT__ADMIN_KEY", "9e9999")]).await;
    said.push_str(&format!("---- environment that is a secret and no YAML\n{}\n", ran.said(&replace)));
    for (name, text) in [
        ("no YAML", "database:\n  url: [postgres://assent@db/assent\nlisten: 0\n"),
        ("tab", "database:\n\turl: x\n"),
        ("secret that is no YAML", "zerokit:\n  admin_key: 9e9999\n"),
        (
            "secrets in one line",
            "zerokit: {timeout: 4x, admin_key:c5a3f2, admin_key: c5a3f2, service_url: 'https://tenant1234.api.tresorit.io'}\ndatabase: {url: 'sqlite://a.db'}\nwebhooks: {inbound: {secrets: [whsec_x]}}\npolicies: {path: policies}\nencryption: {key: AAAA}\n",
        ),
        ("tab under comments", "# the context of what is disallowed, block by block\nzerokit:\n\ttimeout: 4s\n"),
    ] {
        std::fs::write(&path, text).unwrap();
        let ran = assent(&["serve", "--config", path.to_str().unwrap()], &[]).await;
        said.push_str(&format!("---- {name}\n{}\n", ran.said(&replace)));
    }
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_serves_or_migrates_makes_a_file() {
    let (_simulator, platform, _stop) = start_simulator(true, Duration::ZERO).await;
    let policies = policy_directory(harness::OBEDIENT);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("assent.db");
    let url = format!("sqlite://{}", file.display());
    let config = write(folder.path(), &good_config(folder.path(), &platform.to_string(), &url, policies.path()));
    let config = config.to_str().unwrap();
    let ran = assent(&["serve", "--check", "--config", config], &[]).await;
    assert_eq!((ran.status, file.exists()), (0, false), "{}", ran.said(&[]));
    for command in [&["audit", "query"][..], &["ops", "unknown"], &["policy", "replay"]] {
        let ran = assent(&[command, &["--config", config]].concat(), &[]).await;
        assert!(ran.status == 2 && ran.err.contains(file.to_str().unwrap()), "{command:?}: {}", ran.said(&[]));
        assert!(!file.exists(), "{command:?}");
    }
    let ran = assent(&["migrate", "--config", config], &[]).await;
    assert_eq!((ran.status, file.exists()), (0, true), "{}", ran.said(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_nobody_migrated_says_how() {
    let url = harness::postgres::empty_database().await;
    let (_simulator, platform, _stop) = start_simulator(true, Duration::ZERO).await;
    let policies = policy_directory(harness::OBEDIENT);
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), &good_config(folder.path(), &platform.to_string(), &url, policies.path()));
    let config = config.to_str().unwrap();
    let ran = assent(&["serve", "--check", "--config", config], &[]).await;
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            2,
            "error: the database's schema is not up to date, or a table of it is gone; run `assent migrate`, and where that finds nothing to do put the table back from a backup\n"
        )
    );
    let ran = assent(&["migrate", "--config", config], &[]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "18 migrations applied; the schema is up to date\n"), "{}", ran.err);
    let ran = assent(&["migrate", "--config", config], &[]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "the schema is up to date\n"));
    let ran = assent(&["serve", "--check", "--config", config], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    // A whole configuration from the environment, without any file.
    let ran = assent(&["migrate", "--config", "/nowhere/config.yaml"], &[("ASSENT_DATABASE__URL", &url)]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_others_stand_in_the_way_of_says_so() {
    let database = harness::Database::new(harness::Backend::Postgres).await;
    // As before a table of decisions came, while somebody reads for long.
    let before = "delete from _sqlx_migrations where version between 20261203000000 and 20261203000100; drop table decision_reasons; \
                  drop trigger decisions_note_reasons on decisions; drop function assent_note_reasons(); drop index decisions_reason";
    for statement in before.split("; ") {
        database.try_run(statement).await.unwrap();
    }
    let mut reader = <sqlx::PgConnection as sqlx::Connection>::connect(&database.url).await.unwrap();
    for statement in ["begin", "select count(*) from decisions"] {
        sqlx::query(statement).execute(&mut reader).await.unwrap();
    }
    let migrate =
        async || assent(&["migrate", "--config", "/nowhere/config.yaml"], &[("ASSENT_DATABASE__URL", &database.url)]).await;
    let ran = migrate().await;
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            2,
            "error: somebody reads or writes tables that have to be changed; run it again when long queries, dumps and vacuums are over\n"
        )
    );
    sqlx::query("commit").execute(&mut reader).await.unwrap();
    let ran = migrate().await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "2 migrations applied; the schema is up to date\n"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_checked_and_tested() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let rules = "version: 1\nrules:\n  - {id: cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 20}}, reason: \"{tresor.members_after} members\"}\n  - {id: all, on: [share], effect: approve}\n";
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let mut said = String::new();
    let mut note = |name: &str, ran: &Ran| said.push_str(&format!("---- {name}\n{}\n", ran.said(&[(path, "POLICIES")])));
    note("check, sound", &assent(&["policy", "check", path], &[]).await);
    note("test, none there", &assent(&["policy", "test", path], &[]).await);
    let cases = "base: {kind: share, facts: {tresor.members_after: 20}}\ntests:\n  - {name: the 20th member, expect: {verdict: approve, rules: [all]}}\n  - {name: the 21st member, facts: {tresor.members_after: 21}, expect: {verdict: reject, rules: [cap], reason: 21 members}}\n";
    std::fs::write(folder.path().join("rules.test.yaml"), cases).unwrap();
    note("test, all pass", &assent(&["policy", "test", path], &[]).await);
    std::fs::write(
        folder.path().join("rules.test.yaml"),
        cases.replace("gt: 20", "gt: 2").replace("verdict: approve, rules: [all]", "verdict: reject, rules: [all, cap]"),
    )
    .unwrap();
    note("test, one fails", &assent(&["policy", "test", path], &[]).await);
    std::fs::write(folder.path().join("rules.yaml"), rules.replace("effect: approve", "effect: aprove")).unwrap();
    note("check, broken", &assent(&["policy", "check", path], &[]).await);
    note("check, broken, as JSON", &assent(&["policy", "check", "--json", path], &[]).await);
    note("test, broken", &assent(&["policy", "test", path], &[]).await);
    note("check, nowhere", &assent(&["policy", "check", "/nowhere"], &[]).await);
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself_with_an_example() {
    let mut said = String::new();
    for args in [
        &["--help"][..],
        &["demo", "--help"],
        &["serve", "--help"],
        &["migrate", "--help"],
        &["health", "--help"],
        &["simulator", "--help"],
        &["admin", "--help"],
        &["admin", "approve-invitation-link-creation", "--help"],
        &["admin", "upload-custom-content", "--help"],
        &["ops", "events", "--help"],
        &["ops", "review", "--help"],
        &["ops", "unknown", "--help"],
        &["ops", "resolve", "--help"],
        &["ops", "pause", "--help"],
        &["ops", "resume", "--help"],
        &["ops", "pauses", "--help"],
        &["policy", "check", "--help"],
        &["policy", "test", "--help"],
        &["policy", "explain", "--help"],
        &["policy", "replay", "--help"],
        &["policy", "schema", "--help"],
        &["policy", "facts", "--help"],
    ] {
        let ran = assent(args, &[]).await;
        assert_eq!(ran.status, 0);
        assert!(args.len() == 1 || ran.out.contains("Example:"), "{args:?} has no example");
        said.push_str(&format!("---- assent {}\n{}\n", args.join(" "), ran.out));
    }
    for endpoint in assent::zerokit::Endpoint::ALL {
        let command = crate::admin::kebab(endpoint.name);
        let ran = assent(&["admin", &command, "--help"], &[]).await;
        assert!(ran.status == 0 && ran.out.contains(&format!("Example:\n  assent admin {command}")), "{command} has no example");
        // The flags are the reference's parameters.
        for parameter in endpoint.query {
            let flag = match *parameter {
                "operationid" => "--operation-id",
                "tresorid" => "--tresor-id",
                "filename" => "--file-name",
                "continuefrom" => "--continue-from",
                other => &format!("--{other}"),
            };
            assert!(ran.out.contains(flag), "{command} has no {flag}");
        }
    }
    let ran = assent(&["srve"], &[]).await;
    assert_eq!(ran.status, 2);
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_kind_and_every_sort_of_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.db");
    let ran = assent(&["demo", "--pause", "0", "--keep", file.to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let database = Database::at(format!("sqlite://{}", file.display()));
    let kinds: BTreeSet<_> = database.texts("select distinct kind from decision_history").await.into_iter().collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let count = database.texts("select cast(count(*) as text) from operations").await;
    assert!(count[0].parse::<u32>().unwrap() >= 60, "{count:?}");
    let rules = database.texts("select distinct rules from decisions where verdict = 'reject'").await.concat();
    for rule in ["outsider", "member-cap", "share-velocity"] {
        assert!(rules.contains(rule), "nothing was rejected by {rule}: {rules}");
    }
    assert_ne!(database.texts("select id from decisions where verdict = 'escalate'").await.len(), 0);
    // A flow was superseded, started again, and approved.
    let again = "select b.outcome from decision_history a join decision_history b on a.flow_id = b.flow_id where a.outcome = 'superseded' and b.attempt = a.attempt + 1";
    assert!(database.texts(again).await.contains(&"applied".to_owned()));
    // Each operation is one line, then comes a summary, then where to look.
    assert!(ran.out.lines().filter(|line| line.contains("ms") || line.contains(':')).count() >= 60);
    assert!(ran.out.contains("select decided_at, kind, verdict, rules, reason, outcome from decision_history"), "{}", ran.out);
    let again = assent(&["demo", "--keep", file.to_str().unwrap()], &[]).await;
    assert_eq!(again.status, 2, "an existing file is not overwritten");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_configuration_names_every_key_and_works() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml")).unwrap();
    for key in assent::cli::config::KEYS {
        let last = key.rsplit('.').next().unwrap();
        assert!(text.contains(&format!("{last}:")), "config.example.yaml says nothing of `{key}`");
    }
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        path.display().to_string()
    };
    let text = text
        .replace("/run/secrets/zerokit-admin-key", &secret("admin", harness::ADMIN_KEY))
        .replace(
            "/run/secrets/webhook-secrets",
            &secret("webhook", &format!("# two, while one is rotated out\n{0}\n{0}", harness::SECRET)),
        )
        .replace("/run/secrets/encryption-key", &secret("encryption", harness::ENCRYPTION_KEY));
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let config = assent::cli::config::read(&path).unwrap_or_else(|failure| panic!("{}", failure.message()));
    assert_eq!(config.inbound_secrets.len(), 2);
    assert_eq!(config.service.tenant.as_str(), "tenant1234");
    assert_eq!((config.lease, config.quiet_period, config.retry_budget), (Duration::from_secs(13), Duration::from_secs(10), 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_policy_passes_the_readmes_tests() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let folder = policy_directory(blocks[0]);
    std::fs::write(folder.path().join("policy.test.yaml"), blocks[1]).unwrap();
    let ran = assent(&["policy", "test", folder.path().to_str().unwrap()], &[]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(readme.contains(&ran.out), "the README shows another output than\n{}", ran.out);
}
