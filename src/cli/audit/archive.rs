//! Months that were dropped from the log, in the folders that `assent audit retain` wrote: their rows stand in where the log has
//! none. Read from the front to the back, as the log itself is.

use super::export::Manifest;
use super::lines::{Lines, Next};
use super::source::{self, Entry, Page, Row};
use crate::cli::Failure;
use std::path::{Path, PathBuf};

/// A month, at the next of its rows.
struct Month {
    lines: Lines,
    next: Option<Entry>,
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

    /// Puts rows in where the log has none.
    pub(super) fn fill(&mut self, page: &mut Page) -> Result<(), Failure> {
        for entry in &mut page.entries {
            if matches!(entry.row, Row::None)
                && let Some(found) = self.take(entry.seen.index)?
            {
                (entry.bytes, entry.row) = (found.bytes, found.row);
            }
        }
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
        let mut month = Self { lines: Lines::of(Manifest::read_month(folder)?.files(folder)), next: None };
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
                    // What is none of its form stands in for nothing, and the log lacks a row.
                    self.next = page.entries.pop();
                }
                // Its rows are held against their leaves.
                Some(Next::Other(_)) => {}
            }
        }
        Ok(())
    }
}
