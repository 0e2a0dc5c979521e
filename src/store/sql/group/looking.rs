//! A look at all that decisions stand on and that this replica has not seen yet: operations, lanes, counters, keys; of what is not
//! stored yet at counters and keys, of which none is made for it: it may be known.

use super::asking::Asking;
use super::seen::{LaneRow, Seen, Window};
use super::statements::LOOK;
use super::{answer, scattered};
use crate::audit::WrappedKey;
use crate::domain::duration::micros;
use crate::domain::ids::FlowId;
use crate::domain::verdict::Verdict;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row};
use crate::store::group::Answer;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

pub(in crate::store::sql) struct Request {
    pub(super) asking: Arc<Asking>,
    pub(super) answer: Answer<Own, StoreError>,
}

/// How an operation and its lane stand, found under its lease.
pub(super) struct Own {
    flow: FlowId,
    /// Nothing before it has joined a flow.
    place: Option<i64>,
    received_at: i64,
    pub(super) is_plain: bool,
    pub(super) holder: Option<String>,
    pub(super) committed: Option<Verdict>,
    /// How often the lane has moved, and how it stands.
    pub(super) lane: (i64, LaneRow),
}

impl Own {
    /// The flow that it is in, or the one that begins with it.
    pub(super) fn flow_of(&self, asking: &Asking) -> FlowId {
        if self.has_joined() { self.flow } else { asking.fresh_flow }
    }

    pub(super) const fn has_joined(&self) -> bool {
        self.place.is_some()
    }

    /// Where it is in line.
    pub(super) fn place(&self) -> i64 {
        self.place.unwrap_or(self.received_at)
    }
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, seen: Arc<Seen>, requests: Vec<Request>) {
    match look(driver.as_ref(), &seen, &requests).await {
        Ok(own) => requests.into_iter().zip(own).for_each(|(one, own)| {
            let is_stored = one.asking.arrival.is_none();
            answer(one.answer, if own.is_none() && is_stored { Err(StoreError::Fenced) } else { Ok(own) });
        }),
        // Nothing has happened yet: each tries by itself.
        Err(error) => {
            scattered(&error);
            requests.into_iter().for_each(|one| answer(one.answer, Ok(None)));
        }
    }
}

async fn look(driver: &impl Driver, seen: &Seen, requests: &[Request]) -> Result<Vec<Option<Own>>, StoreError> {
    let group: Vec<_> = requests.iter().map(|one| one.asking.as_ref()).collect();
    let texts = |of: &dyn Fn(&Asking) -> Option<String>| Arg::Texts(group.iter().map(|one| of(one)).collect());
    let mut queries: Vec<_> =
        group.iter().flat_map(|one| &one.queries).map(|(_, key, within)| (key.as_str(), micros(*within))).collect();
    queries.sort_unstable();
    queries.dedup();
    let (arriving, stored): (Vec<&Asking>, Vec<_>) = group.iter().partition(|one| one.arrival.is_some());
    let unmade = arriving.iter().flat_map(|one| &one.persons).map(|person| (person.id.to_string(), None));
    let made = stored.iter().flat_map(|one| &one.persons).map(|person| (person.id.to_string(), Some(person.fresh_key.0.clone())));
    let persons: HashMap<_, _> = unmade.chain(made).collect();
    let (names, fresh): (Vec<_>, Vec<_>) = persons.into_iter().map(|(name, fresh)| (Some(name), fresh)).unzip();
    let mut counters: Vec<_> = group.iter().flat_map(|one| one.counters()).collect();
    counters.sort_unstable();
    counters.dedup();
    let args = vec![
        texts(&|one| Some(one.lease.id.to_string())),
        Arg::Ints(group.iter().map(|one| Some(one.lease.fence)).collect()),
        texts(&|one| Some(one.lane.clone())),
        texts(&|one| Some(one.intent.clone())),
        texts(&|one| one.requested_flow.map(|flow| flow.to_string())),
        texts(&|one| Some(one.kind.as_str().to_owned())),
        texts(&|one| Some(one.operation_id.clone())),
        Arg::Bools(group.iter().map(|one| one.is_pausable).collect()),
        Arg::Bools(group.iter().map(|one| one.joins()).collect()),
        Arg::Texts(queries.iter().map(|(key, _)| Some((*key).to_owned())).collect()),
        Arg::Ints(queries.iter().map(|(_, within)| Some(*within)).collect()),
        Arg::Texts(names),
        Arg::Blobs(fresh),
        Arg::Texts(counters.iter().map(|key| Some((*key).to_owned())).collect()),
        Arg::Int(group.first().map_or(0, |one| micros(one.join_window))),
    ];
    let asked_at = Instant::now();
    let mut own: Vec<Option<Own>> = group.iter().map(|_| None).collect();
    let mut rows_of: HashMap<String, String> = HashMap::new();
    let mut counted = Vec::new();
    for row in &driver.look(LOOK, args).await? {
        let place = usize::try_from(row.int(1)?).unwrap_or(usize::MAX).wrapping_sub(1);
        match row.int(0)? {
            0 => {
                seen.tell_time(row.int(11)?, asked_at);
                own.get_mut(place).into_iter().try_for_each(|slot| own_of(row).map(|own| *slot = Some(own)))?;
            }
            1 => counted.push((place, row.count(3)?, row.opt_int(4)?)),
            2 => drop(rows_of.insert(row.text(2)?.to_owned(), row.text(10)?.to_owned())),
            _ => seen.put_key(row.text(2)?, WrappedKey(row.opt_bytes(9)?.unwrap_or_default().to_vec())),
        }
    }
    for key in counters {
        let Some(row) = rows_of.get(key) else { continue };
        let windows = counted.iter().filter_map(|(place, count, oldest)| {
            let (_, within) = queries.get(*place).filter(|(counter, _)| *counter == key)?;
            Some(Window { within: *within, count: *count, oldest: *oldest })
        });
        seen.put_counter(key, row, windows.collect(), asked_at);
    }
    Ok(own)
}

fn own_of(row: &Row) -> Result<Own, StoreError> {
    Ok(Own {
        flow: row.parsed(2, FlowId::parse)?,
        place: row.opt_int(4)?,
        received_at: row.int(5)?,
        is_plain: row.int(6)? != 0,
        holder: row.opt_text(7)?.map(str::to_owned),
        committed: row.opt_parsed(8, Verdict::parse)?,
        lane: (row.opt_int(3)?.unwrap_or(0), row.opt_text(10)?.map_or(LaneRow::New, |row| LaneRow::Seen(row.to_owned()))),
    })
}
