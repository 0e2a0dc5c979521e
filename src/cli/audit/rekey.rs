//! `assent audit rekey`: another `encryption.key`.

use super::Deed;
use crate::audit::MasterKey;
use crate::cli::daemon::{check_file, check_key};
use crate::cli::output::print_json;
use crate::cli::{ConfigArgument, Failure, config};
use crate::engine::{RekeyError, rekey};
use crate::store::{self, Rekeyed};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// A file with the new key: 32 bytes in base64
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
    /// Do it; no daemon may run
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    deed: Deed,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let config = config::read_audit(&options.config.config)?;
    check_file(&config.database_url)?;
    let file = options.new_key_file.display();
    let old = config.encryption.ok_or_else(|| Failure::input("`encryption.key_file` must be the key that is to be replaced"))?;
    let text = std::fs::read_to_string(&options.new_key_file)
        .map_err(|error| Failure::input(format!("`{file}` cannot be read: {error}")))?;
    let new = MasterKey::parse(&text).map_err(|error| Failure::input(format!("the key in `{file}` {error}")))?;
    if !options.yes {
        return Err(Failure::no(
            "stop every daemon on this database, then say `--yes`: one that runs on would write under the old key",
        ));
    }
    if !store::is_unused(&config.database_url).await? {
        return Err(Failure::no("somebody has the database open; stop every daemon and command, then try again"));
    }
    let store = store::open(&config.database_url, 1).await?;
    store.check_schema().await?;
    let old = check_key(store.as_ref(), &old, false).await?;
    if old.sentinel().is_ok_and(|sentinel| new.of_database(&sentinel).is_ok()) {
        return Err(Failure::input(format!(
            "the key in `{file}` is the one that is in use already; make another with `openssl rand -base64 32`"
        )));
    }
    let operator = options.deed.operator()?;
    let rekeyed =
        rekey(store.as_ref(), &old, &new, &operator, options.deed.comment.as_deref()).await.map_err(|error| match error {
            RekeyError::Store(error) => error.into(),
            error => Failure::input(error.to_string()),
        })?;
    match rekeyed {
        Rekeyed::InUse(others) => Err(Failure::in_use(others)),
        Rekeyed::Done(count) if options.json => print_json(&json!({ "sealed_anew": count })),
        Rekeyed::Done(count) => {
            println!("{count} keys, notifications and registrations are sealed under the new key");
            println!("put it into `encryption.key_file` before a daemon starts, and destroy the old one once no backup needs it");
            Ok(())
        }
    }
}
