//! The second transaction: the lane is taken, limits are counted under their locks, the judge judges, and decision,
//! intent and places are written together.

use super::finish::write_end;
use super::line::{self, Line, Way};
use super::types::{Claim, Lane};
use super::{audit_time, effects, events, fenced, pauses, reviews, timestamp};
use crate::audit::WrappedKey;
use crate::domain::duration::micros;
use crate::domain::ids::{FlowId, UserId};
use crate::domain::operation::Intent;
use crate::domain::verdict::Verdict;
use crate::flow::{Places, State, Step};
use crate::store::connection::{Arg, Row, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::types::{Decided, Deciding, Finishing, Ground, Passed, Person, Ruling, Sent};
use crate::store::{Judge, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const OWN: Sql = sql!(
    "select flow_id, attempt, place_in_line, received_at, decision_id, basis, case when home <> owner then home end, "
    "(select min(scope) from pauses where scope in ('*', $3)) from operations where id = $1 and fence = $2"
);
const PARK: Sql = sql!(
    "update operations set parked_on = $3, due_at = null, owner = null where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
);
const HOLD: Sql =
    sql!("update operations set lane = $3, parked_on = null where id = $1 and fence = $2 and coalesce(due_at, 0) > 0");
const COMMITTED: Sql = sql!(
    "select verdict from (select verdict, decided_at from operations where kind = $1 and operation_id = $2 and verdict is not null union all "
    "select verdict, decided_at from finished_operations where kind = $1 and operation_id = $2 and verdict is not null) c order by decided_at limit 1"
);
const LOCK_LIMIT: Sql =
    sql!("insert into limit_keys (limit_key) values ($1) on conflict (limit_key) do update set limit_key = excluded.limit_key");
const HAD: Sql = sql!("select limit_key from limit_places where record_id = $1");
const COUNT: Sql = sql!(
    "select count(*) from limit_places where limit_key = $1 and taken_at > (select " NOW ") - $2 and record_id <> $3"
);
const TAKE_PLACE: Sql = sql!(
    "insert into limit_places (limit_key, record_id, taken_at) values ($1, $2, " NOW ") on conflict (limit_key, record_id) do update set taken_at = excluded.taken_at"
);
const NEW_PERSON: Sql = sql!(
    "insert into person_keys (person_id, wrapped, created_at) values ($1, $2, " NOW ") on conflict (person_id) do nothing"
);
const PERSON: Sql = sql!("select wrapped from person_keys where person_id = $1");
pub(super) const PERSONS: Sql = Sql {
    postgres: "select person_id, wrapped from person_keys where person_id = any(array(select jsonb_array_elements_text($1::jsonb)))",
    sqlite: "select person_id, wrapped from person_keys where person_id in (select value from json_each($1))",
};
pub(super) const ARCHIVE: Sql = sql!(
    "insert into policies (hash, body, first_used_at) values ($1, $2, $3" AS_TIME ") on conflict (hash) do nothing"
);
const RECORD: Sql = sql!(
    "insert into decisions (id, decided_at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, "
    "requester_id, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow) "
    "values ($1" AS_UUID ", $2" AS_TIME ", $3, $4, $5, $6" AS_UUID ", $7, $8, $9, $10, $11, $12, $13, $14" AS_JSON
    ", $15, $16, $17, $18" AS_JSON ", $19" AS_JSON ", $20" AS_JSON ", $21" AS_JSON ")"
);
/// The operation points to its decision, and says more where there is more to be said. Effects that an earlier ruling planned are
/// there to be cancelled.
macro_rules! ruled {
    ($($more:tt)*) => {
        sql!(
            "update operations set decision_id = $3, flow_id = $4, attempt = $5, message = $6, decided_at = $7, additional_info = $8, "
            "has_effects = case when has_effects = 1 then 1 else $9 end" $($more)* " where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
        )
    };
}
const RULED: Sql = ruled!();
/// With the intent to send the verdict.
const RULED_TO_SEND: Sql = ruled!(
    ", verdict = $10, sends = 1, last_failure = null, sent_at = " NOW ", members_before = $11, lane = $12, parked_on = null"
);

pub(super) async fn decide(
    tx: &mut dyn Transaction,
    deciding: Deciding<'_>,
    archived: bool,
    judge: Judge<'_>,
) -> Result<Decided, StoreError> {
    let id = deciding.lease.id.to_string();
    let fence = deciding.lease.fence;
    let lane = deciding.lane.as_str();
    let mut held = line::lock(tx, lane).await?;
    let own = first(tx.rows(OWN, args![id.as_str(), fence, lane]).await?).ok_or(StoreError::Fenced)?;
    let is_paused = deciding.pausable && own.opt_text(7)?.is_some();
    let waits_elsewhere = own.opt_text(6)?.is_some();
    let mut own = own_claim(&own)?;
    let superseded = match own.place {
        None => line::join(tx, &deciding, &mut held, &mut own).await?,
        Some(_) => Vec::new(),
    };
    let joined = Passed { handed_to: None, superseded };
    if is_paused && pauses::set_aside(tx, &id, fence, lane).await? {
        return Ok(Decided::Parked(joined.and(line::hand_on(tx, &held, deciding.rules).await?)));
    }
    let way = Line::read(tx, lane).await?.way_of(&id, held.now);
    if way != Way::Free {
        fenced(tx.run(PARK, args![id.as_str(), fence, lane]).await?)?;
        line::wait(tx, lane).await?;
        held.is_awaited = true;
        return Ok(Decided::Parked(joined.and(match way {
            // Others may be in line before it: whoever is first gets the lane.
            Way::TurnMissed => line::hand_on(tx, &held, deciding.rules).await?,
            Way::Busy | Way::Free => Passed::default(),
        })));
    }
    if held.version != deciding.seen_version {
        fenced(tx.run(HOLD, args![id.as_str(), fence, lane]).await?)?;
        return Ok(Decided::Stale);
    }
    let (flow, attempt, now) = (own.flow, own.attempt, timestamp(held.now)?);
    let counts = count(tx, &deciding, &id, own.was_decided).await?;
    let person_keys = persons(tx, deciding.persons).await?;
    let key = deciding.key;
    let committed = first(tx.rows(COMMITTED, args![key.kind.as_str(), key.operation_id.as_str()]).await?);
    let committed = committed.map(|row| row.parsed(0, Verdict::parse)).transpose()?;
    // Only what was escalated before, or follows on something that was, can have been reviewed.
    let grant = match own.was_escalated || attempt > 1 {
        true => reviews::grant(tx, &flow.to_string(), &intent_key(deciding.intent)).await?,
        false => None,
    };
    let ground = Ground { now, counts, person_keys, flow, attempt, committed, grant };
    let ruling = judge(ground)?;
    if !archived {
        let (hash, body) = deciding.policy;
        tx.run(ARCHIVE, args![hash, body, audit_time(now)]).await?;
    }
    // Every ruling is a decision of its own, on its own facts; the operation points to the last.
    record(tx, &ruling).await?;
    let mut ruled = args![
        id.as_str(),
        fence,
        ruling.record.id.to_string(),
        flow.to_string(),
        i64::from(attempt),
        ruling.message.clone(),
        now.as_microsecond(),
        ruling.additional_info.clone(),
        i64::from(!ruling.effects.is_empty()),
    ];
    if matches!(ruling.step, Step::Send) {
        let members = deciding.members_before.map(serde_json::to_string).transpose();
        let members = members.map_err(|error| StoreError::Judge(error.to_string()))?;
        ruled.extend(args![ruling.record.verdict.as_str(), members, lane]);
        fenced(tx.run(RULED_TO_SEND, ruled).await?)?;
    } else {
        fenced(tx.run(RULED, ruled).await?)?;
    }
    effects::plan(tx, deciding.lease.id, &ruling).await?;
    let mut decided = follow(tx, &deciding, &held, ruling).await?;
    if let Decided::Ruled { passed, .. } = &mut decided {
        *passed = joined.and(std::mem::take(passed));
    }
    if waits_elsewhere && matches!(&decided, Decided::Ruled { sent: None, .. }) {
        line::notify(tx, deciding.lease.id).await?;
    }
    Ok(decided)
}

/// Writes what follows from the ruling.
async fn follow(tx: &mut dyn Transaction, deciding: &Deciding<'_>, held: &Lane, ruling: Ruling) -> Result<Decided, StoreError> {
    let id = deciding.lease.id.to_string();
    let fence = deciding.lease.fence;
    let verdict = ruling.record.verdict;
    let keeps_places = match &ruling.step {
        Step::Send => true,
        Step::End(ending) => ending.places() == Places::Keep,
        _ => false,
    };
    if verdict == Verdict::Approve && keeps_places {
        for place in deciding.places {
            tx.run(TAKE_PLACE, args![place.as_str(), id.as_str()]).await?;
        }
    }
    let (sent, passed) = match &ruling.step {
        Step::Send => {
            let sent = Sent {
                decision: ruling.record.id,
                verdict,
                sends: 1,
                age: Duration::ZERO,
                members_before: deciding.members_before.map(<[_]>::to_vec),
                additional_info: ruling.additional_info.clone(),
            };
            (Some(sent), Passed::default())
        }
        Step::AwaitReview => {
            fenced(reviews::await_review(tx, &id, fence, &ruling).await?)?;
            let at = audit_time(ruling.record.decided_at);
            events::tell(tx, deciding.lease.id, State::Escalated.as_str(), &at, deciding.rules).await?;
            (None, line::hand_on(tx, held, deciding.rules).await?)
        }
        Step::End(ending) => {
            let finishing = Finishing {
                lease: deciding.lease,
                key: deciding.key,
                decision: Some(ruling.record.id),
                ending,
                rules: deciding.rules,
                ruling: None,
                replica: "",
                deliver_within: None,
            };
            write_end(tx, finishing, Some(held)).await?;
            (None, line::hand_on(tx, held, deciding.rules).await?)
        }
        step => return Err(StoreError::Judge(format!("a decision cannot be followed by {step:?}"))),
    };
    Ok(Decided::Ruled { ruling: Box::new(ruling), sent, passed })
}

fn own_claim(row: &Row) -> Result<Claim, StoreError> {
    let received_at = row.int(3)?;
    // An operation that the release before this one decided on has joined its flow already.
    let place = row.opt_int(2)?.or_else(|| row.opt_text(4).ok().flatten().map(|_| received_at));
    Ok(Claim {
        flow: row.parsed(0, FlowId::parse)?,
        attempt: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
        place,
        received_at,
        was_decided: row.opt_text(4)?.is_some(),
        was_escalated: row.opt_text(5)?.is_some(),
    })
}

pub(super) fn intent_key(intent: &Intent) -> String {
    let parts = [
        intent.tresor.as_ref().map(|tresor| tresor.as_str()),
        intent.actor.as_ref().map(|user| user.as_str()),
        intent.subject.as_ref().map(|user| user.as_str()),
    ];
    intent_of_parts(intent.kind.as_str(), parts)
}

/// Of tresor, actor and subject. Identifiers hold no white space, so the parts cannot run into each other.
pub(super) fn intent_of_parts(kind: &str, parts: [Option<&str>; 3]) -> String {
    format!("{kind} {}", parts.map(|part| part.unwrap_or("-")).join(" "))
}

/// Counts under the locks of the counters, taken in order.
async fn count(
    tx: &mut dyn Transaction,
    deciding: &Deciding<'_>,
    id: &str,
    was_decided: bool,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let queried = deciding.queries.iter().map(|(_, key, _)| key.as_str());
    // With those that it has a place in from before, which it may give back.
    let had = if was_decided { tx.rows(HAD, args![id]).await? } else { Vec::new() };
    let had = had.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    let keys: BTreeSet<&str> = queried.chain(deciding.places.iter().map(String::as_str)).chain(had).collect();
    for key in keys {
        tx.run(LOCK_LIMIT, args![key]).await?;
    }
    let mut counts = BTreeMap::new();
    for (rule, key, within) in deciding.queries {
        let row = first(tx.rows(COUNT, args![key.as_str(), micros(*within), id]).await?);
        let seen = row.ok_or_else(|| StoreError::Corrupt("no count".into()))?.int(0)?;
        counts.insert(rule.clone(), u64::try_from(seen).unwrap_or(0));
    }
    Ok(counts)
}

async fn persons(tx: &mut dyn Transaction, persons: &[Person]) -> Result<BTreeMap<UserId, WrappedKey>, StoreError> {
    let mut keys = BTreeMap::new();
    for person in persons {
        let insert = vec![Arg::from(person.id.as_str()), Arg::Bytes(Some(person.fresh_key.0.clone()))];
        let is_new = tx.run(NEW_PERSON, insert).await? == 1;
        let key = if is_new {
            person.fresh_key.clone()
        } else {
            let row = first(tx.rows(PERSON, args![person.id.as_str()]).await?);
            let row = row.ok_or_else(|| StoreError::Corrupt("a person's key vanished".into()))?;
            WrappedKey(row.opt_bytes(0)?.unwrap_or_default().to_vec())
        };
        keys.insert(person.id.clone(), key);
    }
    Ok(keys)
}

async fn record(tx: &mut dyn Transaction, ruling: &Ruling) -> Result<(), StoreError> {
    let record = &ruling.record;
    let args = args![
        record.id.to_string(),
        audit_time(record.decided_at),
        record.tenant.as_str(),
        record.key.kind.as_str(),
        record.key.operation_id.as_str(),
        record.flow.to_string(),
        i64::from(record.attempt),
        record.intent.tresor.as_ref().map(ToString::to_string),
        record.intent.actor.as_ref().map(ToString::to_string),
        record.intent.subject.as_ref().map(ToString::to_string),
        record.requester.as_ref().map(ToString::to_string),
        record.verdict.as_str(),
        record.decided_by.as_str(),
        record.rules_json(),
        record.reason.as_str(),
        record.policy_hash.as_str(),
        record.evaluator_version.as_str(),
        record.facts.as_str(),
        record.facts_personal.as_str(),
        record.trace.as_str(),
        record.shadow.as_str(),
    ];
    tx.run(RECORD, args).await.map(|_| ())
}
