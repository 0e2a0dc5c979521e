//! Test cases beside the rules: `*.test.yaml` with pretended facts, failures and limits, and what is expected.

use super::evaluate::Evaluation;
use super::inquiry::{Inquiry, fact_of, limits, read_counts};
use super::kinds::read_kind;
use super::load::SourceFile;
use super::model::{Policy, RuleMode};
use super::then::{read_action, read_enable};
use crate::domain::diagnostic::{Diagnostic, Spot};
use crate::domain::fact::{FactName, FactSet, FactState, Source};
use crate::domain::fact_catalogue::{self, typed_value};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{self, Fields, Node, Problems, Value};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

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
    inquiry: Inquiry,
    expect: Expectation,
}

/// What a case names of the evaluation, by key and in the order of the file.
#[derive(Debug, Clone, Default)]
struct Expectation {
    spot: Spot,
    named: Vec<(&'static str, Said)>,
}

/// A part of an evaluation, in the form in which it is compared and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Said {
    /// A word or a sentence.
    Text(String),
    /// Several, sorted.
    List(Vec<String>),
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Said::Text(text) => f.write_str(text),
            Said::List(items) => write!(f, "[{}]", items.join(", ")),
        }
    }
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
    /// Its place among the tests of its file.
    #[serde(skip)]
    pub index: usize,
    /// Where its expectation stands.
    #[serde(skip)]
    pub expect_at: Spot,
    /// What the policy said of everything that the case names, in its order.
    #[serde(skip)]
    pub named: Vec<(&'static str, Said)>,
}

/// One expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// `verdict`, `rules`, `shadow`, `unknown`, `reason`, `message`, `additional_info` or `then`.
    pub what: &'static str,
    /// What the case expects.
    pub expected: Said,
    /// What the policy said.
    pub seen: Said,
}

/// What a case can name.
pub(super) const EXPECTATIONS: [&str; 8] =
    ["verdict", "rules", "shadow", "unknown", "reason", "message", "additional_info", "then"];
/// The keys of a case.
pub(super) const CASE_KEYS: [&str; 7] = ["name", "now", "kind", "facts", "unknown", "limits", "expect"];

impl CaseFile {
    /// Runs every case against a policy.
    pub fn run<'r>(&'r self, policy: &'r Policy) -> impl Iterator<Item = CaseResult> + 'r {
        self.cases.iter().enumerate().map(|(index, case)| {
            let seen = case.inquiry.put_to(policy);
            let named: Vec<_> = case.expect.named.iter().map(|(what, _)| (*what, said(&seen, what))).collect();
            let pairs = case.expect.named.iter().zip(&named);
            let wrong = pairs.filter(|((_, expected), (_, seen))| expected != seen);
            let mismatches =
                wrong.map(|((what, expected), (_, seen))| Mismatch { what, expected: expected.clone(), seen: seen.clone() });
            CaseResult {
                file: self.path.clone(),
                line: case.spot.line,
                name: case.name.clone(),
                mismatches: mismatches.collect(),
                seen,
                index,
                expect_at: case.expect.spot,
                named,
            }
        })
    }
}

/// What an evaluation says of one thing.
pub(super) fn said(seen: &Evaluation, what: &str) -> Said {
    let text = |text: &Option<String>| Said::Text(text.clone().unwrap_or_default());
    match what {
        "verdict" => Said::Text(seen.verdict.to_string()),
        "rules" => Said::List(seen.rules.clone()),
        "shadow" => Said::List(seen.shadow.clone()),
        "unknown" => Said::List(seen.unknown.clone()),
        "reason" => Said::Text(seen.reason.clone()),
        "message" => text(&seen.message),
        "additional_info" => text(&seen.additional_info),
        _ => Said::List(seen.effects.iter().map(ToString::to_string).collect()),
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
    let mut found = problems.into_found();
    // What is wrong with the base is wrong with every test, and is said once.
    let mut said = HashSet::new();
    found.retain(|problem| said.insert((problem.spot, problem.code, problem.message.clone())));
    if found.is_empty() { Ok(CaseFile { path: file.path.clone(), cases }) } else { Err(found) }
}

fn read_cases(problems: &mut Problems<'_>, policy: &Policy, node: &Node) -> Option<Vec<Case>> {
    let fields = problems.mapping(node, "a test file", &["now", "base", "tests"])?;
    let now = match fields.get("now") {
        None => Timestamp::UNIX_EPOCH,
        Some(node) => read_now(problems, node)?,
    };
    let base =
        fields.get("base").and_then(|base| problems.mapping(base, "`base`", &["now", "kind", "facts", "unknown", "limits"]));
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
    let fields = problems.mapping(node, "a test", &CASE_KEYS)?;
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
    let now = match fields.get("now").or_else(|| base.and_then(|base| base.get("now"))) {
        None => now,
        Some(node) => read_now(problems, node)?,
    };
    let (mut facts, mut counts) = (FactSet::default(), BTreeMap::new());
    // The base may serve several kinds, so what a kind has not is left out; what the test itself says must fit.
    for (fields, strict) in base.map(|base| (base, false)).into_iter().chain([(fields, true)]) {
        read_facts(problems, fields, kind, strict, &mut facts);
        read_unknown(problems, fields, kind, strict, &mut facts);
        read_limits(problems, fields, policy, &mut counts);
    }
    let Some(expect) = fields.get("expect") else {
        problems.error("missing-key", node.spot, format!("test `{name}` must say what to `expect`"));
        return None;
    };
    let expect = read_expectation(problems, policy, expect)?;
    Some(Case { name, spot: node.spot, inquiry: Inquiry { kind, facts, counts, now }, expect })
}

fn read_now(problems: &mut Problems<'_>, node: &Node) -> Option<Timestamp> {
    let time = problems.text(node, "now")?.parse().ok();
    if time.is_none() {
        problems.error("bad-time", node.spot, "`now` must be a time such as `2026-03-02T10:00:00Z`");
    }
    time
}

fn read_facts(problems: &mut Problems<'_>, fields: Fields<'_>, kind: Kind, strict: bool, facts: &mut FactSet) {
    let Some(node) = fields.get("facts") else { return };
    let Value::Map(entries) = &node.value else {
        let message = format!("`facts` must be a mapping of facts, and is {}", node.type_name());
        problems.error("wrong-type", node.spot, message);
        return;
    };
    for (key, value) in entries {
        if !can_be_stated(problems, &key.name, key.spot, kind, strict) {
            continue;
        }
        let Some(spec) = fact_catalogue::find(&key.name) else { continue };
        let state = if value.value == Value::Null {
            FactState::Absent
        } else if let Some(value) = typed_value(spec.fact_type, value.to_json()) {
            FactState::Known(value, Source::Stated)
        } else {
            let message = format!("`{}` is {}, and is given {}", key.name, spec.fact_type.name(), value.type_name());
            problems.error("wrong-type", value.spot, message);
            continue;
        };
        facts.put(FactName::new(key.name.as_str()), state);
    }
}

/// `{fact: cause}`, or a list of facts.
fn read_unknown(problems: &mut Problems<'_>, fields: Fields<'_>, kind: Kind, strict: bool, facts: &mut FactSet) {
    let Some(node) = fields.get("unknown") else { return };
    let stated: Vec<(String, Spot, String)> = match &node.value {
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.name.clone(), key.spot, problems.text(value, &key.name).unwrap_or_default().to_owned()))
            .collect(),
        Value::List(items) => items
            .iter()
            .filter_map(|item| Some((problems.text(item, "unknown")?.to_owned(), item.spot, "stated as unknown".to_owned())))
            .collect(),
        _ => {
            problems.error("wrong-type", node.spot, format!("`unknown` must be a mapping of facts, and is {}", node.type_name()));
            return;
        }
    };
    for (name, spot, cause) in stated {
        if can_be_stated(problems, &name, spot, kind, strict) {
            facts.put(FactName::new(name), FactState::Unknown(cause.into()));
        }
    }
}

fn can_be_stated(problems: &mut Problems<'_>, name: &str, spot: Spot, kind: Kind, strict: bool) -> bool {
    let Some(_) = fact_catalogue::find(name) else {
        let problem = Diagnostic::error("unknown-fact", problems.file(), spot, format!("there is no fact `{name}`"));
        problems.add(problem.suggesting(name, fact_catalogue::names()));
        return false;
    };
    let is_had = fact_of(name, kind).is_ok();
    if strict && !is_had {
        problems.error("fact-not-on-kind", spot, format!("`{kind}` operations have no fact `{name}`"));
    }
    is_had
}

fn read_limits(problems: &mut Problems<'_>, fields: Fields<'_>, policy: &Policy, counts: &mut BTreeMap<String, u64>) {
    let Some(node) = fields.get("limits") else { return };
    let Value::Map(entries) = &node.value else {
        problems.error("wrong-type", node.spot, format!("`limits` must be a mapping of rules, and is {}", node.type_name()));
        return;
    };
    for (key, value) in entries {
        if !limits(policy).any(|(id, _)| id == key.name) {
            let message = format!("there is no rule `{}` with a limit", key.name);
            let problem = Diagnostic::error("unknown-rule", problems.file(), key.spot, message);
            problems.add(problem.suggesting(&key.name, limits(policy).map(|(id, _)| id)));
        } else if let Err(what) = read_counts(policy, &key.name, &value.to_json(), counts) {
            problems.error("bad-value", value.spot, format!("`{}` {what}", key.name));
        }
    }
}

fn read_expectation(problems: &mut Problems<'_>, policy: &Policy, node: &Node) -> Option<Expectation> {
    let fields = problems.mapping(node, "`expect`", &EXPECTATIONS)?;
    let mut expect = Expectation { spot: node.spot, named: Vec::new() };
    for (key, node) in fields.entries {
        let Some(what) = EXPECTATIONS.into_iter().find(|known| *known == key.name) else { continue };
        let said = match what {
            "verdict" => {
                let choices = [("approve", Verdict::Approve), ("reject", Verdict::Reject), ("escalate", Verdict::Escalate)];
                Said::Text(problems.choice(node, what, &choices)?.to_string())
            }
            "rules" | "shadow" | "unknown" => Said::List(read_rule_names(problems, policy, node, what)?),
            "then" => {
                let items = problems.list(node, what)?;
                Said::List(items.iter().map(|item| read_expected_effect(problems, item)).collect::<Option<_>>()?)
            }
            // Nothing said is an empty text.
            _ if node.value == Value::Null => Said::Text(String::new()),
            _ => Said::Text(problems.text(node, what)?.to_owned()),
        };
        expect.named.push((what, said));
    }
    if expect.named.is_empty() {
        problems.error("empty-value", node.spot, "a test that expects nothing always passes");
    }
    Some(expect)
}

fn read_rule_names(problems: &mut Problems<'_>, policy: &Policy, node: &Node, what: &str) -> Option<Vec<String>> {
    let is_meant = |mode: RuleMode| if what == "shadow" { mode == RuleMode::Shadow } else { mode != RuleMode::Shadow };
    let known = || policy.rules.iter().filter(|rule| is_meant(rule.mode)).map(|rule| rule.id.as_str());
    let mut rules = Vec::new();
    for item in problems.list(node, what)? {
        let id = problems.text(item, what)?;
        if !known().any(|rule| rule == id) {
            let sort = if what == "shadow" { "shadow rule" } else { "rule" };
            let problem = Diagnostic::error("unknown-rule", problems.file(), item.spot, format!("there is no {sort} `{id}`"));
            problems.add(problem.suggesting(id, known()));
        }
        rules.push(id.to_owned());
    }
    rules.sort();
    Some(rules)
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
