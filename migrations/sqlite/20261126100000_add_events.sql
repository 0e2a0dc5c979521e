-- What the web app is still to be told, and what it was told; and what operators did.

create table events (
    seq           integer primary key autoincrement,   -- the order within a flow
    id            text not null unique,     -- the header `webhook-id`
    record_id     text not null,
    flow_id       text not null,
    type          text not null,
    body          text not null,
    created_at    integer not null,
    state         text not null default 'pending',   -- pending, delivered, dead
    due_at        integer,                   -- when somebody may claim it; a lease is a due time in the future
    owner         text,
    fence         integer not null default 0,
    tries         integer not null default 0,
    last_answer   text,                     -- what the web app answered, in a few words
    settled_at    integer
);
create index events_due on events (due_at) where due_at is not null;
create index events_order on events (flow_id, seq) where state = 'pending';
create index events_settled on events (state, settled_at) where settled_at is not null;

-- For auditors. Insert-only.

create table operator_actions (
    id        text primary key,
    at        text not null,
    operator  text not null,
    action    text not null,
    target    text not null,
    comment   text
);
create index operator_actions_at on operator_actions (at);

create trigger operator_actions_no_update before update on operator_actions begin select raise(abort, 'table operator_actions is insert-only'); end;
create trigger operator_actions_no_delete before delete on operator_actions begin select raise(abort, 'table operator_actions is insert-only'); end;
