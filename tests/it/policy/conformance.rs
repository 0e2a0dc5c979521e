//! The conformance folder: small cases of what the language means. Every question of `ask` is also tried with all its facts
//! absent and with all of them unknown: both must leave it unknown, unless the case says `total`.

use assent::domain::fact::{FactSet, FactState, Source};
use assent::domain::fact_catalogue::{find, typed_value};
use assent::domain::kind::Kind;
use assent::domain::yaml;
use assent::policy::{Inquiry, Policy, SourceFile, TraceNode, Truth, load, load_cases};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const NOW: &str = "2026-03-02T10:00:00Z";
const OPERATORS: [&str; 19] = [
    "eq",
    "ne",
    "in",
    "not_in",
    "gt",
    "gte",
    "lt",
    "lte",
    "contains",
    "contains_any",
    "contains_all",
    "starts_with",
    "ends_with",
    "matches",
    "exists",
    "size",
    "any",
    "every",
    "none",
];

/// The lists and calendars that cases can name.
fn head() -> Value {
    json!({
        "version": 1,
        "lists": { "partners": ["example.com", "*.example.org"], "people": ["ann", "amy"] },
        "calendars": {
            "office": { "timezone": "Europe/Budapest", "hours": ["Mon-Fri 08:00-18:00"], "holidays": ["2026-12-24", "01-01"] },
            "lunch": { "timezone": "Europe/Budapest", "hours": ["Mon-Sun 12:00-13:00"] },
            "night": { "timezone": "Europe/Budapest", "hours": ["Mon-Fri 22:00-06:00"] },
            "small-hours": { "timezone": "Europe/Budapest", "hours": "Sun 02:00-03:00" },
        },
    })
}

/// JSON is YAML, so a policy can be put together as values.
fn policy(extra: Option<&Value>, rules: Vec<Value>) -> Result<Policy, (String, Vec<&'static str>)> {
    let mut policy = head();
    for (key, value) in extra.and_then(Value::as_object).into_iter().flatten() {
        policy[key] = value.clone();
    }
    policy["rules"] = Value::Array(rules);
    let text = format!("{policy:#}");
    load(&[SourceFile { path: "p.yaml".into(), text: text.clone() }]).map_err(|problems| {
        let said = problems.iter().map(|problem| problem.render(Some(&text))).collect();
        (said, problems.iter().map(|problem| problem.code).collect())
    })
}

fn rule(rule: &Value, id: &str) -> Value {
    let mut full = json!({ "id": id, "on": ["share"], "effect": "reject" });
    for (key, value) in rule.as_object().unwrap() {
        full[key] = value.clone();
    }
    full
}

fn facts(stated: &Value) -> FactSet {
    let mut facts = FactSet::default();
    for (name, value) in stated.as_object().unwrap() {
        let spec = find(name).unwrap_or_else(|| panic!("no fact {name}"));
        let value = typed_value(spec.fact_type, value.clone())
            .unwrap_or_else(|| panic!("{name}: {value} is not {}", spec.fact_type.name()));
        facts.know(name, value, Source::Stated);
    }
    facts
}

/// What the one rule of `ask` comes to.
fn result(policy: &Policy, facts: FactSet, now: &str) -> Truth {
    let inquiry = Inquiry { kind: Kind::Share, facts, counts: BTreeMap::new(), now: now.parse().unwrap() };
    let evaluation = inquiry.put_to(policy);
    let trace = &evaluation.trace[0];
    // The tree of the trace must come to what the rule came to.
    assert_eq!(folded(trace.when.as_ref().unwrap()), trace.result);
    trace.result
}

/// Kleene's tables over the leaves of a trace, once more and by themselves.
fn folded(node: &TraceNode) -> Truth {
    let truth = match node {
        TraceNode::All { parts, .. } => parts.iter().fold(Truth::True, |truth, part| truth.and(folded(part))),
        TraceNode::Any { parts, .. } => parts.iter().fold(Truth::False, |truth, part| truth.or(folded(part))),
        TraceNode::Not { part, .. } => folded(part).not(),
        TraceNode::Leaf(leaf) => leaf.result,
    };
    assert_eq!(truth, node.result());
    truth
}

/// Which operators a condition uses at its leaves.
fn operators(condition: &Value, used: &mut BTreeSet<String>) {
    match condition {
        Value::Object(entries) => {
            for (key, value) in entries {
                let is_operator = OPERATORS.contains(&key.as_str()) && !(key == "any" && value.is_array());
                if is_operator {
                    used.insert(key.clone());
                } else if find(key).is_some() && !value.is_object() {
                    used.insert("eq".into());
                }
                operators(value, used);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| operators(item, used)),
        _ => {}
    }
}

/// Runs a question; how many cases it was.
fn ask(case: &Value, used: &mut BTreeSet<String>) -> usize {
    let condition = &case["ask"];
    operators(condition, used);
    let policy =
        policy(None, vec![rule(&json!({ "when": condition }), "r")]).unwrap_or_else(|(said, _)| panic!("{condition}\n{said}"));
    let mut cases = 0;
    let mut expect = |facts: FactSet, now: &str, truth: Truth, what: &str| {
        assert_eq!(result(&policy, facts, now), truth, "{condition} with {what}");
        cases += 1;
    };
    let mut names = BTreeSet::new();
    for (key, truth) in [("holds", Truth::True), ("fails", Truth::False), ("open", Truth::Unknown)] {
        for stated in case[key].as_array().into_iter().flatten() {
            names.extend(stated.as_object().unwrap().keys().cloned());
            expect(facts(stated), NOW, truth, &stated.to_string());
        }
        for now in case["at"][key].as_array().into_iter().flatten() {
            expect(FactSet::default(), now.as_str().unwrap(), truth, &now.to_string());
        }
    }
    if case["at"].is_null() {
        let mut unknown = FactSet::default();
        for name in &names {
            unknown.put(assent::domain::fact::FactName::new(name.as_str()), FactState::Unknown("timeout".into()));
        }
        expect(unknown, NOW, Truth::Unknown, "everything unknown");
        if case["total"].is_null() {
            expect(FactSet::default(), NOW, Truth::Unknown, "everything absent");
        }
    }
    cases
}

/// A whole policy and what it says: a test case like those that authors write, so that their tool is tried with it.
fn decide(case: &Value) -> usize {
    let name = case["name"].as_str().unwrap();
    let rules = case["rules"].as_array().unwrap().iter().map(|entry| rule(entry, entry["id"].as_str().unwrap())).collect();
    let policy = policy(case.get("head"), rules).unwrap_or_else(|(said, _)| panic!("{name}\n{said}"));
    let mut test = Map::new();
    test.insert("kind".into(), json!("share"));
    test.insert("now".into(), json!(NOW));
    let own = case.as_object().unwrap().iter().filter(|(key, _)| !["rules", "head"].contains(&key.as_str()));
    test.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    let text = format!("{:#}", json!({ "tests": [test] }));
    let cases = load_cases(&SourceFile { path: "c.test.yaml".into(), text: text.clone() }, &policy)
        .unwrap_or_else(|problems| panic!("{name}\n{}", problems[0].render(Some(&text))));
    let results: Vec<_> = cases.run(&policy).collect();
    assert!(results[0].mismatches.is_empty(), "{name}\n{:#?}", results[0].mismatches);
    1
}

fn refuse(case: &Value) -> usize {
    let name = case["name"].as_str().unwrap();
    let (said, codes) = match policy(None, vec![rule(&case["rule"], "r")]) {
        Ok(_) => panic!("{name} loads"),
        Err(refused) => refused,
    };
    let code = case["error"].as_str().unwrap();
    assert_eq!(codes, [code], "{name}\n{said}");
    assert!(said.contains(case["says"].as_str().unwrap_or_default()), "{name}\n{said}");
    assert!(assent::policy::meaning(code).is_some(), "{code} is in no table");
    1
}

#[test]
fn the_conformance_folder_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let (mut total, mut used, mut wrong) = (0, BTreeSet::new(), vec![]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let node = yaml::parse(&name, &text).unwrap_or_else(|problem| panic!("{}", problem.render(Some(&text))));
        let Value::Array(cases) = node.to_json() else { panic!("{name} is no list") };
        for case in &cases {
            // Every case that does not hold is shown, not only the first.
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match () {
                () if case.get("ask").is_some() => ask(case, &mut used),
                () if case.get("error").is_some() => refuse(case),
                () => decide(case),
            }));
            match run {
                Ok(cases) => total += cases,
                Err(_) => wrong.push(format!("{name}: {}", case.get("name").unwrap_or(&case["ask"]))),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let missing: Vec<_> = OPERATORS.iter().filter(|operator| !used.contains(**operator)).collect();
    assert!(missing.is_empty(), "no case asks {missing:?}");
    assert!(total >= 150, "only {total} cases");
    println!("{total} cases");
}
