-- Effects beyond the verdict, registrations that the daemon began, and verdicts that an operator gave by hand.

alter table operations add column additional_info text;                     -- sent with the approval of an invitation link
alter table operations add column by_hand text;                             -- who decided in the policy's place, and what; JSON
alter table operations add column has_effects integer not null default 0;   -- whether its decision has rows in `effects`
alter table operations add column last_failure text;                        -- what the platform last answered, and what that means

-- What rules have done to users once their verdict took effect: intent and result of each, beside the decision.
create table effects (
    id            text primary key,
    decision_id   text not null,
    record_id     text not null,
    rule          text not null,
    action        text not null,
    user_id       text,
    enable        boolean not null,
    state         text not null,                -- planned, due, done, failed, cancelled
    intended_at   text not null,
    result_at     text,
    error_code    text,
    active_since  integer,                      -- since when it is due: for one user and action they run in this order
    due_at        integer,                      -- when somebody may claim it; a lease is a due time in the future
    owner         text,
    fence         integer not null default 0,
    tries         integer not null default 0
);
create index effects_due on effects (due_at) where due_at is not null;
create index effects_order on effects (user_id, action, active_since, id) where due_at is not null;
create index effects_record on effects (record_id);
create index effects_decision on effects (decision_id);

-- Registrations between `init-user-registration` and the validation: the session and its verifier, sealed.
create table registrations (
    user_id     text primary key,
    sealed      blob not null,
    created_at  integer not null
);
create index registrations_age on registrations (created_at);
