-- Operations that have come to their end leave the queue after a while. Nobody works on them any more; they are kept for whoever asks
-- how they ended, and so that no message and no operation is taken for a new one, ever.

create table finished_operations (
    id            text primary key,
    kind          text not null,
    operation_id  text not null,
    flow_id       text not null,
    attempt       bigint not null,
    state         text not null,
    received_at   bigint not null,
    decision_id   text,
    verdict       text,
    message       text,
    decided_at    bigint,
    outcome       text,
    error_code    text,
    settled_at    bigint not null
);
create index finished_operations_key on finished_operations (kind, operation_id);
