//! `assent ops review`: the list of what was escalated, and a reviewer's verdict on one of it. The reviewer shows the same
//! token as over HTTP, so that the same rules hold.

use super::{Common, MOST_ROWS, open, or_dash, record_id, time};
use crate::cli::{Failure, config, output};
use crate::domain::ids::{DecisionId, RecordId};
use crate::domain::verdict::Verdict;
use crate::http::{Role, Token};
use crate::store::{OpenView, Review, Reviewed, not_reviewable};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// What can be said of a review.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The record, to see it or to decide it; without one the list of what waits
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// It may be done, if no rule rejects it and nothing has changed
    #[arg(long, requires = "id", conflicts_with = "reject")]
    approve: bool,
    /// It may not be done
    #[arg(long, requires = "id")]
    reject: bool,
    /// The decision that was seen; refused if it was escalated anew since
    #[arg(long, value_name = "ID", requires = "id")]
    decision: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", requires = "id")]
    comment: Option<String>,
    /// The file with the reviewer's token; or the token in ASSENT_TOKEN
    #[arg(long, value_name = "FILE", requires = "id")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let Some(id) = &options.id else { return list(&options.common).await };
    let id = record_id(id)?;
    if !options.approve && !options.reject && options.comment.is_none() && options.token_file.is_none() {
        return show(&options.common, id).await;
    }
    let verdict = match (options.approve, options.reject) {
        (true, false) => Verdict::Approve,
        (false, true) => Verdict::Reject,
        _ => return Err(Failure::input("say `--approve` or `--reject`")),
    };
    let comment = super::comment(options.comment.as_deref().unwrap_or_default())?.to_owned();
    let config = config::read(&options.common.config.config)?;
    let token = reviewer(&config.tokens, options.token_file.as_deref())?;
    let store = open(&options.common).await?;
    let decision = options.decision.as_deref().map(|text| {
        DecisionId::parse(text).ok_or_else(|| Failure::input(format!("`{text}` is no decision; `assent ops review ID` shows it")))
    });
    let (reviewer, user) = (token.name.clone(), token.user_id.clone());
    let review = Review { id, decision: decision.transpose()?, verdict, reviewer, user, comment };
    match store.review(review).await? {
        Reviewed::Taken(view) if options.common.json => output::print_json(&view),
        Reviewed::Taken(view) => {
            let what = format!("{} {}", view.kind, view.operation_id);
            match verdict {
                Verdict::Approve => println!("{what} is allowed by {}; the daemon looks at it again", token.name),
                _ => println!("{what} is rejected by {}; the daemon tells the platform", token.name),
            }
            Ok(())
        }
        Reviewed::NoSuchOperation => Err(Failure::no(format!("there is no operation with the record {id}"))),
        Reviewed::NotEscalated(view) => Err(Failure::no(not_reviewable(&view))),
        Reviewed::AnotherDecision => {
            Err(Failure::no("it was escalated anew since the decision that is named; `assent ops review` shows it as it is now"))
        }
        Reviewed::Involved => {
            let name = &token.name;
            Err(Failure::no(format!("{name} is the requester, the actor or the subject of it; somebody else must review it")))
        }
    }
}

/// Whose token it is.
fn reviewer<'t>(tokens: &'t [Token], file: Option<&std::path::Path>) -> Result<&'t Token, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("`{}` cannot be read: {error}", path.display())))?,
        None => std::env::var("ASSENT_TOKEN")
            .map_err(|_| Failure::input("show the reviewer's token with `--token-file FILE`, or in ASSENT_TOKEN"))?,
    };
    let token = Token::find(tokens, text.trim());
    let token = token.ok_or_else(|| Failure::no("this token is not among `tokens` of the configuration"))?;
    if token.role == Role::Reviewer {
        Ok(token)
    } else {
        Err(Failure::no(format!("this needs a token with `role: reviewer`, and this one has `role: {}`", token.role.as_str())))
    }
}

/// What a reviewer has to know of one operation.
async fn show(common: &Common, id: RecordId) -> Result<(), Failure> {
    let waiting = open(common).await?.escalated(u32::MAX).await?;
    let found = waiting.into_iter().find(|view| view.id == id);
    let view = found.ok_or_else(|| Failure::no(format!("nothing with the record {id} waits for a review")))?;
    if common.json {
        return output::print_json(&view);
    }
    let lines = [
        ("record", view.id.to_string()),
        ("decision", or_dash(view.decision_id)),
        ("operation", format!("{} {}", view.kind, view.operation_id)),
        ("tresor", or_dash(view.tresor_id)),
        ("who", or_dash(view.actor_id)),
        ("about", or_dash(view.subject_id)),
        ("reason", or_dash(view.reason)),
        ("since", time(view.since)),
        ("rejected at", view.until.map_or_else(|| "-".to_owned(), time)),
    ];
    for (name, value) in lines {
        println!("{name:<11}  {value}");
    }
    Ok(())
}

async fn list(common: &Common) -> Result<(), Failure> {
    let waiting = open(common).await?.escalated(MOST_ROWS).await?;
    if common.json {
        return output::print_json(&json!({ "operations": waiting }));
    }
    if waiting.is_empty() {
        println!("nothing waits for a review");
        return Ok(());
    }
    let row = |view: OpenView| {
        vec![
            view.id.to_string(),
            time(view.since),
            view.until.map_or_else(|| "-".to_owned(), time),
            view.kind,
            or_dash(view.actor_id),
            or_dash(view.subject_id),
            or_dash(view.reason),
        ]
    };
    let names = ["record", "since", "rejected at", "kind", "who", "about", "reason"];
    output::table(&names, &waiting.into_iter().map(row).collect::<Vec<_>>());
    Ok(())
}
