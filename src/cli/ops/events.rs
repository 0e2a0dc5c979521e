//! `assent ops events`: the events that the web app has not taken, and their sending again.

use super::{Common, MOST_ROWS, Operator, open, or_dash, time};
use crate::cli::{Failure, output};
use crate::store::EventView;
use clap::Args;
use serde_json::json;

/// What can be said of events.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Only those that are given up
    #[arg(long, conflicts_with_all = ["resend", "resend_dead"])]
    dead: bool,
    /// Send one event again that is dead or was delivered
    #[arg(long, value_name = "ID", conflicts_with = "resend_dead")]
    resend: Option<String>,
    /// Send all dead events again
    #[arg(long)]
    resend_dead: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let store = open(&options.common).await?;
    if options.resend_dead || options.resend.is_some() {
        let operator = super::operator(options.operator.operator)?;
        let resent = store.resend_events(options.resend.as_deref(), &operator).await?;
        if let (Some(id), 0) = (&options.resend, resent) {
            return Err(Failure::no(format!("there is no event `{id}` that is dead or was delivered; see `assent ops events`")));
        }
        if options.common.json {
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
    if options.common.json {
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
    vec![
        event.id.clone(),
        event.event_type.clone(),
        event.state.clone(),
        event.tries.to_string(),
        event.due_at.map_or_else(|| "-".to_owned(), time),
        or_dash(event.last_answer.clone()),
        event.record_id.clone(),
    ]
}
