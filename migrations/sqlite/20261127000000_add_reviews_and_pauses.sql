-- Reviews of what was escalated, and pauses. Every column that is added has a preset or may be null, so that the release
-- before this one works on beside it; it knows no pauses and lets no review run out.

alter table operations add column review_ttl integer;            -- of an escalation: how long it waits, and a grant stands
alter table operations add column review_until integer;          -- when it is rejected if nobody reviewed it; null: never
alter table operations add column basis text;                   -- the rules and facts that escalated it; JSON, values keyed
alter table operations add column paused_on text;               -- the pause that it waits for the end of
create index operations_review_over on operations (review_until) where state = 'escalated';
create index operations_escalated on operations (received_at) where state = 'escalated';
create index operations_unknown on operations (settled_at) where state = 'unknown';
create index operations_paused on operations (paused_on) where paused_on is not null;
create index operations_flow_asked on operations (requested_flow) where requested_flow is not null and place_in_line is null;

-- What a reviewer allowed: the intent of a flow, until then, on this basis.
create table grants (
    flow_id    text primary key,
    intent     text not null,
    review_id  text not null,
    reviewer   text not null,
    comment    text not null,
    basis      text not null,
    until      integer not null
);
create index grants_until on grants (until);

-- `*` for everything, or a lane.
create table pauses (
    scope     text primary key,
    since     integer not null,
    operator  text not null,
    comment   text
);

-- For auditors. Insert-only.

create table reviews (
    id            text primary key,
    at            text not null,
    decision_id   text not null,             -- the escalation
    kind          text not null,
    operation_id  text not null,
    flow_id       text not null,
    verdict       text not null,
    reviewer      text not null,
    user_id       text,                      -- the platform's user behind the reviewer
    comment       text not null,
    valid_until   text                -- of an approval
);
create index reviews_decision on reviews (decision_id);

create trigger reviews_no_update before update on reviews begin select raise(abort, 'table reviews is insert-only'); end;
create trigger reviews_no_delete before delete on reviews begin select raise(abort, 'table reviews is insert-only'); end;
