//! A month that is taken out of the log: its rows in a folder of their own, each of them held against its leaf.

use super::Format;
use super::manifest::{Manifest, Part};
use super::output::Output;
use super::write::policies;
use crate::audit::{Checkpoint, DroppedMonth, MonthDigest, leaf_hash};
use crate::cli::Failure;
use crate::cli::audit::line;
use crate::cli::progress::Progress;
use crate::store::Store;
use std::fs::File;
use std::path::Path;

/// How many leaves a file has.
const FILE: u64 = 100_000;

/// Writes a month into a folder; what there was of it.
pub(in crate::cli::audit) async fn month(
    store: &dyn Store,
    folder: &Path,
    month: &str,
    checkpoint: &Checkpoint,
    progress: &Progress,
) -> Result<DroppedMonth, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
    let mut manifest = Manifest::new(Format::Jsonl, checkpoint);
    manifest.month = Some(month.to_owned());
    let mut digest = MonthDigest::default();
    let mut open: Option<(u64, Output)> = None;
    let (mut from, mut next, mut written) = (None, 0, 0_u64);
    loop {
        let leaves = store.leaves_of_month(month, next).await?;
        let Some(last) = leaves.last() else { break };
        next = last.index.saturating_add(1);
        for (leaf, found) in leaves.iter().zip(store.rows(&leaves).await?) {
            let found = found.filter(|found| leaf_hash(&found.bytes) == leaf.hash).ok_or_else(|| {
                let row = format!("row `{}` of `{}` is not what was sealed", leaf.place.id, leaf.stream.table());
                Failure::no(format!("{row}, and what may be evidence is not dropped; `assent audit verify` says more"))
            })?;
            from.get_or_insert(leaf.index);
            let number = written / FILE;
            if open.as_ref().is_none_or(|(of, _)| *of != number) {
                let file = Output::create(folder, format!("log-{number:06}.jsonl"))?;
                if let Some((_, whole)) = open.replace((number, file)) {
                    add(&mut manifest, from, next, whole, folder)?;
                }
            }
            if let Some((_, file)) = &mut open {
                let line = line::leaf(leaf.index, leaf.stream, leaf.place.id, leaf.hash, Some(&found), None);
                file.row(format!("{line}\n").as_bytes())?;
            }
            digest.add(leaf.index, leaf.hash);
            manifest.count(leaf.stream, leaf.hash);
            written = written.saturating_add(1);
        }
        progress.count(written, "rows");
    }
    if let Some((_, whole)) = open {
        add(&mut manifest, from, next, whole, folder)?;
    }
    manifest.set_policies(policies(store, folder).await?);
    manifest.complete = true;
    manifest.write(folder)?;
    // What is dropped next must not be lost with the power.
    durable(folder)?;
    Ok(digest.finish(month))
}

/// Makes what stands in a folder outlast the power.
pub(in crate::cli::audit) fn durable(folder: &Path) -> Result<(), Failure> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::unwritten(folder, &error))
}

fn add(manifest: &mut Manifest, from: Option<u64>, to: u64, file: Output, folder: &Path) -> Result<(), Failure> {
    manifest.parts.push(Part { from: from.unwrap_or_default(), to, files: vec![file.close(folder)?] });
    Ok(())
}
