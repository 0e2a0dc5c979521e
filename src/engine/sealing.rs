//! Has what is recorded sealed, by one replica at a time, and carries the checkpoints out of the house.
//!
//! Nothing waits for it: a verdict is sent whether or not its decision is sealed yet. What cannot be carried somewhere is tried
//! again with the next checkpoint, which covers it.

use super::Engine;
use super::rounds::in_rounds;
use crate::audit::{Checkpoint, CheckpointError, LogKey, MasterKey, WitnessKey, path};
use crate::store::{Sealed, Store, StoreError};
use crate::zerokit::root_cause;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, watch};

/// How many rows are sealed in one transaction: few enough to be done in a moment, as SQLite has one writer.
const AT_ONCE: u32 = 500;
/// How long to rest where more wait, so that whoever writes gets a turn.
const PAUSE: Duration = Duration::from_millis(10);
/// How long to wait before another try, where no newer checkpoint comes.
const TRY_AGAIN: Duration = Duration::from_secs(20);
/// The most that a witness may say.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How much of a file of checkpoints is read: many of them.
const LAST_OF_FILE: u64 = 1 << 20;
/// How long one try to carry a checkpoint somewhere may take.
const CARRY_WITHIN: Duration = Duration::from_secs(10);

/// How the log is sealed.
#[derive(Debug, Clone)]
pub struct Sealing {
    /// What signs.
    pub key: LogKey,
    /// Whether that follows from the key for personal data, because none was set.
    pub is_key_derived: bool,
    /// How long rows may wait for others.
    pub every: Duration,
    /// Where checkpoints go besides the database.
    pub destinations: Vec<Destination>,
    /// What the daemon was told, as it is recorded: without secrets.
    pub configuration: Value,
}

/// The purpose of the key that follows from the one for personal data.
const PURPOSE: &str = "audit.signing_key";

/// The key that signs where none is set.
///
/// # Errors
/// The name cannot be a log's.
pub fn derived_log_key(name: &str, master: &MasterKey) -> Result<LogKey, CheckpointError> {
    LogKey::new(name, master.derived(PURPOSE))
}

/// The same log's key, now that the key for personal data is known as it is in the database.
#[must_use]
pub fn rederived_log_key(key: &LogKey, master: &MasterKey) -> LogKey {
    key.with_seed(master.derived(PURPOSE))
}

/// How sealing goes on this replica.
#[derive(Debug)]
pub struct SealingStatus {
    leaves: AtomicU64,
    is_failing: AtomicBool,
    /// The last checkpoint that this replica signed, or saw.
    newest: watch::Sender<Option<Checkpoint>>,
}

impl Default for SealingStatus {
    fn default() -> Self {
        Self { leaves: AtomicU64::new(0), is_failing: AtomicBool::new(false), newest: watch::channel(None).0 }
    }
}

impl SealingStatus {
    /// How many leaves the log had when this replica last sealed; 0 if it never did.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.leaves.load(Ordering::Relaxed)
    }

    /// Whether the last round failed: what is recorded is not sealed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
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

impl Destination {
    /// Whether a checkpoint could be written there, as far as that can be told without writing one.
    ///
    /// # Errors
    /// Says what stands in the way.
    pub fn check(&self) -> Result<(), String> {
        let Destination::File(path) = self else { return Ok(()) };
        let may = match std::fs::metadata(path) {
            Ok(found) if found.is_file() || found.is_dir() => std::fs::OpenOptions::new().append(true).open(path).map(|_| ()),
            Ok(_) => Ok(()),
            Err(_) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
                std::fs::metadata(folder).map(|_| ())
            }
        };
        may.map_err(|error| cannot_be_written(path, &error))
    }

    /// The last checkpoint that is at the end of a file, if it is one, of those that a log's key signed.
    #[must_use]
    pub fn last_written(&self, is_signed: impl Fn(&Checkpoint) -> bool) -> Option<Checkpoint> {
        let Destination::File(path) = self else { return None };
        let written = Checkpoint::parse_all(&end_of(path).ok()?).ok()?.into_iter();
        written.filter(is_signed).max_by_key(|checkpoint| checkpoint.size)
    }
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
    pub async fn run_sealing(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let settings = &self.sealing;
        // What left the house is remembered there, and what was signed here.
        let is_signed = |checkpoint: &Checkpoint| settings.key.check(checkpoint).is_ok();
        let carried = settings.destinations.iter().filter_map(|to| to.last_written(is_signed));
        let carried = carried.max_by_key(|checkpoint| checkpoint.size);
        let newest = &self.sealing_status.newest;
        newest.send_replace(carried);
        for destination in settings.destinations.clone() {
            let http = self.platform.http().clone();
            tokio::spawn(carry(Arc::clone(&self.store), http, destination, newest.subscribe(), stop.clone()));
        }
        let is_recorded = AtomicBool::new(false);
        let round = async || {
            let sealed = async {
                if !is_recorded.load(Ordering::Relaxed) {
                    self.record_configuration().await?;
                    is_recorded.store(true, Ordering::Relaxed);
                }
                self.seal_some().await
            };
            let sealed = sealed.await;
            self.sealing_status.is_failing.store(sealed.is_err(), Ordering::Relaxed);
            match sealed {
                Ok(Sealed::Leaves { more, .. }) => Ok::<_, StoreError>(if more { PAUSE } else { settings.every }),
                Ok(Sealed::Nothing | Sealed::Elsewhere) => {
                    // Whoever signed it may not have come to carry it.
                    let seen = newest.borrow().as_ref().map_or(0, |known| known.size);
                    if let Some(last) = self.store.last_checkpoint().await?
                        && last.size > seen
                        && settings.key.check(&last).is_ok()
                    {
                        newest.send_replace(Some(last));
                    }
                    Ok(settings.every)
                }
                Err(error) if error.is_transient() => Ok(settings.every),
                Err(error) => Err(error),
            }
        };
        in_rounds(&Notify::new(), stop, "the decision log cannot be sealed", round).await;
    }

    /// Seals what was written while the daemon stopped, so that a single one leaves nothing unsealed behind.
    pub async fn seal_the_rest(&self) -> Result<(), StoreError> {
        while matches!(self.seal_some().await?, Sealed::Leaves { more: true, .. }) {}
        Ok(())
    }

    /// Seals what goes into one transaction, on what this replica knows, and remembers what was signed.
    async fn seal_some(&self) -> Result<Sealed, StoreError> {
        let status = &self.sealing_status;
        let known = status.newest.borrow().clone();
        let sealed = self.store.seal(&self.sealing.key, known.as_ref(), AT_ONCE).await?;
        if let Sealed::Leaves { checkpoint, .. } = &sealed {
            status.leaves.store(checkpoint.size, Ordering::Relaxed);
            status.newest.send_replace(Some(checkpoint.clone()));
        }
        Ok(sealed)
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
    http: reqwest::Client,
    destination: Destination,
    mut newest: watch::Receiver<Option<Checkpoint>>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut witnessed, mut is_failing) = (0, false);
    loop {
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(TRY_AGAIN), if is_failing => {}
            _ = stop.changed() => return,
        }
        let Some(checkpoint) = newest.borrow_and_update().clone() else { continue };
        let carried = match &destination {
            Destination::File(path) => append(path, &checkpoint).await,
            Destination::Stdout => {
                let note = checkpoint.note.clone();
                tokio::task::spawn_blocking(move || print(&note)).await.unwrap_or_else(|error| Err(error.to_string()))
            }
            Destination::Url(url) => post(&http, url, &checkpoint).await,
            Destination::Witness(url, key) => witness(&http, store.as_ref(), url, key, &checkpoint, &mut witnessed).await,
        };
        match &carried {
            Ok(()) if is_failing => tracing::info!(audit.destination = %destination, "checkpoints are taken again"),
            Err(error) if !is_failing => {
                tracing::warn!(audit.destination = %destination, error.message = %error, "a checkpoint is not taken; it is tried again");
            }
            _ => {}
        }
        is_failing = carried.is_err();
    }
}

/// The last of a file, which grows for years: it may begin within a checkpoint, which is left out then.
fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length.saturating_sub(LAST_OF_FILE)))?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LAST_OF_FILE), &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn append(path: &Path, checkpoint: &Checkpoint) -> Result<(), String> {
    let mut options = tokio::fs::OpenOptions::new();
    let cannot = |error| cannot_be_written(path, &error);
    let mut file = options.create(true).append(true).open(path).await.map_err(cannot)?;
    file.write_all(checkpoint.note.as_bytes()).await.map_err(cannot)?;
    file.sync_data().await.map_err(cannot)
}

fn cannot_be_written(path: &Path, error: &std::io::Error) -> String {
    format!("`{}` cannot be written: {error}; see that its folder is there and the daemon may write to it", path.display())
}

fn print(note: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(note.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}

async fn post(http: &reqwest::Client, url: &reqwest::Url, checkpoint: &Checkpoint) -> Result<(), String> {
    let request = http.post(url.clone()).header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8");
    let answer = request.timeout(CARRY_WITHIN).body(checkpoint.note.clone()).send().await.map_err(unreached)?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}

fn unreached(error: reqwest::Error) -> String {
    let cause = if error.is_timeout() { "the time is over".to_owned() } else { root_cause(error) };
    format!("it gives no answer: {cause}; check the address in `audit.checkpoints`, and the network")
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
        let mut answer = http.post(address.clone()).timeout(CARRY_WITHIN).body(body).send().await.map_err(unreached)?;
        let status = answer.status();
        let mut said = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreached)? {
            said.extend_from_slice(&piece);
            if said.len() > LONGEST_ANSWER {
                return Err("its answer has no end".to_owned());
            }
        }
        let text = String::from_utf8_lossy(&said);
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
