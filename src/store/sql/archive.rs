//! Reads back what was recorded: decisions and the policies that made them. Writes which policy is in force.

use super::decide::ARCHIVE;
use super::{audit_time, transaction_now};
use crate::domain::ids::DecisionId;
use crate::domain::kind::Kind;
use crate::domain::verdict::{Outcome, Verdict};
use crate::store::StoreError;
use crate::store::connection::{Arg, Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::recorded::{PolicyActivation, Recorded, RecordedRange};

const LAST: Sql = sql!("select hash from policy_activations order by id desc limit 1");
const ACTIVATE: Sql = sql!("insert into policy_activations (at, hash, replica) values ($1" AS_TIME ", $2, $3)");
pub(super) const LAST_ACTIVATION: Sql =
    sql!("select a.hash, p.body, a.at from policy_activations a join policies p on p.hash = a.hash order by a.id desc limit 1");
pub(super) const POLICY: Sql = sql!("select body from policies where hash = $1");
pub(super) const DECISION: Sql = sql!(
    "select id, decided_at, kind, verdict, decided_by, rules" AS_TEXT ", policy_hash, facts" AS_TEXT ", facts_personal" AS_TEXT
    ", trace" AS_TEXT ", null from decisions where id = $1" AS_UUID
);
const PAGE: Sql = sql!(
    "select id, decided_at, kind, verdict, decided_by, rules" AS_TEXT ", policy_hash, facts" AS_TEXT ", facts_personal" AS_TEXT
    ", case when $5 = 1 then trace" AS_TEXT " else '' end, case when $5 = 1 then "
    "(select o.outcome from outcomes o where o.decision_id = decisions.id order by o.at desc, o.id desc limit 1) end "
    "from decisions where decided_at >= $1" AS_TIME
    " and (decided_at, id) > ($2" AS_TIME ", $3" AS_UUID ") order by decisions.decided_at, decisions.id limit $4"
);

pub(super) async fn activate(tx: &mut dyn Transaction, hash: &str, body: &str, replica: &str) -> Result<(), StoreError> {
    let last = first(tx.rows(LAST, args![]).await?);
    if last.is_some_and(|row| row.text(0).is_ok_and(|last| last == hash)) {
        return Ok(());
    }
    let now = audit_time(transaction_now(tx).await?);
    tx.run(ARCHIVE, args![hash, body, now.as_str()]).await?;
    tx.run(ACTIVATE, args![now, hash, replica]).await.map(|_| ())
}

pub(super) fn activation(row: &Row) -> Result<PolicyActivation, StoreError> {
    Ok(PolicyActivation {
        hash: row.text(0)?.to_owned(),
        body: row.text(1)?.to_owned(),
        at: row.parsed(2, |text| text.parse().ok())?,
    })
}

pub(super) fn page(range: &RecordedRange) -> (Sql, Vec<Arg>) {
    let (after, id) = match range.after {
        Some((time, id)) => (time, id.to_string()),
        None => (range.since, DecisionId(uuid::Uuid::nil()).to_string()),
    };
    let limit = i64::from(range.limit);
    (PAGE, args![audit_time(range.since), audit_time(after), id, limit, i64::from(range.with_trace)])
}

pub(super) fn recorded(row: &Row) -> Result<Recorded, StoreError> {
    Ok(Recorded {
        id: row.parsed(0, DecisionId::parse)?,
        decided_at: row.parsed(1, |text| text.parse().ok())?,
        kind: row.parsed(2, Kind::parse)?,
        verdict: row.parsed(3, Verdict::parse)?,
        decided_by: row.text(4)?.to_owned(),
        rules: row.parsed(5, |text| serde_json::from_str(text).ok())?,
        policy_hash: row.text(6)?.to_owned(),
        facts: row.parsed(7, |text| serde_json::from_str(text).ok())?,
        facts_personal: row.parsed(8, |text| serde_json::from_str(text).ok())?,
        trace: row.text(9)?.to_owned(),
        outcome: row.opt_parsed(10, Outcome::parse)?,
    })
}
