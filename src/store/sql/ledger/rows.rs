//! Rows of the audit tables as the tree sees them: one statement a table, its columns in the order of [`Stream::columns`].

use crate::audit::{Form, LeafRecord, Stored, Stream};
use crate::store::StoreError;
use crate::store::connection::{Arg, Column, Driver, Row, args};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LeafRow, RowPlace, RowsInOrder};
use crate::store::sql::midnight;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// The columns of a table, after what comes first and before what else there is; where they are from. JSON as text, whatever a log keeps
/// it as: that may change while somebody is connected.
macro_rules! decisions {
    ($first:literal and $more:literal $($from:tt)+) => {
        sql!(
            $first "id, decided_at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, requester_id, verdict, \
             decided_by, rules, reason, policy_hash, evaluator_version, facts" AS_TEXT ", facts_personal" AS_TEXT ", trace" AS_TEXT
            ", shadow" AS_TEXT $more " from " $($from)+
        )
    };
    ($first:literal $($from:tt)+) => { decisions!($first and "" $($from)+) };
}

/// So far may the database's clock be set back without an outcome being lost sight of.
const SET_BACK_AT_MOST: SignedDuration = SignedDuration::from_hours(31 * 24);

macro_rules! outcomes {
    ($first:literal $($from:tt)+) => {
        sql!($first "id, decision_id, at, kind, operation_id, outcome, error_code, detail, reconciled from " $($from)+)
    };
}

/// Rows in the order of their times, from a place on, until a time. SQLite has no index for it, and finds each row as fast.
const DECISIONS_FROM: &str =
    decisions!("select " "decisions where decided_at >= $1" AS_TIME " and decided_at <= $3" AS_TIME " and (decided_at, id) >= ($1"
    AS_TIME ", $2" AS_UUID ") order by decided_at, id limit $4")
    .postgres;
const OUTCOMES_FROM: &str =
    outcomes!("select " "outcomes where at >= $1" AS_TIME " and at <= $3" AS_TIME " and (at, id) >= ($1" AS_TIME
    ", $2" AS_UUID ") order by at, id limit $4")
    .postgres;

/// The rows of a table from a place on, at most so many.
pub(in crate::store::sql) async fn from<D: Driver>(
    driver: &D,
    stream: Stream,
    from: RowPlace,
    limit: u32,
) -> Result<Option<RowsInOrder>, StoreError> {
    let postgres = match stream {
        Stream::Decision => DECISIONS_FROM,
        Stream::Outcome => OUTCOMES_FROM,
        _ => return Ok(None),
    };
    if !driver.takes_sets() {
        return Ok(None);
    }
    let until = async |from: RowPlace, until: Timestamp, limit: i64| {
        driver.read(Sql { postgres, sqlite: "" }, args![from.at, from.id.to_string(), until, limit]).await
    };
    let mut rows = Vec::new();
    let mut next = from;
    // To plan for the one month takes the server a tenth of what planning for every month takes, which is more than reading the rows.
    if let Some((last, first)) = month_end(from.at) {
        rows = until(from, last, i64::from(limit)).await?;
        next = RowPlace { at: first, id: Uuid::nil() };
    }
    let missing = i64::from(limit).saturating_sub_unsigned(rows.len() as u64);
    if missing > 0 {
        rows.extend(until(next, Timestamp::MAX, missing).await?);
    }
    let last = rows.last().filter(|_| rows.len() as u64 == u64::from(limit)).and_then(|row| place(stream, row).ok());
    let read = move |row: &Row| Ok((place(stream, row)?, as_found(stream, row, 0)));
    // The server need not wait for that.
    Ok(Some(RowsInOrder { rows: tokio::task::spawn_blocking(move || rows.iter().map(read).collect()), last }))
}

/// The last moment of a time's month as far as a database can tell, and the first of the next; nothing at the end of time.
fn month_end(at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let next = TimeZone::UTC.to_datetime(at).date().last_of_month().tomorrow().ok()?;
    let next = midnight(next)?;
    Some((next.checked_sub(SignedDuration::from_micros(1)).ok()?, next))
}

fn place(stream: Stream, row: &Row) -> Result<RowPlace, StoreError> {
    let time = stream.columns().iter().position(|(_, form)| *form == Form::Time);
    Ok(RowPlace { id: row.id(0)?, at: row.time(time.unwrap_or_default())? })
}

/// Each begins with the place of the row among those that are asked for.
const fn statement(stream: Stream) -> Sql {
    match stream {
        // For the server as a question for each row: it finds it by its key, for less than with `FOUND_BY` on two columns.
        Stream::Decision => Sql {
            postgres: decisions!("select n.place, " ROWS_OF_1 " cross join lateral (select * from decisions d where d.decided_at = n.row_at "
                                 "and d.id = n.row_id offset 0) d")
            .postgres,
            sqlite: decisions!("select n.place, " ROWS_OF_1 " join decisions d on d.decided_at = n.row_at and d.id = n.row_id").sqlite,
        },
        Stream::Outcome => Sql {
            postgres: outcomes!("select n.place, " ROWS_OF_1 " cross join lateral (select * from outcomes o where o.at = n.row_at "
                                "and o.id = n.row_id offset 0) o")
            .postgres,
            sqlite: outcomes!("select n.place, " ROWS_OF_1 " join outcomes o on o.at = n.row_at and o.id = n.row_id").sqlite,
        },
        Stream::Review => sql!(
            "select n.place, id, at, decision_id, kind, operation_id, flow_id, verdict, reviewer, user_id, comment, valid_until from " ROWS_OF_1
            " join reviews r on r.id" FOUND_BY "n.row_id" FOUND " and r.at = n.row_at"
        ),
        Stream::OperatorAction => sql!(
            "select n.place, id, at, operator, action, target, comment from " ROWS_OF_1
            " join operator_actions a on a.id" FOUND_BY "n.row_id" FOUND " and a.at" FOUND_BY "n.row_at" FOUND
        ),
        Stream::PolicyActivation => sql!(
            "select n.place, id, at, hash, replica from " ROWS_OF_1 " join policy_activations a on a.id" FOUND_BY "n.row_number" FOUND " and a.at = n.row_at"
        ),
        Stream::ConfigurationChange => sql!(
            "select n.place, id, at, replica, version, body from " ROWS_OF_1
            " join configuration_changes c on c.id" FOUND_BY "n.row_id" FOUND " and c.at" FOUND_BY "n.row_at" FOUND
        ),
    }
}

/// The statements that read the rows of leaves, a table each; nothing of those that are not asked for. The places are where they stand
/// in `leaves`.
pub(super) fn asked(leaves: &[LeafRow], is_asked: impl Fn(usize) -> bool) -> Vec<(Stream, Sql, Vec<Arg>)> {
    let is_asked = &is_asked;
    let of = |stream| {
        leaves.iter().enumerate().filter(move |(place, leaf)| leaf.stream == stream && is_asked(*place)).collect::<Vec<_>>()
    };
    let tables = Stream::ALL.into_iter().map(|stream| (stream, of(stream))).filter(|(_, leaves)| !leaves.is_empty());
    tables.map(|(stream, leaves)| (stream, statement(stream), vec![wanted(&leaves)])).collect()
}

/// Decisions by their places and the last outcome of each, for a server that plans for what it is asked: told of which months they are,
/// it plans for these. Not for plans that are made once, which would read all of that time.
pub(in crate::store::sql) fn decisions_of_their_time(places: &[LeafRow]) -> (Sql, Vec<Arg>) {
    const WITHIN: Sql = Sql {
        postgres: decisions!("select n.place, " and ", outcome, error_code, ended_at" ROWS_OF_1
                             " join decisions d on d.decided_at = n.row_at and d.id = n.row_id left join lateral (\
                             select o.outcome, o.error_code, o.at as ended_at from outcomes o where o.decision_id = n.row_id and o.at >= $8 \
                             order by o.at desc, o.id desc limit 1) ended on true where d.decided_at >= $6 and d.decided_at <= $7")
        .postgres,
        sqlite: decisions!("select n.place, d." and ", outcome, error_code, ended_at" ROWS_OF_1
                           " join decisions d on d.decided_at = n.row_at and d.id = n.row_id left join (\
                           select o.id as ended, o.outcome, o.error_code, o.at as ended_at from outcomes o) on ended = \
                           (select o.id from outcomes o where o.decision_id = n.row_id order by o.at desc, o.id desc limit 1) \
                           where $2 is not null and $3 is not null and $4 is not null")
        .sqlite,
    };
    let times = || places.iter().map(|leaf| leaf.place.at);
    let (first, last) = (times().min().unwrap_or(Timestamp::MIN), times().max().unwrap_or(Timestamp::MAX));
    // What became of a decision was written after it, as far as a clock can be set back.
    let ended = first.checked_sub(SET_BACK_AT_MOST).unwrap_or(Timestamp::MIN);
    (WITHIN, [wanted_of(places)].into_iter().chain([first, last, ended].map(Arg::from)).collect())
}

/// Where the outcome of a decision stands in what [`decisions_of_their_time`] reads.
pub(in crate::store::sql) const fn outcome_column() -> usize {
    Stream::Decision.columns().len() + 1
}

/// A row as whoever checks it sees it: one that cannot be read is none that was sealed, and keeps nobody from checking the others.
fn as_found(stream: Stream, row: &Row, first: usize) -> LeafRecord {
    let columns = columns(stream, row, first);
    columns.map_or_else(|_| LeafRecord::unreadable(stream), |columns| LeafRecord::new(stream, &columns))
}

/// The same as [`put`] for whoever checks rows.
pub(super) fn put_as_found(found: &mut [Option<LeafRecord>], stream: Stream, row: &Row) -> Result<(), StoreError> {
    if let Some(slot) = slot(found, row)? {
        *slot = Some(as_found(stream, row, 1));
    }
    Ok(())
}

fn slot<'f, T>(found: &'f mut [Option<T>], row: &Row) -> Result<Option<&'f mut Option<T>>, StoreError> {
    let place = usize::try_from(row.int(0)?).map_err(|_| StoreError::Corrupt("a place is no number".into()))?;
    Ok(found.get_mut(place))
}

/// Puts what is made of a row in the row's place, which is its first column.
pub(in crate::store::sql) fn put<T>(
    found: &mut [Option<T>],
    stream: Stream,
    row: &Row,
    of: impl FnOnce(LeafRecord) -> T,
) -> Result<(), StoreError> {
    if let Some(slot) = slot(found, row)? {
        *slot = Some(of(LeafRecord::new(stream, &columns(stream, row, 1)?)));
    }
    Ok(())
}

/// Where a column stands in what [`asked`] reads of a table, after the place.
pub(super) fn column(stream: Stream, name: &str) -> usize {
    stream.columns().iter().take_while(|(column, _)| *column != name).count().saturating_add(1)
}

/// Rows by their places among these leaves, as an argument.
pub(in crate::store::sql) fn wanted_of(leaves: &[LeafRow]) -> Arg {
    wanted(&leaves.iter().enumerate().collect::<Vec<_>>())
}

fn wanted(leaves: &[(usize, &LeafRow)]) -> Arg {
    let places = || leaves.iter().map(|(_, leaf)| leaf.place);
    Arg::Rows(vec![
        ("place", Column::Numbers(leaves.iter().map(|(place, _)| i64::try_from(*place).ok()).collect())),
        ("row_id", Column::Ids(places().map(|place| place.id).collect())),
        ("row_at", Column::Times(places().map(|place| place.at).collect())),
        ("row_number", Column::Numbers(places().map(|place| number(place.id)).collect())),
        ("row_stream", Column::Numbers(leaves.iter().map(|(_, leaf)| Some(leaf.stream.number())).collect())),
    ])
}

/// A policy activation's number, from the id that stands for it.
fn number(id: Uuid) -> Option<i64> {
    i64::try_from(id.as_u128()).ok()
}

/// The columns of a row, which begin at a place.
fn columns(stream: Stream, row: &Row, first: usize) -> Result<Vec<Stored<'_>>, StoreError> {
    let count = stream.columns().len();
    let mut columns = Vec::with_capacity(count);
    for index in (first..).take(count) {
        columns.push(row.stored(index)?);
    }
    Ok(columns)
}
