-- What the server counts so that it can plan costs a core for a second where a log or a queue has grown by a tenth, and most of that is
-- never asked for.
set local lock_timeout = '5s';

-- Every statement on these finds its rows by an index, whatever is counted.
do $$ declare
    work        constant text[] := array['notifications', 'operations', 'finished_operations', 'lanes', 'flows', 'limit_keys',
                                         'limit_places', 'tresors', 'events', 'unsealed', 'leaves', 'tree_nodes'];
    attribute   record;
begin
    for attribute in select attrelid::regclass as name, attname from pg_attribute
                     where attrelid = any(work::regclass[]::oid[]) and attnum > 0 and not attisdropped loop
        execute format('alter table %s alter %I set statistics 10', attribute.name, attribute.attname);
    end loop;
end $$;

-- Nobody looks for a decision by the whole of its facts either; months to come are made like that.
alter function assent_ensure_partitions(integer) rename to assent_make_months;

create function assent_ensure_partitions(ahead integer) returns void language plpgsql as $$
declare
    part  record;
begin
    perform assent_make_months(ahead);
    for part in select c.oid::regclass as name, attname from pg_inherits join pg_class c on c.oid = inhrelid
                join pg_attribute on attrelid = c.oid
                where inhparent = 'decisions'::regclass and c.relkind = 'r' and pg_has_role(c.relowner, 'USAGE')
                and attname in ('facts', 'facts_personal', 'trace', 'shadow') and attstattarget is distinct from 0 loop
        execute format('alter table %s alter %I set statistics 0', part.name, part.attname);
    end loop;
end $$;

do $$ declare
    who  text;
begin
    execute format('alter function assent_ensure_partitions(integer) security definer set search_path = %I, pg_temp', current_schema());
    revoke all on function assent_ensure_partitions(integer) from public;
    for who in select quote_ident(pg_get_userbyid(a.grantee)) from pg_proc p, aclexplode(p.proacl) a
               where p.oid = 'assent_make_months(integer)'::regprocedure and a.grantee <> 0 and a.grantee <> p.proowner loop
        execute format('grant execute on function assent_ensure_partitions(integer) to %s', who);
        execute format('revoke all on function assent_make_months(integer) from %s', who);
    end loop;
end $$;
select assent_ensure_partitions(3);

-- Nobody looks for an event by its id, and it is as random as ids are. Last, as whoever reads events waits from here on.
alter table events drop constraint events_id_key;
