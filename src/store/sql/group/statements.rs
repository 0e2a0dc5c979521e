//! The statements of the groups: each says for many rows what its twin beside this folder says for one, and is a transaction by
//! itself. Postgres alone has them.
//!
//! What is joined is found by its key, however few rows there were when the plan was made (see `FOUND_BY`).
//!
//! No lock is held while anybody judges. What a ruling stands on is read with the version of its rows (`xmin`, which every write
//! to a row changes, whoever makes it): lane and counters. The ruling is written where they are the same still, and where a lane
//! is not there that was believed not to be.

use crate::store::dialect::{Sql, word};

/// A statement for the database that takes sets; the other one is never given it.
macro_rules! set {
    ($($part:tt)+) => { Sql { postgres: concat!($(word!(postgres $part)),+), sqlite: "" } };
}

/// Of the messages those that are new by webhook and by operation: first the message, then the operation, as everywhere. Should
/// another replica store one of them meanwhile, all of it fails.
pub(super) const RECEIVE: Sql = set!(
    "with n as materialized (select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
    "$8::text[], $9::bytea[], $10::text[], $11::bigint[]) as n(webhook_id, body_mac, id, kind, operation_id, requester_id, flow_id, "
    "requested_flow, payload, home, lease)), "
    "fresh as materialized (select n.* from n where "
    "not exists (select 1 from notifications t where t.webhook_id = n.webhook_id offset 0) "
    "and not exists (select 1 from operations o where o.kind = n.kind and o.operation_id = n.operation_id offset 0) "
    "and not exists (select 1 from finished_operations o where o.kind = n.kind and o.operation_id = n.operation_id offset 0)), "
    "noted as (insert into notifications (webhook_id, body_mac, record_id, received_at) select webhook_id, body_mac, id, " NOW " from fresh returning webhook_id) "
    "insert into operations (id, kind, operation_id, requester_id, flow_id, requested_flow, state, received_at, payload, owner, fence, "
    "due_at, home) select id, kind, operation_id, requester_id, flow_id, requested_flow, case when lease is null then 'received' else "
    "'running' end, " NOW ", payload, case when lease is null then null else home end, case when lease is null then 0 else 1 end, "
    NOW " + coalesce(lease, 0), home from fresh where (select count(*) from noted) >= 0 returning id, received_at"
);

/// In the order of what was asked. A lane is made when somebody first comes there; of one that nobody holds with the version of
/// its row.
pub(super) const LANE_FACTS: Sql = set!(
    "with n as materialized (select * from unnest($1::text[], $2::text[]) with ordinality as n(lane, tresor, i)), "
    "made as (insert into lanes (lane, version) select distinct on (n.lane collate \"C\") n.lane, 0 from n "
    "where not exists (select 1 from lanes l where l.lane = n.lane offset 0) order by n.lane collate \"C\" on conflict (lane) do nothing "
    "returning lane, xmin::text as row) "
    "select l.version, t.creator_id, t.created_at, " NOW ", case when l.lane is null then (select m.row from made m where m.lane = n.lane) "
    "when not exists (select 1 from operations h where h.lane = n.lane offset 0) then l.xmin::text end from n "
    "left join lanes l on l.lane" FOUND_BY "n.lane" FOUND " left join tresors t on t.id" FOUND_BY "n.tresor" FOUND " order by n.i"
);

/// How each operation and its lane stand (0), what its limits count, and since when (1), the versions of the counters' rows (2), and
/// persons' keys (3); counters that are missing are made, and keys where one is given, in this order. An operation is not plain that
/// goes on with a flow or comes back, has places, is paused, or whose lane is kept for somebody's turn.
pub(super) const LOOK: Sql = set!(
    "with counting as (insert into limit_keys (limit_key) select n.limit_key from unnest($14::text[]) as n(limit_key) "
    "where not exists (select 1 from limit_keys k where k.limit_key = n.limit_key offset 0) order by n.limit_key collate \"C\" "
    "on conflict (limit_key) do nothing returning limit_key, xmin::text as seen), "
    "made as (insert into person_keys (person_id, wrapped, created_at) select n.person_id, n.wrapped, " NOW
    " from unnest($12::text[], $13::bytea[]) as n(person_id, wrapped) where (select count(*) from counting) >= 0 and n.wrapped is not null "
    "and not exists (select 1 from person_keys k where k.person_id = n.person_id offset 0) order by n.person_id collate \"C\" "
    "on conflict (person_id) do nothing returning person_id, wrapped) "
    "select 0::bigint, n.i, o.flow_id, l.version, coalesce(o.place_in_line, case when o.decision_id is not null then o.received_at end), "
    "o.received_at, (o.attempt = 1 and o.basis is null and not exists (select 1 from limit_places p where p.record_id = n.id offset 0) "
    "and not (n.pausable and exists (select 1 from pauses where scope in ('*', n.lane) offset 0)) "
    "and not exists (select 1 from flows t where t.lane = n.lane and t.turn_until is not null offset 0) "
    "and not (o.place_in_line is null and o.decision_id is null and (exists (select 1 from flows f where f.id = n.requested_flow offset 0) "
    "or (n.joins and exists (select 1 from flows f where f.intent = n.intent and f.open_since > (select " NOW ") - $15 offset 0)))))::boolean, "
    "(select h.id from operations h where h.lane = n.lane limit 1), "
    "(select c.verdict from (select verdict, decided_at from operations c where c.kind = n.kind and c.operation_id = n.operation_id "
    "and c.verdict is not null union all select verdict, decided_at from finished_operations c where c.kind = n.kind "
    "and c.operation_id = n.operation_id and c.verdict is not null) c order by c.decided_at limit 1), null::bytea, l.xmin::text, " NOW " "
    "from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::boolean[]) "
    "with ordinality as n(id, fence, lane, intent, requested_flow, kind, operation_id, pausable, joins, i) "
    "join operations o on o.id" FOUND_BY "n.id" FOUND " and o.fence = n.fence left join lanes l on l.lane" FOUND_BY "n.lane" FOUND " "
    "union all select 1, q.i, null, p.count, p.oldest, null, null, null, null, null, null, null "
    "from unnest($10::text[], $11::bigint[]) with ordinality as q(limit_key, within, i), "
    "lateral (select count(*) as count, min(p.taken_at) as oldest from limit_places p where p.limit_key = q.limit_key and p.taken_at > (select " NOW ") - q.within) p "
    "union all select 2, 0, k.limit_key, null, null, null, null, null, null, null, k.xmin::text, null "
    "from unnest($14::text[]) as n(limit_key) join limit_keys k on k.limit_key" FOUND_BY "n.limit_key" FOUND " "
    "union all select 2, 0, counting.limit_key, null, null, null, null, null, null, null, counting.seen, null from counting "
    "union all select 3, 0, k.person_id, null, null, null, null, null, null, k.wrapped, null, null "
    "from unnest($12::text[]) as n(person_id) join person_keys k on k.person_id" FOUND_BY "n.person_id" FOUND " "
    "union all select 3, 0, made.person_id, null, null, null, null, null, null, made.wrapped, null, null from made"
);

/// Takes lanes, those first that are new, then counters, where they are as they were seen; then writes of each operation that has
/// its own, and still its lease, where it stands or how it was ruled. What comes in with its ruling is stored here, message and
/// operation, where both are new. Who was written, and whose message or operation was known (nothing in the second column).
///
/// Each part hands on whole rows, so that none is joined to what was asked: for a database to which a set is a list without an
/// index that would be every row with every other.
pub(super) const RULE: Sql = set!(
    "with n as materialized (select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], "
    "$10::text[], $11::text[], $12::bigint[], $13::text[], $14::bigint[], $15::text[], $16::text[], "
    "$17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], "
    "$26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[], $32::text[], $33::text[], $34::boolean[], $35::boolean[], "
    "$50::text[], $51::text[], $52::bytea[], $53::text[], $54::bigint[]) as n(i, id, fence, act, lane, lane_seen, flow_id, place, new_intent, decision_id, message, decided_at, "
    "additional_info, has_effects, verdict, members_before, at, tenant, kind, operation_id, tresor_id, actor_id, "
    "subject_id, requester_id, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, "
    "shadow, pausable, joins, webhook_id, body_mac, payload, home, lease)), "
    "s as materialized (select * from unnest($36::bigint[], $37::text[], $38::text[]) as s(i, limit_key, seen)), "
    "known as materialized (select n.i, n.id from n where n.webhook_id is not null and ("
    "exists (select 1 from notifications t where t.webhook_id = n.webhook_id offset 0) "
    "or exists (select 1 from operations c where c.kind = n.kind and c.operation_id = n.operation_id offset 0) "
    "or exists (select 1 from finished_operations c where c.kind = n.kind and c.operation_id = n.operation_id offset 0))), "
    "plain as materialized (select n.* from n where n.i not in (select known.i from known) "
    // Nobody has asked for the time on its way here: where a machine stood still, what is remembered of it is not the time.
    "and (n.webhook_id is null or n.decided_at > (select " NOW ") - 5000000) "
    // Read once more: a pause holds from the moment its command returns. It changes no lane, but what it locks is locked before
    // this statement sees anything.
    "and not (n.pausable and exists (select 1 from pauses where scope in ('*', n.lane) offset 0)) "
    // Nobody has looked, so it is looked now: nobody waits for somebody like this.
    "and (n.place is not null or not (n.joins and exists (select 1 from flows f where f.intent = n.new_intent and f.open_since > (select " NOW ") - $49::bigint offset 0)))), "
    "made as (insert into lanes (lane, version) select n.lane, 0 from plain n where n.lane_seen is null "
    // Not to wait for whoever is at work on one that is there.
    "and not exists (select 1 from lanes l where l.lane = n.lane offset 0) order by n.lane collate \"C\" on conflict (lane) do nothing returning lane), "
    "stands as (update lanes l set waiting = case when n.act = 'park' then 1 else l.waiting end from plain n "
    "where l.lane" FOUND_BY "n.lane" FOUND " and l.xmin::text = n.lane_seen and (select count(*) from made) >= 0 "
    // And the lane is free.
    "and (n.place is not null or not (exists (select 1 from operations h where h.lane = n.lane offset 0) "
    "or exists (select 1 from flows t where t.lane = n.lane and t.turn_until is not null offset 0))) returning n.*), "
    "lane as materialized (select * from stands union all select * from plain where lane_seen is null and lane = any(array(select made.lane from made))), "
    // The second waits for the first, as nothing else says in which order they are done.
    "counter as (update limit_keys k set limit_key = k.limit_key from s "
    "where s.i = any(array(select i from lane)) and k.limit_key" FOUND_BY "s.limit_key" FOUND " and k.xmin::text = s.seen returning s.limit_key), "
    "free as materialized (select * from lane "
    "where i not in (select s.i from s where s.limit_key not in (select counter.limit_key from counter))), "
    "stood as (update operations o set flow_id = n.flow_id, place_in_line = n.place, "
    "parked_on = case when n.act = 'park' then n.lane end, lane = case when n.act = 'park' then o.lane else n.lane end, "
    "due_at = case when n.act = 'park' then null else o.due_at end, owner = case when n.act = 'park' then null else o.owner end "
    "from free n where n.act <> 'rule' and o.id" FOUND_BY "n.id" FOUND " and o.fence = n.fence and coalesce(o.due_at, 0) > 0 "
    "returning n.id, n.flow_id, n.new_intent, n.lane, n.place), "
    "judged as (update operations o set decision_id = n.decision_id, flow_id = n.flow_id, place_in_line = coalesce(n.place, o.received_at), message = n.message, "
    "decided_at = n.decided_at, additional_info = n.additional_info, has_effects = greatest(o.has_effects, n.has_effects), verdict = n.verdict, sends = 1, "
    "last_failure = null, sent_at = " NOW ", members_before = n.members_before, lane = n.lane, parked_on = null "
    "from free n where n.act = 'rule' and n.webhook_id is null and o.id" FOUND_BY "n.id" FOUND " and o.fence = n.fence and coalesce(o.due_at, 0) > 0 "
    // And nobody has worked on it before, or on another report of it.
    "and (n.place is not null or (o.attempt = 1 and o.basis is null and o.place_in_line is null and o.decision_id is null "
    "and not exists (select 1 from operations c where c.kind = n.kind and c.operation_id = n.operation_id and c.verdict is not null offset 0) "
    "and not exists (select 1 from finished_operations c where c.kind = n.kind and c.operation_id = n.operation_id and c.verdict is not null offset 0))) "
    "returning n.*, o.place_in_line), "
    // Received before it is decided, whatever a remembered time says.
    "arrived as materialized (select n.*, least(" NOW ", n.decided_at) as place_in_line from free n where n.webhook_id is not null), "
    // In the order of those that are stored alone.
    "noted as (insert into notifications (webhook_id, body_mac, record_id, received_at) select webhook_id, body_mac, id, place_in_line "
    "from arrived order by kind collate \"C\", operation_id collate \"C\" returning webhook_id), "
    "taken_in as (insert into operations (id, kind, operation_id, requester_id, flow_id, state, received_at, payload, owner, fence, due_at, home, "
    "decision_id, message, decided_at, additional_info, has_effects, verdict, sends, sent_at, members_before, lane, place_in_line) "
    "select n.id, n.kind, n.operation_id, n.requester_id, n.flow_id, 'running', n.place_in_line, n.payload, n.home, n.fence, "
    NOW " + n.lease, n.home, n.decision_id, n.message, n.decided_at, n.additional_info, n.has_effects, n.verdict, 1 as sends, "
    NOW ", n.members_before as members, n.lane as holds, n.place_in_line from arrived n where (select count(*) from noted) >= 0 "
    "order by n.kind collate \"C\", n.operation_id collate \"C\"), "
    "ruled as materialized (select * from judged union all select * from arrived), "
    "written as materialized (select id, flow_id, new_intent, lane, place from stood "
    "union all select id, flow_id, new_intent, lane, place_in_line from ruled), "
    "begun as (insert into flows (id, intent, attempts, lane, since) select w.flow_id, w.new_intent, 1, w.lane, w.place "
    "from written w where w.new_intent is not null), "
    "recorded as (insert into decisions (id, decided_at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, "
    "requester_id, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow) "
    "select n.decision_id::uuid, n.at::timestamptz, n.tenant, n.kind, n.operation_id, n.flow_id::uuid, 1, n.tresor_id, n.actor_id, "
    "n.subject_id, n.requester_id, n.verdict, n.decided_by, n.rules::jsonb, n.reason, n.policy_hash, n.evaluator_version, n.facts::json, "
    "n.facts_personal::json, n.trace::json, n.shadow::json from ruled n), "
    "placed as (insert into limit_places (limit_key, record_id, taken_at) select p.limit_key, p.record_id, " NOW
    " from unnest($39::text[], $40::text[]) as p(limit_key, record_id) where p.record_id = any(array(select id from ruled)) "
    "on conflict (limit_key, record_id) do update set taken_at = excluded.taken_at), "
    "planned as (insert into effects (id, decision_id, record_id, rule, action, user_id, enable, state, intended_at, result_at, error_code) "
    "select e.id, e.decision_id::uuid, e.record_id, e.rule, e.action, e.user_id, e.enable, case when e.user_id is null then 'failed' else "
    "'planned' end, e.at::timestamptz, case when e.user_id is null then e.at::timestamptz end, case when e.user_id is null then 'UserUnknown' end "
    "from unnest($41::text[], $42::text[], $43::text[], $44::text[], $45::text[], $46::text[], "
    "$47::boolean[], $48::text[]) as e(id, decision_id, record_id, rule, action, user_id, enable, at) "
    "where e.record_id = any(array(select id from ruled))) "
    "select id, pg_current_xact_id()::xid::text from written union all select known.id, null from known"
);

/// Outcomes and final states, where nobody is in line for the lane, which is moved and freed, and no ruling planned effects; and
/// what became of deliveries of events. Whoever waits at another replica is told to look. When each end was, with its lane's version and that of the lane's
/// row, unless something else is recorded of the tresor than this says (0); the event that is delivered at once (1); which
/// deliveries were written, and whether another event of the flow waits (2).
pub(super) const END: Sql = set!(
    "with n as materialized (select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], "
    "$7::text[], $8::text[], $9::text[], $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], "
    "$17::text[], $18::text[], $19::bigint[]) as n(id, fence, lane, state, error_code, outcome_id, decision_id, kind, operation_id, "
    "reconciled, detail, flow_id, replica, created_id, creator_id, event_id, event_type, event_body, event_lease)), "
    "moved as (update lanes l set version = version + 1 from n join operations o on o.id" FOUND_BY "n.id" FOUND " and o.fence = n.fence "
    "and coalesce(o.due_at, 0) > 0 and o.has_effects = 0 and o.lane is not distinct from n.lane where l.lane" FOUND_BY "n.lane" FOUND " and l.waiting = 0 returning n.*, l.version, l.xmin::text as row, " NOW " as now), "
    "settled as (update operations o set state = n.state, outcome = 'applied', error_code = n.error_code, settled_at = n.now, "
    "due_at = null, owner = null, lane = null, parked_on = null, payload = null "
    "from moved n where o.id" FOUND_BY "n.id" FOUND " and o.fence = n.fence and coalesce(o.due_at, 0) > 0 "
    "returning n.*, o.home, timestamptz 'epoch' + n.now * interval '1 microsecond' as at), "
    "written as (insert into outcomes (id, decision_id, at, kind, operation_id, outcome, error_code, detail, reconciled) "
    "select n.outcome_id::uuid, n.decision_id::uuid, n.at, n.kind, n.operation_id, 'applied', n.error_code, n.detail, n.reconciled "
    "from settled n), "
    "over as (update flows f set in_line = 0, turn_since = null, turn_until = null, open_since = null "
    "from settled n where f.id" FOUND_BY "n.flow_id" FOUND " "
    "and (f.in_line <> 0 or f.turn_since is not null or f.turn_until is not null or f.open_since is not null)), "
    "created as (insert into tresors (id, creator_id, created_at) select n.created_id, n.creator_id, n.now "
    "from settled n where n.created_id is not null on conflict (id) do nothing returning id), "
    "told as (insert into events (id, record_id, flow_id, type, body, created_at, due_at, owner, fence) select e.event_id, e.id, e.flow_id, "
    "e.event_type, e.body, " NOW ", " NOW " + case when e.given then e.event_lease else 0 end, case when e.given then e.replica end, "
    "case when e.given then 1 else 0 end "
    "from (select n.*, (n.event_lease is not null and not exists (select 1 from events p where p.flow_id = n.flow_id and p.state = 'pending' offset 0)) "
    "as given, replace(n.event_body, '0001-01-01T00:00:00.000000Z\"', to_char(n.at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"') as body "
    "from settled n where n.event_id is not null) e returning record_id, seq, fence, owner, body), "
    "delivered as (update events e set state = n.state, due_at = " NOW " + n.delay, owner = null, last_answer = n.answer, tries = e.tries + 1, "
    "settled_at = case when n.delay is null then " NOW " else e.settled_at end "
    "from unnest($20::bigint[], $21::bigint[], $22::text[], $23::text[], $24::bigint[]) as n(seq, fence, state, answer, delay) "
    "where e.seq" FOUND_BY "n.seq" FOUND " and e.fence = n.fence and coalesce(e.due_at, 0) > 0 returning e.seq, exists (select 1 from events p "
    "where p.flow_id = e.flow_id and p.state = 'pending' and p.seq > e.seq offset 0) as follows) "
    "select 0::bigint, n.id, n.now, n.version, case when n.created_id is null or n.created_id in (select created.id from created) then n.row end, "
    "case when n.home <> n.replica then pg_notify('assent_settled', n.id)::text end from settled n union all select 1, record_id, seq, fence, body, null from told where owner is not null "
    "union all select 2, null, seq, follows::int, null, null from delivered"
);
