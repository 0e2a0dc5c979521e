//! Who works on what: due operations are taken under a new fence, so that a stale worker's writes change nothing.

use super::front::Front;
use crate::domain::duration::{from_micros, micros};
use crate::domain::ids::{DecisionId, FlowId, OperationId, RecordId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::OperationKey;
use crate::domain::verdict::Verdict;
use crate::store::StoreError;
use crate::store::connection::{Row, Transaction, args};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{Claimed, Lease, Sent};
use std::time::Duration;

const CLAIM: Sql = sql!(
    "with due as materialized (select id, due_at from operations where due_at <= (select " NOW ") and due_at >= $4 "
    "order by due_at limit $3" SKIP_LOCKED ") "
    "update operations set owner = $1, fence = fence + 1, due_at = " NOW " + $2, "
    "state = case when state = 'received' then 'running' else state end, "
    // An owner that never gave it back crashed over it; that spends a try, so that no operation can do it for ever.
    "tries = tries + case when owner is null then 0 else 1 end "
    "where id" FOUND_AMONG "select id from due" THOSE " "
    "returning id, fence, kind, operation_id, requester_id, requested_flow, payload, tries, decision_id, verdict, sends, "
    NOW " - sent_at, members_before, " NOW " - received_at, additional_info, by_hand, last_failure, attempt, " LAST_DUE
);
/// So many times the next of a long queue are claimed from where the last were: others may have come to stand before them, as whoever
/// takes in an operation says when it is due before that is to be seen.
pub(super) const ON_AT_MOST: u32 = 128;

/// One operation, for whoever waits for just that one.
pub(super) const CLAIM_ONE: Sql = sql!(
    "update operations set owner = $1, fence = fence + 1, due_at = " NOW " + $2, "
    "state = case when state = 'received' then 'running' else state end, "
    "tries = tries + case when owner is null then 0 else 1 end "
    "where id" FOUND_AMONG "select id from operations where id = $3 and coalesce(due_at <= " NOW ", false)" SKIP_LOCKED THOSE " "
    "returning id, fence, kind, operation_id, requester_id, requested_flow, payload, tries, decision_id, verdict, sends, "
    NOW " - sent_at, members_before, " NOW " - received_at, additional_info, by_hand, last_failure, attempt"
);

pub(super) const LEASED: Sql = sql!(
    "select id, fence, kind, operation_id, requester_id, requested_flow, payload, tries, decision_id, verdict, sends, "
    NOW " - sent_at, members_before, " NOW " - received_at, additional_info, by_hand, last_failure, attempt from operations where id = $1 and fence = $2"
);

/// Those that have been due the longest, as far as `claimed_to` lets one see. How far they went is told before it is durable: where
/// it is not, they are found as others are that stand before it.
pub(super) async fn claim(
    tx: &mut dyn Transaction,
    claimed_to: &Front<i64>,
    owner: &str,
    lease: Duration,
    limit: u32,
) -> Result<Vec<Row>, StoreError> {
    let from = claimed_to.get();
    let mut rows = tx.rows(CLAIM, args![owner, micros(lease), i64::from(limit), from.unwrap_or(0)]).await?;
    let left = i64::from(limit).saturating_sub(i64::try_from(rows.len()).unwrap_or(i64::MAX));
    let last = rows.first().map_or(Ok(None), |row| row.opt_int(18))?;
    claimed_to.set(last.filter(|_| left == 0), left > 0);
    if left > 0 && from.is_some() {
        rows.extend(tx.rows(CLAIM, args![owner, micros(lease), left, 0]).await?);
    }
    Ok(rows)
}

pub(super) fn read(row: &Row) -> Result<Claimed, StoreError> {
    let decision = row.opt_parsed(8, DecisionId::parse)?;
    let sends = u32::try_from(row.int(10)?).unwrap_or(u32::MAX);
    let sent = match (decision, sends) {
        (Some(decision), 1..) => Some(Sent {
            decision,
            verdict: row.parsed(9, Verdict::parse)?,
            sends,
            age: duration(row.opt_int(11)?),
            members_before: row.opt_parsed(12, read_members)?,
            additional_info: row.opt_text(14)?.map(str::to_owned),
        }),
        _ => None,
    };
    Ok(Claimed {
        lease: Lease { id: row.parsed(0, RecordId::parse)?, fence: row.int(1)? },
        key: OperationKey { kind: row.parsed(2, Kind::parse)?, operation_id: row.parsed(3, |text| OperationId::new(text).ok())? },
        requester: row.opt_parsed(4, |text| UserId::new(text).ok())?,
        requested_flow: row.opt_parsed(5, FlowId::parse)?,
        payload: row.opt_bytes(6)?.map(<[u8]>::to_vec),
        tries: u32::try_from(row.int(7)?).unwrap_or(u32::MAX),
        decision,
        sent,
        age: duration(row.opt_int(13)?),
        by_hand: row.opt_parsed(15, |text| serde_json::from_str(text).ok())?,
        last_failure: row.opt_parsed(16, |text| serde_json::from_str(text).ok())?,
        attempt: u32::try_from(row.int(17)?).unwrap_or(u32::MAX),
    })
}

fn duration(micros: Option<i64>) -> Duration {
    from_micros(micros.unwrap_or(0))
}

fn read_members(text: &str) -> Option<Vec<UserId>> {
    serde_json::from_str(text).ok()
}
