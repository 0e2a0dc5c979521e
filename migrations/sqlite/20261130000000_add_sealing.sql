-- The tree over the decision log: every row for auditors becomes a leaf, in the order in which the sealer sees them, and signed
-- checkpoints say what the tree was.

-- What the daemon was told when it started. Insert-only, as all for auditors.
create table configuration_changes (
    id       text primary key,
    at       text not null,
    replica  text not null,
    version  text not null,
    body     text not null          -- without secrets; of each a keyed hash
);
create index configuration_changes_at on configuration_changes (at);

-- Rows that are no leaves yet. Filled by the transaction that writes the row, emptied by the one that seals it.
create table unsealed (
    at      text not null,
    id      text not null,
    -- 1 decisions, 2 outcomes, 3 reviews, 4 operator_actions, 5 policy_activations, 6 configuration_changes
    stream  integer not null check (stream between 1 and 6)
);

-- The same for what was written before there was a tree; sealed when nothing new waits.
create table unsealed_history (
    at      text not null,
    id      text not null,
    stream  integer not null
);

create table leaves (
    leaf    integer primary key check (leaf >= 0),  -- its place, from 0, without gaps
    at      text not null,          -- the row's own time
    id      text not null,          -- the row; of a policy activation its number
    stream  integer not null check (stream between 1 and 6),
    hash    blob not null check (length(hash) = 32) -- RFC 6962, over the row in canonical form
);
-- A row is one leaf.
create unique index leaves_row on leaves (id, at, stream);

-- The roots of full groups of 256 leaves (tier 1), of 256 such roots (tier 2), and so on.
create table tree_nodes (
    tier  integer not null,
    node  integer not null,
    hash  blob not null,
    primary key (tier, node)
);

create table checkpoints (
    size  integer primary key,
    at    text not null,
    note  text not null             -- C2SP signed note
);

-- What witnesses signed.
create table cosignatures (
    size  integer not null,
    line  text not null,
    at    text not null,
    primary key (size, line)
);

-- How many decisions are sealed, by day: what follows from the rows, so that nobody has to count all of them.
create table decision_counts (
    day        text not null,
    kind       text not null,
    verdict    text not null,
    rules      text not null,
    decisions  integer not null,
    primary key (day, kind, verdict, rules)
) strict, without rowid;

create trigger decisions_await_sealing after insert on decisions
    begin insert into unsealed (at, id, stream) values (new.decided_at, new.id, 1); end;
create trigger outcomes_await_sealing after insert on outcomes
    begin insert into unsealed (at, id, stream) values (new.at, new.id, 2); end;
create trigger reviews_await_sealing after insert on reviews
    begin insert into unsealed (at, id, stream) values (new.at, new.id, 3); end;
create trigger operator_actions_await_sealing after insert on operator_actions
    begin insert into unsealed (at, id, stream) values (new.at, new.id, 4); end;
create trigger policy_activations_await_sealing after insert on policy_activations
    begin insert into unsealed (at, id, stream) values (new.at, printf('00000000-0000-0000-0000-%012x', new.id), 5); end;
create trigger configuration_changes_await_sealing after insert on configuration_changes
    begin insert into unsealed (at, id, stream) values (new.at, new.id, 6); end;

-- What was written before is sealed, too.
insert into unsealed_history (at, id, stream) select decided_at, id, 1 from decisions;
insert into unsealed_history (at, id, stream) select at, id, 2 from outcomes;
insert into unsealed_history (at, id, stream) select at, id, 3 from reviews;
insert into unsealed_history (at, id, stream) select at, id, 4 from operator_actions;
insert into unsealed_history (at, id, stream) select at, printf('00000000-0000-0000-0000-%012x', id), 5 from policy_activations;

create trigger configuration_changes_no_update before update on configuration_changes begin select raise(abort, 'table configuration_changes is insert-only'); end;
create trigger configuration_changes_no_delete before delete on configuration_changes begin select raise(abort, 'table configuration_changes is insert-only'); end;
create trigger leaves_no_update before update on leaves begin select raise(abort, 'table leaves is insert-only'); end;
create trigger leaves_no_delete before delete on leaves begin select raise(abort, 'table leaves is insert-only'); end;
create trigger tree_nodes_no_update before update on tree_nodes begin select raise(abort, 'table tree_nodes is insert-only'); end;
create trigger tree_nodes_no_delete before delete on tree_nodes begin select raise(abort, 'table tree_nodes is insert-only'); end;
create trigger checkpoints_no_update before update on checkpoints begin select raise(abort, 'table checkpoints is insert-only'); end;
create trigger checkpoints_no_delete before delete on checkpoints begin select raise(abort, 'table checkpoints is insert-only'); end;
create trigger cosignatures_no_update before update on cosignatures begin select raise(abort, 'table cosignatures is insert-only'); end;
create trigger cosignatures_no_delete before delete on cosignatures begin select raise(abort, 'table cosignatures is insert-only'); end;
