//! Makes one policy of all files of a directory, or says everything that is wrong with them.

use super::calendar::read_calendar;
use super::condition::Names;
use super::model::{Defaults, Policy, PolicyHash, Rule};
use super::review::read_review;
use super::rule::read_rule;
use super::sets::NamedList;
use crate::domain::diagnostic::{Diagnostic, Severity, Spot, nearest};
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{self, Key, Node, Problems, Value};
use aws_lc_rs::digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One file of the directory, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path below the directory, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl SourceFile {
    /// Whether it holds test cases.
    #[must_use]
    pub fn is_cases(&self) -> bool {
        let path = self.path.to_lowercase();
        path.ends_with(".test.yaml") || path.ends_with(".test.yml")
    }

    /// Whether it holds rules.
    #[must_use]
    pub fn is_rules(&self) -> bool {
        let path = self.path.to_lowercase();
        (path.ends_with(".yaml") || path.ends_with(".yml")) && !self.is_cases()
    }
}

/// What is refused since the first policies were archived, and means what it meant: `fact-as-word` and so on.
const REFUSED_LATER: [&str; 5] = ["fact-as-word", "empty-pattern", "empty-holidays", "empty-default", "bad-line-ends"];

/// Compiles the files.
///
/// # Errors
/// All problems of all files; a policy with a single error is none.
pub fn load(files: &[SourceFile]) -> Result<Policy, Vec<Diagnostic>> {
    compile(files, &[])
}

/// Compiles an archived policy as it was in force, though it would not come into force today: what was decided by it must be
/// found to be so, and it may be the last good one. Nothing where it is none, or its hash is another.
#[must_use]
pub fn load_archived(hash: &str, body: &str) -> Option<Policy> {
    let policy = compile(&archived_files(body)?, &REFUSED_LATER).ok()?;
    (policy.hash.0 == hash).then_some(policy)
}

fn compile(files: &[SourceFile], passed_over: &[&str]) -> Result<Policy, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let mut documents = Vec::new();
    for file in files.iter().filter(|file| file.is_rules()) {
        match yaml::parse(&file.path, &file.text) {
            Ok(node) => documents.push((file.path.as_str(), node)),
            Err(problem) => found.push(*problem),
        }
    }
    if documents.is_empty() && found.is_empty() {
        let problem = Diagnostic::error("no-rules", ".", Spot::default(), "there is no rule file here");
        return Err(vec![
            problem.with_help("a policy is a directory with at least one `.yaml` file that has `version: 1` and `rules:`"),
        ]);
    }
    let mut names = Names::default();
    let mut defaults: Option<(Defaults, String)> = None;
    for (path, node) in &documents {
        let mut problems = Problems::of(path);
        read_head(&mut problems, node, files, &mut names, &mut defaults);
        found.extend(problems.into_found());
    }
    let mut rules: Vec<Rule> = Vec::new();
    let mut places: HashMap<String, String> = HashMap::new();
    for (path, node) in &documents {
        let mut problems = Problems::of(path);
        for rule in rule_nodes(&mut problems, node) {
            let Some(rule) = read_rule(&mut problems, &mut names, rule) else { continue };
            let place = format!("{}:{}", rule.file, rule.spot.line);
            if let Some(first) = places.get(&rule.id) {
                let problem =
                    Diagnostic::error("duplicate-rule", path, rule.spot, format!("rule `{}` is defined twice", rule.id));
                problems.add(problem.with_help(format!("the first one is at {first}")));
            } else {
                places.insert(rule.id.clone(), place);
                rules.push(rule);
            }
        }
        found.extend(problems.into_found());
    }
    found.retain(|problem: &Diagnostic| !passed_over.contains(&problem.code));
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        found.sort_by(|a, b| (&a.file, a.spot).cmp(&(&b.file, b.spot)));
        return Err(found);
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    let (hash, body) = identify(files);
    let defaults = defaults.map(|(defaults, _)| defaults).unwrap_or_default();
    let plans = Policy::make_plans(&rules);
    Ok(Policy { hash, body, defaults, rules, plans, slots: names.slots, lists: names.lists.into_iter().collect() })
}

/// The files of an archived policy; its test cases were no part of what decided, and are not in it.
#[must_use]
pub fn archived_files(body: &str) -> Option<Vec<SourceFile>> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let files = body.get("files")?.as_object()?;
    let file =
        |(path, text): (&String, &serde_json::Value)| Some(SourceFile { path: path.clone(), text: text.as_str()?.to_owned() });
    files.iter().map(file).collect()
}

/// The hash and the archived body; test cases are no part of what decides.
fn identify(files: &[SourceFile]) -> (PolicyHash, String) {
    let files: BTreeMap<&str, &str> =
        files.iter().filter(|file| !file.is_cases()).map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"assent.policy.v1\n");
    for (path, text) in &files {
        context.update(format!("{} {}\n{path}{text}", path.len(), text.len()).as_bytes());
    }
    let body = serde_json::json!({ "files": files }).to_string();
    (PolicyHash(hex::encode(context.finish())), body)
}

/// The keys of a rule file.
pub(super) const HEAD_KEYS: [&str; 5] = ["version", "defaults", "lists", "calendars", "rules"];

fn read_head(
    problems: &mut Problems<'_>,
    node: &Node,
    files: &[SourceFile],
    names: &mut Names,
    defaults: &mut Option<(Defaults, String)>,
) {
    let Some(fields) = problems.mapping(node, "a rule file", &HEAD_KEYS) else { return };
    match fields.get("version") {
        Some(Node { value: Value::Int(1), .. }) => {}
        Some(other) => problems.error("bad-version", other.spot, "the only version is `1`"),
        None => problems.error("missing-key", node.spot, "a rule file must begin with `version: 1`"),
    }
    if let Some(node) = fields.get("defaults")
        && let Some(read) = read_defaults(problems, node)
    {
        if let Some((_, first)) = defaults {
            let problem = Diagnostic::error("duplicate-defaults", problems.file(), node.spot, "`defaults` stands in two files");
            problems.add(problem.with_help(format!("it is already in {first}; keep one")));
        } else {
            *defaults = Some((read, problems.file().to_owned()));
        }
    }
    for (key, entry) in section(problems, fields.get("lists"), "lists") {
        if names.lists.contains_key(&key.name) {
            problems.error("duplicate-list", key.spot, format!("list `{}` is defined twice", key.name));
            continue;
        }
        let entries = read_list(problems, entry, files);
        let list = NamedList { file: problems.file().to_owned(), spot: key.spot, entries, is_used: false };
        names.lists.insert(key.name.clone(), list);
    }
    for (key, entry) in section(problems, fields.get("calendars"), "calendars") {
        if names.calendars.contains_key(&key.name) {
            problems.error("duplicate-calendar", key.spot, format!("calendar `{}` is defined twice", key.name));
            continue;
        }
        let mut lines = |problems: &mut Problems<'_>, node: &Node| {
            let entries = read_list(problems, node, files)?;
            Some(entries.into_iter().map(|entry| (entry, node.spot)).collect())
        };
        let calendar = read_calendar(problems, &key.name, entry, &mut lines);
        names.calendars.insert(key.name.clone(), calendar.map(Arc::new));
    }
}

/// The named entries of a section of the head.
fn section<'n>(problems: &mut Problems<'_>, node: Option<&'n Node>, name: &str) -> &'n [(Key, Node)] {
    match node {
        None => &[],
        Some(Node { value: Value::Map(entries), .. }) => entries,
        Some(other) => {
            problems.error("wrong-type", other.spot, format!("`{name}` must be a mapping, and is {}", other.type_name()));
            &[]
        }
    }
}

fn read_defaults(problems: &mut Problems<'_>, node: &Node) -> Option<Defaults> {
    let fields = problems.mapping(node, "`defaults`", &["verdict", "on_unknown", "review"])?;
    problems.filled("empty-default", fields);
    let mut read = |name: &str, fallback: Verdict| match fields.get(name) {
        None => Some(fallback),
        Some(node) if node.value == Value::Text("approve".to_owned()) => {
            let problem = Diagnostic::error(
                "approve-as-default",
                problems.file(),
                node.spot,
                format!("`{name}` cannot be `approve`: nothing is approved by default"),
            );
            problems.add(problem.with_help("write `reject` or `escalate`, and approve with a rule"));
            None
        }
        Some(node) => problems.choice(node, name, &[("reject", Verdict::Reject), ("escalate", Verdict::Escalate)]),
    };
    let preset = Defaults::default();
    let (verdict, on_unknown) = (read("verdict", preset.verdict), read("on_unknown", preset.on_unknown));
    let review = match fields.get("review") {
        Some(node) => read_review(problems, node).map(|stated| stated.or(preset.review)),
        None => Some(preset.review),
    };
    Some(Defaults { verdict: verdict?, on_unknown: on_unknown?, review: review? })
}

fn read_list(problems: &mut Problems<'_>, node: &Node, files: &[SourceFile]) -> Option<Vec<String>> {
    if let Value::List(items) = &node.value {
        let texts: Vec<_> = items.iter().map(|item| problems.text(item, "list").map(str::to_owned)).collect();
        return texts.into_iter().collect();
    }
    let fields = problems.mapping(node, "a list", &["file"])?;
    let Some(path_node) = fields.get("file") else {
        problems.error("wrong-type", node.spot, "a list is written in place, or `{file: path}`");
        return None;
    };
    let path = problems.text(path_node, "file")?;
    let Some(file) = files.iter().find(|file| file.path == path) else {
        let problem =
            Diagnostic::error("missing-list-file", problems.file(), path_node.spot, format!("list file `{path}` is not there"));
        let near = nearest(path, files.iter().map(|file| file.path.as_str()).filter(|path| path.ends_with(".txt")));
        let help = near.map_or_else(
            || "a list file ends in `.txt`, and its path begins at the policy directory".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        problems.add(problem.with_help(help));
        return None;
    };
    // A mark that editors put in front of a file is no part of its first entry.
    let text = file.text.trim_start_matches('\u{feff}');
    if text.lines().any(|line| line.trim().contains('\r')) {
        let message = format!("lines of `{path}` end in a carriage return alone, and would be one entry");
        let problem = Diagnostic::error("bad-line-ends", problems.file(), path_node.spot, message);
        problems.add(problem.with_help("save it with line feeds"));
    }
    let lines = text.lines().map(without_comment);
    Some(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A comment begins at the start of a line or after white space; `c#-devs` has none.
fn without_comment(line: &str) -> &str {
    let begins =
        |(at, _): &(usize, &str)| line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace));
    let comment = line.match_indices('#').find(begins);
    comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line).trim()
}

fn rule_nodes<'n>(problems: &mut Problems<'_>, node: &'n Node) -> &'n [Node] {
    let Value::Map(entries) = &node.value else { return &[] };
    match entries.iter().find(|(key, _)| key.name == "rules").map(|(_, node)| node) {
        Some(Node { value: Value::List(rules), .. }) => rules,
        None | Some(Node { value: Value::Null, .. }) => &[],
        Some(other) => {
            problems.error("wrong-type", other.spot, format!("`rules` must be a list, and is {}", other.type_name()));
            &[]
        }
    }
}
