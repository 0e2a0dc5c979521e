//! Rows of the audit tables as the tree sees them: one statement a table, its columns in the order of [`Stream::columns`].

use super::sealing::{hash, index};
use crate::audit::{Form, LeafRecord, Stored, Stream};
use crate::store::StoreError;
use crate::store::connection::{Arg, Row, args};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::LeafRow;
use serde_json::{Value, json};

/// What comes first, with the row's id; its time; where it is from.
macro_rules! decisions {
    ([$($id:tt)+] [$($at:tt)+] $($from:tt)+) => {
        sql!(
            "select n.place, " $($id)+ ", " $($at)+ ", tenant, kind, operation_id, flow_id" AS_TEXT ", attempt" AS_NUMBER ", tresor_id, "
            "actor_id, subject_id, requester_id, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow from "
            $($from)+
        )
    };
}

macro_rules! outcomes {
    ([$($id:tt)+] [$($at:tt)+] $($from:tt)+) => {
        sql!(
            "select n.place, " $($id)+ ", decision_id" AS_TEXT ", " $($at)+ ", kind, operation_id, outcome, error_code, detail, reconciled from "
            $($from)+
        )
    };
}

/// The leaves of the two large tables from one place to another: place, hash, whether there is a row, and its columns. Where there is
/// none the leaf has its id and its time. No column of the row itself says that it is there: whoever changes rows changes those.
pub(in crate::store::sql) const IN_ORDER: [(Stream, Sql); 2] = [
    (Stream::Decision, decisions!(["n.hash, d.id is not null, n.row_id" AS_TEXT] [ROW_AT] DECISIONS_FROM_1_TO_2)),
    (Stream::Outcome, outcomes!(["n.hash, o.id is not null, n.row_id" AS_TEXT] [ROW_AT] OUTCOMES_FROM_1_TO_2)),
];

/// A leaf of these, and its row.
pub(in crate::store::sql) fn in_order(stream: Stream, row: &Row) -> Result<(LeafRow, Option<LeafRecord>), StoreError> {
    let columns = columns(stream, row, 3)?;
    let of_form =
        |wanted| stream.columns().iter().zip(&columns).find_map(move |((_, form), column)| (*form == wanted).then_some(*column));
    let (Some(Stored::Text(id)), Some(Stored::Text(at))) = (of_form(Form::Text), of_form(Form::Time)) else {
        return Err(StoreError::Corrupt("a leaf names no row".into()));
    };
    let leaf = LeafRow { index: index(Some(row), 0)?, stream, id: id.to_owned(), at: at.to_owned(), hash: hash(row, 1)? };
    let has_row = row.int(2)? != 0;
    Ok((leaf, has_row.then(|| LeafRecord::new(stream, &columns))))
}

/// Each begins with the place of the row among those that are asked for.
const fn statement(stream: Stream) -> Sql {
    match stream {
        Stream::Decision => {
            decisions!(["id" AS_TEXT] [DECIDED_AT] ROWS_OF_1 " join decisions d on d.decided_at = n.row_at and d.id = n.row_id")
        }
        Stream::Outcome => outcomes!(["id" AS_TEXT] [AT] ROWS_OF_1 " join outcomes o on o.at = n.row_at and o.id = n.row_id"),
        Stream::Review => sql!(
            "select n.place, id" AS_TEXT ", " AT ", decision_id" AS_TEXT ", kind, operation_id, flow_id" AS_TEXT ", verdict, reviewer, user_id, "
            "comment, " VALID_UNTIL " from " ROWS_OF_1 " join reviews r on r.id = n.row_id and r.at = n.row_at"
        ),
        Stream::OperatorAction => sql!(
            "select n.place, id" AS_TEXT ", " AT ", operator, action, target, comment from " ROWS_OF_1
            " join operator_actions a on a.id = n.row_id and a.at = n.row_at"
        ),
        Stream::PolicyActivation => sql!(
            "select n.place, id, " AT ", hash, replica from " ROWS_OF_1 " join policy_activations a on a.id = n.row_number and a.at = n.row_at"
        ),
        Stream::ConfigurationChange => sql!(
            "select n.place, id" AS_TEXT ", " AT ", replica, version, body from " ROWS_OF_1
            " join configuration_changes c on c.id = n.row_id and c.at = n.row_at"
        ),
    }
}

/// The statements that read the rows of leaves, a table each. The places are where they stand in `leaves`.
pub(in crate::store::sql) fn asked(leaves: &[LeafRow], tables: impl IntoIterator<Item = Stream>) -> Vec<(Stream, Sql, Vec<Arg>)> {
    let of = |stream| leaves.iter().enumerate().filter(move |(_, leaf)| leaf.stream == stream).collect::<Vec<_>>();
    let tables = tables.into_iter().map(|stream| (stream, of(stream))).filter(|(_, leaves)| !leaves.is_empty());
    tables.map(|(stream, leaves)| (stream, statement(stream), args![wanted(&leaves)])).collect()
}

/// Puts what is made of a row in the row's place, which is its first column.
pub(in crate::store::sql) fn put<T>(
    found: &mut [Option<T>],
    stream: Stream,
    row: &Row,
    of: impl FnOnce(LeafRecord) -> T,
) -> Result<(), StoreError> {
    let place = usize::try_from(row.int(0)?).map_err(|_| StoreError::Corrupt("a place is no number".into()))?;
    if let Some(slot) = found.get_mut(place) {
        *slot = Some(of(LeafRecord::new(stream, &columns(stream, row, 1)?)));
    }
    Ok(())
}

/// Rows by their places among these leaves, as an argument.
pub(in crate::store::sql) fn wanted_of(leaves: &[LeafRow]) -> String {
    wanted(&leaves.iter().enumerate().collect::<Vec<_>>())
}

fn wanted(leaves: &[(usize, &LeafRow)]) -> String {
    let rows: Vec<_> = leaves
        .iter()
        .map(|(place, leaf)| json!({ "place": place, "row_id": leaf.id, "row_at": leaf.at, "row_number": number(&leaf.id), "row_stream": leaf.stream.number() }))
        .collect();
    Value::Array(rows).to_string()
}

/// A policy activation's number, from the id that stands for it.
fn number(id: &str) -> Option<u64> {
    u64::try_from(uuid::Uuid::try_parse(id).ok()?.as_u128()).ok().filter(|number| *number <= i64::MAX.unsigned_abs())
}

/// The columns of a row, which begin at a place.
fn columns(stream: Stream, row: &Row, first: usize) -> Result<Vec<Stored<'_>>, StoreError> {
    let column = |(position, (_, form)): (usize, &(&str, Form))| {
        let index = position.saturating_add(first);
        Ok(match form {
            Form::Integer | Form::Flag => row.opt_int(index)?.map_or(Stored::Null, Stored::Number),
            Form::Text | Form::Time | Form::Json | Form::Sealed => row.opt_text(index)?.map_or(Stored::Null, Stored::Text),
        })
    };
    stream.columns().iter().enumerate().map(column).collect()
}
