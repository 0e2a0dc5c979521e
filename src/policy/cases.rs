//! Test cases beside the rules: `*.test.yaml` with pretended facts, failures and limits, and what is expected.

use super::evaluate::{Evaluation, Input, evaluate};
use super::load::SourceFile;
use super::model::Policy;
use super::rule::read_kind;
use super::then::{read_action, read_enable};
use crate::domain::diagnostic::{Diagnostic, Spot};
use crate::domain::fact::{FactName, FactSet, FactState, Source};
use crate::domain::fact_catalogue::{self, typed_value};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{self, Fields, Node, Problems, Value};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The cases of one file.
#[derive(Debug)]
pub struct CaseFile {
    /// Its path below the policy directory.
    pub path: String,
    cases: Vec<Case>,
}

#[derive(Debug, Clone)]
struct Case {
    name: String,
    spot: Spot,
    kind: Kind,
    facts: FactSet,
    limits: BTreeMap<String, u64>,
    now: Timestamp,
    expect: Expectation,
}

#[derive(Debug, Clone, Default)]
struct Expectation {
    verdict: Option<Verdict>,
    rules: Option<Vec<String>>,
    reason: Option<String>,
    message: Option<String>,
    additional_info: Option<String>,
    effects: Option<Vec<String>>,
}

/// One case and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseResult {
    /// Its file.
    pub file: String,
    /// Its line in the file.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// What was expected and not seen; empty if it passed.
    pub mismatches: Vec<Mismatch>,
    /// What the policy said.
    pub seen: Evaluation,
}

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// `verdict`, `rules`, `reason`, `message`, `additional_info` or `then`.
    pub what: &'static str,
    /// What the case expects.
    pub expected: String,
    /// What the policy said.
    pub seen: String,
}

impl CaseFile {
    /// Runs every case against a policy.
    pub fn run<'r>(&'r self, policy: &'r Policy) -> impl Iterator<Item = CaseResult> + 'r {
        self.cases.iter().map(|case| {
            let mut counts = case.limits.clone();
            for query in policy.limit_queries(case.kind, &case.facts) {
                counts.entry(query.rule).or_insert(0);
            }
            let seen = evaluate(policy, Input { kind: case.kind, facts: &case.facts, counts: &counts, now: case.now });
            let mismatches = case.expect.compare(&seen);
            CaseResult { file: self.path.clone(), line: case.spot.line, name: case.name.clone(), mismatches, seen }
        })
    }
}

impl Expectation {
    fn compare(&self, seen: &Evaluation) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut check = |what, expected: Option<String>, seen: String| {
            if let Some(expected) = expected.filter(|expected| *expected != seen) {
                found.push(Mismatch { what, expected, seen });
            }
        };
        let list = |rules: &[String]| format!("[{}]", rules.join(", "));
        check("verdict", self.verdict.map(|verdict| verdict.to_string()), seen.verdict.to_string());
        check("rules", self.rules.as_deref().map(list), list(&seen.rules));
        check("reason", self.reason.clone(), seen.reason.clone());
        check("message", self.message.clone(), seen.message.clone().unwrap_or_default());
        check("additional_info", self.additional_info.clone(), seen.additional_info.clone().unwrap_or_default());
        let effects: Vec<_> = seen.effects.iter().map(ToString::to_string).collect();
        check("then", self.effects.as_deref().map(list), list(&effects));
        found
    }
}

/// Reads one file of cases. Facts that a case does not state are absent; limits that it does not state saw nothing.
///
/// # Errors
/// All problems of the file.
pub fn load_cases(file: &SourceFile, policy: &Policy) -> Result<CaseFile, Vec<Diagnostic>> {
    let node = yaml::parse(&file.path, &file.text).map_err(|problem| vec![*problem])?;
    let mut problems = Problems::of(&file.path);
    let cases = read_cases(&mut problems, policy, &node).unwrap_or_default();
    let found = problems.into_found();
    if found.is_empty() { Ok(CaseFile { path: file.path.clone(), cases }) } else { Err(found) }
}

fn read_cases(problems: &mut Problems<'_>, policy: &Policy, node: &Node) -> Option<Vec<Case>> {
    let fields = problems.mapping(node, "a test file", &["now", "base", "tests"])?;
    let now = match fields.get("now") {
        None => Timestamp::UNIX_EPOCH,
        Some(node) => read_time(problems, node)?,
    };
    let base = fields.get("base").and_then(|base| problems.mapping(base, "`base`", &["kind", "facts", "unknown", "limits"]));
    let Some(tests) = fields.get("tests") else {
        problems.error("missing-key", node.spot, "a test file must have `tests`");
        return None;
    };
    let tests = problems.list(tests, "tests")?;
    let cases: Vec<_> = tests.iter().map(|test| read_case(problems, policy, base, test, now)).collect();
    Some(cases.into_iter().flatten().collect())
}

fn read_case(
    problems: &mut Problems<'_>,
    policy: &Policy,
    base: Option<Fields<'_>>,
    node: &Node,
    now: Timestamp,
) -> Option<Case> {
    let fields = problems.mapping(node, "a test", &["name", "now", "kind", "facts", "unknown", "limits", "expect"])?;
    let Some(name) = fields.get("name") else {
        problems.error("missing-key", node.spot, "a test must have a `name`");
        return None;
    };
    let name = problems.text(name, "name")?.to_owned();
    let Some(kind) = fields.get("kind").or_else(|| base.and_then(|base| base.get("kind"))) else {
        problems.error("missing-key", node.spot, format!("test `{name}` must have a `kind`, here or in `base`"));
        return None;
    };
    let kind = read_kind(problems, kind, "kind")?;
    let now = match fields.get("now") {
        None => now,
        Some(node) => read_time(problems, node)?,
    };
    let (mut facts, mut limits) = (FactSet::default(), BTreeMap::new());
    // The base may serve several kinds, so what a kind has not is left out; what the test itself says must fit.
    for (fields, strict) in base.map(|base| (base, false)).into_iter().chain([(fields, true)]) {
        read_facts(problems, fields, kind, strict, &mut facts);
        read_limits(problems, fields, policy, &mut limits);
    }
    let Some(expect) = fields.get("expect") else {
        problems.error("missing-key", node.spot, format!("test `{name}` must say what to `expect`"));
        return None;
    };
    let expect = read_expectation(problems, policy, expect)?;
    Some(Case { name, spot: node.spot, kind, facts, limits, now, expect })
}

fn read_time(problems: &mut Problems<'_>, node: &Node) -> Option<Timestamp> {
    let time = problems.text(node, "now")?.parse().ok();
    if time.is_none() {
        problems.error("bad-time", node.spot, "`now` must be a time such as `2026-03-02T10:00:00Z`");
    }
    time
}

fn read_facts(problems: &mut Problems<'_>, fields: Fields<'_>, kind: Kind, strict: bool, facts: &mut FactSet) {
    for (section, node) in [("facts", fields.get("facts")), ("unknown", fields.get("unknown"))] {
        let Some(node) = node else { continue };
        let Value::Map(entries) = &node.value else {
            problems.error(
                "wrong-type",
                node.spot,
                format!("`{section}` must be a mapping of facts, and is {}", node.type_name()),
            );
            continue;
        };
        for (key, value) in entries {
            let Some(spec) = fact_catalogue::find(&key.name) else {
                let problem =
                    Diagnostic::error("unknown-fact", problems.file(), key.spot, format!("there is no fact `{}`", key.name));
                problems.add(problem.suggesting(&key.name, fact_catalogue::CATALOGUE.iter().map(|spec| spec.name)));
                continue;
            };
            if !spec.kinds().contains(kind) {
                if strict {
                    problems.error("fact-not-on-kind", key.spot, format!("`{kind}` operations have no fact `{}`", key.name));
                }
                continue;
            }
            let state = if section == "unknown" {
                let cause = problems.text(value, &key.name).unwrap_or("unknown");
                FactState::Unknown(cause.to_owned().into())
            } else if value.value == Value::Null {
                FactState::Absent
            } else if let Some(value) = typed_value(spec.fact_type, &value.to_json()) {
                FactState::Known(value, Source::Stated)
            } else {
                let message = format!("`{}` is {}, and is given {}", key.name, spec.fact_type.name(), value.type_name());
                problems.error("wrong-type", value.spot, message);
                continue;
            };
            facts.put(FactName::new(key.name.as_str()), state);
        }
    }
}

fn read_limits(problems: &mut Problems<'_>, fields: Fields<'_>, policy: &Policy, limits: &mut BTreeMap<String, u64>) {
    let Some(node) = fields.get("limits") else { return };
    let Value::Map(entries) = &node.value else {
        problems.error("wrong-type", node.spot, format!("`limits` must be a mapping of rules, and is {}", node.type_name()));
        return;
    };
    for (key, value) in entries {
        let with_limit = || policy.rules.iter().filter(|rule| rule.limit.is_some()).map(|rule| rule.id.as_str());
        if !with_limit().any(|id| id == key.name) {
            let problem = Diagnostic::error(
                "unknown-rule",
                problems.file(),
                key.spot,
                format!("there is no rule `{}` with a limit", key.name),
            );
            problems.add(problem.suggesting(&key.name, with_limit()));
            continue;
        }
        let Some(seen) = problems.int(value, &key.name) else { continue };
        match u64::try_from(seen) {
            Ok(seen) => {
                limits.insert(key.name.clone(), seen);
            }
            Err(_) => problems.error("bad-value", value.spot, "a count must not be negative"),
        }
    }
}

fn read_expectation(problems: &mut Problems<'_>, policy: &Policy, node: &Node) -> Option<Expectation> {
    const KEYS: [&str; 6] = ["verdict", "rules", "reason", "message", "additional_info", "then"];
    let fields = problems.mapping(node, "`expect`", &KEYS)?;
    let mut expect = Expectation::default();
    if let Some(node) = fields.get("verdict") {
        let choices = [("approve", Verdict::Approve), ("reject", Verdict::Reject), ("escalate", Verdict::Escalate)];
        expect.verdict = Some(problems.choice(node, "verdict", &choices)?);
    }
    if let Some(node) = fields.get("rules") {
        let mut rules = Vec::new();
        for item in problems.list(node, "rules")? {
            let id = problems.text(item, "rules")?;
            if !policy.rules.iter().any(|rule| rule.id == id) {
                let problem = Diagnostic::error("unknown-rule", problems.file(), item.spot, format!("there is no rule `{id}`"));
                problems.add(problem.suggesting(id, policy.rules.iter().map(|rule| rule.id.as_str())));
            }
            rules.push(id.to_owned());
        }
        rules.sort();
        expect.rules = Some(rules);
    }
    let texts =
        [("reason", &mut expect.reason), ("message", &mut expect.message), ("additional_info", &mut expect.additional_info)];
    for (name, slot) in texts {
        if let Some(node) = fields.get(name) {
            *slot = Some(problems.text(node, name)?.to_owned());
        }
    }
    if let Some(node) = fields.get("then") {
        let items = problems.list(node, "then")?;
        expect.effects = Some(items.iter().map(|item| read_expected_effect(problems, item)).collect::<Option<_>>()?);
    }
    if KEYS.iter().all(|key| fields.get(key).is_none()) {
        problems.error("empty-value", node.spot, "a test that expects nothing always passes");
    }
    Some(expect)
}

/// An effect as a rule would state it, with the user's id in place of the fact.
fn read_expected_effect(problems: &mut Problems<'_>, node: &Node) -> Option<String> {
    let (action, value) = read_action(problems, node)?;
    let fields = problems.mapping(value, &format!("`{action}`"), &["user", "enable"])?;
    let (Some(user), Some(enable)) = (fields.get("user"), fields.get("enable")) else {
        problems.error("missing-key", value.spot, format!("`{action}` must have `user` and `enable`"));
        return None;
    };
    Some(format!("{action}: {{user: {}, enable: {}}}", problems.text(user, "user")?, read_enable(problems, enable)?))
}
