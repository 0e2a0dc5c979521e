-- What the web app is still to be told, and what it was told; and what operators did.

create table events (
    seq           bigint generated always as identity primary key,   -- the order within a flow
    id            text not null unique,     -- the header `webhook-id`
    record_id     text not null,
    flow_id       text not null,
    type          text not null,
    body          text not null,
    created_at    bigint not null,
    state         text not null default 'pending',   -- pending, delivered, dead
    due_at        bigint,                   -- when somebody may claim it; a lease is a due time in the future
    owner         text,
    fence         bigint not null default 0,
    tries         bigint not null default 0,
    last_answer   text,                     -- what the web app answered, in a few words
    settled_at    bigint
);
create index events_due on events (due_at) where due_at is not null;
create index events_order on events (flow_id, seq) where state = 'pending';
create index events_settled on events (state, settled_at) where settled_at is not null;

-- For auditors. Insert-only.

create table operator_actions (
    id        uuid primary key,
    at        timestamptz not null,
    operator  text not null,
    action    text not null,
    target    text not null,
    comment   text
);
create index operator_actions_at on operator_actions (at);

create trigger operator_actions_insert_only before update or delete on operator_actions
    for each row execute function assent_insert_only();
create trigger operator_actions_no_truncate before truncate on operator_actions
    for each statement execute function assent_insert_only();
