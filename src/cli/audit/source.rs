//! Where a log is read from to be checked, page by page: the database, or an export.

use super::line::{self, Line};
use super::lines::{Lines, Next};
use super::reader::{PAGE, Reader};
use crate::audit::{Checkpoint, Finding, LeafRecord, SeenLeaf, SeenRow, Stream, audit_id};
use crate::cli::Failure;
use crate::store::{Store, Stray};
use jiff::Timestamp;

/// How many archived policies are read at once.
const POLICIES_AT_ONCE: u32 = 100;

/// One leaf to be checked.
pub(super) struct Entry {
    pub(super) seen: SeenLeaf,
    /// The row, where there is one.
    pub(super) row: Option<LeafRecord>,
    /// The row's time, where it was found by its table, its id and this: what a line of an export says of its row is looked at first.
    pub(super) found_at: Option<Timestamp>,
}

/// Leaves that follow each other, and the checkpoints among them.
#[derive(Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) checkpoints: Vec<Checkpoint>,
    /// What cannot be read.
    pub(super) findings: Vec<Finding>,
    /// What is in the tables alone.
    pub(super) strays: Vec<Stray>,
    /// Lines of an export that are still to be read; a page has these or entries.
    pub(super) lines: Vec<Vec<u8>>,
}

pub(super) enum Source {
    Database(Box<Reader>),
    Export(Lines),
}

impl Source {
    /// The next leaves; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Failure> {
        match self {
            Source::Database(reader) => reader.next().await,
            Source::Export(lines) => export_page(lines),
        }
    }

    /// Rows of a database that are no leaf and do not wait to become one; an export has lines for them.
    pub(super) async fn strays(&mut self) -> Result<Vec<Stray>, Failure> {
        match self {
            Source::Database(reader) => reader.strays().await,
            Source::Export(_) => Ok(Vec::new()),
        }
    }
}

impl Page {
    /// Reads the lines that it has.
    pub(super) fn read(&mut self) {
        for line in std::mem::take(&mut self.lines) {
            take(self, &line);
        }
    }
}

/// Hands over every archived policy, by its hash.
pub(super) async fn policies(store: &dyn Store, mut each: impl FnMut(&str, &str) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let page = store.policies(&after, POLICIES_AT_ONCE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        page.iter().try_for_each(|(hash, body)| each(hash, body))?;
    }
}

fn export_page(lines: &mut Lines) -> Result<Option<Page>, Failure> {
    let mut page = Page::default();
    while (page.lines.len() as u64) < PAGE {
        match lines.next()? {
            None => break,
            Some(Next::Line(line)) => page.lines.push(line),
            Some(Next::Other(path)) => page.findings.push(other_file(&path)),
        }
    }
    Ok((!page.lines.is_empty() || !page.findings.is_empty()).then_some(page))
}

/// A file is not what the manifest says.
pub(super) fn other_file(path: &std::path::Path) -> Finding {
    Finding::Export { why: format!("`{}` is not the file that the manifest names", path.display()) }
}

pub(super) fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("`{}` cannot be read: {error}", path.display()))
}

/// A file that a manifest names.
pub(super) fn incomplete(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("`{}` cannot be read: {error}; without it the export is not whole: export again", path.display()))
}

/// Takes a line of an export in; one that says nothing is a finding.
pub(super) fn take(page: &mut Page, line: &[u8]) {
    if std::str::from_utf8(line).ok().and_then(|text| read(page, text.trim_end())).is_none() {
        let shown: String = String::from_utf8_lossy(line).trim_end().chars().take(60).collect();
        page.findings.push(Finding::Export { why: format!("a line of the export is none of its form: `{shown}`") });
    }
}

fn read(page: &mut Page, text: &str) -> Option<()> {
    let line: Line<'_> = serde_json::from_str(text).ok()?;
    if let Some(note) = line.checkpoint {
        page.checkpoints.push(Checkpoint::parse(&note).ok()?);
        return Some(());
    }
    if let Some(count) = line.outside {
        page.findings.push(Finding::Outside { count });
        return Some(());
    }
    let (stream, id) = (Stream::parse(line.table?)?, line.id?);
    if line.unsealed == Some(true) {
        page.strays.push(Stray { stream, id: id.into_owned() });
        return Some(());
    }
    let id = audit_id(&id)?;
    let sealed = line::hash(line.hash?)?;
    let bytes = line.record.map(|record| record.get().as_bytes().to_vec());
    let row = bytes.map(|bytes| LeafRecord::read(stream, bytes, line.sealed));
    let missing_at = row.is_none().then(|| line.at.unwrap_or_default().to_owned());
    let seen = SeenLeaf { index: line.index?, stream, id, sealed, row: SeenRow::Gone, missing_at };
    page.entries.push(Entry { seen, row, found_at: None });
    Some(())
}
