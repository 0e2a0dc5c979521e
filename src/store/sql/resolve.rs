//! Closes an operation whose end was unknown, as an operator found out: one more outcome, and what follows from it.

use super::finish::{Following, follow, record_outcome};
use super::reviews::read_view;
use super::{events, line, timestamp, view};
use crate::domain::ids::{DecisionId, OperationId, RecordId};
use crate::domain::operation::{Lane, OperationKey};
use crate::domain::verdict::{Outcome, Verdict};
use crate::flow::Ending;
use crate::store::StoreError;
use crate::store::connection::{Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::operating::Resolved;
use crate::store::types::LaneRules;

const UNKNOWN: Sql = sql!(
    "select d.kind, d.tresor_id, d.actor_id, d.subject_id, o.decision_id, o.operation_id, d.verdict, o.has_effects, o.settled_at "
    "from operations o join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND " where o.id = $1 and o.state = 'unknown' and o.verdict is not null"
);
const CLOSE: Sql = sql!(
    "update operations set state = $2, outcome = $3, error_code = null, settled_at = $4 where id = $1 and state = 'unknown'"
);
/// What was not to be done while nobody knew is to be done after all.
const REVIVE: Sql = sql!(
    "update effects set state = 'planned', result_at = null, error_code = null where decision_id = $1" AS_UUID " and state = 'cancelled'"
);
pub(super) const LIST: Sql = sql!(
    "select o.id, o.kind, o.operation_id, d.tresor_id, d.actor_id, d.subject_id, d.verdict, d.reason, o.error_code, o.settled_at, null, o.decision_id "
    "from operations o left join decisions d on d.id" FOUND_BY "o.decision_id" AS_UUID FOUND
    // What was only observed was never sent: there is nothing to find out.
    " where o.state = 'unknown' and o.verdict is not null order by o.settled_at, o.id limit $1"
);

pub(super) async fn resolve(
    tx: &mut dyn Transaction,
    id: RecordId,
    is_applied: bool,
    operator: &str,
    comment: &str,
    rules: LaneRules,
) -> Result<Resolved, StoreError> {
    let Some(row) = first(tx.rows(UNKNOWN, args![id.to_string()]).await?) else {
        return Ok(read_view(tx, id).await?.map_or(Resolved::NoSuchOperation, Resolved::NotUnknown));
    };
    let intent = view::intent(&row)?;
    let decision = row.parsed(4, DecisionId::parse)?;
    let key = OperationKey { kind: intent.kind, operation_id: row.parsed(5, |text| OperationId::new(text).ok())? };
    let verdict = row.parsed(6, Verdict::parse)?;
    // Whoever gathered facts meanwhile gathers them again: this is an outcome on the lane like any other.
    let now = timestamp(line::lock_and_move(tx, Lane::of(&intent).as_str()).await?.now)?;
    let outcome = if is_applied { Outcome::Applied } else { Outcome::Failed };
    let detail = format!("resolved by operator:{operator}: {comment}");
    let ending = Ending::new(outcome, Some(verdict)).detail(detail).reconciled();
    let closed = args![id.to_string(), ending.state.as_str(), outcome.as_str(), now.as_microsecond()];
    if tx.run(CLOSE, closed).await? != 1 {
        // Another operator was faster.
        return Ok(read_view(tx, id).await?.map_or(Resolved::NoSuchOperation, Resolved::NotUnknown));
    }
    record_outcome(tx, &key, Some(decision), &ending, now).await?;
    let has_effects = row.int(7)? != 0;
    if is_applied && has_effects {
        tx.run(REVIVE, args![decision.to_string()]).await?;
    }
    // When nobody knew: it took effect before that, and not now.
    let took_effect = timestamp(row.int(8)?)?;
    let following = Following { record: id, key: &key, decision: Some(decision), ending: &ending, has_effects, took_effect };
    follow(tx, following).await?;
    events::acted(tx, operator, "resolve", &id.to_string(), Some(comment)).await?;
    events::tell(tx, id, ending.state.as_str(), &super::audit_time(now), rules).await?;
    let view = read_view(tx, id).await?;
    view.map(Resolved::Closed).ok_or_else(|| StoreError::Corrupt("an operation vanished".into()))
}
