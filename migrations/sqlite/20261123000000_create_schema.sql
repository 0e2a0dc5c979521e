-- The same as for Postgres, with JSON and times (RFC 3339, UTC) as text.
-- The work tables, which the daemon changes, and the audit tables, which nobody does.
-- Times of the work tables are microseconds since 1970 by the database's clock.

create table notifications (
    webhook_id   text primary key,
    body_mac     text not null,     -- keyed: a plain hash of a body with an address in it could be searched
    record_id    text not null,
    received_at  integer not null
);

create table operations (
    id              text primary key,
    kind            text not null,
    operation_id    text not null,
    requester_id    text,
    flow_id         text not null,
    requested_flow  text,
    attempt         integer not null default 1,
    state           text not null,
    received_at     integer not null,
    payload         blob,              -- the notification, sealed; erased when final
    lane            text,               -- the lane it holds
    parked_on       text,               -- the lane it waits for
    owner           text,
    fence           integer not null default 0,
    due_at          integer,             -- when somebody may claim it; a lease is a due time in the future
    tries           integer not null default 0,
    decision_id     text,
    verdict         text,
    message         text,
    decided_at      integer,
    sends           integer not null default 0,  -- calls with the verdict whose fate is not known
    sent_at         integer,
    members_before  text,
    outcome         text,
    error_code      text,
    settled_at      integer
);

-- A failed or refused report opens a new attempt; any other is the operation itself.
create unique index operations_one_record on operations (kind, operation_id) where state not in ('failed', 'refused');
-- One operation in flight a lane.
create unique index operations_one_in_flight on operations (lane) where lane is not null;
create index operations_due on operations (due_at) where due_at is not null;
create index operations_parked on operations (parked_on, received_at, id) where parked_on is not null;
create index operations_key on operations (kind, operation_id);

create table lanes (
    lane     text primary key,
    version  integer not null
);

create table flows (
    id          text primary key,
    intent      text not null,
    attempts    integer not null,
    open_since  integer              -- since when it waits for its next operation
);
create index flows_open on flows (intent, open_since) where open_since is not null;

create table limit_keys (
    limit_key  text primary key
);

create table limit_places (
    limit_key  text not null,
    record_id  text not null,
    taken_at   integer not null,
    primary key (limit_key, record_id)
);
create index limit_places_window on limit_places (limit_key, taken_at);
create index limit_places_record on limit_places (record_id);

create table tresors (
    id          text primary key,
    creator_id  text not null,
    created_at  integer not null
);

create table person_keys (
    person_id   text primary key,
    wrapped     blob not null,
    created_at  integer not null
);

-- One row: a known text sealed under the master key, so that a wrong key is noticed before anything is lost.
create table key_sentinel (
    id      integer primary key check (id = 1),
    sealed  blob not null
);

-- For auditors. Insert-only, by triggers alone: who can write the file can also drop them.

create table policies (
    hash           text primary key,
    body           text not null,
    first_used_at  text not null
);

create table decisions (
    id                 text primary key,
    decided_at         text not null,
    tenant             text not null,
    kind               text not null,
    operation_id       text not null,
    flow_id            text not null,
    attempt            integer not null,
    tresor_id          text,
    actor_id           text,
    subject_id         text,
    requester_id       text,
    verdict            text not null,
    decided_by         text not null,
    rules              text not null,
    reason             text not null,
    policy_hash        text not null,
    evaluator_version  text not null,
    facts              text not null,
    facts_personal     text not null,
    trace              text not null,
    shadow             text not null
);
create index decisions_time on decisions (decided_at);
create index decisions_operation on decisions (operation_id);

create table outcomes (
    id            text primary key,
    decision_id   text,
    at            text not null,
    kind          text not null,
    operation_id  text not null,
    outcome       text not null,
    error_code    text,
    detail        text,
    reconciled    integer not null
);
create index outcomes_decision on outcomes (decision_id);
create index outcomes_operation on outcomes (operation_id);

create trigger decisions_no_update before update on decisions begin select raise(abort, 'table decisions is insert-only'); end;
create trigger decisions_no_delete before delete on decisions begin select raise(abort, 'table decisions is insert-only'); end;
create trigger outcomes_no_update before update on outcomes begin select raise(abort, 'table outcomes is insert-only'); end;
create trigger outcomes_no_delete before delete on outcomes begin select raise(abort, 'table outcomes is insert-only'); end;
create trigger policies_no_update before update on policies begin select raise(abort, 'table policies is insert-only'); end;
create trigger policies_no_delete before delete on policies begin select raise(abort, 'table policies is insert-only'); end;

-- One row a decision, with its latest outcome.
create view decision_history as
select d.*, o.outcome, o.error_code, o.detail, o.reconciled, o.at as outcome_at
from decisions d
left join outcomes o on o.id = (
    select latest.id from outcomes latest where latest.decision_id = d.id order by latest.at desc, latest.id desc limit 1
);
