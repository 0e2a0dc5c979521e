//! `assent audit prove`: the proof that a decision is in the log.

use super::archive::Archives;
use super::{open, verifiers};
use crate::audit::{Proof, Stream, path};
use crate::cli::{ConfigArgument, Failure};
use crate::domain::ids::{DecisionId, RecordId};
use crate::store::{LeafRow, Store};
use clap::Args;
use std::path::PathBuf;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The decision, or the operation's record that it decided; an outcome or a review by its id
    #[arg(value_name = "ID")]
    id: String,
    /// Where to write the proof; by default standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Months that `assent audit retain` wrote, where its row is no longer in the database
    #[arg(long, value_name = "DIR")]
    archive: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let log = open(&options.config).await?;
    let store = log.store.as_ref();
    let leaf = find(store, &options.id).await?;
    let checkpoint = store.last_checkpoint().await?.filter(|checkpoint| checkpoint.size > leaf.index);
    let checkpoint = checkpoint.ok_or_else(|| Failure::no("no checkpoint covers it yet; a daemon signs one within seconds"))?;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::no(format!("it cannot be proved: {why}; `assent audit verify` says what was changed in the log"))
    };
    let bytes = match store.rows(std::slice::from_ref(&leaf)).await?.pop().flatten() {
        Some(row) => Some(row.bytes),
        None => Archives::open(&options.archive)?.take(leaf.index)?.and_then(|entry| Some(entry.row?.bytes)),
    };
    let bytes = bytes.ok_or_else(|| {
        let row = format!("row `{}` is gone from `{}`", leaf.place.id, leaf.stream.table());
        wrong(&format!("{row}; if `assent audit retain` took it out, `--archive` names where to"))
    })?;
    let nodes = store.nodes(&path(leaf.index, checkpoint.size)).await?;
    let hashes = nodes.prove_leaf(leaf.index, checkpoint.size).map_err(|error| wrong(&error))?;
    let proof = Proof { leaf: bytes, index: leaf.index, hashes, checkpoint };
    // What does not hold is not handed out.
    match verifiers(&[], Some(&log.config)) {
        Ok(keys) => proof.check(&keys),
        Err(_) => proof.check_way(),
    }
    .map_err(|error| wrong(&error))?;
    match options.out {
        None => print!("{}", proof.to_text()),
        Some(path) => {
            std::fs::write(&path, proof.to_text()).map_err(|error| Failure::unwritten(&path, &error))?;
            println!(
                "{} {} is leaf {} of {}: {}",
                leaf.stream.as_str(),
                leaf.place.id,
                leaf.index,
                proof.checkpoint.size,
                path.display()
            );
        }
    }
    Ok(())
}

async fn find(store: &dyn Store, text: &str) -> Result<LeafRow, Failure> {
    let id = DecisionId::parse(text).ok_or_else(|| {
        Failure::input(format!("`{text}` is no id of a decision; it is `id` in `decisions`, and `decision.id` of an operation"))
    })?;
    for stream in [Stream::Decision, Stream::Outcome, Stream::Review, Stream::OperatorAction, Stream::ConfigurationChange] {
        if let Some(leaf) = store.leaf_of(stream, &id.to_string()).await? {
            return Ok(leaf);
        }
    }
    let of_operation = store.operation(RecordId(id.0)).await?.and_then(|view| view.decision);
    if let Some(decision) = of_operation
        && let Some(leaf) = store.leaf_of(Stream::Decision, &decision.id.to_string()).await?
    {
        return Ok(leaf);
    }
    Err(Failure::no(format!("nothing in the log has the id `{id}`; what was decided in the last seconds may not be sealed yet")))
}
