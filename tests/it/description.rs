//! `/openapi.json` against what there is: every route with its methods, and what each answers.

use crate::harness::{Backend, Setting, Stage, TOKEN};
use assent::domain::kind::Kind;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What of an answer the description does not have, and what it has that the answer lacks. Only of objects, and of all in them.
fn differences(document: &Value, schema: &Value, answer: &Value, at: &str) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name}")),
        None => schema,
    };
    let mut found = Vec::new();
    if let (Some(object), Some(known)) = (answer.as_object(), schema["properties"].as_object()) {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let missing = required.iter().filter_map(Value::as_str).filter(|name| !object.contains_key(*name));
        found.extend(missing.map(|name| format!("{at}.{name} is not there")));
        for (name, value) in object {
            match known.get(name) {
                Some(schema) => found.extend(differences(document, schema, value, &format!("{at}.{name}"))),
                None => found.push(format!("{at}.{name} is not described")),
            }
        }
    }
    let items = answer.as_array().into_iter().flatten();
    found.extend(items.flat_map(|item| differences(document, &schema["items"], item, &format!("{at}[]"))));
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(answer)
    {
        found.push(format!("{at} is {answer}"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_every_route_and_nothing_else() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let document = reqwest::get(stage.url("/openapi.json")).await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    let source = include_str!("../../src/http/mod.rs");
    let route = |line: &str| {
        let (path, rest) = line.trim().strip_prefix(".route(\"")?.split_once("\", ")?;
        Some(format!("{} {path}", rest.split_once('(')?.0))
    };
    let routes: BTreeSet<_> = source.lines().filter_map(route).collect();
    assert!(routes.len() > 10, "{routes:?}");
    assert_eq!(described, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_describes_what_is_answered() {
    let stage = Stage::set(Backend::Sqlite, Setting::default()).await;
    let document = reqwest::get(stage.url("/openapi.json")).await.unwrap().json::<Value>().await.unwrap();
    let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
    let tresor = stage.tresor(&ann).await;
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    let data = stage.scenario.app().data(Kind::Share, &id, &ann, None);
    let operation = stage.report(data.clone(), "approve").await.body;
    let decision = operation["decision"]["id"].as_str().unwrap();
    let inquiry = json!({ "kind": "share", "facts": { "actor.id": "u1" }, "unknown": ["subject.email"] });
    let evaluated = reqwest::Client::new().post(stage.url("/v1/policy/evaluate")).bearer_auth(TOKEN).body(inquiry.to_string());
    let evaluated: Value = evaluated.send().await.unwrap().json().await.unwrap();
    let wrong = stage.get("/v1/decisions?kind=x").await;
    assert_eq!(wrong["field"], "kind");
    let message = json!({ "type": "operation.pending", "timestamp": stage.now(), "data": data });
    let answers = [
        ("Notification", message),
        ("Operation", operation.clone()),
        ("Decisions", stage.get("/v1/decisions").await),
        ("RecordedDecision", stage.get(&format!("/v1/decisions/{decision}")).await),
        ("Policy", stage.get("/v1/policy").await),
        ("Evaluation", evaluated),
        ("Ready", stage.get("/readyz").await),
        ("Problem", wrong),
    ];
    for (name, answer) in answers {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        assert_eq!(differences(&document, &schema, &answer, name), [""; 0], "{answer:#}");
    }
    let schema = json!({ "$ref": "#/components/schemas/Operation" });
    let other = json!({ "id": "1", "state": "over" });
    assert!(differences(&document, &schema, &other, "").len() > 4, "the check can fail");
}
