//! Months that were dropped from the log, in the folders that `assent audit retain` wrote: their rows stand in where the log has
//! none. Read from the front to the back, as the log itself is.

use super::check::{By, CheckedPage, added};
use super::export::Manifest;
use super::lines::{Lines, Next};
use super::source::{self, Entry, Page};
use crate::audit::{DroppedMonth, Finding, MonthDigest, SeenRow};
use crate::cli::Failure;
use std::path::{Path, PathBuf};

/// A month, at the next of its rows.
struct Month {
    name: String,
    lines: Lines,
    next: Option<Entry>,
    /// What is not as it was written.
    findings: Vec<Finding>,
}

/// All months that were given.
#[derive(Default)]
pub(super) struct Archives(Vec<Month>);

impl Archives {
    /// Those in folders: each a month, or with a month in each of its own folders.
    pub(super) fn open(folders: &[PathBuf]) -> Result<Self, Failure> {
        let mut months = Vec::new();
        for folder in folders {
            if Manifest::is_in(folder) {
                months.push(Month::open(folder)?);
                continue;
            }
            let entries = std::fs::read_dir(folder).map_err(|error| source::unreadable(folder, &error))?;
            let inner: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| Manifest::is_in(path)).collect();
            if inner.is_empty() {
                return Err(Failure::input(format!("`{}` holds no month that `assent audit retain` wrote", folder.display())));
            }
            for month in inner {
                months.push(Month::open(&month)?);
            }
        }
        Ok(Self(months))
    }

    /// Whether there are any.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which months there are.
    pub(super) fn months(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|month| month.name.as_str())
    }

    /// Puts rows in where the log has none.
    pub(super) fn fill(&mut self, page: &mut Page) -> Result<(), Failure> {
        for entry in &mut page.entries {
            if entry.row.is_none()
                && let Some(found) = self.take(entry.seen.index)?
            {
                entry.row = found.row;
            }
        }
        self.0.iter_mut().for_each(|month| page.findings.append(&mut month.findings));
        Ok(())
    }

    /// The row of a leaf; none before the one that was asked for last.
    pub(super) fn take(&mut self, index: u64) -> Result<Option<Entry>, Failure> {
        for month in &mut self.0 {
            while month.next.as_ref().is_some_and(|entry| entry.seen.index < index) {
                month.advance()?;
            }
            if let Some(entry) = month.next.take_if(|entry| entry.seen.index == index) {
                month.advance()?;
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl Month {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let (name, files) = Manifest::read_month(folder)?;
        let mut month = Self { name, lines: Lines::of(files), next: None, findings: Vec::new() };
        month.advance()?;
        Ok(month)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        self.next = None;
        while self.next.is_none() {
            match self.lines.next()? {
                None => break,
                Some(Next::Line(line)) => {
                    let mut page = Page::default();
                    source::take(&mut page, &line);
                    self.next = page.entries.pop();
                    self.findings.append(&mut page.findings);
                    self.findings.extend(page.strays.into_iter().map(added));
                }
                Some(Next::Other(path)) => self.findings.push(source::other_file(&path)),
            }
        }
        Ok(())
    }
}

/// What stands in a month's folder, as it is on the disk; nothing where any of it is not what was sealed.
pub(super) fn digest(folder: &Path) -> Result<Option<DroppedMonth>, Failure> {
    let mut month = Month::open(folder)?;
    let (mut digest, nothing_to_decide_by) = (MonthDigest::default(), By::default());
    while let Some(entry) = month.next.take() {
        let (index, sealed) = (entry.seen.index, entry.seen.sealed);
        let checked = CheckedPage::of(vec![entry], &nothing_to_decide_by);
        if checked.leaves.iter().all(|one| one.seen.row != SeenRow::Hashed(sealed)) {
            return Ok(None);
        }
        digest.add(index, sealed);
        month.advance()?;
    }
    Ok(month.findings.is_empty().then(|| digest.finish(&month.name)))
}
