//! Where the configuration comes from: a file, and the environment laid over it. Says what may be shown of either.

use super::Failure;
use crate::audit::MasterKey;
use crate::domain::diagnostic::{Diagnostic, Spot};
use crate::domain::yaml::{self, Key, Node, Value};
use crate::fault;
use std::path::Path;

/// Every key, as `section.key`; each can also be set from the environment.
pub const KEYS: [&str; 62] = [
    "listen",
    "database.url",
    "database.connections",
    "zerokit.service_url",
    "zerokit.admin_key",
    "zerokit.admin_key_file",
    "zerokit.tenant_id",
    "zerokit.timeout",
    "webhooks.inbound.secrets",
    "webhooks.inbound.secrets_file",
    "webhooks.inbound.tolerance",
    "webhooks.outbound.url",
    "webhooks.outbound.secret",
    "webhooks.outbound.secret_file",
    "webhooks.outbound.timeout",
    "webhooks.outbound.retry_after",
    "policies.path",
    "policies.require_tests",
    "directory.sources",
    "directory.budget",
    "directory.cache_ttl",
    "directory.negative_ttl",
    "directory.cache_entries",
    "directory.file.users",
    "directory.file.tresors",
    "directory.http.user_url",
    "directory.http.tresor_url",
    "directory.http.token",
    "directory.http.token_file",
    "directory.http.timeout",
    "directory.sql.url",
    "directory.sql.user_query",
    "directory.sql.tresor_query",
    "directory.sql.timeout",
    "directory.sql.connections",
    "intake.requester",
    "intake.registration_max_age",
    "engine.mode",
    "engine.workers",
    "engine.lease",
    "engine.quiet_period",
    "engine.retry_budget",
    "engine.retry_base",
    "engine.retry_max",
    "engine.join_window",
    "engine.turn",
    "engine.max_wait",
    "engine.max_attempts",
    "engine.drain",
    "tokens",
    "encryption.key",
    "encryption.key_file",
    "audit.name",
    "audit.signing_key",
    "audit.signing_key_file",
    "audit.previous_keys",
    "audit.seal_every",
    "audit.checkpoints.file",
    "audit.checkpoints.stdout",
    "audit.checkpoints.url",
    "audit.checkpoints.witness_url",
    "audit.checkpoints.witness_key",
];

/// Keys whose values anybody may see.
const HARMLESS: [&str; 45] = [
    "listen",
    "connections",
    "service_url",
    "tenant_id",
    "timeout",
    "admin_key_file",
    "secrets_file",
    "secret_file",
    "key_file",
    "tolerance",
    "path",
    "require_tests",
    "sources",
    "budget",
    "cache_ttl",
    "negative_ttl",
    "cache_entries",
    "users",
    "tresors",
    "token_file",
    "requester",
    "registration_max_age",
    "mode",
    "workers",
    "lease",
    "quiet_period",
    "retry_budget",
    "retry_base",
    "retry_max",
    "retry_after",
    "join_window",
    "turn",
    "max_wait",
    "max_attempts",
    "drain",
    "role",
    "name",
    "user_id",
    "signing_key_file",
    "previous_keys",
    "seal_every",
    "file",
    "stdout",
    "witness_url",
    "witness_key",
];

/// Whether a text reads as a key, and not as what somebody wrote in the place of one.
fn is_key(text: &str) -> bool {
    (1..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The file as a code frame may show it.
fn without_secrets(text: &str) -> String {
    text.lines().map(line_without_secrets).collect::<Vec<_>>().join("\n")
}

/// Of a line whose key is not known to be harmless, only the key; of one without a key, nothing that says anything.
fn line_without_secrets(line: &str) -> String {
    let rest = line.trim_start_matches([' ', '\t', '-', '[', ']', '{', '}', ',', '#']);
    let (lead, _) = line.split_at(line.len().saturating_sub(rest.len()));
    let Some((key, value)) = rest.split_once(':') else { return lead.to_owned() };
    let name = key.trim_matches(['"', '\'']);
    // A colon within a word is one of a text.
    if !is_key(name) || !(value.is_empty() || value.starts_with(char::is_whitespace)) {
        return lead.to_owned();
    }
    // None but the first of several keys in one line is looked at, and the query of an address may have a password in it.
    let may_be_more = lead.contains('{') || (value.trim_end_matches(',').contains(',') && value.contains(':'));
    let may_be_shown = HARMLESS.contains(&name) && !may_be_more && !value.contains(['{', '}', '@', '?', '\r']);
    let is_shown = value.trim().is_empty() || may_be_shown;
    if is_shown { line.to_owned() } else { format!("{lead}{key}: ...") }
}

/// What is wrong, unless that quotes what is not shown of its line, or a key that has a secret in it.
fn unquoting(mut problem: Diagnostic, text: &str, shown: &str) -> Diagnostic {
    const SHORTEST: usize = 4;
    let number = usize::try_from(problem.spot.line.saturating_sub(1)).unwrap_or_default();
    let [line, shown] = [text, shown].map(|text| text.lines().nth(number).unwrap_or_default());
    let mut words = problem.message.split(|c: char| c.is_whitespace() || "`'\"()[]{}:,;".contains(c));
    if problem.code == "yaml" && words.any(|word| word.len() >= SHORTEST && line.contains(word) && !shown.contains(word)) {
        "this is no YAML; a text with such characters needs quotes".clone_into(&mut problem.message);
    }
    if let Some((key, section)) = problem.message.strip_prefix("unknown key `").and_then(|rest| rest.rsplit_once("` in "))
        && !is_key(key)
    {
        let lead: String = key.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').take(24).collect();
        problem.message = format!("unknown key `{lead}...` in {section}");
    }
    problem
}

/// What was set, secrets included, until the key is known that hashes what is recorded of it.
#[derive(Clone)]
pub struct Told(Node);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told(..)")
    }
}

impl Told {
    pub(super) fn new(root: &Node) -> Self {
        Self(root.clone())
    }

    /// As it is recorded, by the key as it is for the database: that hashes the same after a `rekey`.
    pub(super) fn recorded(&self, key: &MasterKey) -> serde_json::Value {
        recorded_settings(&self.0, key)
    }
}

/// What was set, as it is recorded: of a value that may be secret only a keyed hash, which tells whether it is another one.
fn recorded_settings(node: &Node, key: &MasterKey) -> serde_json::Value {
    fn shown(name: &str, node: &Node, key: &MasterKey) -> serde_json::Value {
        match &node.value {
            Value::Map(entries) => {
                let entries = entries.iter().map(|(name, node)| (name.name.clone(), shown(&name.name, node, key)));
                serde_json::Value::Object(entries.collect())
            }
            Value::List(items) => items.iter().map(|item| shown(name, item, key)).collect(),
            // An address may have a password in it, and a name may be somebody's e-mail address.
            Value::Text(text) if text.contains(['@', '?']) => keyed(node, key),
            _ if HARMLESS.contains(&name) => node.to_json(),
            _ => keyed(node, key),
        }
    }
    fn keyed(node: &Node, key: &MasterKey) -> serde_json::Value {
        format!("hmac:{}", key.fingerprint(node.to_json().to_string().as_bytes())).into()
    }
    shown("", node, key)
}

const WHERE: &str = "copy config.example.yaml there, or name another file with --config or ASSENT_CONFIG";

/// What is told: a file, with the environment laid over it.
pub(super) struct Source {
    pub(super) file: String,
    /// Nothing where there is no file.
    text: Option<String>,
    /// The variables that say something; a place in the tree that comes of one has its number, from 1, for a column of line 0.
    variables: Vec<String>,
    pub(super) root: Node,
}

impl Source {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let from_environment = environment()?;
        let file = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            // Everything may come from the environment, as in a container.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !from_environment.is_empty() => None,
            Err(error) => return Err(Failure::input(format!("the configuration `{file}` cannot be read: {error}; {WHERE}"))),
        };
        let nothing = Node { spot: Spot::default(), value: Value::Map(Vec::new()) };
        let mut source = Self { file, text, variables: Vec::new(), root: nothing };
        if let Some(text) = &source.text {
            source.root = yaml::parse(&source.file, text).map_err(|problem| source.unusable(vec![*problem]))?;
        }
        for (name, keys, mut node) in from_environment {
            source.variables.push(name);
            place(&mut node, Spot { line: 0, column: u32::try_from(source.variables.len()).unwrap_or_default(), len: 0 });
            overlay(&mut source.root, &keys, node);
        }
        Ok(source)
    }

    /// What is wrong with it, where it stands.
    pub(super) fn unusable(&self, found: Vec<Diagnostic>) -> Failure {
        let shown = self.text.as_deref().map(without_secrets);
        let is_incomplete = found.iter().any(|problem| problem.code == "missing-key");
        let unquoting =
            |problem| unquoting(problem, self.text.as_deref().unwrap_or_default(), shown.as_deref().unwrap_or_default());
        let rendered =
            found.into_iter().map(|problem| self.placed(unquoting(problem), shown.as_deref()).render(shown.as_deref()));
        let rendered: Vec<_> = rendered.collect();
        let why = match is_incomplete && self.text.is_none() {
            false => "the configuration cannot be used".to_owned(),
            true => format!("there is no configuration `{}`, and the environment alone does not say enough; {WHERE}", self.file),
        };
        Failure::input(format!("{why}\n\n{}", rendered.join("\n").trim_end()))
    }

    fn placed(&self, mut problem: Diagnostic, shown: Option<&str>) -> Diagnostic {
        let at = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        if problem.spot.line == 0 {
            let variable = if problem.spot.column > 0 { self.variables.get(at(problem.spot.column)) } else { None };
            match variable {
                Some(variable) => problem.file.clone_from(variable),
                None if self.text.is_none() => "the environment".clone_into(&mut problem.file),
                None => {}
            }
        } else if let Some(line) = shown.and_then(|shown| shown.lines().nth(at(problem.spot.line)))
            && line.chars().count() <= at(problem.spot.column)
        {
            // What it is about is not shown: the line that it is in.
            let lead = line.chars().take_while(|c| *c == ' ').count();
            problem.spot.column = u32::try_from(lead).unwrap_or_default().saturating_add(1);
            problem.spot.len = u32::MAX;
        }
        problem
    }
}

/// Says where a node and all that is in it comes from.
fn place(node: &mut Node, spot: Spot) {
    node.spot = spot;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| place(item, spot)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
            key.spot = spot;
            place(node, spot);
        }),
        _ => {}
    }
}

/// The keys that the environment sets; its values are YAML, so that lists can be written.
fn environment() -> Result<Vec<(String, Vec<String>, Node)>, Failure> {
    const NUMBERS: [&str; 6] = [
        "database.connections",
        "engine.workers",
        "engine.retry_budget",
        "engine.max_attempts",
        "directory.cache_entries",
        "directory.sql.connections",
    ];
    // Variables of the program that are no keys of the configuration.
    const OTHERS: [&str; 3] = ["ASSENT_CONFIG", "ASSENT_LOG", "ASSENT_TOKEN"];
    let is_other = |name: &str| OTHERS.contains(&name) || fault::VARIABLES.contains(&name);
    let mut found = Vec::new();
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with("ASSENT_") && !is_other(name)).collect();
    variables.sort();
    for (name, value) in variables {
        let key = name.strip_prefix("ASSENT_").unwrap_or_default().to_lowercase().replace("__", ".");
        if !KEYS.contains(&key.as_str()) {
            let near = crate::domain::diagnostic::nearest(&key, KEYS);
            let hint = near
                .map(|near| format!("; did you mean `ASSENT_{}`?", near.to_uppercase().replace('.', "__")))
                .unwrap_or_default();
            return Err(Failure::input(format!("the environment variable `{name}` names no key of the configuration{hint}")));
        }
        let mut node = yaml::parse(&name, &value).map_err(|problem| {
            // What the parser says may quote the value.
            let is_harmless = key.rsplit('.').next().is_some_and(|last| HARMLESS.contains(&last));
            let why = if is_harmless {
                format!(": {}", problem.message)
            } else {
                "; a text with such characters needs quotes of its own".to_owned()
            };
            Failure::input(format!("the environment variable `{name}` is no YAML{why}"))
        })?;
        // A key or secret made of digits is a text all the same.
        if matches!(node.value, Value::Int(_) | Value::Float(_)) && !NUMBERS.contains(&key.as_str()) {
            node.value = Value::Text(value);
        }
        found.push((name, key.split('.').map(str::to_owned).collect(), node));
    }
    Ok(found)
}

fn overlay(root: &mut Node, keys: &[String], node: Node) {
    let Some((first, rest)) = keys.split_first() else {
        *root = node;
        return;
    };
    if !matches!(root.value, Value::Map(_)) {
        root.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut root.value else { return };
    if !entries.iter().any(|(key, _)| key.name == *first) {
        let empty = Node { spot: Spot::default(), value: Value::Null };
        entries.push((Key { spot: Spot::default(), name: first.clone() }, empty));
    }
    if let Some((_, child)) = entries.iter_mut().find(|(key, _)| key.name == *first) {
        overlay(child, rest, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_harmless_keys_that_are_alone_in_their_line_and_of_all_else_the_key() {
        for (line, shown) in [
            ("listen: 127.0.0.1:8080", "listen: 127.0.0.1:8080"),
            ("    \"timeout\": \"1s\",", "    \"timeout\": \"1s\","),
            ("  sources: [notification, file]", "  sources: [notification, file]"),
            ("zerokit:", "zerokit:"),
            ("  admin_key: c5a3f2", "  admin_key: ..."),
            ("  admin_kye: c5a3f2", "  admin_kye: ..."),
            ("  {timeout: 4x, admin_key: c5a3f2}", "  {timeout: ..."),
            ("  service_url: https://a.example, admin_key: c5a3f2", "  service_url: ..."),
            ("zerokit: {timeout: 4s}", "zerokit: ..."),
            ("  witness_url: https://w.example?token=s3cret", "  witness_url: ..."),
            ("  url: postgres://ann:hunter2@db/assent", "  url: ..."),
            ("  - whsec_AAEC", "  - "),
            ("  - user:password", "  - "),
            ("    hunter2:", "    hunter2:"),
            ("  c5a3f2e1d4b6978800112233445566: x", "  "),
            ("# the old key was c5a3f2", "# "),
            ("listen: 1\radmin_key: c5a3f2", "listen: ..."),
        ] {
            assert_eq!(line_without_secrets(line), shown);
        }
    }

    #[test]
    fn what_is_recorded_of_settings_is_the_same_under_the_next_key() {
        let root = yaml::parse("config.yaml", "database: {url: 'postgres://a:b@c/d'}\nengine: {mode: shadow}").unwrap();
        let (old, fresh) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        let told = Told::new(&root);
        let read = fresh.of_database(&old.replaced_by(&fresh).sentinel().unwrap()).unwrap();
        assert_eq!(told.recorded(&read), told.recorded(&old));
        assert_ne!(told.recorded(&fresh), told.recorded(&old));
        assert!(!told.recorded(&old).to_string().contains("a:b"), "{}", told.recorded(&old));
        assert_eq!(format!("{told:?}"), "Told(..)");
    }
}
