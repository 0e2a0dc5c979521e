-- Facts and traces as they were written, which is in canonical form. To write `jsonb` takes a server 11 microseconds a decision more, and to
-- read it seven; verifying a log was slower by a quarter for it. What is looked for in JSON, `rules`, stays `jsonb`.

-- Has a log keep them like that, while nobody else is connected. How many decisions there were; nothing where it does already.
create function assent_keep_json() returns bigint language plpgsql as $$
declare
    personal    constant text[] := array['facts', 'facts_personal', 'trace', 'shadow'];
    view        constant regclass := 'decision_history'::regclass;
    view_name   constant text := view::text;
    view_owner  constant text := pg_get_userbyid((select relowner from pg_class where oid = view));
    options     constant text := array_to_string((select reloptions from pg_class where oid = view), ', ');
    history     constant text := pg_get_viewdef(view);
    has_lz4     constant boolean := exists (select 1 from pg_settings where name = 'default_toast_compression' and 'lz4' = any(enumvals));
    decisions   bigint;
    statement   text;
    grants      text[];
begin
    set local lock_timeout = '5s';
    -- Whoever makes months has this first, and then the decisions.
    perform pg_advisory_xact_lock(hashtext('assent_ensure_partitions'));
    lock table decisions in access exclusive mode;
    if not exists (select 1 from pg_attribute where attrelid = 'decisions'::regclass and attname = any(personal) and atttypid = 'jsonb'::regtype) then
        return null;
    end if;
    -- Ends with the program that asked for it, where a server can tell.
    if exists (select 1 from pg_settings where name = 'client_connection_check_interval') then
        set local client_connection_check_interval = '1s';
    end if;
    select array_agg(format('grant %s on %s to %s%s', what, view_name, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                            case when is_grantable then ' with grant option' else '' end))
    into grants from (
        select privilege_type as what, grantee, is_grantable from pg_class c, aclexplode(c.relacl) where c.oid = view and grantee <> relowner
        union all
        select format('%s (%I)', privilege_type, attname), grantee, is_grantable from pg_attribute a, aclexplode(a.attacl) where a.attrelid = view
    ) granted;
    drop view decision_history;
    select count(*) into decisions from decisions;
    -- As the columns are compressed, which is forgotten with what they were.
    if has_lz4 then
        set local default_toast_compression = 'lz4';
    end if;
    execute 'alter table decisions '
        || (select string_agg(format('alter column %I type json using %1$I::text::json', part), ', ') from unnest(personal) part);
    execute format('create view %s %s as %s', view_name, 'with (' || options || ')', history);
    execute format('alter view %s owner to %I', view_name, view_owner);
    foreach statement in array coalesce(grants, array[]::text[]) loop
        execute statement;
    end loop;
    if has_lz4 then
        for statement in select format('alter table %s alter %I set compression lz4', part, attribute) from unnest(personal) attribute, (
                            select 'decisions'::regclass as part union all
                            select inhrelid::regclass from pg_inherits where inhparent = 'decisions'::regclass) parts loop
            execute statement;
        end loop;
    end if;
    -- So is what columns and indexes of a month are counted by, and what was counted.
    perform assent_ensure_partitions(3);
    analyze decisions;
    return decisions;
end $$;
revoke all on function assent_keep_json() from public;

-- A log that stands is changed when its owner says so, as nobody decides meanwhile.
do $$ begin
    if not exists (select 1 from decisions) then
        perform assent_keep_json();
    end if;
exception when others then
    -- A view of somebody's own, which has to be dropped before and made again after it.
    raise warning 'facts and traces are kept as `jsonb`: %', sqlerrm;
end $$;
