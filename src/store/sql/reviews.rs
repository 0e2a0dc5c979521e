//! Reviews: an escalated operation is told what a person decided, or that nobody did in time.

use super::{audit_time, timestamp, transaction_now, view};
use crate::domain::duration::micros;
use crate::domain::ids::{RecordId, ReviewId};
use crate::domain::verdict::Verdict;
use crate::store::StoreError;
use crate::store::connection::{Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::operating::{Grant, OpenView, Review, Reviewed};
use crate::store::types::{ByHand, HandRole, OperationView, Ruling};
use jiff::SignedDuration;

/// While its time is not over, whether or not somebody has seen to that. Locked, so that two reviewers, or a reviewer and the clock,
/// cannot both have the last word.
const ESCALATED: Sql = sql!(
    "select o.decision_id, o.flow_id, o.kind, o.operation_id, o.requester_id, d.actor_id, d.subject_id, d.tresor_id, o.basis, "
    "o.review_ttl from operations o join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND
    " where o.id = $1 and o.state = 'escalated' and (o.review_until is null or o.review_until > (select " NOW "))" LOCK_OPERATION
);
const RECORD: Sql = sql!(
    "insert into reviews (id, at, decision_id, kind, operation_id, flow_id, verdict, reviewer, user_id, comment, valid_until) "
    "values ($1" AS_UUID ", $2" AS_TIME ", $3" AS_UUID ", $4, $5, $6" AS_UUID ", $7, $8, $9, $10, $11" AS_TIME ")"
);
const GRANT: Sql = sql!(
    "insert into grants (flow_id, intent, review_id, reviewer, comment, basis, until) values ($1, $2, $3, $4, $5, $6, $7) "
    "on conflict (flow_id) do update set intent = excluded.intent, review_id = excluded.review_id, reviewer = excluded.reviewer, "
    "comment = excluded.comment, basis = excluded.basis, until = excluded.until"
);
const GRANTED: Sql = sql!("select reviewer, comment, basis from grants where flow_id = $1 and intent = $2 and until > " NOW);
/// Whoever is to work on it finds it at once.
const GO_ON: Sql = sql!(
    "update operations set state = 'running', by_hand = $2, tries = 0, owner = null, fence = fence + 1, review_until = null, due_at = " NOW
    " where id = $1 and state = 'escalated'"
);
const OVERDUE: Sql = sql!(
    "update operations set state = 'running', by_hand = $1, tries = 0, owner = null, fence = fence + 1, review_until = null, due_at = " NOW
    " where id" FOUND_AMONG "select id from operations where state = 'escalated' and review_until <= (select " NOW ")" SKIP_LOCKED THOSE
);
pub(super) const IS_OVERDUE: Sql = sql!(
    "select what from (select 'review' as what from operations where state = 'escalated' and review_until <= (select " NOW ") union all select 'grant' from grants where until <= (select " NOW
    ")) overdue limit 1"
);
const FORGET_GRANTS: Sql = sql!("delete from grants where until <= (select " NOW ")");
pub(super) const AWAIT_REVIEW: Sql = sql!(
    "update operations set state = 'escalated', due_at = null, owner = null, lane = null, parked_on = null, "
    "review_ttl = $3, review_until = " NOW " + $4, basis = $5 where id = $1 and fence = $2"
);
pub(super) const LIST: Sql = sql!(
    "select o.id, o.kind, o.operation_id, d.tresor_id, d.actor_id, d.subject_id, d.verdict, d.reason, null, o.decided_at, o.review_until, o.decision_id "
    "from operations o left join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND
    " where o.state = 'escalated' order by o.received_at, o.id limit $1"
);

/// Leaves an operation to a person.
pub(super) async fn await_review(tx: &mut dyn Transaction, id: &str, fence: i64, ruling: &Ruling) -> Result<u64, StoreError> {
    let escalation = ruling.escalation.as_ref();
    let ttl = escalation.map(|escalation| micros(escalation.ttl));
    let until = escalation.filter(|escalation| escalation.rejects).and(ttl);
    let basis = escalation.map(|escalation| escalation.basis.clone());
    tx.run(AWAIT_REVIEW, args![id, fence, ttl, until, basis]).await
}

/// What a reviewer allowed this flow, if that stands.
pub(super) async fn grant(tx: &mut dyn Transaction, flow: &str, intent: &str) -> Result<Option<Grant>, StoreError> {
    let row = first(tx.rows(GRANTED, args![flow, intent]).await?);
    let text = |row: &Row, index| row.text(index).map(str::to_owned);
    row.map(|row| Ok(Grant { reviewer: text(&row, 0)?, comment: text(&row, 1)?, basis: text(&row, 2)? })).transpose()
}

pub(super) async fn review(tx: &mut dyn Transaction, review: Review) -> Result<Reviewed, StoreError> {
    let id = review.id.to_string();
    let Some(row) = first(tx.rows(ESCALATED, args![id.as_str()]).await?) else {
        return Ok(match read_view(tx, review.id).await? {
            Some(view) => Reviewed::NotEscalated(view),
            None => Reviewed::NoSuchOperation,
        });
    };
    if review.decision.is_some_and(|seen| row.text(0).is_ok_and(|current| current != seen.to_string())) {
        return Ok(Reviewed::AnotherDecision);
    }
    let involved = [row.opt_text(4)?, row.opt_text(5)?, row.opt_text(6)?];
    if review.user.as_ref().is_some_and(|user| involved.contains(&Some(user.as_str()))) {
        return Ok(Reviewed::Involved);
    }
    let now = transaction_now(tx).await?;
    let (flow, kind) = (row.text(1)?, row.text(2)?);
    let is_approved = review.verdict == Verdict::Approve;
    let ttl = row.opt_int(9)?.unwrap_or(0);
    let until = now.saturating_add(SignedDuration::from_micros(ttl)).unwrap_or(now);
    let review_id = ReviewId::generate().to_string();
    tx.run(
        RECORD,
        args![
            review_id.as_str(),
            audit_time(now),
            row.text(0)?,
            kind,
            row.text(3)?,
            flow,
            review.verdict.as_str(),
            review.reviewer.as_str(),
            review.user.as_ref().map(ToString::to_string),
            review.comment.as_str(),
            is_approved.then(|| audit_time(until)),
        ],
    )
    .await?;
    let by_hand = match (is_approved, row.opt_text(8)?) {
        // An escalation of the release before this one: what it stood on is not known, so it is escalated anew.
        (true, None) => None,
        (true, Some(basis)) => {
            let parts = [row.opt_text(7)?, row.opt_text(5)?, row.opt_text(6)?];
            let intent = super::decide::intent_of_parts(kind, parts);
            let until = until.as_microsecond();
            let (reviewer, comment) = (review.reviewer.as_str(), review.comment.as_str());
            tx.run(GRANT, args![flow, intent, review_id, reviewer, comment, basis, until]).await?;
            None
        }
        (false, _) => {
            let by_hand = ByHand {
                verdict: review.verdict,
                role: HandRole::Reviewer,
                operator: review.reviewer.clone(),
                comment: Some(review.comment.clone()),
                additional_info: None,
            };
            Some(by_hand.to_json()?)
        }
    };
    super::fenced(tx.run(GO_ON, args![id, by_hand]).await?)?;
    let view = read_view(tx, review.id).await?;
    view.map(Reviewed::Taken).ok_or_else(|| StoreError::Corrupt("an operation vanished".into()))
}

pub(super) async fn expire(tx: &mut dyn Transaction) -> Result<u64, StoreError> {
    let nobody = ByHand {
        verdict: Verdict::Reject,
        role: HandRole::Timeout,
        operator: "review-timeout".to_owned(),
        comment: Some("nobody reviewed it in time".to_owned()),
        additional_info: None,
    };
    let overdue = tx.run(OVERDUE, args![nobody.to_json()?]).await?;
    // Operations before grants, as in a review.
    tx.run(FORGET_GRANTS, args![]).await?;
    Ok(overdue)
}

pub(super) async fn read_view(tx: &mut dyn Transaction, id: RecordId) -> Result<Option<OperationView>, StoreError> {
    first(tx.rows(view::BY_ID, args![id.to_string()]).await?).map(|row| view::read(&row)).transpose()
}

pub(super) fn open_view(row: &Row) -> Result<OpenView, StoreError> {
    let text = |index| row.opt_text(index).map(|text| text.map(str::to_owned));
    Ok(OpenView {
        id: row.parsed(0, RecordId::parse)?,
        kind: row.text(1)?.to_owned(),
        operation_id: row.text(2)?.to_owned(),
        tresor_id: text(3)?,
        actor_id: text(4)?,
        subject_id: text(5)?,
        verdict: text(6)?,
        reason: text(7)?,
        error_code: text(8)?,
        since: row.opt_int(9)?.map(timestamp).transpose()?.unwrap_or_default(),
        until: row.opt_int(10)?.map(timestamp).transpose()?,
        decision_id: text(11)?,
    })
}
