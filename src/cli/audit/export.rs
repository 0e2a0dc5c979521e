//! `assent audit export`: the log in files, part by part, with a manifest that names the checkpoint it was taken at.
//!
//! A part is written beside its place and moved there when it is whole; whoever breaks off finds the parts that were done, and
//! the same command goes on after them.

mod csv;
mod manifest;
mod month;
mod output;
mod parquet;
mod write;

pub(super) use csv::harmless;
pub(super) use manifest::{Manifest, Tables};
pub(super) use month::{durable, month};

use super::open;
use crate::cli::output::print_json;
use crate::cli::progress::Progress;
use crate::cli::{ConfigArgument, Failure};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// JSON Lines that `assent audit verify --export` checks
    Jsonl,
    /// A table each, for spreadsheets
    Csv,
    /// A table each, with types, for tools that analyse
    Parquet,
    /// Events of the Open Cybersecurity Schema Framework 1.5.0, a line each
    Ocsf,
}

impl Format {
    const fn as_str(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Ocsf => "ocsf",
        }
    }

    /// How the names of its files end.
    const fn suffix(self) -> &'static str {
        match self {
            Format::Jsonl | Format::Ocsf => "jsonl",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The folder; what an export left in it is gone on with
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let log = open(&options.config).await?;
    let progress = Progress::of("exporting");
    let manifest = write::all(&log.store, &options.folder, options.format, &progress).await?;
    drop(progress);
    if options.json {
        return print_json(&manifest);
    }
    println!("{} leaves of the log {} in {}", manifest.size(), manifest.log(), options.folder.display());
    for (table, count) in manifest.counts() {
        println!("  {table:<22} {count:>10}");
    }
    if manifest.gone > 0 {
        println!("  gone from the database {:>10}, of which only the leaves are counted above", manifest.gone);
    }
    if manifest.not_sealed_yet > 0 {
        println!("  not sealed yet         {:>10}, and so not in it", manifest.not_sealed_yet);
    }
    Ok(())
}
