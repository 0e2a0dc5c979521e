-- The work tables, which the daemon changes, and the audit tables, which nobody does.
-- Times of the work tables are microseconds since 1970 by the database's clock.

create table notifications (
    webhook_id   text primary key,
    body_mac     text not null,     -- keyed: a plain hash of a body with an address in it could be searched
    record_id    text not null,
    received_at  bigint not null
);

create table operations (
    id              text primary key,
    kind            text not null,
    operation_id    text not null,
    requester_id    text,
    flow_id         text not null,
    requested_flow  text,
    attempt         bigint not null default 1,
    state           text not null,
    received_at     bigint not null,
    payload         bytea,              -- the notification, sealed; erased when final
    lane            text,               -- the lane it holds
    parked_on       text,               -- the lane it waits for
    owner           text,
    fence           bigint not null default 0,
    due_at          bigint,             -- when somebody may claim it; a lease is a due time in the future
    tries           bigint not null default 0,
    decision_id     text,
    verdict         text,
    message         text,
    decided_at      bigint,
    sends           bigint not null default 0,  -- calls with the verdict whose fate is not known
    sent_at         bigint,
    members_before  text,
    outcome         text,
    error_code      text,
    settled_at      bigint
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
    version  bigint not null
);

create table flows (
    id          text primary key,
    intent      text not null,
    attempts    bigint not null,
    open_since  bigint              -- since when it waits for its next operation
);
create index flows_open on flows (intent, open_since) where open_since is not null;

create table limit_keys (
    limit_key  text primary key
);

create table limit_places (
    limit_key  text not null,
    record_id  text not null,
    taken_at   bigint not null,
    primary key (limit_key, record_id)
);
create index limit_places_window on limit_places (limit_key, taken_at);
create index limit_places_record on limit_places (record_id);

create table tresors (
    id          text primary key,
    creator_id  text not null,
    created_at  bigint not null
);

create table person_keys (
    person_id   text primary key,
    wrapped     bytea not null,
    created_at  bigint not null
);

-- One row: a known text sealed under the master key, so that a wrong key is noticed before anything is lost.
create table key_sentinel (
    id      bigint primary key check (id = 1),
    sealed  bytea not null
);

-- For auditors. Insert-only; decisions and outcomes are partitioned by month.

create table policies (
    hash           text primary key,
    body           text not null,
    first_used_at  timestamptz not null
);

create table decisions (
    id                 uuid not null,
    decided_at         timestamptz not null,
    tenant             text not null,
    kind               text not null,
    operation_id       text not null,
    flow_id            uuid not null,
    attempt            bigint not null,
    tresor_id          text,
    actor_id           text,
    subject_id         text,
    requester_id       text,
    verdict            text not null,
    decided_by         text not null,
    rules              jsonb not null,
    reason             text not null,
    policy_hash        text not null,
    evaluator_version  text not null,
    facts              jsonb not null,
    facts_personal     jsonb not null,
    trace              jsonb not null,
    shadow             jsonb not null,
    primary key (decided_at, id)
) partition by range (decided_at);
create index decisions_id on decisions (id);
create index decisions_operation on decisions (operation_id);

create table outcomes (
    id            uuid not null,
    decision_id   uuid,
    at            timestamptz not null,
    kind          text not null,
    operation_id  text not null,
    outcome       text not null,
    error_code    text,
    detail        text,
    reconciled    boolean not null,
    primary key (at, id)
) partition by range (at);
create index outcomes_decision on outcomes (decision_id);
create index outcomes_operation on outcomes (operation_id);

-- Only reached if the daemon was down for months: partitions are made ahead of time.
create table decisions_default partition of decisions default;
create table outcomes_default partition of outcomes default;

create function assent_insert_only() returns trigger language plpgsql as $$
begin
    raise exception 'table % is insert-only', tg_table_name;
end $$;
create function assent_ensure_partitions(ahead integer) returns void language plpgsql as $$
declare
    parent     text;
    partition  text;
    first      timestamp;
begin
    perform pg_advisory_xact_lock(hashtext('assent_ensure_partitions'));
    for i in 0 .. ahead loop
        first := date_trunc('month', now() at time zone 'utc') + make_interval(months => i);
        foreach parent in array array['decisions', 'outcomes'] loop
            partition := parent || to_char(first, '_YYYY_MM');
            if to_regclass(partition) is null then
                begin
                    execute format('create table %I partition of %I for values from (%L) to (%L)', partition, parent,
                                   first at time zone 'utc', (first + interval '1 month') at time zone 'utc');
                    -- A trigger on the parent does not stop somebody who truncates a partition by its own name.
                    execute format('create trigger no_truncate before truncate on %I for each statement '
                                   'execute function assent_insert_only()', partition);
                exception when check_violation then
                    -- The default partition holds rows of that month already; the other months must not suffer.
                    raise warning 'partition % cannot be made: its rows are in the default partition', partition;
                end;
            end if;
        end loop;
    end loop;
end $$;
select assent_ensure_partitions(3);

create trigger decisions_insert_only before update or delete on decisions for each row execute function assent_insert_only();
create trigger outcomes_insert_only before update or delete on outcomes for each row execute function assent_insert_only();
create trigger policies_insert_only before update or delete on policies for each row execute function assent_insert_only();
create trigger no_truncate before truncate on decisions_default for each statement execute function assent_insert_only();
create trigger no_truncate before truncate on outcomes_default for each statement execute function assent_insert_only();
create trigger decisions_no_truncate before truncate on decisions for each statement execute function assent_insert_only();
create trigger outcomes_no_truncate before truncate on outcomes for each statement execute function assent_insert_only();
create trigger policies_no_truncate before truncate on policies for each statement execute function assent_insert_only();

-- One row a decision, with its latest outcome.
create view decision_history as
select d.*, o.outcome, o.error_code, o.detail, o.reconciled, o.at as outcome_at
from decisions d
left join lateral (
    select * from outcomes where outcomes.decision_id = d.id order by outcomes.at desc, outcomes.id desc limit 1
) o on true;
