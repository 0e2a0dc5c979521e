//! What Assent signs and proves, checked by others: Go's `golang.org/x/mod/sumdb`, and a page of JavaScript that the documentation
//! gives to auditors.

use super::Auditor;
use crate::harness::{Backend, Database, log_key};
use assent::audit::{Proof, Stream, path};
use assent::store::Sealed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Go's checker, built once.
fn go_checker(folder: &Path) -> PathBuf {
    let binary = folder.join("check");
    let mut build = Command::new("go");
    // Debian's packages of Go libraries are found by path.
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", folder.join("cache"));
    build.args(["build", "-o"]).arg(&binary).arg(source("tests/independent/check.go"));
    let built = build.output().expect("`go` is there: run ./scripts/test, which installs it");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    binary
}

fn said(mut command: Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("it runs: ./scripts/test installs it");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// Each checker on a proof.
fn checked(checker: &Path, key: &str, proof: &str) -> [(bool, String); 2] {
    let mut go = Command::new(checker);
    go.args([key, "proof", proof]);
    let mut node = Command::new("node");
    node.arg(source("docs/check-proof.mjs")).args([key, proof]);
    [said(go), said(node)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_of_a_real_decision_hold_without_assent() {
    let auditor = Auditor::begin(Backend::Sqlite).await;
    let decisions = auditor.some_decisions().await;
    let checker = go_checker(auditor.folder.path());
    let key = auditor.audit(&["key"]).await.out.trim().to_owned();
    for decision in &decisions {
        let proof = auditor.path("a.tlog-proof");
        assert_eq!(auditor.audit(&["prove", decision, "--out", &proof]).await.status, 0);
        for (holds, said) in checked(&checker, &key, &proof) {
            assert!(holds && said.contains(decision), "{said}");
        }
        let text = std::fs::read_to_string(&proof).unwrap();
        let leaf = Proof::parse(&text).unwrap().leaf;
        let other = String::from_utf8(leaf.clone()).unwrap().replacen("\"attempt\":1", "\"attempt\":2", 1);
        std::fs::write(&proof, text.replace(&STANDARD.encode(leaf), &STANDARD.encode(other))).unwrap();
        for (holds, said) in checked(&checker, &key, &proof) {
            assert!(!holds, "{said}");
        }
        std::fs::write(&proof, text).unwrap();
        let stranger = assent::audit::LogKey::new(log_key().name(), [3; 32]).unwrap().verifier().unwrap();
        for (holds, said) in checked(&checker, stranger.as_str(), &proof) {
            assert!(!holds, "{said}");
        }
    }
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_hold_for_any_leaf_of_a_tree_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let (database, checker, key) = (Database::new(Backend::Sqlite).await, go_checker(folder.path()), log_key());
    let store = database.open().await;
    let verifier = key.verifier().unwrap();
    let mut checkpoints = vec![];
    let insert = "insert into operator_actions (id, at, operator, action, target) with recursive n(i) as (select 1 union all select i + 1 from n \
                  where i < COUNT) select printf('00000000-0000-4000-8000-%s', lower(hex(randomblob(6)))), '2026-01-01T00:00:00.000000Z', 'anna', 'test', i from n";
    for grows_by in [1, 1, 5, 93, 156, 1, 3, 252, 489] {
        database.try_run(&insert.replace("COUNT", &grows_by.to_string())).await.unwrap();
        let Sealed::Leaves { checkpoint, .. } = store.seal(&key, None, 100_000).await.unwrap() else {
            panic!("nothing was sealed")
        };
        checkpoints.push(checkpoint);
    }
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    for pair in checkpoints.windows(2) {
        let (older, newer) = (&pair[0], &pair[1]);
        let proof = store.nodes(&path(older.size - 1, newer.size)).await.unwrap().prove_growth(older.size, newer.size).unwrap();
        let lines: Vec<_> = proof.iter().map(|hash| STANDARD.encode(hash.0)).collect();
        let mut go = Command::new(&checker);
        go.args([
            verifier.as_str(),
            "growth",
            &file("old", &older.note),
            &file("new", &newer.note),
            &file("proof", &lines.join("\n")),
        ]);
        let (holds, words) = said(go);
        assert!(holds, "{} to {}: {words}", older.size, newer.size);
    }
    let last = checkpoints.pop().unwrap();
    let leaves = store.leaves(0, last.size).await.unwrap();
    for index in [0, 1, 2, 6, 7, 254, 255, 256, 257, 511, 512, 900, last.size - 1] {
        let leaf = leaves[usize::try_from(index).unwrap()].clone();
        assert_eq!(leaf.stream, Stream::OperatorAction);
        let row = store.rows(std::slice::from_ref(&leaf)).await.unwrap().pop().flatten().unwrap();
        let hashes = store.nodes(&path(index, last.size)).await.unwrap().prove_leaf(index, last.size).unwrap();
        let proof = Proof { leaf: row.bytes, index, hashes, checkpoint: last.clone() };
        for (holds, said) in checked(&checker, verifier.as_str(), &file("a.tlog-proof", &proof.to_text())) {
            assert!(holds, "leaf {index}: {said}");
        }
    }
}
