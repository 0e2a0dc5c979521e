//! The binary as a person runs it, and a configuration for it.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What a command said and how it ended.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What was said, with what differs from run to run replaced.
    pub(crate) fn said(&self, replace: &[(&str, &str)]) -> String {
        let mut text = format!("exit status {}\n{}{}", self.status, self.out, self.err);
        for (from, to) in replace {
            text = text.replace(from, to);
        }
        text
    }
}

/// Runs the binary to its end.
pub(crate) async fn assent(args: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASSENT_")) {
        command.env_remove(name);
    }
    command.args(args).envs(environment.iter().copied()).env("ASSENT_LOG", "off").current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(Duration::from_secs(90), output).await.expect("it ended").unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A configuration that works, to be broken.
pub(crate) fn good_config(folder: &Path, platform: &str, database: &str, policies: &Path) -> Value {
    std::fs::create_dir_all(folder).unwrap();
    json!({
        "listen": "127.0.0.1:0",
        "database": { "url": database },
        "zerokit": { "service_url": format!("http://{platform}/tenant-{}", super::TENANT), "admin_key": super::ADMIN_KEY, "timeout": "1s" },
        "webhooks": { "inbound": { "secrets": [super::SECRET] } },
        "policies": { "path": policies },
        "encryption": { "key": super::ENCRYPTION_KEY },
    })
}

/// Writes a configuration into a folder.
pub(crate) fn write(folder: &Path, config: &Value) -> PathBuf {
    let path = folder.join("config.yaml");
    // Pretty JSON is YAML with lines.
    std::fs::write(&path, format!("{config:#}")).unwrap();
    path
}
