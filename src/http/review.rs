//! `POST /v1/operations/{id}/review`: what a person says of an operation that was escalated. Who is a party to it has no say.

use super::fields::{self, Object};
use super::{Api, Problem, Role, auth, prefer};
use crate::domain::ids::{DecisionId, RecordId};
use crate::domain::verdict::Verdict;
use crate::store::{Review, Reviewed, not_reviewable};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The longest comment, in bytes.
const MAX_COMMENT_BYTES: usize = 4096;

pub(super) async fn review(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let token = auth::require(&api.tokens, &headers, Role::Reviewer)?;
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "no-such-operation", "there is no operation with this id");
    let id = id.ok().and_then(|Path(id)| RecordId::parse(&id)).ok_or_else(not_found)?;
    let (verdict, comment, decision) = read(&body?)?;
    let review = Review { id, decision, verdict, reviewer: token.name.clone(), user: token.user_id.clone(), comment };
    // In a task of its own: a client that hangs up must not stop the transaction halfway.
    let engine = Arc::clone(&api.engine);
    let reviewed = tokio::spawn(async move { engine.review(review).await }).await;
    let internal = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "look at the operation, and review it again");
    match reviewed.map_err(internal)?? {
        Reviewed::Taken(view) => {
            let view = match prefer::wait(&headers) {
                Some(wait) => prefer::waited(api.engine.wait(id, wait).await, view),
                None => view,
            };
            Ok(Json(view).into_response())
        }
        Reviewed::NoSuchOperation => Err(not_found()),
        Reviewed::NotEscalated(view) => Err(Problem::new(StatusCode::CONFLICT, "not-escalated", not_reviewable(&view))),
        Reviewed::AnotherDecision => {
            let detail = "it was escalated anew since the decision that is named; look at it again";
            Err(Problem::new(StatusCode::CONFLICT, "another-decision", detail))
        }
        Reviewed::Involved => {
            let detail =
                "the reviewer is the requester, the actor or the subject of this operation; somebody else must review it";
            Err(Problem::new(StatusCode::FORBIDDEN, "involved", detail))
        }
    }
}

fn read(body: &Bytes) -> Result<(Verdict, String, Option<DecisionId>), Problem> {
    let body = fields::json(body)?;
    let fields = Object::of("", &body, &["verdict", "comment", "decision_id"])?;
    let verdict = match fields.text("verdict")? {
        "approve" => Verdict::Approve,
        "reject" => Verdict::Reject,
        _ => return Err(Problem::field("verdict", "must be `approve` or `reject`")),
    };
    let comment = fields.text("comment")?.trim();
    if comment.is_empty() || comment.len() > MAX_COMMENT_BYTES || comment.contains('\0') {
        return Err(Problem::field("comment", format!("must say why, in at most {MAX_COMMENT_BYTES} bytes")));
    }
    let decision = fields.opt_text("decision_id")?.map(|text| {
        DecisionId::parse(text).ok_or_else(|| Problem::field("decision_id", "must be the `id` of the decision that was seen"))
    });
    Ok((verdict, comment.to_owned(), decision.transpose()?))
}
