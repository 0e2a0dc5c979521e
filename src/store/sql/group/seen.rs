//! What this replica has seen of lanes, counters and persons' keys, each with the version of its row: the ground on which an
//! operation is judged without asking for it once more.
//!
//! Nothing here is a promise. Whoever writes to a lane or a counter, from wherever, changes the version of its row, and a ruling
//! is written only where the versions are those that it was judged by; what is found to have moved is forgotten.

use super::asking::Asking;
use super::ruling::Act;
use crate::audit::WrappedKey;
use crate::domain::duration::micros;
use crate::domain::ids::UserId;
use crate::domain::verdict::Verdict;
use crate::store::types::{LaneFacts, Ruling};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How much of each kind is kept in one generation; there are two of them.
const AT_MOST: usize = 4096;
/// How long a generation takes things in. Bounded, because the release before this one gives places in a limit back without
/// changing the counter's row.
const TURNS_AFTER: Duration = Duration::from_secs(30);
/// Where others work on the same lanes and counters, only what was seen a moment ago is likely to be so still: for so long after
/// something was found to have moved.
const WARY_FOR: Duration = Duration::from_mins(1);
const A_MOMENT: Duration = Duration::from_millis(100);

/// Values by name that are forgotten in the order in which they came.
struct Recent<V> {
    young: HashMap<String, V>,
    old: HashMap<String, V>,
    turned: Instant,
}

impl<V> Recent<V> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), turned: Instant::now() }
    }

    fn get(&mut self, name: &str) -> Option<&mut V> {
        if self.turned.elapsed() > TURNS_AFTER {
            self.turn();
        }
        self.young.get_mut(name).or_else(|| self.old.get_mut(name))
    }

    fn put(&mut self, name: &str, value: V) {
        if self.young.len() >= AT_MOST {
            self.turn();
        }
        self.old.remove(name);
        self.young.insert(name.to_owned(), value);
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        if self.turned.elapsed() > TURNS_AFTER * 2 {
            self.old.clear();
        }
        self.turned = Instant::now();
    }

    fn forget(&mut self, name: &str) {
        self.young.remove(name);
        self.old.remove(name);
    }
}

/// A lane, and what is recorded of its tresor.
struct Lane {
    version: i64,
    /// The version of its row; nothing while somebody holds it.
    row: Option<String>,
    creator: Option<UserId>,
    created_at: Option<Timestamp>,
    seen: Instant,
}

/// What a counter counts within a time.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) within: i64,
    pub(super) count: u64,
    /// The place that is over first.
    pub(super) oldest: Option<i64>,
}

impl Window {
    /// Until a place is over its count is what it was.
    fn stands(&self, now: i64) -> bool {
        self.oldest.is_none_or(|oldest| oldest > now.saturating_sub(self.within))
    }
}

struct Counter {
    row: String,
    windows: Vec<Window>,
    seen: Instant,
}

struct Kept {
    lanes: Recent<Lane>,
    counters: Recent<Counter>,
    keys: Recent<WrappedKey>,
    /// The database's time, and when it was told.
    clock: Option<(i64, Instant)>,
    wary_until: Option<Instant>,
}

impl Kept {
    /// Since when something must have been seen to be used.
    fn since(&self) -> Option<Instant> {
        let now = Instant::now();
        self.wary_until.filter(|until| now < *until).and_then(|_| now.checked_sub(A_MOMENT))
    }

    fn now(&self) -> Option<i64> {
        self.clock.map(|(told, when)| told.saturating_add(micros(when.elapsed())))
    }
}

/// Counters, each with the version of its row.
pub(super) type CounterRows = Vec<(String, String)>;

/// What the limits have seen, by the names that were asked for, and the versions of the counters' rows.
pub(super) struct Counted {
    pub(super) now: i64,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) rows: CounterRows,
    pub(super) person_keys: BTreeMap<UserId, WrappedKey>,
}

pub(super) struct Seen(Mutex<Kept>);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Kept {
            lanes: Recent::new(),
            counters: Recent::new(),
            keys: Recent::new(),
            clock: None,
            wary_until: None,
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is recorded of a lane that nobody holds.
    pub(super) fn lane_facts(&self, lane: &str) -> Option<LaneFacts> {
        let mut kept = self.kept();
        let now = Timestamp::from_microsecond(kept.now()?).ok()?;
        let since = kept.since();
        let lane = kept.lanes.get(lane).filter(|lane| lane.row.is_some() && since.is_none_or(|since| lane.seen >= since))?;
        Some(LaneFacts { version: lane.version, creator: lane.creator.clone(), created_at: lane.created_at, now })
    }

    /// The version of the row of a lane that nobody holds, where the lane is as old as whoever asks has seen it.
    pub(super) fn lane_row(&self, asking: &Asking) -> Option<String> {
        self.kept().lanes.get(&asking.lane).filter(|lane| lane.version == asking.seen_version)?.row.clone()
    }

    /// All that limits and keys have to say to it; nothing where any of it has to be looked for.
    pub(super) fn counted(&self, asking: &Asking) -> Option<Counted> {
        let mut kept = self.kept();
        let (now, since) = (kept.now()?, kept.since());
        let mut counts = BTreeMap::new();
        for (name, key, within) in &asking.queries {
            let within = micros(*within);
            let counter = kept.counters.get(key).filter(|counter| since.is_none_or(|since| counter.seen >= since))?;
            let window = counter.windows.iter().find(|window| window.within == within && window.stands(now))?;
            counts.insert(name.clone(), window.count);
        }
        let rows = asking.counters().into_iter().map(|key| Some((key.to_owned(), kept.counters.get(key)?.row.clone())));
        let rows = rows.collect::<Option<_>>()?;
        let keys = asking.persons.iter().map(|person| Some((person.id.clone(), kept.keys.get(person.id.as_str())?.clone())));
        let person_keys = keys.collect::<Option<_>>()?;
        Some(Counted { now, counts, rows, person_keys })
    }

    pub(super) fn tell_time(&self, now: i64) {
        self.kept().clock = Some((now, Instant::now()));
    }

    /// What was read of a lane that nobody holds, unless more is known.
    pub(super) fn put_lane(&self, name: &str, facts: &LaneFacts, row: &str) {
        let lanes = &mut self.kept().lanes;
        if lanes.get(name).is_none_or(|known| known.version <= facts.version) {
            let (creator, created_at) = (facts.creator.clone(), facts.created_at);
            lanes
                .put(name, Lane { version: facts.version, row: Some(row.to_owned()), creator, created_at, seen: Instant::now() });
        }
    }

    /// What was counted, unless somebody was faster.
    pub(super) fn put_counter(&self, key: &str, row: &str, window: Option<Window>) {
        let mut kept = self.kept();
        let now = kept.now().unwrap_or(i64::MAX);
        match kept.counters.get(key) {
            Some(known) if known.row == row => {
                known.seen = Instant::now();
                known.windows.retain(|one| window.is_none_or(|window| one.within != window.within));
                known.windows.extend(window);
            }
            Some(known)
                if window.is_none_or(|window| known.windows.iter().any(|one| one.within == window.within && one.stands(now))) => {
            }
            _ => kept
                .counters
                .put(key, Counter { row: row.to_owned(), windows: window.into_iter().collect(), seen: Instant::now() }),
        }
    }

    pub(super) fn put_key(&self, person: &str, key: WrappedKey) {
        self.kept().keys.put(person, key);
    }

    /// Somebody has taken the lane, or stands in line for it, and what was ruled has taken its places.
    pub(super) fn written(&self, asking: &Asking, act: Act, row: &str, ruling: Option<&Ruling>, held_places: bool) {
        let mut kept = self.kept();
        if let Some(lane) = kept.lanes.get(&asking.lane) {
            lane.row = None;
        }
        let Some(ruling) = ruling.filter(|_| act == Act::Rule) else { return };
        let takes = ruling.record.verdict == Verdict::Approve;
        for key in asking.counters() {
            // Which of its places it had before is more than is known here.
            if held_places {
                kept.counters.forget(key);
            }
            let Some(counter) = kept.counters.get(key) else { continue };
            (counter.row, counter.seen) = (row.to_owned(), Instant::now());
            if takes && asking.places.iter().any(|place| place == key) {
                let at = ruling.record.decided_at.as_microsecond();
                for window in &mut counter.windows {
                    window.count = window.count.saturating_add(1);
                    window.oldest = Some(window.oldest.map_or(at, |oldest| oldest.min(at)));
                }
            }
        }
    }

    /// Nobody holds the lane any more.
    pub(super) fn freed(&self, name: &str, version: i64, row: &str) {
        if let Some(lane) = self.kept().lanes.get(name) {
            (lane.version, lane.row, lane.seen) = (version, Some(row.to_owned()), Instant::now());
        }
    }

    pub(super) fn forget_lane(&self, name: &str) {
        self.kept().lanes.forget(name);
    }

    /// What it was judged by has moved: others are at work.
    pub(super) fn moved(&self, asking: &Asking) {
        self.kept().wary_until = Some(Instant::now() + WARY_FOR);
        self.forget(asking);
    }

    /// Nobody knows what became of what it was to be judged by.
    pub(super) fn forget(&self, asking: &Asking) {
        let mut kept = self.kept();
        kept.lanes.forget(&asking.lane);
        asking.counters().into_iter().for_each(|key| kept.counters.forget(key));
    }
}
