//! Makes one policy of all files of a directory, or says everything that is wrong with them.

use super::model::{Defaults, Policy, PolicyHash};
use super::rule::read_rule;
use super::sets::Lists;
use crate::domain::diagnostic::{Diagnostic, Severity, Spot, nearest};
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{self, Node, Problems, Value};
use aws_lc_rs::digest;
use std::collections::BTreeMap;

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

/// Compiles the files.
///
/// # Errors
/// All problems of all files; a policy with a single error is none.
pub fn load(files: &[SourceFile]) -> Result<Policy, Vec<Diagnostic>> {
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
    let mut lists = Lists::new();
    let mut defaults: Option<(Defaults, String)> = None;
    for (path, node) in &documents {
        let mut problems = Problems::of(path);
        read_head(&mut problems, node, files, &mut lists, &mut defaults);
        found.extend(problems.into_found());
    }
    let mut rules: Vec<super::model::Rule> = Vec::new();
    for (path, node) in &documents {
        let mut problems = Problems::of(path);
        for rule in rule_nodes(&mut problems, node) {
            let Some(rule) = read_rule(&mut problems, &lists, rule) else { continue };
            if let Some(first) = rules.iter().find(|first| first.id == rule.id) {
                let problem =
                    Diagnostic::error("duplicate-rule", path, rule.spot, format!("rule `{}` is defined twice", rule.id));
                problems.add(problem.with_help(format!("the first one is at {}:{}", first.file, first.spot.line)));
            } else {
                rules.push(rule);
            }
        }
        found.extend(problems.into_found());
    }
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        found.sort_by(|a, b| (&a.file, a.spot).cmp(&(&b.file, b.spot)));
        return Err(found);
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    let (hash, body) = identify(files);
    Ok(Policy { hash, body, defaults: defaults.map(|(defaults, _)| defaults).unwrap_or_default(), rules })
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

fn read_head(
    problems: &mut Problems<'_>,
    node: &Node,
    files: &[SourceFile],
    lists: &mut Lists,
    defaults: &mut Option<(Defaults, String)>,
) {
    let Some(fields) = problems.mapping(node, "a rule file", &["version", "defaults", "lists", "rules"]) else { return };
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
    let Some(node) = fields.get("lists") else { return };
    let Value::Map(entries) = &node.value else {
        problems.error("wrong-type", node.spot, format!("`lists` must be a mapping, and is {}", node.type_name()));
        return;
    };
    for (key, entry) in entries {
        if lists.contains_key(&key.name) {
            problems.error("duplicate-list", key.spot, format!("list `{}` is defined twice", key.name));
            continue;
        }
        let read = read_list(problems, entry, files);
        lists.insert(key.name.clone(), read);
    }
}

fn read_defaults(problems: &mut Problems<'_>, node: &Node) -> Option<Defaults> {
    let fields = problems.mapping(node, "`defaults`", &["verdict", "on_unknown"])?;
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
    Some(Defaults { verdict: verdict?, on_unknown: on_unknown? })
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
    let lines = file.text.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before).trim());
    Some(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
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
