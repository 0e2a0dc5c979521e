//! Bugs to plant one at a time, each of a kind that people really make: a statement that is changed, a commit that never
//! happens, or a place in the code that asks. The tests must catch every one of them.

use super::Step;

/// One bug.
#[derive(Debug, Clone, Copy)]
pub struct Bug {
    /// What `ASSENT_BUG` calls it.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// Parts of statements, and what stands in their place.
    pub sql: &'static [(&'static str, &'static str)],
    /// The step whose commit never happens.
    pub lost: Option<Step>,
}

/// The bug of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Bug> {
    ALL.iter().find(|bug| bug.name == name)
}

const fn sql(name: &'static str, what: &'static str, sql: &'static [(&'static str, &'static str)]) -> Bug {
    Bug { name, what, sql, lost: None }
}

const fn lost(name: &'static str, what: &'static str, step: Step) -> Bug {
    Bug { name, what, sql: &[], lost: Some(step) }
}

const fn code(name: &'static str, what: &'static str) -> Bug {
    Bug { name, what, sql: &[], lost: None }
}

/// All of them.
pub const ALL: &[Bug] = &[
    sql(
        "no-fence",
        "whoever lost a lease writes all the same",
        &[
            ("fence = $2 and coalesce(due_at, 0) > 0", "$2 = $2"),
            ("fence = $2", "$2 = $2"),
            ("e.fence = n.fence", "e.fence = e.fence"),
            ("fence = n.fence and coalesce(o.due_at, 0) > 0", "fence = o.fence"),
            ("fence = n.fence", "fence = o.fence"),
        ],
    ),
    sql("no-intent", "nobody knows that a verdict was sent", &[("sends = 1", "sends = 0"), ("1 as sends", "0 as sends")]),
    sql(
        "no-lane",
        "an operation in flight holds no lane",
        &[
            ("lane = $12, parked_on", "lane = substr($12, 1, 0), parked_on"),
            ("lane = n.lane, parked_on", "lane = nullif(n.lane, n.lane), parked_on"),
            ("n.lane as holds", "nullif(n.lane, n.lane) as holds"),
        ],
    ),
    sql("lane-not-moved", "an outcome does not make facts old", &[("set version = version + 1", "set version = version")]),
    sql(
        "places-not-released",
        "a place stays taken for what did not happen",
        &[("delete from limit_places where record_id = $1", "delete from limit_places where record_id = $1 and 1 = 0")],
    ),
    sql(
        "places-not-counted",
        "an approval takes no place that counts",
        &[
            ("taken_at) values ($1, $2", "taken_at) values ('x' || $1, $2"),
            ("taken_at) select p.limit_key", "taken_at) select 'x' || p.limit_key"),
        ],
    ),
    sql(
        "limits-not-locked",
        "two can take the last place",
        &[
            ("do update set limit_key = excluded.limit_key", "do nothing"),
            (" and k.xmin::text = s.seen", " and s.seen is not null"),
        ],
    ),
    sql(
        "members-forgotten",
        "nobody knows who was there before the call",
        &[
            ("members_before = $11", "members_before = case when $11 = '' then $11 end"),
            ("members_before = n.members_before", "members_before = nullif(n.members_before, n.members_before)"),
            ("n.members_before as members", "nullif(n.members_before, n.members_before) as members"),
        ],
    ),
    sql(
        "events-never-sent",
        "the outbox is never looked into",
        &[
            ("from events e where e.due_at <= ", "from events e where 1 = 0 and e.due_at <= "),
            ("(n.event_lease is not null and ", "(1 = 0 and n.event_lease is not null and "),
        ],
    ),
    sql(
        "event-delivered-too-early",
        "an event counts as delivered before it is",
        &[
            (
                "update events set owner = $1, fence = fence + 1, due_at = ",
                "update events set state = 'delivered', owner = $1, fence = fence + 1, due_at = null + ",
            ),
            ("due_at, owner, fence) select e.event_id", "due_at, owner, fence, state) select e.event_id"),
            ("+ case when e.given then e.event_lease", "+ null::bigint + case when e.given then e.event_lease"),
            ("then 1 else 0 end from (select n.*", "then 1 else 0 end, 'delivered' from (select n.*"),
        ],
    ),
    sql("notification-kept", "what is personal stays in the queue", &[("payload = null", "payload = payload")]),
    sql(
        "line-forgotten",
        "nobody is handed a lane",
        &[("where id = $2 and parked_on = $1", "where id = $2 and parked_on = $1 and 1 = 0")],
    ),
    sql(
        "pause-ignored",
        "a pause stops nothing",
        &[("from pauses where scope in ('*', ", "from pauses where scope in ('?', '?' || ")],
    ),
    sql(
        "resume-forgets",
        "what waited for the end of a pause waits on",
        &[("where paused_on = $1", "where paused_on = $1 and 1 = 0")],
    ),
    sql(
        "leases-stolen",
        "operations are claimed from whoever has them",
        &[("from operations where due_at <= ", "from operations where due_at < 60000000 + ")],
    ),
    sql(
        "sends-forgotten",
        "what may be at the platform is forgotten when an operation is given back",
        &[("sends = case when $5 = 1 then 0 else sends end", "sends = 0 * $5")],
    ),
    sql(
        "sealed-twice",
        "a row that was sealed goes on waiting for it",
        &[("delete from unsealed where ctid", "update unsealed set stream = stream where ctid")],
    ),
    sql("last-leaf-overlooked", "the tree has a gap after each round", &[("max(leaf), -1) + 1", "max(leaf) + 1, -1) + 1")]),
    lost("sealed-and-not-stored", "a checkpoint is carried out of the house and its leaves are never committed", Step::Seal),
    lost("received-and-not-stored", "a notification is answered and never committed", Step::Receive),
    lost("decided-and-not-stored", "a verdict is sent whose decision was never committed", Step::Decide),
    lost("taken-in-and-not-stored", "a notification is answered that was never committed with its decision", Step::TakeIn),
    lost("ended-and-not-stored", "an outcome is told and never committed", Step::Finish),
    lost("effect-done-and-not-stored", "what became of an effect is never committed", Step::FinishEffect),
    code("uncertain-is-applied", "no answer is taken for consent"),
    code("uncertain-is-failed", "no answer is taken for a refusal"),
    code("second-answer-for-the-first", "the answer to a second call is taken for that to the first"),
    code("other-verdict", "a lost approval is followed by a rejection"),
    code("anybody-may-report", "a report by somebody else is believed"),
    code("escalation-is-approval", "what a person should decide is approved"),
    code("conflict-is-failure", "a flow ends at its first conflict"),
];
