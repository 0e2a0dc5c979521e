//! Daemons in processes of their own, and what processor time the system says that processes took.

use crate::memory;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it was ready.
    pub(crate) started_in: Duration,
}

/// The configuration of a daemon, written into `folder`.
pub(crate) fn configuration(folder: &Path, url: &str, platform: &str, hook: SocketAddr, policies: &Path) -> PathBuf {
    let config = json!({
        "database": { "url": url },
        "zerokit": { "service_url": platform, "admin_key": super::ADMIN_KEY },
        "webhooks": {
            "inbound": { "secrets": [super::wire::SECRET] },
            "outbound": { "url": format!("http://{hook}/"), "secret": super::wire::SECRET },
        },
        "policies": { "path": policies },
        "engine": { "drain": "0s" },
        "encryption": { "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" },
    });
    let path = folder.join("config.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

pub(crate) fn migrate(program: &Path, config: &Path) {
    let migrated = Command::new(program).args(["migrate", "--config"]).arg(config).stdout(Stdio::null()).status().unwrap();
    assert!(migrated.success(), "the schema cannot be made");
}

impl Daemon {
    pub(crate) async fn start(program: &Path, config: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let started = Instant::now();
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(config)
            .env("ASSENT_LISTEN", address.to_string())
            .env("ASSENT_LOG", std::env::var("BENCH_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::new();
        let ready = format!("http://{address}/readyz");
        while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(started.elapsed() < Duration::from_secs(20), "the daemon is not ready");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { child, address, started_in: started.elapsed() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        memory::mib(self.id(), "VmRSS")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that a process has used.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    fields(id).map_or(0.0, |fields| ticks(&fields[11]) + ticks(&fields[12]))
}

/// The same by the scheduler's own count, of threads that are there: whoever wakes with the clock's tick, as an idle process does, is
/// counted for all of it otherwise.
pub(crate) fn scheduled_seconds(id: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let counts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    counts.filter_map(|count| count.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e9
}

/// Seconds of a process and its children, those that have ended included.
pub(crate) fn family_cpu_seconds(parent: u32) -> f64 {
    let Some(own) = fields(parent) else { return 0.0 };
    let ended = ticks(&own[13]) + ticks(&own[14]);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = ids.filter(|id| fields(*id).is_some_and(|fields| fields[1] == parent.to_string()));
    ended + ticks(&own[11]) + ticks(&own[12]) + children.map(cpu_seconds).sum::<f64>()
}

/// The fields of `/proc/ID/stat` from the third on.
fn fields(id: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn ticks(field: &str) -> f64 {
    // Linux counts in hundredths of a second wherever it runs.
    field.parse::<f64>().unwrap_or(0.0) / 100.0
}

/// A result for programs beside the table for people.
pub(crate) fn write_json(path: &Path, value: &Value) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{value:#}\n")).unwrap();
}
