//! Writes the parts of an export, each in little memory.

use super::Format;
use super::manifest::{Manifest, NamedFile, Part};
use super::output::Output;
use super::{csv, parquet};
use crate::audit::{Checkpoint, LeafRecord, Stream, ocsf_event};
use crate::cli::Failure;
use crate::cli::audit::line;
use crate::cli::audit::reader::Reader;
use crate::cli::audit::source::{self, Entry, Page};
use crate::cli::progress::Progress;
use crate::store::{Store, Stray};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How many leaves a part has: whole pages.
const PART: u64 = 100_000;

/// Writes all that is missing; the manifest then.
pub(super) async fn all(store: &Arc<dyn Store>, folder: &Path, format: Format, progress: &Progress) -> Result<Manifest, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
    let mut manifest = match Manifest::begun(folder, format)? {
        Some(begun) => {
            let then = begun.taken_at()?;
            let mut now = store.checkpoints(then.size.saturating_sub(1), then.size).await?.into_iter().flatten();
            if then.size > 0 && !now.any(|now| now.root == then.root && now.origin == then.origin) {
                return Err(Failure::no(format!(
                    "the export in `{}` was begun of another log, or of this one before it was changed; name another folder",
                    folder.display()
                )));
            }
            begun
        }
        None => {
            let last = store.last_checkpoint().await?;
            let last = last.ok_or_else(|| Failure::no("nothing was sealed yet; a daemon signs a checkpoint within seconds"))?;
            Manifest::new(format, &last)
        }
    };
    let size = manifest.size();
    let mut from = manifest.parts.last().map_or(0, |part| part.to);
    let mut reader = Reader::new(Arc::clone(store), from, size);
    while from < size {
        let to = from.saturating_add(PART).min(size);
        let mut files =
            Files { folder, format, number: from / PART, log: manifest.log(), lines: BTreeMap::new(), tables: BTreeMap::new() };
        // What is counted in a part that is not finished must not count.
        let mut counted = manifest.clone();
        while reader.taken() < to
            && let Some(page) = reader.next().await?
        {
            for entry in &page.entries {
                counted.count(entry.seen.stream, entry.seen.sealed);
                counted.gone = counted.gone.saturating_add(u64::from(entry.row.is_none()));
            }
            let last = page.entries.last().map_or(from, |entry| entry.seen.index);
            files.page(page)?;
            progress.share(last, size, "leaves");
        }
        if to == size && format == Format::Jsonl {
            for stray in reader.strays().await? {
                files.stray(&stray)?;
            }
            let outside = store.leaves_outside().await?;
            if outside > 0 {
                files.line(&line::outside(outside))?;
            }
        }
        counted.parts.push(Part { from, to, files: files.close()? });
        manifest = counted;
        manifest.write(folder)?;
        from = to;
    }
    if format == Format::Jsonl {
        manifest.set_policies(policies(store.as_ref(), folder).await?);
    }
    manifest.not_sealed_yet = store.unsealed().await?;
    manifest.complete = true;
    manifest.write(folder)?;
    Ok(manifest)
}

pub(super) async fn policies(store: &dyn Store, folder: &Path) -> Result<NamedFile, Failure> {
    let mut file = Output::create(folder, "policies.jsonl".to_owned())?;
    source::policies(store, |hash, body| file.row(format!("{}\n", json!({ "hash": hash, "body": body })).as_bytes())).await?;
    file.close(folder)
}

/// The files of a part.
struct Files<'f> {
    folder: &'f Path,
    format: Format,
    number: u64,
    log: String,
    lines: BTreeMap<&'static str, Output>,
    tables: BTreeMap<&'static str, parquet::Table>,
}

impl Files<'_> {
    fn page(&mut self, page: Page) -> Result<(), Failure> {
        page.strays.iter().try_for_each(|stray| self.stray(stray))?;
        let mut checkpoints = page.checkpoints.iter().peekable();
        for entry in page.entries {
            let covered = entry.seen.index.saturating_add(1);
            self.entry(entry)?;
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size <= covered) {
                self.checkpoint(checkpoint)?;
            }
        }
        // Where leaves are missing, no entry comes after these.
        checkpoints.try_for_each(|checkpoint| self.checkpoint(checkpoint))
    }

    fn stray(&mut self, stray: &Stray) -> Result<(), Failure> {
        if self.format == Format::Jsonl { self.line(&line::stray(stray.stream, &stray.id)) } else { Ok(()) }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        if self.format == Format::Jsonl { self.line(&line::checkpoint(&checkpoint.note)) } else { Ok(()) }
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Failure> {
        let Entry { seen, row, .. } = entry;
        let unreadable = || {
            Failure::no(format!("row `{}` of `{}` cannot be read; `assent audit verify` says more", seen.id, seen.stream.table()))
        };
        if row.as_ref().is_some_and(LeafRecord::is_unreadable) {
            return Err(unreadable());
        }
        if self.format == Format::Jsonl {
            let missing_at = seen.missing_at.as_deref();
            return self.line(&line::leaf(seen.index, seen.stream, seen.id, seen.sealed, row.as_ref(), missing_at));
        }
        let Some(row) = row else { return Ok(()) };
        let record = row.record().ok_or_else(unreadable)?;
        match self.format {
            Format::Jsonl => Ok(()),
            Format::Ocsf => self.line(&ocsf_event(&record, seen.index, &self.log).to_string()),
            Format::Csv => self.lines(seen.stream.table(), || csv::head(seen.stream))?.row(&csv::row(seen.index, &record)?),
            Format::Parquet => self.table(seen.stream)?.row(seen.index, record),
        }
    }

    /// A file of this part.
    fn begin(&self, name: &str) -> Result<Output, Failure> {
        Output::create(self.folder, format!("{name}-{:06}.{}", self.number, self.format.suffix()))
    }

    /// A file of lines, begun with its head where it is not there yet.
    fn lines(&mut self, name: &'static str, head: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<&mut Output, Failure> {
        if !self.lines.contains_key(name) {
            let mut output = self.begin(name)?;
            output.put(&head()?)?;
            self.lines.insert(name, output);
        }
        self.lines.get_mut(name).ok_or_else(|| Failure::input("a file of the export is not open"))
    }

    fn table(&mut self, stream: Stream) -> Result<&mut parquet::Table, Failure> {
        let name = stream.table();
        if !self.tables.contains_key(name) {
            let table = parquet::Table::new(stream, self.begin(name)?)?;
            self.tables.insert(name, table);
        }
        self.tables.get_mut(name).ok_or_else(|| Failure::input("a file of the export is not open"))
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        let name = if self.format == Format::Ocsf { "events" } else { "log" };
        self.lines(name, || Ok(Vec::new()))?.row(format!("{text}\n").as_bytes())
    }

    fn close(self) -> Result<Vec<NamedFile>, Failure> {
        let folder = self.folder;
        let lines = self.lines.into_values().map(|output| output.close(folder));
        let tables = self.tables.into_values().map(|table| table.close(folder));
        lines.chain(tables).collect()
    }
}
