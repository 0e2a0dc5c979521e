//! The line for a lane: joining a flow, waiting for the lane, turns, and whatever has stood in line too long.
//!
//! Everything here runs under the lock on the lane's row. `flow::turn` says who is next and for how long.

use super::types::{Claim, Lane};
use super::{audit_time, events, timestamp};
use crate::domain::duration::{from_micros, micros};
use crate::domain::ids::{FlowId, RecordId};
use crate::flow::{Missed, Next, after_missed, average_return, first_in_line, turn_length};
use crate::store::StoreError;
use crate::store::connection::{Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{Deciding, LaneRules, Lease, Passed};

/// Locks the lane's row and reads it and the clock.
const TAKE_LANE: Sql = sql!(
    "insert into lanes (lane, version) values ($1, 0) on conflict (lane) do update set version = lanes.version "
    "returning version, returns_after, " NOW ", waiting"
);
/// Every outcome moves the lane's version; the row stays locked until the commit.
const MOVE_LANE: Sql =
    sql!("update lanes set version = version + 1 where lane = $1 returning version, returns_after, " NOW ", waiting");
/// The same for the lane that an operation holds.
const MOVE_HELD: Sql = sql!(
    "update lanes set version = version + 1 where lane" FOUND_BY "(select lane from operations where id = $1 and fence = $2)" FOUND
    " returning version, returns_after, " NOW ", waiting, lane, "
    "(select case when home <> owner then home end from operations where id = $1)"
);
/// Who holds the lane, whose turn it is, and who is first in line; one row.
const LINE: Sql = sql!(
    "select h.id, t.id, t.turn_until, o.id, o.place, f.id, f.since from (select 1) one "
    "left join (select id from operations where lane = $1) h on true "
    "left join (select id, turn_until from flows where lane = $1 and turn_until is not null) t on true "
    "left join (select id, coalesce(place_in_line, received_at) as place from operations where parked_on = $1 "
    "order by place_in_line, received_at, id limit 1) o on true "
    "left join (select id, since from flows where lane = $1 and in_line = 1 order by since, id limit 1) f on true"
);
const HAND_ON: Sql = sql!(
    "update operations set lane = $1, parked_on = null, fence = fence + 1, due_at = " NOW " where id = $2 and parked_on = $1 returning id"
);
const GIVE_TURN: Sql = sql!("update flows set in_line = 0, turn_since = $2, turn_until = $3, open_since = $2 where id = $1");
/// A report that names the flow is being read: its client came, and the turn lasts as long as the longest.
const PROLONG: Sql = sql!(
    "update flows set turn_until = turn_since + $2 where id = $1 and turn_since + $2 > $3 and exists (select 1 from operations o "
    "where o.requested_flow = $1 and o.place_in_line is null and coalesce(o.due_at, 0) > 0) returning id"
);
const COUNT_MISS: Sql = sql!("update flows set missed = missed + 1 where id = $1 returning missed");
/// When the turn began stays: whoever comes late tells how long clients need.
const BACK_IN_LINE: Sql = sql!("update flows set in_line = 1, since = $2, turn_until = null where id = $1");
const SUPERSEDE: Sql = sql!(
    "update operations set state = 'superseded', outcome = 'superseded', settled_at = $2, wait_until = null "
    "where flow_id = $1 and state = 'waiting' returning id"
);
/// Their clients are told now, and come back from now on.
const REOPEN_OVERDUE: Sql = sql!(
    "update flows set open_since = $2 where lane = $1 and id in (select o.flow_id from operations o where o.state = 'waiting' "
    "and o.wait_until <= $2)"
);
const SUPERSEDE_OVERDUE: Sql = sql!(
    "update operations set state = 'superseded', outcome = 'superseded', settled_at = $2, wait_until = null "
    "where state = 'waiting' and wait_until <= $2 and (select f.lane from flows f where f.id = operations.flow_id) = $1 returning id"
);
const FLOW_BY_ID: Sql =
    sql!("select id, attempts, since, turn_since from flows where id = $1 and intent = $2 and open_since is not null");
const FLOW_BY_INTENT: Sql = sql!(
    "select id, attempts, since, turn_since from flows where intent = $1 and open_since > (select " NOW
    ") - $2 order by open_since desc limit 1"
);
const CONTINUE_FLOW: Sql = sql!(
    "update flows set attempts = $2, open_since = null, in_line = 0, turn_since = null, turn_until = null, missed = 0, "
    "lane = $3, since = $4 where id = $1"
);
const NEW_FLOW: Sql = sql!("insert into flows (id, intent, attempts, lane, since) values ($1, $2, 1, $3, $4)");
const JOINED: Sql = sql!(
    "update operations set flow_id = $3, attempt = $4, place_in_line = $5 where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
);
const RETURNED: Sql = sql!("update lanes set returns_after = $2 where lane = $1");
const AWAIT_TURN: Sql =
    sql!("update flows set in_line = 1, open_since = $2, since = coalesce(since, $2), lane = coalesce(lane, $3) where id = $1");
/// So that the end of whoever holds the lane looks who is in line; the row is locked.
const SOMEBODY_WAITS: Sql = sql!("update lanes set waiting = 1 where lane = $1");
const FLOW_WAITS: Sql = sql!("update lanes set waiting = 1 where lane = (select lane from flows where id = $1)");
const NOBODY_WAITS: Sql = sql!("update lanes set waiting = 0 where lane = $1");
const OVER: Sql = sql!("update flows set in_line = 0, turn_since = null, turn_until = null, open_since = null where id = $1");
/// The lanes on which time has brought something about, or that nobody holds while somebody is in line.
pub(super) const DUE_LANES: Sql = sql!(
    "select lane from flows where turn_until <= (select " NOW
    ") union select f.lane from operations o join flows f on f.id" FOUND_BY "o.flow_id" FOUND " where o.state = 'waiting' and o.wait_until <= (select " NOW ") and f.lane is not null"
    " union select f.lane from flows f where f.in_line = 1 and f.lane is not null"
    " and not exists (select 1 from operations o where o.lane = f.lane limit 1 offset 0)"
    " and not exists (select 1 from flows t where t.lane = f.lane and t.turn_until is not null limit 1 offset 0)"
    " union select p.parked_on from operations p where p.parked_on is not null"
    " and not exists (select 1 from operations o where o.lane = p.parked_on limit 1 offset 0)"
    " and not exists (select 1 from flows t where t.lane = p.parked_on and t.turn_until is not null limit 1 offset 0)"
    " limit 100"
);
/// Whoever waits for it elsewhere looks again.
const NOTIFY: Sql = Sql { postgres: "select pg_notify('assent_settled', $1)::text", sqlite: "select $1" };

/// A lane whose row this transaction has locked.
pub(super) async fn lock(tx: &mut dyn Transaction, lane: &str) -> Result<Lane, StoreError> {
    locked(tx, TAKE_LANE, lane).await
}

/// The same, with an outcome on it: its version moves.
pub(super) async fn lock_and_move(tx: &mut dyn Transaction, lane: &str) -> Result<Lane, StoreError> {
    locked(tx, MOVE_LANE, lane).await
}

async fn locked(tx: &mut dyn Transaction, statement: Sql, lane: &str) -> Result<Lane, StoreError> {
    let row = first(tx.rows(statement, args![lane]).await?).ok_or_else(|| StoreError::Corrupt("no lane".into()))?;
    read_lane(&row, lane)
}

/// The lane that an operation holds, with an outcome on it, and whether somebody waits elsewhere for that operation; nothing where it
/// holds none.
pub(super) async fn move_held(tx: &mut dyn Transaction, lease: Lease) -> Result<Option<(Lane, bool)>, StoreError> {
    let Some(row) = first(tx.rows(MOVE_HELD, args![lease.id.to_string(), lease.fence]).await?) else { return Ok(None) };
    Ok(Some((read_lane(&row, row.text(4)?)?, row.opt_text(5)?.is_some())))
}

fn read_lane(row: &Row, lane: &str) -> Result<Lane, StoreError> {
    Ok(Lane {
        name: lane.to_owned(),
        version: row.int(0)?,
        returns_after: row.opt_int(1)?.map(from_micros),
        is_awaited: row.int(3)? != 0,
        now: row.int(2)?,
    })
}

/// How the line stands.
pub(super) struct Line {
    holder: Option<String>,
    turn: Option<(FlowId, i64)>,
    operation: Option<(RecordId, i64)>,
    flow: Option<(FlowId, i64)>,
}

impl Line {
    pub(super) async fn read(tx: &mut dyn Transaction, lane: &str) -> Result<Self, StoreError> {
        let row = first(tx.rows(LINE, args![lane]).await?).ok_or_else(|| StoreError::Corrupt("no line".into()))?;
        fn pair<T>(row: &Row, index: usize, parse: fn(&str) -> Option<T>) -> Result<Option<(T, i64)>, StoreError> {
            Ok(row.opt_parsed(index, parse)?.zip(row.opt_int(index + 1)?))
        }
        Ok(Self {
            holder: row.opt_text(0)?.map(str::to_owned),
            turn: pair(&row, 1, FlowId::parse)?,
            operation: pair(&row, 3, RecordId::parse)?,
            flow: pair(&row, 5, FlowId::parse)?,
        })
    }

    /// Whether an operation may go on. Whoever holds the lane does, even if it is somebody's turn: the release before this
    /// one takes lanes without asking for turns.
    pub(super) fn way_of(&self, operation: &str, now: i64) -> Way {
        match (self.holder.as_deref(), self.turn) {
            (Some(holder), _) if holder == operation => Way::Free,
            (Some(_), _) => Way::Busy,
            (None, Some((_, until))) if until > now => Way::Busy,
            (None, Some(_)) => Way::TurnMissed,
            (None, None) => Way::Free,
        }
    }
}

/// Whether an operation may take the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It may, or has it.
    Free,
    /// Another one holds it, or it is held for another flow.
    Busy,
    /// Somebody missed a turn, so the line has to move before anybody takes it.
    TurnMissed,
}

/// Gives a lane that nobody holds to whoever is first in line.
pub(super) async fn hand_on(tx: &mut dyn Transaction, lane: &Lane, rules: LaneRules) -> Result<Passed, StoreError> {
    let mut line = Line::read(tx, &lane.name).await?;
    if let Some((flow, until)) = line.turn {
        if until > lane.now {
            return Ok(Passed::default());
        }
        let prolong = args![flow.to_string(), micros(rules.turn), lane.now];
        if first(tx.rows(PROLONG, prolong).await?).is_some() {
            return Ok(Passed::default());
        }
        miss(tx, flow, lane.now).await?;
        line = Line::read(tx, &lane.name).await?;
    }
    if line.holder.is_some() {
        return Ok(Passed::default());
    }
    match first_in_line(line.operation.map(|(_, place)| place), line.flow.map(|(_, place)| place)) {
        None => {
            if lane.is_awaited {
                tx.run(NOBODY_WAITS, args![lane.name.as_str()]).await?;
            }
            Ok(Passed::default())
        }
        Some(Next::Operation) => {
            let Some((operation, _)) = line.operation else { return Ok(Passed::default()) };
            let row = first(tx.rows(HAND_ON, args![lane.name.as_str(), operation.to_string()]).await?);
            Ok(Passed { handed_to: row.map(|row| row.parsed(0, RecordId::parse)).transpose()?, superseded: Vec::new() })
        }
        Some(Next::Flow) => {
            let Some((flow, _)) = line.flow else { return Ok(Passed::default()) };
            let until = lane.now + micros(turn_length(lane.returns_after, rules.turn));
            tx.run(GIVE_TURN, args![flow.to_string(), lane.now, until]).await?;
            let superseded = supersede(tx, SUPERSEDE, &flow.to_string(), lane.now, rules).await?;
            Ok(Passed { handed_to: None, superseded })
        }
    }
}

async fn miss(tx: &mut dyn Transaction, flow: FlowId, now: i64) -> Result<(), StoreError> {
    let flow = flow.to_string();
    let missed = first(tx.rows(COUNT_MISS, args![flow.as_str()]).await?).map_or(Ok(0), |row| row.int(0))?;
    match after_missed(u32::try_from(missed).unwrap_or(u32::MAX)) {
        Missed::BackInLine => tx.run(BACK_IN_LINE, args![flow, now]).await.map(|_| ()),
        Missed::FlowEnds => end_flow(tx, &flow).await,
    }
}

/// Tells the clients of waiting operations to start again; which operations.
async fn supersede(
    tx: &mut dyn Transaction,
    which: Sql,
    of: &str,
    now: i64,
    rules: LaneRules,
) -> Result<Vec<RecordId>, StoreError> {
    let rows = tx.rows(which, args![of, now]).await?;
    let mut superseded = Vec::new();
    for row in rows {
        let id = row.parsed(0, RecordId::parse)?;
        events::tell(tx, id, "superseded", &audit_time(timestamp(now)?), rules).await?;
        notify(tx, id).await?;
        superseded.push(id);
    }
    Ok(superseded)
}

/// Has requests look again that wait for the operation at another replica.
pub(super) async fn notify(tx: &mut dyn Transaction, id: RecordId) -> Result<(), StoreError> {
    tx.rows(NOTIFY, args![id.to_string()]).await.map(|_| ())
}

/// The flow that this operation continues, or a new one; with its place in line. The operations of that flow that waited, whose
/// clients are told to start again.
pub(super) async fn join(
    tx: &mut dyn Transaction,
    deciding: &Deciding<'_>,
    lane: &mut Lane,
    own: &mut Claim,
) -> Result<Vec<RecordId>, StoreError> {
    let mut superseded = Vec::new();
    let intent = super::decide::intent_key(deciding.intent);
    let mut found = match deciding.requested_flow {
        Some(flow) => first(tx.rows(FLOW_BY_ID, args![flow.to_string(), intent.as_str()]).await?),
        None => None,
    };
    if found.is_none() && !deciding.intent.kind.is_link() {
        found = first(tx.rows(FLOW_BY_INTENT, args![intent.as_str(), micros(deciding.rules.join_window)]).await?);
    }
    let place = match found {
        None => {
            (own.flow, own.attempt) = (deciding.fresh_flow, 1);
            tx.run(NEW_FLOW, args![own.flow.to_string(), intent, lane.name.as_str(), own.received_at]).await?;
            own.received_at
        }
        Some(row) => {
            own.flow = row.parsed(0, FlowId::parse)?;
            own.attempt = u32::try_from(row.int(1)?).unwrap_or(u32::MAX).saturating_add(1);
            let place = row.opt_int(2)?.unwrap_or(own.received_at);
            if let Some(turn_since) = row.opt_int(3)? {
                // Until it could be judged: what the platform takes to be read is a part of it.
                let returned_after = from_micros(lane.now - turn_since).min(deciding.rules.turn);
                let average = average_return(lane.returns_after, returned_after);
                lane.returns_after = Some(average);
                tx.run(RETURNED, args![lane.name.as_str(), micros(average)]).await?;
            }
            // A client that did not wait for its turn: what it left behind is settled, and its place is its own.
            superseded = supersede(tx, SUPERSEDE, &own.flow.to_string(), lane.now, deciding.rules).await?;
            tx.run(CONTINUE_FLOW, args![own.flow.to_string(), i64::from(own.attempt), lane.name.as_str(), place]).await?;
            place
        }
    };
    own.place = Some(place);
    let args = args![deciding.lease.id.to_string(), deciding.lease.fence, own.flow.to_string(), i64::from(own.attempt), place];
    super::fenced(tx.run(JOINED, args).await?)?;
    Ok(superseded)
}

/// The flow waits for its turn.
pub(super) async fn await_turn(tx: &mut dyn Transaction, flow: &str, now: i64, lane: Option<&str>) -> Result<(), StoreError> {
    tx.run(AWAIT_TURN, args![flow, now, lane.map(str::to_owned)]).await?;
    tx.run(FLOW_WAITS, args![flow]).await.map(|_| ())
}

/// Somebody is in line for the lane from now on.
pub(super) async fn wait(tx: &mut dyn Transaction, lane: &str) -> Result<(), StoreError> {
    tx.run(SOMEBODY_WAITS, args![lane]).await.map(|_| ())
}

/// The flow has come to its end.
pub(super) async fn end_flow(tx: &mut dyn Transaction, flow: &str) -> Result<(), StoreError> {
    tx.run(OVER, args![flow]).await.map(|_| ())
}

/// Sees to one lane on which time has brought something about.
pub(super) async fn tidy(tx: &mut dyn Transaction, lane: &str, rules: LaneRules) -> Result<Passed, StoreError> {
    let lane = lock(tx, lane).await?;
    tx.run(REOPEN_OVERDUE, args![lane.name.as_str(), lane.now]).await?;
    let superseded = supersede(tx, SUPERSEDE_OVERDUE, &lane.name, lane.now, rules).await?;
    let passed = hand_on(tx, &lane, rules).await?;
    Ok(Passed { handed_to: None, superseded }.and(passed))
}
