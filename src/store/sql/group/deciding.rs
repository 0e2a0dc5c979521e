//! Decisions of a group: one look at all that they stand on, each judged by whoever asked for it, and all written at once that
//! stand on the same still. Whoever has lost the ground is decided by itself.
//!
//! No lane and no counter comes twice in a group, as none of it could know what the other takes.

use super::super::timestamp;
use super::asking::{Asked, Request};
use super::ruling::{self, Act, Standing};
use super::statements::LOOK;
use super::{answer, failed, scattered};
use crate::audit::WrappedKey;
use crate::domain::duration::micros;
use crate::domain::ids::FlowId;
use crate::domain::verdict::Verdict;
use crate::flow::Step;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row};
use crate::store::types::{Decided, Ground, Passed, Ruling, Sent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many requests wait for the next transaction because of what they share with one in this.
const MOST_HELD_OVER: usize = 16;

/// Those that go together, and those that are for the next: no lane and no counter twice. Of those that are held over only a few
/// are kept, so that one counter that everybody wants does not hold up everybody else; the others go by themselves.
pub(super) fn split(requests: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
    let (mut lanes, mut counters) = (HashSet::new(), HashSet::new());
    let (group, mut next): (Vec<_>, Vec<_>) = requests.into_iter().partition(|one| {
        let is_apart = !lanes.contains(&one.lane) && !one.counters().iter().any(|key| counters.contains(*key));
        if is_apart {
            lanes.insert(one.lane.clone());
            counters.extend(one.counters().into_iter().map(str::to_owned));
        }
        is_apart
    });
    let alone = next.split_off(next.len().min(MOST_HELD_OVER));
    alone.into_iter().for_each(|one| answer(one.answer, Ok(None)));
    (group, next)
}

pub(super) async fn run<D: Driver>(driver: Arc<D>, mut group: Vec<Request>) {
    // The order in which lanes are taken.
    group.sort_by(|one, other| one.lane.cmp(&other.lane));
    match decide_all(driver.as_ref(), &mut group).await {
        Ok(decided) => group.into_iter().zip(decided).for_each(|(one, decided)| answer(one.answer, decided)),
        Err(error) => group.into_iter().for_each(|one| answer(one.answer, failed(&error))),
    }
}

/// How an operation and its lane stand, found under its lease.
struct Own {
    flow: FlowId,
    /// Nothing before it has joined a flow.
    place: Option<i64>,
    received_at: i64,
    is_plain: bool,
    holder: Option<String>,
    committed: Option<Verdict>,
    /// The lane, and the version of its row; nothing where nobody made it.
    lane: Option<(i64, String)>,
    now: i64,
}

impl Own {
    /// The flow that it is in, or the one that begins with it.
    fn flow_of(&self, one: &Request) -> FlowId {
        if self.place.is_none() { one.fresh_flow } else { self.flow }
    }
}

/// What one look showed: operations and counts in the group's order.
struct Look {
    own: Vec<Option<Own>>,
    counts: Vec<Vec<u64>>,
    counters: HashMap<String, String>,
    person_keys: HashMap<String, WrappedKey>,
}

async fn decide_all(driver: &impl Driver, group: &mut [Request]) -> Result<Vec<Result<Option<Decided>, StoreError>>, StoreError> {
    // Nothing has happened yet: where it cannot be looked, each tries by itself.
    let look = match look(driver, group).await {
        Ok(look) => look,
        Err(error) => {
            scattered(&error);
            return Ok(group.iter().map(|_| Ok(None)).collect());
        }
    };
    let mut decided: Vec<Result<Option<Decided>, StoreError>> = Vec::new();
    let (mut standing, mut asked) = (Vec::new(), Vec::new());
    for (index, (one, own)) in group.iter_mut().zip(&look.own).enumerate() {
        let Some(own) = own else {
            decided.push(Err(StoreError::Fenced));
            continue;
        };
        decided.push(Ok(None));
        let is_elsewhere = own.holder.as_ref().is_some_and(|holder| *holder != one.lease.id.to_string());
        let act = match &own.lane {
            Some(_) if !own.is_plain => continue,
            Some(_) if is_elsewhere => Act::Park,
            Some((version, _)) if *version != one.seen_version => Act::Hold,
            Some(_) => Act::Rule,
            None => continue,
        };
        if act == Act::Rule {
            let counts = look.counts.get(index).map(Vec::as_slice).unwrap_or_default();
            asked.extend(put(one, own, counts, &look.person_keys)?.map(|ruling| (index, ruling)));
        } else {
            standing.push((index, act));
        }
    }
    let mut rulings = HashMap::new();
    for (index, ruling) in asked {
        // Whatever does not go out to the platform takes its own way, and is judged there once more.
        if let Some(ruling) = ruling.await.ok().filter(|ruling| ruling.step == Step::Send) {
            rulings.insert(index, ruling);
        }
    }
    let acts = standing.into_iter().chain(rulings.keys().map(|index| (*index, Act::Rule)));
    let mut acts: Vec<_> = acts.collect();
    acts.sort_by_key(|(index, _)| *index);
    if acts.is_empty() {
        return Ok(decided);
    }
    let stands = acts.iter().filter_map(|(index, act)| {
        let (one, own) = (group.get(*index)?, look.own.get(*index)?.as_ref()?);
        standing_of(one, own, *act, rulings.get(index))
    });
    let written = ruling::write(driver, &stands.collect::<Vec<_>>(), &look.counters).await?;
    for (index, act) in acts {
        let (Some(slot), Some(one)) = (decided.get_mut(index), group.get_mut(index)) else { continue };
        if written.contains(&one.lease.id.to_string()) {
            *slot = Ok(match act {
                Act::Park => Some(Decided::Parked(Passed::default())),
                Act::Hold => Some(Decided::Stale),
                Act::Rule => rulings.remove(&index).map(|ruling| ruled(one, ruling)),
            });
        }
    }
    Ok(decided)
}

fn ruled(one: &mut Request, ruling: Ruling) -> Decided {
    let sent = Sent {
        decision: ruling.record.id,
        verdict: ruling.record.verdict,
        sends: 1,
        age: Duration::ZERO,
        members_before: one.members_before.take(),
        additional_info: ruling.additional_info.clone(),
    };
    Decided::Ruled { ruling: Box::new(ruling), sent: Some(sent), passed: Passed::default() }
}

/// What an operation joins: the flow it is in, or a new one.
fn standing_of<'s>(one: &'s Request, own: &'s Own, act: Act, ruling: Option<&'s Ruling>) -> Option<Standing<'s>> {
    let (_, lane_seen) = own.lane.as_ref()?;
    Some(Standing {
        request: one,
        act,
        lane: &one.lane,
        lane_seen,
        flow: own.flow_of(one),
        place: own.place.unwrap_or(own.received_at),
        new_intent: own.place.is_none().then_some(one.intent.as_str()),
        ruling,
    })
}

async fn look(driver: &impl Driver, group: &[Request]) -> Result<Look, StoreError> {
    let texts = |of: &dyn Fn(&Request) -> Option<String>| Arg::Texts(group.iter().map(of).collect());
    let queries: Vec<_> = group.iter().flat_map(|one| one.queries.iter().map(move |query| (one, query))).collect();
    let persons: HashMap<_, _> =
        group.iter().flat_map(|one| &one.persons).map(|one| (one.id.to_string(), &one.fresh_key)).collect();
    let (names, fresh): (Vec<_>, Vec<_>) = persons.into_iter().map(|(name, key)| (Some(name), Some(key.0.clone()))).unzip();
    let counters = group.iter().flat_map(Request::counters).map(|key| Some(key.to_owned())).collect();
    let args = vec![
        texts(&|one| Some(one.lease.id.to_string())),
        Arg::Ints(group.iter().map(|one| Some(one.lease.fence)).collect()),
        texts(&|one| Some(one.lane.clone())),
        texts(&|one| Some(one.intent.clone())),
        texts(&|one| one.requested_flow.map(|flow| flow.to_string())),
        texts(&|one| Some(one.kind.as_str().to_owned())),
        texts(&|one| Some(one.operation_id.clone())),
        Arg::Bools(group.iter().map(|one| one.is_pausable).collect()),
        Arg::Bools(group.iter().map(|one| !one.kind.is_link()).collect()),
        Arg::Texts(queries.iter().map(|(_, (_, key, _))| Some(key.clone())).collect()),
        Arg::Ints(queries.iter().map(|(_, (_, _, within))| Some(micros(*within))).collect()),
        Arg::Texts(queries.iter().map(|(one, _)| Some(one.lease.id.to_string())).collect()),
        Arg::Texts(names),
        Arg::Blobs(fresh),
        Arg::Texts(counters),
    ];
    let mut own: Vec<Option<Own>> = group.iter().map(|_| None).collect();
    let mut seen = vec![0; queries.len()];
    let (mut counters, mut person_keys) = (HashMap::new(), HashMap::new());
    let place = |row: &Row| Ok::<_, StoreError>(usize::try_from(row.int(1)?).unwrap_or(usize::MAX).wrapping_sub(1));
    for row in &driver.look(LOOK, args).await? {
        match row.int(0)? {
            0 => own.get_mut(place(row)?).into_iter().try_for_each(|slot| own_of(row).map(|own| *slot = Some(own)))?,
            1 => {
                let count = u64::try_from(row.int(3)?).unwrap_or(0);
                seen.get_mut(place(row)?).into_iter().for_each(|slot| *slot = count);
            }
            2 => {
                counters.insert(row.text(2)?.to_owned(), row.text(10)?.to_owned());
            }
            _ => {
                person_keys.insert(row.text(2)?.to_owned(), WrappedKey(row.opt_bytes(9)?.unwrap_or_default().to_vec()));
            }
        }
    }
    let mut seen = seen.into_iter();
    let counts = group.iter().map(|one| seen.by_ref().take(one.queries.len()).collect()).collect();
    Ok(Look { own, counts, counters, person_keys })
}

fn own_of(row: &Row) -> Result<Own, StoreError> {
    Ok(Own {
        flow: row.parsed(2, FlowId::parse)?,
        place: row.opt_int(4)?,
        received_at: row.int(5)?,
        is_plain: row.int(6)? != 0,
        holder: row.opt_text(7)?.map(str::to_owned),
        committed: row.opt_parsed(8, Verdict::parse)?,
        lane: row.opt_int(3)?.zip(row.opt_text(10)?.map(str::to_owned)),
        now: row.int(11)?,
    })
}

/// Asks for a ruling; nothing where whoever would give it is gone, or somebody was given a key at the same moment.
fn put(
    one: &mut Request,
    own: &Own,
    counts: &[u64],
    person_keys: &HashMap<String, WrappedKey>,
) -> Result<Option<oneshot::Receiver<Ruling>>, StoreError> {
    let keys = one.persons.iter().map(|person| Some((person.id.clone(), person_keys.get(person.id.as_str())?.clone())));
    let Some(person_keys) = keys.collect::<Option<_>>() else { return Ok(None) };
    let counts = one.queries.iter().zip(counts).map(|((window, _, _), seen)| (window.clone(), *seen));
    let ground = Ground {
        now: timestamp(own.now)?,
        counts: counts.collect(),
        person_keys,
        flow: own.flow_of(one),
        attempt: 1,
        committed: own.committed,
        grant: None,
    };
    let (ruling, comes) = oneshot::channel();
    let asked = one.to_judge.take().and_then(|to_judge| to_judge.send(Asked { ground, ruling }).ok());
    Ok(asked.map(|()| comes))
}
