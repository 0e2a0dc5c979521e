//! Holds what the platform did against what the database says: nothing lost, nothing twice, nothing without an outcome. Says
//! what is wrong in sentences, so that a planted bug is seen by the same eyes as a real one.

use super::log_key;
use super::site::Site;
use assent::audit::{SeenLeaf, SeenRow, Verification, leaf_hash};
use assent::domain::kind::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// One record of the work table, as far as it matters here.
#[derive(Debug)]
struct Record {
    id: String,
    key: (String, String),
    state: String,
    sends: i64,
    has_payload: bool,
    flow: String,
    attempt: i64,
    /// Whether what was wanted was so before the call.
    was_so: bool,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) operations: usize,
    pub(crate) effects: usize,
    pub(crate) outcomes: usize,
    pub(crate) unknown: usize,
    pub(crate) states: BTreeMap<String, usize>,
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) without_outcome: usize,
}

/// What is wrong with the tree over the log: a row that is no leaf, or is two, or another one; a checkpoint that does not fit.
pub(crate) async fn unsound(site: &Site) -> Vec<String> {
    let store = site.store().await;
    let mut wrong = Vec::new();
    let waiting = store.unsealed().await.unwrap();
    if waiting > 0 {
        wrong.push(format!("{waiting} rows wait to be sealed"));
    }
    let size = store.last_checkpoint().await.unwrap().map_or(0, |checkpoint| checkpoint.size);
    let (mut run, mut ids) = (Verification::new(vec![log_key().verifier().unwrap()], vec![]), BTreeSet::new());
    for from in (0..size).step_by(2_000) {
        let to = (from + 2_000).min(size);
        let leaves = store.leaves(from, to).await.unwrap();
        let rows = store.rows(&leaves).await.unwrap();
        let mut checkpoints = store.checkpoints(from, to).await.unwrap().into_iter().map(Result::unwrap).peekable();
        for (leaf, row) in leaves.into_iter().zip(rows) {
            if !ids.insert((leaf.stream, leaf.place.id)) {
                wrong.push(format!("{leaf:?} is not the first leaf of its row"));
            }
            let row = row.map_or(SeenRow::Gone, |row| SeenRow::Hashed(leaf_hash(&row.bytes)));
            run.leaf(&SeenLeaf {
                index: leaf.index,
                stream: leaf.stream,
                id: leaf.place.id,
                sealed: leaf.hash,
                row,
                missing_at: None,
            });
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size == run.size()) {
                run.checkpoint(&checkpoint);
            }
        }
    }
    wrong.extend(run.finish().findings.iter().map(ToString::to_string));
    wrong.extend(store.strays(&[], 10).await.unwrap().iter().map(|stray| format!("{stray:?} is no leaf")));
    wrong
}

const FINAL: [&str; 6] = ["approved", "rejected", "superseded", "failed", "refused", "unknown"];

async fn rows(site: &Site, sql: &str) -> Vec<Vec<String>> {
    let texts = site.database.texts(sql).await;
    texts.iter().map(|text| text.split('|').map(str::to_owned).collect()).collect()
}

/// Everything that is wrong; `reported` are the operations that were answered 2xx, as kind and operation id.
pub(crate) async fn violations(site: &Site, reported: &BTreeSet<(String, String)>) -> (Vec<String>, Counts) {
    let mut wrong = Vec::new();
    // Joins that can be hashed: a storm leaves tens of thousands of rows.
    let sql = "select o.id || '|' || o.kind || '|' || o.operation_id || '|' || o.state || '|' || cast(o.sends as text) || '|' || case when o.payload is null then '0' else '1' end || '|' || o.flow_id || '|' || cast(o.attempt as text) || '|' || coalesce(o.members_before, '') || '|' || coalesce(d.subject_id, '') from operations o left join decisions d on cast(d.id as text) = o.decision_id";
    let records: Vec<_> = rows(site, sql)
        .await
        .into_iter()
        .map(|row| Record {
            id: row[0].clone(),
            key: (row[1].clone(), row[2].clone()),
            state: row[3].clone(),
            sends: row[4].parse().unwrap(),
            has_payload: row[5] == "1",
            flow: row[6].clone(),
            attempt: row[7].parse().unwrap(),
            was_so: !row[8].is_empty() && row[8].contains(&row[9]) != (row[1] == "kick"),
        })
        .collect();
    let mut outcomes: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
    let sql = "select o.kind || '|' || o.operation_id || '|' || o.outcome || '|' || coalesce(d.verdict, '-') from outcomes o left join decisions d on d.id = o.decision_id order by o.at";
    for row in rows(site, sql).await {
        outcomes.entry((row[0].clone(), row[1].clone())).or_default().push((row[2].clone(), row[3].clone()));
    }
    let resolved: BTreeSet<String> =
        site.database.texts("select target from operator_actions where action = 'resolve'").await.into_iter().collect();
    let mut effects: BTreeMap<(String, String), Vec<&'static str>> = BTreeMap::new();
    for effect in site.simulator.world().effects() {
        effects.entry((effect.kind.to_string(), effect.operation_id.clone())).or_default().push(effect.verdict.as_str());
    }
    let mut counts = Counts { operations: records.len(), effects: effects.values().map(Vec::len).sum(), ..Counts::default() };
    counts.outcomes = outcomes.values().map(Vec::len).sum();
    let mut by_key: BTreeMap<&(String, String), Vec<&Record>> = BTreeMap::new();
    for record in &records {
        by_key.entry(&record.key).or_default().push(record);
        *counts.states.entry(record.state.clone()).or_default() += 1;
        if record.state == "unknown" {
            counts.unknown += 1;
            let is_link = record.key.0 == "invitation_link_creation" || record.key.0 == "invitation_link_revocation";
            if !is_link && record.sends < 2 && !record.was_so {
                wrong.push(format!("{:?} is unknown after one call, and could have been found out", record.key));
            }
        }
        if !FINAL.contains(&record.state.as_str()) {
            wrong.push(format!("{:?} is stuck: {} ({})", record.key, record.state, record.id));
        } else if record.has_payload {
            wrong.push(format!("{:?} is {} and its notification was not erased", record.key, record.state));
        }
    }
    for key in reported.iter().filter(|key| !by_key.contains_key(key)) {
        counts.lost += 1;
        wrong.push(format!("{key:?} was answered 2xx and is lost"));
    }
    for (key, records) in &by_key {
        let none = Vec::new();
        let written = outcomes.get(*key).unwrap_or(&none);
        let closed: usize = records.iter().filter(|record| FINAL.contains(&record.state.as_str())).count()
            + records.iter().filter(|record| resolved.contains(&record.id)).count();
        if written.len() < closed {
            counts.without_outcome += closed - written.len();
            wrong.push(format!("{key:?} is final {closed} times and has {} outcomes", written.len()));
        }
        if written.len() > closed {
            wrong.push(format!("{key:?} is final {closed} times and has {} outcomes: {written:?}", written.len()));
        }
        let states: BTreeSet<&str> = records.iter().map(|record| record.state.as_str()).collect();
        if records.iter().filter(|record| !["failed", "refused"].contains(&record.state.as_str())).count() > 1 {
            wrong.push(format!("{key:?} has two records: {states:?}"));
        }
        let none = Vec::new();
        let done = effects.get(*key).unwrap_or(&none);
        if done.len() > 1 {
            counts.twice += 1;
            wrong.push(format!("{key:?} took effect {} times: {done:?}", done.len()));
        }
        let is_validation = key.0 == Kind::UserValidation.as_str();
        match done.first() {
            Some(verdict) => {
                let told = if *verdict == "approve" { "approved" } else { "rejected" };
                if !states.contains(told) && !states.contains("unknown") {
                    wrong.push(format!("{key:?} took effect ({verdict}) and is recorded as {states:?}"));
                }
            }
            None if states.contains("approved") => wrong.push(format!("{key:?} is recorded as approved and never took effect")),
            None if states.contains("rejected") && !is_validation => {
                wrong.push(format!("{key:?} is recorded as rejected and was not"));
            }
            None => {}
        }
    }
    for key in effects.keys().filter(|key| !by_key.contains_key(key)) {
        wrong.push(format!("{key:?} took effect and nobody knows of it"));
    }
    for operation in site.simulator.contradicted() {
        wrong.push(format!("{operation} was told two verdicts"));
    }
    if site.simulator.most_in_flight() > 1 {
        wrong.push(format!("{} verdicts were in flight at once on one tresor", site.simulator.most_in_flight()));
    }
    for (what, sql) in LEFT_OVER {
        let left = site.database.texts(*sql).await;
        if left != ["0"] {
            wrong.push(format!("{} {what}", left[0]));
        }
    }
    told(site, &records, &mut wrong);
    (wrong, counts)
}

/// What must not be there once nothing is under way.
const LEFT_OVER: &[(&str, &str)] = &[
    ("operations hold a lane", "select cast(count(*) as text) from operations where lane is not null"),
    (
        "operations are in line",
        "select cast(count(*) as text) from operations where parked_on is not null or paused_on is not null",
    ),
    (
        "places are kept for what did not happen",
        "select cast(count(*) as text) from limit_places p join operations o on o.id = p.record_id where o.state not in ('approved', 'unknown')",
    ),
    (
        "approvals that count have no place",
        "select cast(count(*) as text) from operations o join decisions d on cast(d.id as text) = o.decision_id left join limit_places p on p.record_id = o.id where o.kind = 'share' and o.state = 'approved' and d.decided_by = 'policy' and p.record_id is null and exists (select 1 from limit_keys)",
    ),
    (
        "verdicts took effect without a decision",
        "select cast(count(*) as text) from operations o where o.state in ('approved', 'rejected', 'superseded') and not exists (select 1 from decisions d where cast(d.id as text) = o.decision_id)",
    ),
    (
        "operations end with another decision than their last",
        "select cast(count(*) as text) from operations o where o.state in ('approved', 'rejected') and not exists (select 1 from outcomes t where cast(t.decision_id as text) = o.decision_id)",
    ),
    (
        "effects of what was applied are not done",
        "select cast(count(*) as text) from effects e join operations o on o.decision_id = cast(e.decision_id as text) where o.state in ('approved', 'rejected') and e.state <> 'done'",
    ),
    (
        "effects of what was not applied are to be done",
        "select cast(count(*) as text) from effects e join operations o on o.id = e.record_id where o.state not in ('approved', 'rejected') and e.state not in ('cancelled', 'failed')",
    ),
    ("events are not delivered", "select cast(count(*) as text) from events where state <> 'delivered'"),
];

/// What the web app was told of: every end once, in order within a flow.
fn told(site: &Site, records: &[Record], wrong: &mut Vec<String>) {
    let told = site.told();
    let mut ends: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    let mut last: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in &told {
        let text = |name: &str| event.body["data"][name].as_str().unwrap();
        let kind = event.body["type"].as_str().unwrap();
        if kind != "operation.escalated" {
            ends.entry(text("id")).or_default().insert((kind, &event.webhook_id));
        }
        let attempt = event.body["data"]["attempt"].as_i64().unwrap();
        // A repeated delivery may come late; the first one of each event must not.
        if seen.insert(event.webhook_id.as_str())
            && let Some((before, earlier)) = last.insert(text("flow_id"), (&event.webhook_id, attempt))
            && earlier > attempt
        {
            wrong.push(format!("{before} was told before {}, and came after it in its flow", event.webhook_id));
        }
    }
    for record in records.iter().filter(|record| FINAL.contains(&record.state.as_str())) {
        let kinds = ends.get(record.id.as_str()).cloned().unwrap_or_default();
        let end = format!("operation.{}", record.state);
        if !kinds.iter().any(|(kind, _)| *kind == end) {
            wrong.push(format!(
                "the web app was never told that {:?} is {} (flow {} {})",
                record.key, record.state, record.flow, record.attempt
            ));
        }
        let ids = kinds.iter().filter(|(kind, _)| *kind == end).count();
        if ids > 1 {
            wrong.push(format!("the web app was told {ids} times over that {:?} is {}", record.key, record.state));
        }
    }
}
