//! `assent audit key`: what others check the log's signatures with.

use super::super::{ConfigArgument, Failure, config};
use super::{open, verifiers};
use clap::Args;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let config = config::read_audit(&options.config.config)?;
    if config.log_key.is_none() {
        return Err(Failure::input(
            "the configuration has no key that signs: set `encryption.key_file` or `audit.signing_key_file`",
        ));
    }
    // One that follows from another key is the first that the database had.
    let config = if config.is_key_derived { open(&options.config).await?.config } else { config };
    for key in verifiers(&[], Some(&config))?.iter().take(1) {
        println!("{}", key.as_str());
    }
    Ok(())
}
