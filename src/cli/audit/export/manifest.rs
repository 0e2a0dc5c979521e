//! What an export says of itself: where it was taken, its files and their hashes, how many rows of each table, and a digest of
//! each table that is the same whatever the files' format. This is a format that others read; docs/audit.md describes it.

use super::Format;
use crate::audit::{Checkpoint, Finding, Stream, TreeHash, Verification};
use crate::cli::Failure;
use crate::cli::audit::lines::Named;
use crate::cli::audit::source::{incomplete, other_file, unreadable};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

const FILE: &str = "manifest.json";
/// How the names of files end that are on their way.
const FORMS: [&str; 4] = [".jsonl", ".csv", ".parquet", ".manifest.json"];
const WHAT: &str = "assent-export";
const VERSION: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli::audit) struct Manifest {
    what: String,
    version: u32,
    format: String,
    /// The month, where it is one that was taken out of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) month: Option<String>,
    /// Whether all of it is there.
    pub(super) complete: bool,
    /// The log as it was: a signed note.
    pub(super) checkpoint: String,
    pub(super) parts: Vec<Part>,
    tables: Tables,
    policies: Option<NamedFile>,
    /// Rows that are gone from the database, by retention or else: their leaves are counted, and the rows are not here.
    #[serde(default)]
    pub(super) gone: u64,
    /// Rows that wait to be sealed, and so are not here.
    #[serde(default)]
    pub(super) not_sealed_yet: u64,
}

/// Leaves that follow each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) files: Vec<NamedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamedFile {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) rows: u64,
}

/// What there is of each table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::cli::audit) struct Tables(BTreeMap<String, Table>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    rows: u64,
    /// SHA-256 over the digest before it and the leaf's hash, from the first leaf on; at first of nothing.
    digest: String,
}

impl Tables {
    /// Adds a leaf to its table.
    pub(in crate::cli::audit) fn count(&mut self, stream: Stream, hash: TreeHash) {
        let empty = || Table { rows: 0, digest: hex::encode(digest::digest(&digest::SHA256, b"")) };
        let table = match self.0.get_mut(stream.as_str()) {
            Some(table) => table,
            None => self.0.entry(stream.as_str().to_owned()).or_insert_with(empty),
        };
        table.rows = table.rows.saturating_add(1);
        let before = hex::decode(&table.digest).unwrap_or_default();
        table.digest = hex::encode(digest::digest(&digest::SHA256, &[before.as_slice(), &hash.0].concat()));
    }
}

impl Manifest {
    pub(super) fn new(format: Format, checkpoint: &Checkpoint) -> Self {
        Self {
            what: WHAT.to_owned(),
            version: VERSION,
            format: format.as_str().to_owned(),
            month: None,
            complete: false,
            checkpoint: checkpoint.note.clone(),
            parts: Vec::new(),
            tables: Tables::default(),
            policies: None,
            gone: 0,
            not_sealed_yet: 0,
        }
    }

    /// What an export that was broken off left behind.
    pub(super) fn begun(folder: &Path, format: Format) -> Result<Option<Self>, Failure> {
        if !folder.join(FILE).exists() {
            // What was broken off before its first part left files on their way, which are written anew.
            let is_on_its_way = |name: &str| name.starts_with('.') && FORMS.iter().any(|form| name.ends_with(form));
            let names: Result<Vec<_>, _> = std::fs::read_dir(folder)
                .and_then(|files| files.map(|file| file.map(|file| file.file_name().to_string_lossy().into_owned())).collect());
            let is_empty = names.map_err(|error| unreadable(folder, &error))?.iter().all(|name| is_on_its_way(name));
            let taken =
                || Failure::input(format!("`{}` is not empty, and holds no export; name another folder", folder.display()));
            return if is_empty { Ok(None) } else { Err(taken()) };
        }
        let begun = Self::read_any(folder)?;
        let taken = |why: &str| Failure::input(format!("`{}` holds {why}; name another folder", folder.display()));
        if begun.format != format.as_str() {
            return Err(taken(&format!("an export as {}", begun.format)));
        }
        if begun.complete { Err(taken("a complete export")) } else { Ok(Some(begun)) }
    }

    fn read_any(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::input(format!(
                "there is no export in `{}`: {FILE} cannot be read: {error}; name the folder that `assent audit export` wrote",
                folder.display()
            ))
        })?;
        let read: Self = serde_json::from_str(&text)
            .map_err(|error| Failure::input(format!("`{}` is no manifest: {error}; export again", path.display())))?;
        if read.what != WHAT || read.version != VERSION {
            return Err(Failure::input(format!("`{}` is no manifest of version {VERSION}", path.display())));
        }
        Ok(read)
    }

    /// Whether a folder has one.
    pub(in crate::cli::audit) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// The month that was taken out of a log, and its files.
    pub(in crate::cli::audit) fn read_month(folder: &Path) -> Result<(String, Vec<Named>), Failure> {
        let read = Self::read_whole(folder)?;
        match &read.month {
            Some(month) => Ok((month.clone(), read.files(folder))),
            None => Err(Failure::input(format!("`{}` is a whole log; check it with `--export`", folder.display()))),
        }
    }

    /// The manifest of a log that can be checked.
    pub(in crate::cli::audit) fn read(folder: &Path) -> Result<Self, Failure> {
        let read = Self::read_whole(folder)?;
        match &read.month {
            None => Ok(read),
            Some(month) => Err(Failure::input(format!(
                "`{}` is {month} alone, which was taken out of a log; give it as `--archive` where that is checked",
                folder.display()
            ))),
        }
    }

    fn read_whole(folder: &Path) -> Result<Self, Failure> {
        let read = Self::read_any(folder)?;
        if read.format != Format::Jsonl.as_str() {
            let why = format!("`{}` is an export as {}, in which nothing can be checked", folder.display(), read.format);
            return Err(Failure::input(format!("{why}; export it as jsonl")));
        }
        let is_plain =
            |file: &NamedFile| !file.file.is_empty() && !file.file.starts_with('.') && !file.file.contains(['/', '\\']);
        if !read.parts.iter().flat_map(|part| &part.files).chain(&read.policies).all(is_plain) {
            return Err(Failure::input(format!("the manifest in `{}` names a file outside of it", folder.display())));
        }
        if !read.complete {
            return Err(Failure::input(format!(
                "the export in `{}` was broken off; run `assent audit export` on it again",
                folder.display()
            )));
        }
        Ok(read)
    }

    /// Writes it, as a whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        let beside = folder.join(".manifest.json");
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::input(error.to_string()))?;
        File::create(&beside)
            .and_then(|mut file| file.write_all((text + "\n").as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|error| Failure::unwritten(&path, &error))
    }

    /// Adds a leaf to its table.
    pub(super) fn count(&mut self, stream: Stream, hash: TreeHash) {
        self.tables.count(stream, hash);
    }

    /// Holds what it says of each table against what the log's files have.
    pub(in crate::cli::audit) fn check_tables(&self, counted: &Tables, verification: &mut Verification) {
        for table in counted.0.keys().chain(self.tables.0.keys()).collect::<BTreeSet<_>>() {
            if counted.0.get(table) != self.tables.0.get(table) {
                let why = format!("the manifest's rows or digest of `{table}` are not those of the export");
                verification.found(Finding::Export { why });
            }
        }
    }

    pub(super) fn set_policies(&mut self, file: NamedFile) {
        self.policies = Some(file);
    }

    /// The checkpoint that it was taken at.
    pub(in crate::cli::audit) fn taken_at(&self) -> Result<Checkpoint, Failure> {
        Checkpoint::parse(&self.checkpoint).map_err(|error| Failure::input(format!("the checkpoint in the manifest {error}")))
    }

    /// How many leaves the export has, or will have.
    pub(in crate::cli::audit) fn size(&self) -> u64 {
        Checkpoint::parse(&self.checkpoint).map_or(0, |checkpoint| checkpoint.size)
    }

    pub(in crate::cli::audit) fn log(&self) -> String {
        Checkpoint::parse(&self.checkpoint).map_or_else(|_| "?".to_owned(), |checkpoint| checkpoint.origin)
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.tables.0.iter().map(|(name, table)| (name.as_str(), table.rows))
    }

    /// The files with leaves, in their order.
    pub(in crate::cli::audit) fn files(&self, folder: &Path) -> Vec<Named> {
        self.parts.iter().flat_map(|part| &part.files).map(|file| (folder.join(&file.file), file.sha256.clone())).collect()
    }

    /// Holds what is not read with the leaves against the manifest.
    pub(in crate::cli::audit) fn check(&self, folder: &Path, verification: &mut Verification) -> Result<(), Failure> {
        let mut next = 0;
        for part in &self.parts {
            if part.from != next {
                verification.found(Finding::Export { why: format!("the export has no part that begins at leaf {next}") });
            }
            next = part.to;
        }
        if let Some(file) = &self.policies {
            let path = folder.join(&file.file);
            if sha256(&path)? != file.sha256 {
                verification.found(other_file(&path));
            }
        }
        Ok(())
    }

    /// The archived policies.
    pub(in crate::cli::audit) fn policies(&self, folder: &Path) -> Result<Vec<(String, String)>, Failure> {
        #[derive(Deserialize)]
        struct Archived {
            hash: String,
            body: String,
        }
        let Some(file) = &self.policies else { return Ok(Vec::new()) };
        let path = folder.join(&file.file);
        let text = std::fs::read_to_string(&path).map_err(|error| incomplete(&path, &error))?;
        let read = |line: &str| serde_json::from_str::<Archived>(line).map(|archived| (archived.hash, archived.body));
        let read: Result<Vec<_>, _> = text.lines().map(read).collect();
        read.map_err(|error| Failure::input(format!("`{}` holds a line that is no policy: {error}", path.display())))
    }
}

/// The hash of a file, read piece by piece.
fn sha256(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|error| incomplete(path, &error))?;
    Ok(hex::encode(digest::digest(&digest::SHA256, &bytes)))
}
