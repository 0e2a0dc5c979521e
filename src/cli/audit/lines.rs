//! The lines of an export's files, one after the other; each file is held against its hash as it is read.

use super::source::incomplete;
use crate::cli::Failure;
use aws_lc_rs::digest;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

/// The longest line that is read; a row is a few kilobytes.
const LONGEST: u64 = 64 << 20;

/// A file and its SHA-256 in hex.
pub(super) type Named = (PathBuf, String);

/// What comes next.
pub(super) enum Next {
    Line(Vec<u8>),
    /// A file that has another hash.
    Other(PathBuf),
}

struct Open {
    file: Named,
    reader: BufReader<File>,
    hash: digest::Context,
}

/// Files that are read from the first to the last.
pub(super) struct Lines {
    files: std::vec::IntoIter<Named>,
    open: Option<Open>,
}

impl Lines {
    pub(super) fn of(files: Vec<Named>) -> Self {
        Self { files: files.into_iter(), open: None }
    }

    /// Nothing at the end of the last file.
    pub(super) fn next(&mut self) -> Result<Option<Next>, Failure> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(file) = self.files.next() else { return Ok(None) };
                let reader = File::open(&file.0).map_err(|error| incomplete(&file.0, &error))?;
                let hash = digest::Context::new(&digest::SHA256);
                self.open = Some(Open { file, reader: BufReader::with_capacity(1 << 20, reader), hash });
                continue;
            };
            let mut line = Vec::with_capacity(2_048);
            let read = open.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.map_err(|error| incomplete(&open.file.0, &error))? > 0 {
                open.hash.update(&line);
                return Ok(Some(Next::Line(line)));
            }
            if let Some(Open { file: (path, sha256), hash, .. }) = self.open.take()
                && hex::encode(hash.finish()) != sha256
            {
                return Ok(Some(Next::Other(path)));
            }
        }
    }
}
