//! The daemon in a process of its own, to be killed, stopped and told.

use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A daemon that was started; it may not serve yet, or never.
pub(crate) struct Process {
    child: Child,
    address: watch::Receiver<Option<SocketAddr>>,
    /// The lines of its log; the last says why it ended, if it did.
    said: Arc<Mutex<Vec<String>>>,
    /// What it wrote to standard output.
    printed: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it with a configuration and an environment. What is not this release's takes the schema as it is.
    pub(crate) fn start(program: &str, config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command
            .arg("serve")
            .args((program == env!("CARGO_BIN_EXE_assent")).then_some("--migrate"))
            .arg("--config")
            .arg(config)
            .env("ASSENT_LOG", "info")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (serves, address) = watch::channel(None);
        let (said, printed): (Arc<Mutex<Vec<String>>>, Arc<Mutex<String>>) = Default::default();
        let (line_kept, print_kept) = (Arc::clone(&said), Arc::clone(&printed));
        let mut prints = BufReader::new(child.stdout.take().unwrap()).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = prints.next_line().await {
                *print_kept.lock().unwrap() += &format!("{line}\n");
            }
        });
        let show = std::env::var_os("TEST_SHOW_LOGS").is_some();
        // Its log must be read on, or it would block.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if show {
                    eprintln!("{line}");
                }
                line_kept.lock().unwrap().push(line.clone());
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["fields"]["message"] == "assent serves" {
                    let _ = serves.send(event["fields"]["http.address"].as_str().and_then(|text| text.parse().ok()));
                }
            }
        });
        Self { child, address, said, printed }
    }

    /// Where it listens, once it serves; nothing if it ended before.
    pub(crate) async fn serves(&self) -> Option<SocketAddr> {
        let mut address = self.address.clone();
        let waited = tokio::time::timeout(Duration::from_secs(60), address.wait_for(Option::is_some)).await;
        waited.expect("it serves within a minute").ok().and_then(|address| *address)
    }

    /// The last line that it wrote.
    pub(crate) fn last_words(&self) -> String {
        self.said.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// All lines of its log.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// What it wrote to standard output.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Where it listens, if it serves by now.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        *self.address.borrow()
    }

    /// Sends a signal by its name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { return };
        let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
        assert!(sent.unwrap().success(), "no such process");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        tokio::time::timeout(within, self.child.wait()).await.expect("it ended in time").unwrap()
    }
}
