//! `assent ops`: what an operator does beside the daemon, on its database. Each act is recorded with the operator's name.

use super::{ConfigArgument, Failure, config, output};
use crate::store::{self, EventView};
use clap::{Args, Subcommand};
use serde_json::json;

/// How many rows are shown at most.
const MOST_ROWS: u32 = 1000;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the events that the web app has not taken, and have them sent again
    #[command(
        after_help = "Example:\n  assent ops events\n  assent ops events --dead --json\n  assent ops events --resend evt_01a20b0c...\n  assent ops events --resend-dead"
    )]
    Events(EventsOptions),
}

/// What can be said of events.
#[derive(Debug, Args)]
pub(super) struct EventsOptions {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only those that are given up
    #[arg(long, conflicts_with_all = ["resend", "resend_dead"])]
    dead: bool,
    /// Send one event again that is dead or was delivered
    #[arg(long, value_name = "ID", conflicts_with = "resend_dead")]
    resend: Option<String>,
    /// Send all dead events again
    #[arg(long)]
    resend_dead: bool,
    /// Who does it, for the record; by default who is logged in here
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Events(options) => {
            let is_json = options.json;
            events(options).await.map_err(|failure| if is_json { failure.as_json() } else { failure })
        }
    }
}

async fn events(options: EventsOptions) -> Result<(), Failure> {
    let url = config::read_database_url(&options.config.config)?;
    let store = store::open(&url, 2).await?;
    store.check_schema().await?;
    if options.resend_dead || options.resend.is_some() {
        let operator = operator(options.operator)?;
        let resent = store.resend_events(options.resend.as_deref(), &operator).await?;
        if let (Some(id), 0) = (&options.resend, resent) {
            return Err(Failure::no(format!("there is no event `{id}` that is dead or was delivered; see `assent ops events`")));
        }
        if options.json {
            return output::print_json(&json!({ "resent": resent }));
        }
        match resent {
            0 => println!("no event is dead"),
            1 => println!("1 event is sent again"),
            more => println!("{more} events are sent again"),
        }
        return Ok(());
    }
    let events = store.events(options.dead.then_some("dead"), MOST_ROWS).await?;
    if options.json {
        return output::print_json(&json!({ "events": events }));
    }
    if events.is_empty() {
        println!("{}", if options.dead { "no event is dead" } else { "no event waits to be delivered" });
        return Ok(());
    }
    let rows: Vec<Vec<String>> = events.iter().map(row).collect();
    output::table(&["id", "type", "state", "tries", "next", "last answer", "record"], &rows);
    Ok(())
}

fn row(event: &EventView) -> Vec<String> {
    let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    vec![
        event.id.clone(),
        event.event_type.clone(),
        event.state.clone(),
        event.tries.to_string(),
        event.due_at.map_or_else(|| "-".to_owned(), time),
        event.last_answer.clone().unwrap_or_else(|| "-".to_owned()),
        event.record_id.clone(),
    ]
}

/// Who acts: as told, or who is logged in on this machine.
pub(super) fn operator(told: Option<String>) -> Result<String, Failure> {
    let logged_in = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = told.or_else(logged_in).filter(|name| !name.trim().is_empty());
    name.ok_or_else(|| Failure::input("nobody is logged in here; say who acts with `--operator NAME`"))
}
