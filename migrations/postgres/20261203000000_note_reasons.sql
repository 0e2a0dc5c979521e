-- Text in reasons: each reason once, and decisions by its hash. A policy has few reasons, and many decisions have the same; an index of
-- letters over all of them cost every writer more than the rest of them, and found common letters everywhere.

-- Whoever decides waits for this, so it waits for nobody for long: where somebody reads all there is, it fails, and is run again.
set local lock_timeout = '5s';
lock table decisions in access exclusive mode;

create table decision_reasons (
    reason  text not null           -- may stand twice, where two were the first at the same time
);
create index decision_reasons_hash on decision_reasons (hashtextextended(reason, 0));
do $$ begin
    create extension if not exists pg_trgm;
    create index decision_reasons_text on decision_reasons using gin (reason gin_trgm_ops);
exception when others then
    -- They are read, then, which are not many.
    raise warning 'reasons are not indexed by their text: %', sqlerrm;
end $$;

-- Nobody waits for anybody else here: there is no key that could stand already.
create function assent_note_reasons() returns trigger language plpgsql as $$
begin
    insert into decision_reasons (reason) select distinct f.reason from fresh f where not exists (
        select 1 from decision_reasons r where hashtextextended(r.reason, 0) = hashtextextended(f.reason, 0) and r.reason = f.reason offset 0
    );
    return null;
end $$;
create trigger decisions_note_reasons after insert on decisions
    referencing new table as fresh for each statement execute function assent_note_reasons();

drop index if exists decisions_reason;
do $$ declare
    -- Where there are decisions, `assent migrate` builds it on each month beside whoever writes.
    parents  text := case when exists (select 1 from decisions) then 'only' else '' end;
begin
    execute format('create index decisions_reason on %s decisions (hashtextextended(reason, 0), decided_at)', parents);
end $$;

-- As before, and the reasons.
create or replace function assent_grant(daemon text) returns void language plpgsql as $$
declare
    audit  constant text[] := array['decisions', 'outcomes', 'policies', 'policy_activations', 'operator_actions', 'reviews',
                                    'configuration_changes', 'leaves', 'tree_nodes', 'checkpoints', 'cosignatures', 'decision_reasons'];
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

-- Whoever may add decisions notes reasons, and whoever may read them looks there: before somebody grants it.
do $$ declare may record; begin
    for may in select case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as who,
                      case a.privilege_type when 'INSERT' then 'select, insert' else 'select' end as what
               from pg_class c, aclexplode(c.relacl) a
               where c.oid = 'decisions'::regclass and a.privilege_type in ('SELECT', 'INSERT') and a.grantee <> c.relowner loop
        execute format('grant %s on decision_reasons to %s', may.what, may.who);
    end loop;
end $$;

-- As before; reasons that were a dropped month's alone go with it.
create or replace function assent_drop_month(month text, exported bigint) returns text language plpgsql as $$
declare
    suffix  text := replace(month, '-', '_');
    since   timestamptz := (month || '-01T00:00:00Z')::timestamptz;
    until   timestamptz := ((month || '-01')::date + interval '1 month') at time zone 'utc';
    begun   timestamptz := clock_timestamp();
    parent  text;
    rows    bigint;
    there   bigint := 0;
    alone   text[];
begin
    -- Whoever looks at all months waits while one is dropped; and nobody is to wait long.
    set local lock_timeout = '5s';
    perform pg_advisory_xact_lock(hashtext('assent_drop_month'));
    foreach parent in array array['decisions', 'outcomes'] loop
        if to_regclass(parent || '_' || suffix) is not null then
            execute format('lock table %I in share mode', parent || '_' || suffix);
            execute format('select count(*) from %I', parent || '_' || suffix) into rows;
            there := there + rows;
        end if;
    end loop;
    if exists (select 1 from decisions_default d where d.decided_at >= since and d.decided_at < until)
       or exists (select 1 from outcomes_default o where o.at >= since and o.at < until) then
        return 'rows of it stand in the default partition';
    elsif there <> exported then
        return 'it has rows that are in no tree; `assent audit verify` names them';
    elsif exists (select 1 from operations o join decisions d on d.id::text = o.decision_id
                  where d.decided_at >= since and d.decided_at < until
                    and o.state not in ('approved', 'rejected', 'superseded', 'failed', 'refused')) then
        return 'operations that are open, or of which nobody knows how they ended, stand on it';
    end if;
    -- The many are looked at while everybody else may go on, those that are left once more when nobody may.
    if to_regclass('decisions_' || suffix) is not null then
        execute format('select array_agg(m.reason) from (select distinct reason from %I) m where not exists (select 1 from decisions d where '
                       'hashtextextended(d.reason, 0) = hashtextextended(m.reason, 0) and d.reason = m.reason '
                       'and (d.decided_at < $1 or d.decided_at >= $2) offset 0)', 'decisions_' || suffix) into alone using since, until;
    end if;
    -- In the order in which everybody else takes them.
    lock table only decisions, only outcomes in access exclusive mode;
    foreach parent in array array['decisions', 'outcomes'] loop
        execute format('drop table if exists %I', parent || '_' || suffix);
    end loop;
    delete from decision_reasons r using unnest(alone) a(reason)
    where hashtextextended(r.reason, 0) = hashtextextended(a.reason, 0) and r.reason = a.reason and not exists (
        select 1 from decisions d where hashtextextended(d.reason, 0) = hashtextextended(a.reason, 0) and d.reason = a.reason
        and d.decided_at > begun - interval '1 day' offset 0);
    delete from decision_counts c where to_char(c.day, 'YYYY-MM') = month;
    return 'dropped';
end $$;
revoke all on function assent_drop_month(text, bigint) from public;
