//! Reads an operation as the API shows it, with its decision and its outcome.

use super::timestamp;
use crate::domain::ids::{DecisionId, FlowId, RecordId, TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::Intent;
use crate::domain::verdict::{Outcome, Verdict};
use crate::flow::State;
use crate::store::StoreError;
use crate::store::connection::Row;
use crate::store::dialect::{Sql, sql};
use crate::store::types::{DecisionView, OperationView, OutcomeView};

/// An operation, open or over, with its decision.
macro_rules! operation {
    ($which:literal, $newest:literal) => {
        sql!(
            "select o.id, o.flow_id, o.attempt, o.kind, o.operation_id, o.state, o.decision_id, d.verdict, d.rules" AS_TEXT
            ", d.reason, o.message, d.policy_hash, o.decided_at, o.outcome, o.error_code, o.settled_at from ("
            "select id, flow_id, attempt, kind, operation_id, state, decision_id, message, decided_at, outcome, error_code, settled_at, "
            "received_at from operations where " $which " union all "
            "select id, flow_id, attempt, kind, operation_id, state, decision_id, message, decided_at, outcome, error_code, settled_at, "
            "received_at from finished_operations where " $which ") o left join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND $newest
        )
    };
}

pub(super) const BY_ID: Sql = operation!("id = $1", "");

/// The newest record of an operation; only failed and refused ones can be older.
pub(super) const BY_KEY: Sql = operation!("kind = $1 and operation_id = $2", " order by o.received_at desc, o.id desc limit 1");

/// What a decision was about: kind, tresor, actor and subject, from the first column on.
pub(super) fn intent(row: &Row) -> Result<Intent, StoreError> {
    Ok(Intent {
        kind: row.parsed(0, Kind::parse)?,
        tresor: row.opt_parsed(1, |text| TresorId::new(text).ok())?,
        actor: row.opt_parsed(2, |text| UserId::new(text).ok())?,
        subject: row.opt_parsed(3, |text| UserId::new(text).ok())?,
    })
}

pub(super) fn read(row: &Row) -> Result<OperationView, StoreError> {
    // What was decided may have been cut off the log (`audit retain`); the operation stays.
    let decision = match row.opt_parsed(6, DecisionId::parse)?.zip(row.opt_parsed(7, Verdict::parse)?) {
        None => None,
        Some((id, verdict)) => Some(DecisionView {
            id,
            verdict,
            rules: row.parsed(8, |text| serde_json::from_str(text).ok())?,
            reason: row.text(9)?.to_owned(),
            message: row.opt_text(10)?.map(str::to_owned),
            policy_hash: row.text(11)?.to_owned(),
            decided_at: timestamp(row.int(12)?)?,
        }),
    };
    let outcome = match row.opt_parsed(13, Outcome::parse)? {
        None => None,
        Some(outcome) => {
            Some(OutcomeView { outcome, error_code: row.opt_text(14)?.map(str::to_owned), at: timestamp(row.int(15)?)? })
        }
    };
    Ok(OperationView {
        id: row.parsed(0, RecordId::parse)?,
        flow_id: row.parsed(1, FlowId::parse)?,
        attempt: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
        kind: row.parsed(3, Kind::parse)?,
        operation_id: row.text(4)?.to_owned(),
        state: row.parsed(5, State::parse)?,
        decision,
        outcome,
    })
}
