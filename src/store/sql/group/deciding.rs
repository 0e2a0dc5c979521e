//! Decisions of a group: each judged by whoever asked for it, on what this replica has seen, and all written at once that stand
//! on the same still. Whoever has lost the ground is decided by itself.
//!
//! No lane, no counter and no message comes twice in a group, as none of it could know what the other takes.

use super::super::timestamp;
use super::asking::{Asked, Request};
use super::looking::Own;
use super::ruling::{self, Act, Standing};
use super::seen::{CounterRows, LaneRow, Seen};
use super::{answer, failed};
use crate::domain::ids::FlowId;
use crate::domain::verdict::Verdict;
use crate::flow::Step;
use crate::store::StoreError;
use crate::store::connection::Driver;
use crate::store::types::{Decided, Ground, Passed, Ruling, Sent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many requests wait for the next transaction because of what they share with one in this.
const MOST_HELD_OVER: usize = 16;

/// Those that go together, and those that are for the next: no lane, no counter and no message twice. Of those that are held over
/// only a few are kept, so that one counter that everybody wants does not hold up everybody else; the others go by themselves.
pub(super) fn split(requests: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
    let (mut lanes, mut counters, mut messages) = (HashSet::new(), HashSet::new(), HashSet::new());
    let (group, mut next): (Vec<_>, Vec<_>) = requests.into_iter().partition(|one| {
        let asking = &one.asking;
        let message = asking.arrival.as_ref().map(|new| &new.webhook_id);
        let is_apart = !lanes.contains(&asking.lane)
            && !asking.counters().iter().any(|key| counters.contains(*key))
            && !message.is_some_and(|message| messages.contains(message));
        if is_apart {
            lanes.insert(asking.lane.clone());
            messages.extend(message.cloned());
            counters.extend(asking.counters().into_iter().map(str::to_owned));
        }
        is_apart
    });
    let alone = next.split_off(next.len().min(MOST_HELD_OVER));
    alone.into_iter().for_each(|one| answer(one.answer, Ok(None)));
    (group, next)
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, seen: Arc<Seen>, mut group: Vec<Request>) {
    // The order in which lanes are taken.
    group.sort_by(|one, other| one.asking.lane.cmp(&other.asking.lane));
    match decide_all(driver.as_ref(), &seen, &mut group).await {
        Ok(decided) => group.into_iter().zip(decided).for_each(|(one, decided)| answer(one.answer, Ok(decided))),
        Err(error) => group.into_iter().for_each(|one| {
            seen.forget(&one.asking);
            answer(one.answer, failed(&error));
        }),
    }
}

/// What an operation comes to before it is written.
struct Taken {
    act: Act,
    lane_row: LaneRow,
    counters: CounterRows,
    flow: FlowId,
    ruling: Option<Ruling>,
}

async fn decide_all(driver: &impl Driver, seen: &Seen, group: &mut [Request]) -> Result<Vec<Option<Decided>>, StoreError> {
    let mut taken = HashMap::new();
    let mut asked = Vec::new();
    // Nobody wants them decided here any more.
    let mut withdrawn = HashSet::new();
    for (index, one) in group.iter_mut().enumerate() {
        let Some((act, lane_row)) = act_of(one, seen) else { continue };
        if act == Act::Rule {
            let Some((ground, counters)) = ground_of(one, seen)? else { continue };
            let ruled = Taken { act, lane_row, counters, flow: ground.flow, ruling: None };
            asked.extend(put(one, ground).map(|ruling| (index, ruled, ruling)));
        } else {
            let Some(own) = &one.own else { continue };
            let flow = own.flow_of(&one.asking);
            taken.insert(index, Taken { act, lane_row, counters: Vec::new(), flow, ruling: None });
        }
    }
    for (index, ruled, ruling) in asked {
        match ruling.await {
            Ok(ruling) if ruling.step == Step::Send => {
                taken.insert(index, Taken { ruling: Some(ruling), ..ruled });
            }
            // Whatever does not go out to the platform takes its own way, and is judged there once more.
            Ok(_) => {}
            Err(_) => {
                withdrawn.insert(index);
            }
        }
    }
    let standing: Vec<_> =
        group.iter().enumerate().filter_map(|(index, one)| Some(standing_of(one, taken.get(&index)?))).collect();
    let written = if standing.is_empty() { HashMap::new() } else { ruling::write(driver, &standing).await? };
    drop(standing);
    let decided = group.iter().enumerate().map(|(index, one)| {
        let asking = &one.asking;
        let taken = taken.remove(&index);
        let Some(Taken { act, ruling, counters, lane_row, .. }) = taken else {
            if !withdrawn.contains(&index) {
                seen.forget(asking);
            }
            return None;
        };
        let Some(row) = written.get(&asking.lease.id.to_string()) else {
            seen.moved(asking);
            return None;
        };
        // Known before: nothing has moved.
        let row = row.as_ref()?;
        let taken = ruling.as_ref().map(|ruling| &ruling.record).filter(|record| record.verdict == Verdict::Approve);
        seen.written(asking, &lane_row, &counters, row, taken.map(|record| record.decided_at.as_microsecond()));
        match act {
            Act::Park => {
                seen.set_awaited(&asking.lane, true);
                Some(Decided::Parked(Passed::default()))
            }
            Act::Hold => Some(Decided::Stale),
            Act::Rule => ruling.map(|ruling| ruled(one, ruling)),
        }
    });
    Ok(decided.collect())
}

/// What is to become of an operation, and how its lane stands; nothing where it is not plain.
fn act_of(one: &Request, seen: &Seen) -> Option<(Act, LaneRow)> {
    let Some(own) = &one.own else { return Some((Act::Rule, seen.lane_row(&one.asking)?)) };
    let (version, row) = &own.lane;
    let is_elsewhere = own.holder.as_ref().is_some_and(|holder| *holder != one.asking.lease.id.to_string());
    let act = match (is_elsewhere, *version == one.asking.seen_version) {
        (true, _) => Act::Park,
        (false, false) => Act::Hold,
        (false, true) => Act::Rule,
    };
    (own.is_plain && (act == Act::Rule || *row != LaneRow::New)).then(|| (act, row.clone()))
}

/// What it is judged on, and the counters with the versions of their rows; nothing where that is not known.
fn ground_of(one: &Request, seen: &Seen) -> Result<Option<(Ground, CounterRows)>, StoreError> {
    let (asking, own) = (&one.asking, one.own.as_ref());
    let Some(counted) = seen.counted(asking) else { return Ok(None) };
    let ground = Ground {
        now: timestamp(counted.now)?,
        counts: counted.counts,
        person_keys: counted.person_keys,
        flow: own.map_or(asking.fresh_flow, |own| own.flow_of(asking)),
        attempt: 1,
        committed: own.and_then(|own| own.committed),
        grant: None,
    };
    Ok(Some((ground, counted.rows)))
}

/// Asks for a ruling; nothing where whoever would give it is gone.
fn put(one: &mut Request, ground: Ground) -> Option<oneshot::Receiver<Ruling>> {
    let (ruling, comes) = oneshot::channel();
    one.to_judge.take()?.send(Asked { ground, ruling }).ok()?;
    Some(comes)
}

fn standing_of<'s>(one: &'s Request, taken: &'s Taken) -> Standing<'s> {
    let has_joined = one.own.as_ref().is_some_and(Own::has_joined);
    Standing {
        asking: &one.asking,
        act: taken.act,
        lane_row: taken.lane_row.version(),
        counters: &taken.counters,
        flow: taken.flow,
        place: one.own.as_ref().map(Own::place),
        new_intent: (!has_joined).then_some(one.asking.intent.as_str()),
        ruling: taken.ruling.as_ref(),
    }
}

fn ruled(one: &Request, ruling: Ruling) -> Decided {
    let sent = Sent {
        decision: ruling.record.id,
        verdict: ruling.record.verdict,
        sends: 1,
        age: Duration::ZERO,
        members_before: one.asking.members_before.clone(),
        additional_info: ruling.additional_info.clone(),
    };
    Decided::Ruled { ruling: Box::new(ruling), sent: Some(sent), passed: Passed::default() }
}
