//! Writes the parts of an export, each in little memory.

use super::Format;
use super::manifest::{Manifest, NamedFile, Part};
use crate::audit::Record;
use crate::cli::Failure;
use crate::cli::audit::line;
use crate::cli::audit::source::{self, Entry, Page, Row, Source};
use crate::cli::progress::Progress;
use crate::store::Store;
use aws_lc_rs::digest;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many leaves a part has.
const PART: u64 = 100_000;

/// Writes all that is missing; the manifest then.
pub(super) async fn all(store: &Arc<dyn Store>, folder: &Path, format: Format, progress: &Progress) -> Result<Manifest, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let mut manifest = match Manifest::begun(folder, format)? {
        Some(begun) => begun,
        None => {
            let last = store.last_checkpoint().await?;
            let last = last.ok_or_else(|| Failure::no("nothing was sealed yet; a daemon signs a checkpoint within seconds"))?;
            Manifest::new(format, &last)
        }
    };
    let size = manifest.size();
    let mut from = manifest.parts.last().map_or(0, |part| part.to);
    while from < size {
        let to = from.saturating_add(PART).min(size);
        let mut source = Source::Database { store: Arc::clone(store), next: from, size: to };
        let mut files = Files::new(folder, format, from / PART);
        // What is counted in a part that is not finished must not count.
        let mut counted = manifest.clone();
        while let Some(page) = source.next().await? {
            files.page(&page)?;
            for entry in &page.entries {
                counted.count(entry.seen.stream, entry.seen.sealed);
            }
            progress.share(page.entries.last().map_or(from, |entry| entry.seen.index), size, "leaves");
        }
        if to == size && format == Format::Jsonl {
            for stray in store.strays(source::MOST_STRAYS).await? {
                files.line("log", &line::stray(stray.stream, &stray.id))?;
            }
            let outside = store.leaves_outside().await?;
            if outside > 0 {
                files.line("log", &line::outside(outside))?;
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

async fn policies(store: &dyn Store, folder: &Path) -> Result<NamedFile, Failure> {
    let mut file = Output::create(folder, "policies.jsonl".to_owned())?;
    source::policies(store, |hash, body| {
        file.rows = file.rows.saturating_add(1);
        file.write(format!("{}\n", json!({ "hash": hash, "body": body })).as_bytes())
    })
    .await?;
    file.close(folder)
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("`{}` cannot be written: {error}", path.display()))
}

/// A file on its way.
struct Output {
    name: String,
    beside: PathBuf,
    out: BufWriter<File>,
    hash: digest::Context,
    rows: u64,
}

impl Output {
    fn create(folder: &Path, name: String) -> Result<Self, Failure> {
        let beside = folder.join(format!(".{name}"));
        let file = File::create(&beside).map_err(|error| cannot(&beside, &error))?;
        Ok(Self {
            name,
            beside,
            out: BufWriter::with_capacity(1 << 18, file),
            hash: digest::Context::new(&digest::SHA256),
            rows: 0,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hash.update(bytes);
        self.out.write_all(bytes).map_err(|error| cannot(&self.beside, &error))
    }

    /// Puts it in its place.
    fn close(self, folder: &Path) -> Result<NamedFile, Failure> {
        let Self { name, beside, out, hash, rows } = self;
        let file = out.into_inner().map_err(|error| cannot(&beside, error.error()))?;
        let placed = file.sync_all().and_then(|()| std::fs::rename(&beside, folder.join(&name)));
        placed.map_err(|error| cannot(&beside, &error))?;
        Ok(NamedFile { file: name, sha256: hex::encode(hash.finish()), rows })
    }
}

/// The files of a part.
struct Files<'f> {
    folder: &'f Path,
    format: Format,
    number: u64,
    open: BTreeMap<&'static str, Output>,
}

impl<'f> Files<'f> {
    fn new(folder: &'f Path, format: Format, number: u64) -> Self {
        Self { folder, format, number, open: BTreeMap::new() }
    }

    fn page(&mut self, page: &Page) -> Result<(), Failure> {
        let mut checkpoints = page.checkpoints.iter().peekable();
        for entry in &page.entries {
            match self.format {
                Format::Jsonl => self.line("log", &jsonl(entry))?,
                Format::Csv => self.csv(entry)?,
            }
            let covered = entry.seen.index.saturating_add(1);
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size <= covered) {
                if self.format == Format::Jsonl {
                    self.line("log", &line::checkpoint(&checkpoint.note))?;
                }
            }
        }
        Ok(())
    }

    fn output(&mut self, table: &'static str) -> Result<(&mut Output, bool), Failure> {
        let is_new = !self.open.contains_key(table);
        if is_new {
            let name = format!("{table}-{:06}.{}", self.number, self.format.as_str());
            self.open.insert(table, Output::create(self.folder, name)?);
        }
        let output = self.open.get_mut(table).ok_or_else(|| Failure::input("a file of the export is not open"))?;
        Ok((output, is_new))
    }

    fn line(&mut self, table: &'static str, text: &str) -> Result<(), Failure> {
        let (output, _) = self.output(table)?;
        output.rows = output.rows.saturating_add(1);
        output.write(text.as_bytes())?;
        output.write(b"\n")
    }

    fn csv(&mut self, entry: &Entry) -> Result<(), Failure> {
        let stream = entry.seen.stream;
        let Row::Record(record) = &entry.row else { return Ok(()) };
        let (output, is_new) = self.output(stream.table())?;
        if is_new {
            let names = ["leaf"].into_iter().chain(stream.columns().iter().map(|(name, _)| *name));
            output.write(&csv_line(names.map(Cow::Borrowed))?)?;
        }
        output.rows = output.rows.saturating_add(1);
        let cells = stream.columns().iter().map(|(name, _)| cell(record, name));
        output.write(&csv_line(std::iter::once(Cow::Owned(entry.seen.index.to_string())).chain(cells))?)
    }

    fn close(self) -> Result<Vec<NamedFile>, Failure> {
        let folder = self.folder;
        self.open.into_values().map(|output| output.close(folder)).collect()
    }
}

fn jsonl(entry: &Entry) -> String {
    let seen = &entry.seen;
    let record = match &entry.row {
        Row::Record(record) => Some(record.as_ref()),
        Row::None | Row::Sealed(_) => None,
    };
    line::leaf(seen.index, seen.stream, &seen.id, seen.sealed, record)
}

fn cell<'r>(record: &'r Record, name: &str) -> Cow<'r, str> {
    match record.fields.get(name) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => harmless(text),
        Some(value) => Cow::Owned(value.to_string()),
    }
}

/// What a spreadsheet would take for a formula is made a text.
pub(in crate::cli::audit) fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

fn csv_line<'c>(cells: impl Iterator<Item = Cow<'c, str>>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let cells: Vec<_> = cells.collect();
    writer.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(|error| Failure::input(error.to_string()))?;
    writer.into_inner().map_err(|error| Failure::input(error.to_string()))
}
