//! The log in the formats of other people's tools: each with the same rows, the same counts and the same digests.

use super::Auditor;
use crate::harness::{Backend, on_both};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

on_both!(every_format_has_the_same_rows);

fn read_json(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn every_format_has_the_same_rows(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let decisions = auditor.some_decisions().await;
    let mut manifests = Vec::new();
    for format in ["jsonl", "csv", "parquet", "ocsf"] {
        let folder = auditor.path(format);
        let ran = auditor.audit(&["export", &folder, "--format", format]).await;
        assert_eq!(ran.status, 0, "{}", ran.err);
        manifests.push(read_json(&format!("{folder}/manifest.json")));
    }
    for manifest in &manifests {
        assert_eq!((&manifest["tables"], &manifest["checkpoint"]), (&manifests[0]["tables"], &manifests[0]["checkpoint"]));
    }
    // The rows as JSON are what the others are held against.
    let lines = std::fs::read_to_string(auditor.path("jsonl/log-000000.jsonl")).unwrap();
    let leaves: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let leaves: Vec<&Value> = leaves.iter().filter(|line| line["index"].is_u64()).collect();
    check_parquet(&auditor, &leaves, &manifests[2]);
    check_ocsf(&auditor, &leaves, &decisions[1]);
    auditor.stage.daemon.stop().await;
}

fn check_parquet(auditor: &Auditor, leaves: &[&Value], manifest: &Value) {
    for (stream, table) in [
        ("decision", "decisions"),
        ("outcome", "outcomes"),
        ("policy_activation", "policy_activations"),
        ("configuration_change", "configuration_changes"),
    ] {
        let file = std::fs::File::open(auditor.path(&format!("parquet/{table}-000000.parquet"))).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let expected: Vec<_> = leaves.iter().filter(|leaf| leaf["table"] == stream).collect();
        assert_eq!(json!(expected.len()), manifest["tables"][stream]["rows"]);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), expected.len());
        for (row, leaf) in rows.iter().zip(expected) {
            for (name, field) in row.get_column_iter() {
                if name == "leaf" {
                    assert_eq!(field, &Field::Long(leaf["index"].as_i64().unwrap()));
                    continue;
                }
                let wanted = &leaf["record"][name.as_str()];
                match field {
                    Field::Null => assert_eq!(wanted, &Value::Null, "{name}"),
                    Field::TimestampMicros(micros) => {
                        let time: jiff::Timestamp = wanted.as_str().unwrap().parse().unwrap();
                        assert_eq!(*micros, time.as_microsecond(), "{name}");
                    }
                    Field::Bool(flag) => assert_eq!(wanted, flag, "{name}"),
                    Field::Long(number) => assert_eq!(wanted, number, "{name}"),
                    Field::Str(text) if wanted.is_string() => assert_eq!(wanted, text, "{name}"),
                    Field::Str(text) => assert_eq!(wanted, &serde_json::from_str::<Value>(text).unwrap(), "{name}"),
                    other => panic!("{name} is {other:?}"),
                }
            }
        }
    }
}

fn check_ocsf(auditor: &Auditor, leaves: &[&Value], rejected: &str) {
    let events = std::fs::read_to_string(auditor.path("ocsf/events-000000.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), leaves.len());
    for (event, leaf) in events.iter().zip(leaves) {
        assert_eq!(super::ocsf::faults(event), [""; 0], "{event}");
        assert_eq!((&event["metadata"]["version"], &event["metadata"]["sequence"]), (&json!("1.5.0"), &leaf["index"]));
        // Nothing is lost.
        for (name, value) in event["unmapped"].as_object().unwrap() {
            assert!(leaf["record"].get(name).is_some(), "{name}: {value}");
        }
        assert!(!event.to_string().contains("eve@"), "{event}");
    }
    let mut decision = events.into_iter().find(|event| event["metadata"]["uid"] == rejected).unwrap();
    for path in [
        "/time",
        "/metadata/uid",
        "/metadata/correlation_uid",
        "/metadata/sequence",
        "/actor/user/uid",
        "/api/request/uid",
        "/policy/uid",
        "/resources/0/uid",
        "/resources/1/uid",
        "/unmapped",
    ] {
        *decision.pointer_mut(path).unwrap() = "[of this run]".into();
    }
    insta::assert_json_snapshot!("an_event_of_ocsf", decision);
}
