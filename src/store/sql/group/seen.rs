//! What this replica has seen of lanes, counters and persons' keys, each with the version of its row: the ground on which an
//! operation is judged without asking for it once more.
//!
//! Nothing here is a promise. Whoever writes to a lane or a counter, from wherever, changes the version of its row, and a ruling
//! is written only where the versions are those that it was judged by; what is found to have moved is forgotten.

use super::asking::Asking;
use super::recent::Recent;
use crate::audit::WrappedKey;
use crate::domain::duration::micros;
use crate::domain::ids::UserId;
use crate::store::types::LaneFacts;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Where others work on the same lanes and counters, only what was seen a moment ago is likely to be so still: for so long after
/// something was found to have moved.
const WARY_FOR: Duration = Duration::from_mins(1);
const A_MOMENT: Duration = Duration::from_millis(100);

/// A lane, and what is recorded of its tresor.
struct Lane {
    version: i64,
    /// The version of its row; nothing while somebody holds it.
    row: Option<String>,
    creator: Option<UserId>,
    created_at: Option<Timestamp>,
    seen: Instant,
}

/// How a lane stands that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LaneRow {
    /// Nobody is known to have come there: it is made with whatever takes it, which is not written if it is there.
    New,
    /// The version of its row.
    Seen(String),
}

impl LaneRow {
    /// The version of the row; nothing where there is none.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            LaneRow::New => None,
            LaneRow::Seen(row) => Some(row),
        }
    }
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
    /// Lanes that somebody stands in line for. That may be over, or not be known here.
    awaited: Recent<()>,
    /// The database's time, when it was told, and when it was asked for.
    clock: Option<(i64, Instant, Instant)>,
    wary_until: Option<Instant>,
}

impl Kept {
    /// Whether what was seen then is used.
    fn trusts(&self) -> impl Fn(Instant) -> bool + use<> {
        let now = Instant::now();
        let is_wary = self.wary_until.is_some_and(|until| now < until);
        move |seen| !is_wary || now.saturating_duration_since(seen) <= A_MOMENT
    }

    fn now(&self) -> Option<i64> {
        self.clock.map(|(told, when, _)| told.saturating_add(micros(when.elapsed())))
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
            awaited: Recent::new(),
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
        let trusts = kept.trusts();
        let lane = kept.lanes.get(lane).filter(|lane| lane.row.is_some() && trusts(lane.seen))?;
        Some(LaneFacts { version: lane.version, creator: lane.creator.clone(), created_at: lane.created_at, now })
    }

    /// What is recorded of a lane that nobody has come to; nothing where somebody is known to have.
    pub(super) fn new_lane_facts(&self, lane: &str) -> Option<LaneFacts> {
        let mut kept = self.kept();
        let now = Timestamp::from_microsecond(kept.now()?).ok()?;
        kept.lanes.get(lane).is_none().then(|| LaneFacts { now, ..LaneFacts::default() })
    }

    /// How a lane stands that nobody holds, where it is as old as whoever asks has seen it.
    pub(super) fn lane_row(&self, asking: &Asking) -> Option<LaneRow> {
        match self.kept().lanes.get(&asking.lane) {
            Some(lane) if lane.version == asking.seen_version => lane.row.clone().map(LaneRow::Seen),
            Some(_) => None,
            None => asking.guesses_lane().then_some(LaneRow::New),
        }
    }

    /// All that limits and keys have to say to it; nothing where any of it has to be looked for.
    pub(super) fn counted(&self, asking: &Asking) -> Option<Counted> {
        let mut kept = self.kept();
        let (now, trusts) = (kept.now()?, kept.trusts());
        let mut counts = BTreeMap::new();
        for (name, key, within) in &asking.queries {
            let within = micros(*within);
            let counter = kept.counters.get(key).filter(|counter| trusts(counter.seen))?;
            let window = counter.windows.iter().find(|window| window.within == within && window.stands(now))?;
            counts.insert(name.clone(), window.count);
        }
        let rows = asking.counters().into_iter().map(|key| Some((key.to_owned(), kept.counters.get(key)?.row.clone())));
        let rows = rows.collect::<Option<_>>()?;
        let keys = asking.persons.iter().map(|person| Some((person.id.clone(), kept.keys.get(person.id.as_str())?.clone())));
        let person_keys = keys.collect::<Option<_>>()?;
        Some(Counted { now, counts, rows, person_keys })
    }

    /// The database's time, as a statement says that was sent then.
    pub(super) fn tell_time(&self, now: i64, asked_at: Instant) {
        let mut kept = self.kept();
        if kept.clock.is_none_or(|(.., known)| known <= asked_at) {
            kept.clock = Some((now, Instant::now(), asked_at));
        }
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

    /// What was counted by a statement that was sent then, unless it has changed since.
    pub(super) fn put_counter(&self, key: &str, row: &str, windows: Vec<Window>, asked_at: Instant) {
        let mut kept = self.kept();
        match kept.counters.get(key) {
            Some(known) if known.row == row => {
                known.windows.retain(|one| windows.iter().all(|window| window.within != one.within));
                known.windows.extend(windows);
                known.seen = asked_at;
            }
            Some(known) if known.seen > asked_at => {}
            _ => kept.counters.put(key, Counter { row: row.to_owned(), windows, seen: asked_at }),
        }
    }

    pub(super) fn put_key(&self, person: &str, key: WrappedKey) {
        self.kept().keys.put(person, key);
    }

    /// Somebody has taken the lane, or stands in line for it, and what was ruled has taken its places: the rows that it was judged
    /// by have another version now. `taken_at` is when it took its places, if it did.
    pub(super) fn written(&self, asking: &Asking, lane: &LaneRow, judged_by: &CounterRows, row: &str, taken_at: Option<i64>) {
        let mut kept = self.kept();
        match (kept.lanes.get(&asking.lane), lane) {
            (Some(lane), _) => lane.row = None,
            (None, LaneRow::New) => {
                let lane = Lane { version: 0, row: None, creator: None, created_at: None, seen: Instant::now() };
                kept.lanes.put(&asking.lane, lane);
            }
            (None, LaneRow::Seen(_)) => {}
        }
        for (key, judged_by) in judged_by {
            // What came in between is not what was judged by, and nobody knows what it has counted.
            let Some(counter) = kept.counters.get(key).filter(|counter| counter.row == *judged_by) else {
                kept.counters.forget(key);
                continue;
            };
            (counter.row, counter.seen) = (row.to_owned(), Instant::now());
            if let Some(at) = taken_at.filter(|_| asking.places.contains(key)) {
                for window in &mut counter.windows {
                    window.count = window.count.saturating_add(1);
                    window.oldest = Some(window.oldest.map_or(at, |oldest| oldest.min(at)));
                }
            }
        }
    }

    /// Nobody holds the lane any more, whose tresor was just created where that is said; unless more is known. Where others were
    /// there in between, what is recorded of the tresor may be from them.
    pub(super) fn freed(&self, name: &str, version: i64, row: &str, created: Option<(UserId, Timestamp)>) {
        let lanes = &mut self.kept().lanes;
        let Some(lane) = lanes.get(name).filter(|lane| lane.version < version) else { return };
        if lane.version.saturating_add(1) != version {
            lanes.forget(name);
            return;
        }
        (lane.version, lane.row, lane.seen) = (version, Some(row.to_owned()), Instant::now());
        if let Some((creator, at)) = created {
            (lane.creator, lane.created_at) = (Some(creator), Some(at));
        }
    }

    pub(super) fn is_awaited(&self, lane: &str) -> bool {
        self.kept().awaited.get(lane).is_some()
    }

    pub(super) fn set_awaited(&self, lane: &str, is_awaited: bool) {
        let awaited = &mut self.kept().awaited;
        if is_awaited { awaited.put(lane, ()) } else { awaited.forget(lane) }
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

#[cfg(test)]
mod tests {
    use super::super::recent::TURNS_AFTER;
    use super::*;
    use crate::domain::ids::{FlowId, RecordId};
    use crate::domain::kind::Kind;
    use crate::store::types::Lease;

    const HOUR: Duration = Duration::from_secs(3600);

    fn asking(windows: &[Duration]) -> Asking {
        Asking {
            lease: Lease { id: RecordId::generate(), fence: 1 },
            kind: Kind::Share,
            operation_id: "op".into(),
            intent: "intent".into(),
            lane: "lane".into(),
            seen_version: 0,
            requested_flow: None,
            fresh_flow: FlowId::generate(),
            is_pausable: true,
            queries: windows.iter().map(|within| (format!("{within:?}"), "counter".into(), *within)).collect(),
            places: vec!["counter".into()],
            persons: Vec::new(),
            members_before: None,
            join_window: HOUR,
            arrival: None,
        }
    }

    fn window(within: Duration, count: u64, oldest: Option<i64>) -> Window {
        Window { within: micros(within), count, oldest }
    }

    fn seen() -> Seen {
        let seen = Seen::new();
        seen.tell_time(1_000_000_000_000, Instant::now());
        seen
    }

    /// The counts and the row that it would be judged by.
    fn judged(seen: &Seen, asking: &Asking) -> Option<(Vec<u64>, CounterRows)> {
        seen.counted(asking).map(|counted| (counted.counts.into_values().collect(), counted.rows))
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_comes_late_is_not_counted_on_as_if_it_were_new() {
        let (seen, share, kick) = (seen(), asking(&[HOUR]), asking(&[HOUR * 2]));
        let asked_at = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        seen.put_counter("counter", "r1", vec![window(HOUR, 1, Some(999_999_000_000))], Instant::now());
        let (counts, judged_by) = judged(&seen, &share).unwrap();
        assert_eq!(counts, [1]);
        // Somebody looked before that for another window, and hears of it only now.
        seen.put_counter("counter", "r0", vec![window(HOUR * 2, 7, Some(999_999_000_000))], asked_at);
        assert!(judged(&seen, &kick).is_none());
        seen.written(&share, &LaneRow::Seen("row".into()), &judged_by, "r2", Some(1_000_000_000_001));
        assert_eq!(judged(&seen, &share).unwrap(), (vec![2], vec![("counter".to_owned(), "r2".to_owned())]));
        // And what comes in between a judgement and its ruling is nothing to count on.
        let (_, judged_by) = judged(&seen, &share).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        seen.put_counter("counter", "r3", vec![window(HOUR, 9, None)], Instant::now());
        seen.written(&share, &LaneRow::Seen("row".into()), &judged_by, "r4", Some(1_000_000_000_002));
        assert!(judged(&seen, &share).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recorded_of_a_tresor_is_known_where_nobody_was_there_in_between() {
        let ann = UserId::new("ann").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let known = |seen: &Seen| seen.lane_facts("lane").map(|facts| (facts.version, facts.creator));
        let put = |version| {
            let seen = seen();
            seen.put_lane("lane", &LaneFacts { version, creator: Some(ann.clone()), ..LaneFacts::default() }, "row");
            seen
        };
        let seen = put(0);
        seen.freed("lane", 1, "row", None);
        assert_eq!(known(&seen), Some((1, Some(ann.clone()))));
        seen.freed("lane", 3, "row", None);
        assert_eq!(known(&seen), None, "somebody moved it to 2");
        // What is heard late takes nothing back.
        let seen = put(4);
        seen.freed("lane", 4, "late", Some((UserId::new("eve").unwrap(), at)));
        assert_eq!(known(&seen), Some((4, Some(ann.clone()))));
        // Of a lane that is not known nothing is made up.
        seen.freed("other", 1, "row", Some((ann.clone(), at)));
        assert!(seen.lane_facts("other").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_stands_until_a_place_is_over() {
        let (seen, share) = (seen(), asking(&[HOUR]));
        let oldest = 1_000_000_000_000 - micros(HOUR) + 5_000_000;
        seen.put_counter("counter", "r", vec![window(HOUR, 3, Some(oldest))], Instant::now());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(judged(&seen, &share).unwrap().0, [3]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(judged(&seen, &share).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn where_others_are_at_work_only_what_was_seen_a_moment_ago_counts_and_nothing_is_kept_for_long() {
        let (seen, share) = (seen(), asking(&[HOUR]));
        let facts = LaneFacts { version: 0, ..LaneFacts::default() };
        let put = || {
            seen.put_lane("lane", &facts, "row");
            seen.put_counter("counter", "r", vec![window(HOUR, 0, None)], Instant::now());
        };
        let is_known = || (seen.lane_facts("lane").is_some(), judged(&seen, &share).is_some());
        put();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(is_known(), (true, true));
        seen.moved(&share);
        assert_eq!(is_known(), (false, false));
        put();
        assert_eq!(is_known(), (true, true));
        tokio::time::advance(A_MOMENT * 2).await;
        assert_eq!(is_known(), (false, false));
        tokio::time::advance(WARY_FOR).await;
        put();
        tokio::time::advance(TURNS_AFTER * 3).await;
        assert_eq!(is_known(), (false, false));
    }
}
