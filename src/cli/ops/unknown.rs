//! `assent ops unknown` and `assent ops resolve`: the operations of which nobody knows how they ended, and their closing.

use super::{Common, MOST_ROWS, Operator, open, or_dash, record_id, time};
use crate::cli::{Failure, config, output};
use crate::flow::State;
use crate::store::{LaneRules, OpenView, Resolved};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::time::Duration;

/// What can be said of the list.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum End {
    /// The platform did what was decided
    Applied,
    /// It did not
    Failed,
}

/// What can be said of a closing.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResolveOptions {
    /// The record, as `assent ops unknown` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// How it ended
    #[arg(long = "as", value_name = "END")]
    end: End,
    /// How that was found out, for the record
    #[arg(long, value_name = "TEXT")]
    comment: String,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

pub(super) async fn list(options: ListOptions) -> Result<(), Failure> {
    let unknown = open(&options.common).await?.unknown(MOST_ROWS).await?;
    if options.common.json {
        return output::print_json(&json!({ "operations": unknown }));
    }
    if unknown.is_empty() {
        println!("of every operation it is known how it ended");
        return Ok(());
    }
    output::table(
        &["record", "since", "kind", "operation", "verdict", "error code", "tresor", "who"],
        &unknown.into_iter().map(row).collect::<Vec<_>>(),
    );
    Ok(())
}

fn row(view: OpenView) -> Vec<String> {
    vec![
        view.id.to_string(),
        time(view.since),
        view.kind,
        view.operation_id,
        or_dash(view.verdict),
        or_dash(view.error_code),
        or_dash(view.tresor_id),
        or_dash(view.actor_id),
    ]
}

pub(super) async fn resolve(options: ResolveOptions) -> Result<(), Failure> {
    let id = record_id(&options.id)?;
    let comment = super::comment(&options.comment)?;
    let operator = super::operator(options.operator.operator)?;
    // Only whether there is somebody to be told counts here; the lane is not handed on.
    let events = config::has_outbound(&options.common.config.config)?;
    let rules = LaneRules { turn: Duration::ZERO, wait: Duration::ZERO, join_window: Duration::ZERO, events };
    let store = open(&options.common).await?;
    match store.resolve(id, options.end == End::Applied, &operator, comment, rules).await? {
        Resolved::Closed(view) if options.common.json => output::print_json(&view),
        Resolved::Closed(view) => {
            println!("{} {} is {}, as {operator} found out", view.kind, view.operation_id, view.state);
            Ok(())
        }
        Resolved::NoSuchOperation => Err(Failure::no(format!("there is no operation with the record {id}"))),
        Resolved::NotUnknown(view) if view.state == State::Unknown => {
            Err(Failure::no("its verdict was only observed and never sent, so there is nothing to find out"))
        }
        Resolved::NotUnknown(view) => {
            let state = view.state;
            Err(Failure::no(format!("this operation is {state}; only one whose end is unknown can be resolved")))
        }
    }
}
