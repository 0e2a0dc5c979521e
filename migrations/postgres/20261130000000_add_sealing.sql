-- The tree over the decision log: every row for auditors becomes a leaf, in the order in which the sealer sees them, and signed
-- checkpoints say what the tree was. The triggers are for whoever writes: the release before this one needs to know nothing.

-- What a replica was told when it started. Insert-only, as all for auditors.
create table configuration_changes (
    id       uuid primary key,
    at       timestamptz not null,
    replica  text not null,
    version  text not null,
    body     jsonb not null         -- without secrets; of each a keyed hash
);
create index configuration_changes_at on configuration_changes (at);

-- Rows that are no leaves yet. Filled by the transaction that writes the row, emptied by the one that seals it.
create table unsealed (
    at      timestamptz not null check (isfinite(at)),
    id      uuid not null,
    -- 1 decisions, 2 outcomes, 3 reviews, 4 operator_actions, 5 policy_activations, 6 configuration_changes
    stream  smallint not null check (stream between 1 and 6)
);

-- The same for what was written before there was a tree; sealed when nothing new waits.
create table unsealed_history (
    at      timestamptz not null,
    id      uuid not null,
    stream  smallint not null
);

create table leaves (
    leaf    bigint primary key check (leaf >= 0),   -- its place, from 0, without gaps
    at      timestamptz not null,   -- the row's own time
    id      uuid not null,          -- the row; of a policy activation its number
    stream  smallint not null check (stream between 1 and 6),
    hash    bytea not null check (octet_length(hash) = 32)  -- RFC 6962, over the row in canonical form
);
-- A row is one leaf.
create unique index leaves_row on leaves (id, at, stream);

-- The roots of full groups of 256 leaves (tier 1), of 256 such roots (tier 2), and so on.
create table tree_nodes (
    tier  smallint not null,
    node  bigint not null,
    hash  bytea not null,
    primary key (tier, node)
);

create table checkpoints (
    size  bigint primary key,
    at    timestamptz not null,
    note  text not null             -- C2SP signed note
);

-- What witnesses signed.
create table cosignatures (
    size  bigint not null,
    line  text not null,
    at    timestamptz not null,
    primary key (size, line)
);

-- How many decisions are sealed, by day: what follows from the rows, so that nobody has to count millions of them. `assent audit
-- verify` holds it against them.
create table decision_counts (
    day        date not null,
    kind       text not null,
    verdict    text not null,
    rules      jsonb not null,
    decisions  bigint not null,
    primary key (day, kind, verdict, rules)
);

create function assent_await_sealing() returns trigger language plpgsql as $$
begin
    case tg_table_name
        when 'decisions' then insert into unsealed (at, id, stream) select decided_at, id, 1 from fresh;
        when 'outcomes' then insert into unsealed (at, id, stream) select at, id, 2 from fresh;
        when 'reviews' then insert into unsealed (at, id, stream) select at, id, 3 from fresh;
        when 'operator_actions' then insert into unsealed (at, id, stream) select at, id, 4 from fresh;
        when 'policy_activations' then insert into unsealed (at, id, stream)
            select at, ('00000000-0000-0000-0000-' || lpad(to_hex(id), 12, '0'))::uuid, 5 from fresh;
        when 'configuration_changes' then insert into unsealed (at, id, stream) select at, id, 6 from fresh;
    end case;
    return null;
end $$;

create trigger decisions_await_sealing after insert on decisions
    referencing new table as fresh for each statement execute function assent_await_sealing();
create trigger outcomes_await_sealing after insert on outcomes
    referencing new table as fresh for each statement execute function assent_await_sealing();
create trigger reviews_await_sealing after insert on reviews
    referencing new table as fresh for each statement execute function assent_await_sealing();
create trigger operator_actions_await_sealing after insert on operator_actions
    referencing new table as fresh for each statement execute function assent_await_sealing();
create trigger policy_activations_await_sealing after insert on policy_activations
    referencing new table as fresh for each statement execute function assent_await_sealing();
create trigger configuration_changes_await_sealing after insert on configuration_changes
    referencing new table as fresh for each statement execute function assent_await_sealing();

create trigger configuration_changes_insert_only before update or delete on configuration_changes
    for each row execute function assent_insert_only();
create trigger configuration_changes_no_truncate before truncate on configuration_changes
    for each statement execute function assent_insert_only();
create trigger leaves_insert_only before update or delete on leaves for each row execute function assent_insert_only();
create trigger leaves_no_truncate before truncate on leaves for each statement execute function assent_insert_only();
create trigger tree_nodes_insert_only before update or delete on tree_nodes for each row execute function assent_insert_only();
create trigger tree_nodes_no_truncate before truncate on tree_nodes for each statement execute function assent_insert_only();
create trigger checkpoints_insert_only before update or delete on checkpoints for each row execute function assent_insert_only();
create trigger checkpoints_no_truncate before truncate on checkpoints for each statement execute function assent_insert_only();
create trigger cosignatures_insert_only before update or delete on cosignatures for each row execute function assent_insert_only();
create trigger cosignatures_no_truncate before truncate on cosignatures for each statement execute function assent_insert_only();

-- Two roles: the one that migrates owns all of this; the daemon's reads and writes, and cannot change or remove what is in the
-- log, nor the triggers that stop mistakes of the first. `assent migrate --daemon-role` calls this.
create function assent_grant(daemon text) returns void language plpgsql as $$
declare
    audit  constant text[] := array['decisions', 'outcomes', 'policies', 'policy_activations', 'operator_actions', 'reviews',
                                    'configuration_changes', 'leaves', 'tree_nodes', 'checkpoints', 'cosignatures'];
    work   constant text[] := array['notifications', 'operations', 'finished_operations', 'lanes', 'flows', 'limit_keys', 'limit_places',
                                    'person_keys', 'tresors', 'effects', 'registrations', 'events', 'grants', 'pauses', 'key_sentinel',
                                    'unsealed', 'unsealed_history', 'decision_counts'];
    name   text;
begin
    if (select rolsuper from pg_roles where rolname = daemon)
       or pg_has_role(daemon, (select relowner from pg_class where oid = 'decisions'::regclass), 'MEMBER') then
        raise exception 'role % owns the log, or may do all that its owner may', daemon;
    end if;
    execute format('grant usage on schema %I to %I', current_schema(), daemon);
    foreach name in array audit loop
        execute format('revoke all on %I from %I', name, daemon);
        execute format('grant select, insert on %I to %I', name, daemon);
    end loop;
    foreach name in array work loop
        execute format('grant select, insert, update, delete on %I to %I', name, daemon);
    end loop;
    execute format('grant select on _sqlx_migrations, decision_history to %I', daemon);
    execute format('grant usage on all sequences in schema %I to %I', current_schema(), daemon);
    execute format('grant execute on function assent_ensure_partitions(integer) to %I', daemon);
    if has_table_privilege(daemon, 'decisions', 'UPDATE') or has_table_privilege(daemon, 'decisions', 'DELETE') then
        raise exception 'role % may change the log all the same: somebody granted that to a role that it is a member of, or to public', daemon;
    end if;
end $$;

-- Makes partitions for whoever may not make tables.
do $$ begin
    execute format('alter function assent_ensure_partitions(integer) security definer set search_path = %I, pg_temp', current_schema());
end $$;
revoke all on function assent_ensure_partitions(integer) from public;
revoke all on function assent_grant(text) from public;
