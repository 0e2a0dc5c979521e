//! `assent ops pause`, `resume` and `pauses`: verdicts are stopped and let go on. What was committed before is carried out.

use super::{Common, Operator, open, or_dash, time};
use crate::cli::{Failure, output};
use crate::domain::ids::TresorId;
use crate::domain::operation::Lane;
use crate::store::EVERYTHING;
use clap::Args;
use serde_json::json;

/// What can be said of a pause.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
    /// Only operations on this tresor
    #[arg(long, value_name = "ID")]
    tresor: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

/// What can be said of the list.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListOptions {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

/// The scope in the database, and for people.
fn scope(tresor: Option<&str>) -> Result<(String, String), Failure> {
    match tresor {
        None => Ok((EVERYTHING.to_owned(), "everything".to_owned())),
        Some(text) => {
            let tresor = TresorId::new(text).map_err(|error| Failure::input(format!("`--tresor` {error}")))?;
            Ok((Lane::of_tresor(&tresor).to_string(), format!("tresor {tresor}")))
        }
    }
}

pub(super) async fn pause(options: Options) -> Result<(), Failure> {
    let (scope, words) = scope(options.tresor.as_deref())?;
    let operator = super::operator(options.operator.operator)?;
    let is_new = open(&options.common).await?.pause(&scope, &operator, options.comment.as_deref()).await?;
    if options.common.json {
        return output::print_json(&json!({ "scope": scope, "paused": true, "new": is_new }));
    }
    if is_new {
        let tresor = options.tresor.map(|tresor| format!(" --tresor {tresor}")).unwrap_or_default();
        println!("verdicts on {words} are paused; `assent ops resume{tresor}` lets them go on");
    } else {
        println!("verdicts on {words} were paused already");
    }
    Ok(())
}

pub(super) async fn resume(options: Options) -> Result<(), Failure> {
    let (scope, words) = scope(options.tresor.as_deref())?;
    let operator = super::operator(options.operator.operator)?;
    let resumed = open(&options.common).await?.resume(&scope, &operator, options.comment.as_deref()).await?;
    let Some(waiting) = resumed else {
        return Err(Failure::no(format!("verdicts on {words} are not paused; `assent ops pauses` lists what is")));
    };
    if options.common.json {
        return output::print_json(&json!({ "scope": scope, "paused": false, "waiting": waiting }));
    }
    match waiting {
        1 => println!("verdicts on {words} go on; 1 operation waited"),
        more => println!("verdicts on {words} go on; {more} operations waited"),
    }
    Ok(())
}

pub(super) async fn list(options: ListOptions) -> Result<(), Failure> {
    let pauses = open(&options.common).await?.pauses().await?;
    if options.common.json {
        return output::print_json(&json!({ "pauses": pauses }));
    }
    if pauses.is_empty() {
        println!("nothing is paused");
        return Ok(());
    }
    let row = |pause: crate::store::PauseView| {
        let scope = if pause.scope == EVERYTHING { "everything".to_owned() } else { pause.scope };
        vec![scope, time(pause.since), pause.operator, pause.waiting.to_string(), or_dash(pause.comment)]
    };
    output::table(&["what", "since", "by", "waiting", "comment"], &pauses.into_iter().map(row).collect::<Vec<_>>());
    Ok(())
}
