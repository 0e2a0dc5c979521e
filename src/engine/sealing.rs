//! Has what is recorded sealed, by one replica at a time, and carries the checkpoints out of the house.
//!
//! Nothing waits for it: a verdict is sent whether or not its decision is sealed yet. What cannot be carried somewhere is tried
//! again with the next checkpoint, which covers it.

use super::Engine;
use super::rounds::in_rounds;
use crate::audit::{Checkpoint, LogKey, WitnessKey, path};
use crate::store::{Sealed, Store, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, watch};

/// How many rows are sealed in one transaction: few enough to be done in a moment, as SQLite has one writer.
const AT_ONCE: u32 = 500;
/// How long to rest where more wait, so that whoever writes gets a turn.
const PAUSE: Duration = Duration::from_millis(10);
/// How long one try to carry a checkpoint somewhere may take.
const CARRY_WITHIN: Duration = Duration::from_secs(10);

/// How the log is sealed.
#[derive(Debug, Clone)]
pub struct Sealing {
    /// What signs.
    pub key: LogKey,
    /// How long rows may wait for others.
    pub every: Duration,
    /// Where checkpoints go besides the database.
    pub destinations: Vec<Destination>,
    /// What the daemon was told, as it is recorded: without secrets.
    pub configuration: Value,
}

/// Somewhere the machine's owner cannot change what was written.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A file, at whose end they are written.
    File(PathBuf),
    /// Standard output, for whatever collects it.
    Stdout,
    /// An address that they are posted to.
    Url(reqwest::Url),
    /// A C2SP witness, and what it signs with.
    Witness(reqwest::Url, WitnessKey),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::File(path) => write!(f, "{}", path.display()),
            Destination::Stdout => f.write_str("standard output"),
            // Without what may be secret in it.
            Destination::Url(url) | Destination::Witness(url, _) => f.write_str(url.host_str().unwrap_or("?")),
        }
    }
}

impl Engine {
    /// Seals until `stop` says so.
    pub async fn run_sealing(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let settings = &self.sealing;
        let last = self.store.last_checkpoint().await.ok().flatten();
        let (newest, _) = watch::channel(last);
        for destination in settings.destinations.clone() {
            tokio::spawn(carry(Arc::clone(&self.store), destination, newest.subscribe(), stop.clone()));
        }
        if let Err(error) = self.record_configuration().await
            && !error.is_transient()
        {
            tracing::error!(error.message = %error, "the configuration cannot be recorded");
        }
        let round = async || match self.store.seal(&settings.key, AT_ONCE).await? {
            Sealed::Leaves { checkpoint, more, .. } => {
                newest.send_replace(Some(checkpoint));
                Ok::<_, StoreError>(if more { PAUSE } else { settings.every })
            }
            Sealed::Nothing | Sealed::Elsewhere => Ok(settings.every),
        };
        in_rounds(&Notify::new(), stop.clone(), "the decision log cannot be sealed", round).await;
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Writes what this replica was told, if that is something new.
    async fn record_configuration(&self) -> Result<(), StoreError> {
        let replica = &self.settings.replica;
        self.store.change_configuration(replica, env!("CARGO_PKG_VERSION"), &self.sealing.configuration).await
    }
}

/// Carries each newest checkpoint to one destination.
async fn carry(
    store: Arc<dyn Store>,
    destination: Destination,
    mut newest: watch::Receiver<Option<Checkpoint>>,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(http) = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(CARRY_WITHIN).build() else {
        tracing::error!("TLS cannot be set up; checkpoints go nowhere");
        return;
    };
    newest.mark_changed();
    let (mut witnessed, mut is_failing) = (0, false);
    loop {
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            _ = stop.changed() => return,
        }
        let Some(checkpoint) = newest.borrow_and_update().clone() else { continue };
        let carried = match &destination {
            Destination::File(path) => append(path, &checkpoint).await,
            Destination::Stdout => print(&checkpoint),
            Destination::Url(url) => post(&http, url, &checkpoint).await,
            Destination::Witness(url, key) => witness(&http, store.as_ref(), url, key, &checkpoint, &mut witnessed).await,
        };
        match &carried {
            Ok(()) if is_failing => tracing::info!(audit.destination = %destination, "checkpoints are taken again"),
            Err(error) if !is_failing => {
                tracing::warn!(audit.destination = %destination, error.message = %error, "a checkpoint is not taken; the next one is tried");
            }
            _ => {}
        }
        is_failing = carried.is_err();
    }
}

async fn append(path: &PathBuf, checkpoint: &Checkpoint) -> Result<(), String> {
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).await.map_err(|error| error.to_string())?;
    file.write_all(checkpoint.note.as_bytes()).await.map_err(|error| error.to_string())?;
    file.sync_data().await.map_err(|error| error.to_string())
}

fn print(checkpoint: &Checkpoint) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(checkpoint.note.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}

async fn post(http: &reqwest::Client, url: &reqwest::Url, checkpoint: &Checkpoint) -> Result<(), String> {
    let request = http.post(url.clone()).header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8");
    let answer = request.body(checkpoint.note.clone()).send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}

/// Has a witness sign that the log only grew since what it saw last, which is `witnessed` unless it says otherwise.
async fn witness(
    http: &reqwest::Client,
    store: &dyn Store,
    url: &reqwest::Url,
    key: &WitnessKey,
    checkpoint: &Checkpoint,
    witnessed: &mut u64,
) -> Result<(), String> {
    let mut address = url.clone();
    address.set_path(&format!("{}/add-checkpoint", url.path().trim_end_matches('/')));
    // It answers 409 with what it saw last where we do not know it.
    for _ in 0..2 {
        let proof = growth(store, *witnessed, checkpoint.size).await?;
        let body = format!("old {witnessed}\n{proof}\n{}", checkpoint.note);
        let answer = http.post(address.clone()).body(body).send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.without_url().to_string())?;
        match (status, text.trim().parse()) {
            (StatusCode::CONFLICT, Ok(seen)) if seen != *witnessed && seen <= checkpoint.size => *witnessed = seen,
            (StatusCode::CONFLICT, Ok(seen)) if seen > checkpoint.size => {
                return Err(format!("it has seen {seen} leaves of this log, which has {}", checkpoint.size));
            }
            (StatusCode::OK, _) => {
                let lines: Vec<_> = text.lines().filter(|line| key.signed(checkpoint, line)).map(str::to_owned).collect();
                if lines.is_empty() {
                    return Err("its answer carries no signature of its key".to_owned());
                }
                *witnessed = checkpoint.size;
                return store.keep_cosignatures(checkpoint.size, &lines).await.map_err(|error| error.to_string());
            }
            _ => return Err(format!("it answered {status}")),
        }
    }
    Err("it does not say what it has seen".to_owned())
}

/// The lines of a consistency proof.
async fn growth(store: &dyn Store, older: u64, size: u64) -> Result<String, String> {
    if older == 0 || older == size {
        return Ok(String::new());
    }
    let nodes = store.nodes(&path(older - 1, size)).await.map_err(|error| error.to_string())?;
    let proof = nodes.prove_growth(older, size).map_err(|error| error.to_string())?;
    Ok(proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash.0))).collect())
}
