//! `GET /v1/decisions`: the log for an auditor's program, the newest first, page by page. `GET /v1/decisions/{id}`.

use super::auth::Role;
use super::{Api, Problem, auth};
use crate::domain::ids::DecisionId;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::store::{Cursor, DecisionQuery, FoundDecision, FoundPage};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// How many are given where nothing is said, and at most.
const PAGE: u32 = 50;
const MOST: u32 = 500;
const KNOWN: [&str; 15] = [
    "since",
    "until",
    "kind",
    "verdict",
    "rule",
    "actor",
    "subject",
    "tresor",
    "domain",
    "policy",
    "reviewer",
    "text",
    "operation",
    "limit",
    "after",
];

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&api.tokens, &headers, Role::Auditor)?;
    let (mut query, mut after, mut limit) = (DecisionQuery::default(), None, PAGE);
    for (name, value) in pairs {
        let time =
            || value.parse::<Timestamp>().map_err(|_| Problem::field(&name, "must be a time such as `2026-03-02T10:00:00Z`"));
        if value.contains('\0') {
            return Err(Problem::field(&name, "must not contain a zero byte"));
        }
        if value.is_empty() {
            return Err(Problem::field(&name, "must not be empty; leave it out to ask for all"));
        }
        let text = || Some(value.clone());
        match name.as_str() {
            "since" => query.since = Some(time()?),
            "until" => query.until = Some(time()?),
            "kind" => query.kind = Some(Kind::parse(&value).ok_or_else(|| Problem::field("kind", "is no kind of operation"))?),
            "verdict" => {
                let verdict = Verdict::parse(&value);
                query.verdict =
                    Some(verdict.ok_or_else(|| Problem::field("verdict", "must be `approve`, `reject` or `escalate`"))?);
            }
            "rule" => query.rule = text(),
            "actor" => query.actor = text(),
            "subject" => query.subject = text(),
            "tresor" => query.tresor = text(),
            "domain" => query.domain = text(),
            "policy" => query.policy = text(),
            "reviewer" => query.reviewer = text(),
            "text" => query.text = text(),
            "operation" => query.operation = text(),
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MOST).contains(number));
                limit = number.ok_or_else(|| Problem::field("limit", format!("must be from 1 to {MOST}")))?;
            }
            "after" => {
                after = Some(Cursor::parse(&value).ok_or_else(|| Problem::field("after", "must be `next` of the page before"))?)
            }
            _ => {
                let near = crate::domain::diagnostic::nearest(&name, KNOWN);
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(Problem::field(&name, format!("is not a known filter{hint}")));
            }
        }
    }
    let FoundPage { decisions, next } = api.engine.store().page(&query, after.as_ref(), limit).await?;
    let decisions: Vec<_> = decisions.iter().map(FoundDecision::to_json).collect();
    Ok(Json(json!({ "decisions": decisions, "next": next })).into_response())
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&api.tokens, &headers, Role::Auditor)?;
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "no-such-decision", "there is no decision with this id");
    let id = id.ok().and_then(|Path(id)| DecisionId::parse(&id)).ok_or_else(not_found)?;
    let found = api.engine.store().decision(&id.to_string()).await?.ok_or_else(not_found)?;
    Ok(Json(found.to_json()).into_response())
}
