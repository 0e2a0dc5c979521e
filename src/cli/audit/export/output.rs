//! A file of an export on its way: written beside its place, with its hash, and put there when it is whole.

use super::manifest::NamedFile;
use crate::cli::Failure;
use aws_lc_rs::digest;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The file.
pub(super) struct Output {
    name: String,
    beside: PathBuf,
    out: BufWriter<File>,
    hash: digest::Context,
    pub(super) rows: u64,
}

impl Output {
    pub(super) fn create(folder: &Path, name: String) -> Result<Self, Failure> {
        let beside = folder.join(format!(".{name}"));
        let file = File::create(&beside).map_err(|error| Failure::unwritten(folder, &error))?;
        let out = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { name, beside, out, hash: digest::Context::new(&digest::SHA256), rows: 0 })
    }

    /// One more row, whole.
    pub(super) fn row(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.rows = self.rows.saturating_add(1);
        self.put(bytes)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes).map_err(|error| Failure::unwritten(&self.beside, &error))
    }

    /// Puts it in its place.
    pub(super) fn close(self, folder: &Path) -> Result<NamedFile, Failure> {
        let Self { name, beside, out, hash, rows } = self;
        let file = out.into_inner().map_err(|error| Failure::unwritten(&beside, error.error()))?;
        let placed = file.sync_all().and_then(|()| std::fs::rename(&beside, folder.join(&name)));
        placed.map_err(|error| Failure::unwritten(&beside, &error))?;
        Ok(NamedFile { file: name, sha256: hex::encode(hash.finish()), rows })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.hash.update(bytes.get(..taken).unwrap_or(bytes));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
