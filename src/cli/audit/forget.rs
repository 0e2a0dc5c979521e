//! `assent audit forget`: destroys the key that a person's facts are sealed under.

use super::Deed;
use crate::cli::daemon::check_file;
use crate::cli::output::print_json;
use crate::cli::{ConfigArgument, Failure, config};
use crate::domain::ids::UserId;
use crate::store;
use clap::Args;
use serde_json::json;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The user, by the id that the platform gave
    #[arg(value_name = "USER", value_parser = |text: &str| UserId::new(text).map_err(|error| error.to_string()))]
    user: UserId,
    /// Do it; without this it is only said what would be done
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
    let url = config::read_database_url(&options.config.config)?;
    check_file(&url)?;
    let store = store::open(&url, 2).await?;
    store.check_schema().await?;
    let user = &options.user;
    if store.person_key(user).await?.is_none() {
        return Err(Failure::no(format!("nothing is sealed for `{user}`; check the id, or it was forgotten before")));
    }
    if !options.yes {
        return Err(Failure::no(format!(
            "`--yes` destroys the key of `{user}`, and with it what is known of this person in all decisions, for ever"
        )));
    }
    let forgotten = store.forget(user, &options.deed.operator()?, options.deed.comment.as_deref()).await?;
    if options.json {
        return print_json(&json!({ "user": user, "had_key": forgotten.had_key, "open_operations": forgotten.open }));
    }
    println!("the key of {user} is destroyed: what was sealed under it cannot be read again");
    if forgotten.open > 0 {
        let open = forgotten.open;
        println!(
            "what the {open} operations that are open were told, of anybody, is erased as each of them ends; forget once more then"
        );
    }
    println!("backups from before still hold the key; let them run out");
    Ok(())
}
