//! `assent audit key`: what others check the log's signatures with.

use super::super::{ConfigArgument, Failure, config};
use super::open;
use clap::Args;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let mut config = config::read_audit(&options.config.config)?;
    if config.is_key_derived && config.log_key.is_some() {
        // It follows from the first key that the database had.
        config = open(&options.config).await?.config;
    }
    let none = "the configuration has no key that signs: set `encryption.key_file` or `audit.signing_key_file`";
    let key = config.log_key.ok_or_else(|| Failure::input(none))?.verifier();
    println!("{}", key.map_err(|error| Failure::input(format!("the log's key {error}")))?.as_str());
    Ok(())
}
