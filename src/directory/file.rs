//! The directory's files: YAML for a few people, CSV for many. A file is read again when it has changed.
//!
//! A file that cannot be read is a source that is down: what it said before is no longer believed.

use super::claims::Claims;
use super::{Down, FileSettings, Lookup, Subject};
use crate::domain::fact::Source;
use crate::domain::yaml::{self, Value};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// All of it is kept in memory.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

type Entries = HashMap<String, Arc<Claims>>;
/// What reading a file gave; else what is wrong with it.
type Read = Result<Arc<Entries>, Wrong>;

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    cause: String,
    /// Whether it may be well without having been written again.
    may_pass: bool,
}

impl Wrong {
    const fn passing(cause: String) -> Self {
        Self { cause, may_pass: true }
    }
}

pub(super) struct FileSource {
    users: Option<Arc<Watched>>,
    tresors: Option<Arc<Watched>>,
}

struct Watched {
    path: PathBuf,
    is_of_users: bool,
    seen: Mutex<Option<(Stamp, Instant, Read)>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Option<SystemTime>, u64, u64, i64);

/// So long a failure to read a file is believed, as it may have had nothing to do with the file.
const FAILED_FOR: Duration = Duration::from_secs(5);

impl FileSource {
    pub(super) fn new(settings: FileSettings) -> Self {
        let watched =
            |path: Option<PathBuf>, is_of_users| path.map(|path| Arc::new(Watched { path, is_of_users, seen: Mutex::new(None) }));
        Self { users: watched(settings.users, true), tresors: watched(settings.tresors, false) }
    }

    const fn file(&self, subject: &Subject) -> Option<&Arc<Watched>> {
        match subject {
            Subject::User(_) => self.users.as_ref(),
            Subject::Tresor(_) => self.tresors.as_ref(),
        }
    }
}

impl Watched {
    /// What the file holds. Whoever loses patience leaves the reading to go on, so that somebody else finds it done.
    async fn entries(self: &Arc<Self>) -> Result<Arc<Entries>, Down> {
        let watched = Arc::clone(self);
        let current = tokio::spawn(async move { watched.current().await }).await;
        let broke = |_| Err(Wrong::passing("reading it failed".to_owned()));
        current.unwrap_or_else(broke).map_err(|wrong| Down::for_good(wrong.cause))
    }

    async fn current(&self) -> Read {
        let mut seen = self.seen.lock().await;
        let mut stamp = stamp(&self.path).await;
        if let Some((read_at, since, entries)) = seen.as_ref()
            && *read_at == stamp
            && (since.elapsed() < FAILED_FOR || !entries.as_ref().is_err_and(|wrong| wrong.may_pass))
        {
            return entries.clone();
        }
        let mut entries = Err(Wrong::passing(format!("`{}` changes while it is read", self.name())));
        for _ in 0..5 {
            let (path, is_of_users) = (self.path.clone(), self.is_of_users);
            let read = tokio::task::spawn_blocking(move || read(&path, is_of_users)).await;
            let after = self::stamp(&self.path).await;
            // A file that was written meanwhile may have been read by half.
            if after == stamp {
                entries = read.unwrap_or_else(|_| Err(Wrong::passing("reading it failed".to_owned())));
                break;
            }
            stamp = after;
        }
        match &entries {
            Ok(entries) => {
                tracing::info!(directory.file = %self.path.display(), directory.entries = entries.len(), "the directory's file was read");
            }
            // Said once for each time that the file was written.
            Err(wrong) if seen.as_ref().is_some_and(|(at, _, before)| *at == stamp && before.as_ref().err() == Some(wrong)) => {}
            Err(Wrong { cause, .. }) => {
                tracing::error!(directory.file = %self.path.display(), error.message = %cause, "the directory's file cannot be used; its facts are unknown until it is mended");
            }
        }
        *seen = Some((stamp, Instant::now(), entries.clone()));
        entries
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

async fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Stamp(metadata.modified().ok(), metadata.len(), metadata.ino(), metadata.ctime()),
        Err(_) => Stamp(None, 0, 0, 0),
    }
}

fn read(path: &Path, is_of_users: bool) -> Read {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let wrong = |cause: String| Wrong { cause: format!("`{name}` {cause}"), may_pass: false };
    let unread = |error: std::io::Error| Wrong { may_pass: true, ..wrong(format!("cannot be read ({})", error.kind())) };
    let metadata = std::fs::metadata(path).map_err(unread)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(wrong("is no file of at most 256 MiB".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    let read = if is_csv { read_csv(&text, is_of_users) } else { read_yaml(&name, &text, is_of_users) };
    read.map(Arc::new).map_err(wrong)
}

/// `{id: {email, groups, attributes}}`, or for tresors `{id: {creator_id, created_at, attributes}}`.
fn read_yaml(name: &str, text: &str, is_of_users: bool) -> Result<Entries, String> {
    let node = yaml::parse(name, text)
        .map_err(|problem| format!("is not valid YAML (line {}): {}", problem.spot.line, problem.message))?;
    let Value::Map(entries) = &node.value else { return Err(format!("must be a mapping of ids, and is {}", node.type_name())) };
    let entry = |(key, node): &(yaml::Key, yaml::Node)| {
        let claims = Claims::read(node.to_json(), is_of_users);
        // The sentence of serde may quote a value; the place is enough.
        let claims = claims.map_err(|_| format!("has an entry that is no such record (line {})", key.spot.line))?;
        Ok((key.name.clone(), Arc::new(claims)))
    };
    entries.iter().map(entry).collect()
}

/// A head with `user_id` or `tresor_id`; `groups` are parted by `;`; other columns are attributes.
fn read_csv(text: &str, is_of_users: bool) -> Result<Entries, String> {
    let id_column = if is_of_users { "user_id" } else { "tresor_id" };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let head = reader.headers().map_err(|_| "has no head that can be read".to_owned())?.clone();
    let id_at = head.iter().position(|name| name == id_column).ok_or_else(|| format!("has no column `{id_column}`"))?;
    let mut entries = Entries::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            format!("has a row that cannot be read (line {line}): has it as many fields as the head?")
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = head.iter().zip(record.iter()).filter(|(name, cell)| *name != id_column && !cell.is_empty());
        let columns = cells.map(|(name, cell)| {
            let value = match name {
                "groups" if is_of_users => {
                    cell.split(';').map(str::trim).filter(|group| !group.is_empty()).map(Json::from).collect()
                }
                _ => Json::from(cell),
            };
            (name.to_owned(), value)
        });
        let claims = Claims::of_columns(columns, is_of_users);
        let claims = claims.map_err(|_| format!("has a row that is no such record (line {line})"))?;
        let id = record.get(id_at).unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(format!("has a row without an id (line {line})"));
        }
        if entries.insert(id, Arc::new(claims)).is_some() {
            return Err(format!("names an id twice (line {line})"));
        }
    }
    Ok(entries)
}

#[async_trait]
impl Lookup for FileSource {
    fn source(&self) -> Source {
        Source::File
    }

    fn knows_of(&self, subject: &Subject) -> bool {
        self.file(subject).is_some()
    }

    async fn look_up(&self, subject: &Subject) -> Result<Option<Arc<Claims>>, Down> {
        match self.file(subject) {
            Some(file) => Ok(file.entries().await?.get(subject.id()).cloned()),
            None => Ok(None),
        }
    }
}
