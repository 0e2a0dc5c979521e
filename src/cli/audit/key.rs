//! `assent audit key`: what others check the log's signatures with.

use super::super::{ConfigArgument, Failure, config};
use super::verifier;
use clap::Args;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let config = config::read_audit(&options.config.config)?;
    if config.log_key.is_none() {
        return Err(Failure::input(
            "the configuration has no key that signs: set `encryption.key_file` or `audit.signing_key_file`",
        ));
    }
    println!("{}", verifier(None, Some(&config))?.as_str());
    Ok(())
}
