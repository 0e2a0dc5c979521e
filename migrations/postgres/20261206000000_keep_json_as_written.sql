-- Facts and traces as they were written, which is in canonical form. To write `jsonb` takes a server 11 microseconds a decision more, and to
-- read it seven; verifying a log was slower by a fifth for it. What is looked for in JSON, `rules`, stays `jsonb`.

-- Writes a log anew like that. How many decisions there were; nothing where it is like that.
create function assent_keep_json() returns bigint language plpgsql as $$
declare
    personal    constant text[] := array['facts', 'facts_personal', 'trace', 'shadow'];
    history     text := pg_get_viewdef('decision_history'::regclass);
    decisions   bigint;
    statement   text;
    grants      text[];
begin
    if not exists (select 1 from pg_attribute where attrelid = 'decisions'::regclass and attname = any(personal) and atttypid = 'jsonb'::regtype) then
        return null;
    end if;
    -- Whoever decides waits for this, so it waits for nobody for long.
    set local lock_timeout = '5s';
    select array_agg(format('grant %s on decision_history to %s%s', a.privilege_type,
                            case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
                            case when a.is_grantable then ' with grant option' else '' end))
    into grants from pg_class c, aclexplode(c.relacl) a where c.oid = 'decision_history'::regclass and a.grantee <> c.relowner;
    drop view decision_history;
    lock table decisions in access exclusive mode;
    select count(*) into decisions from decisions;
    execute 'alter table decisions '
        || (select string_agg(format('alter column %I type json using %1$I::text::json', name), ', ') from unnest(personal) name);
    execute 'create view decision_history as ' || history;
    foreach statement in array coalesce(grants, array[]::text[]) loop
        execute statement;
    end loop;
    -- What was set of columns and indexes by month, and what was counted, is gone with what they were.
    if exists (select 1 from pg_settings where name = 'default_toast_compression' and 'lz4' = any(enumvals)) then
        for statement in select format('alter table %s alter %I set compression lz4', part, name) from unnest(personal) name, (
                            select 'decisions'::regclass as part union all
                            select inhrelid::regclass from pg_inherits where inhparent = 'decisions'::regclass) parts loop
            execute statement;
        end loop;
    end if;
    perform assent_ensure_partitions(3);
    analyze decisions;
    return decisions;
end $$;
revoke all on function assent_keep_json() from public;

-- A log that stands is written anew when its owner says so, as nobody decides meanwhile.
do $$ begin
    if not exists (select 1 from decisions) then
        perform assent_keep_json();
    end if;
end $$;
