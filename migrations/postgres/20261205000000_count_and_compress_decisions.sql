-- A month that is written to is counted again whenever it has grown by a tenth. 30,000 rows were read for that, each with its JSON, as there
-- are indexes of what stands in it: a second of a core, which whoever decided at that time waited for.
set local lock_timeout = '5s';

-- What a month is counted by, of those that there are and those to come. Ten values a column tell a plan as much as a hundred: nearly all of
-- them are found by an index that has the time in it.
create or replace function assent_ensure_partitions(ahead integer) returns void language plpgsql as $$
declare
    change  text;
begin
    perform assent_make_months(ahead);
    for change in
        with months as (
            select c.oid, c.oid::regclass as name from pg_inherits join pg_class c on c.oid = inhrelid
            where inhparent in ('decisions'::regclass, 'outcomes'::regclass) and c.relkind = 'r' and pg_has_role(c.relowner, 'USAGE')
        ), columns as (
            -- Nobody looks for a decision by the whole of its facts.
            select m.name, a.attname, a.attstattarget, case when a.attname in ('facts', 'facts_personal', 'trace', 'shadow') then 0 else 10 end as most
            from months m join pg_attribute a on a.attrelid = m.oid where a.attnum > 0 and not a.attisdropped
        )
        select format('alter table %s alter %I set statistics %s', name, attname, most) from columns where attstattarget is distinct from most
        union all
        -- What is worked out for an index is counted by itself.
        select format('alter index %s alter %s set statistics 10', x.indexrelid::regclass, a.attnum)
        from months m join pg_index x on x.indrelid = m.oid join pg_attribute a on a.attrelid = x.indexrelid
        where x.indkey[a.attnum - 1] = 0 and a.attstattarget is distinct from 10
    loop
        execute change;
    end loop;
end $$;

do $$ declare
    part  record;
begin
    execute format('alter function assent_ensure_partitions(integer) security definer set search_path = %I, pg_temp', current_schema());
    -- A fifth of what it takes to write a decision was to make its JSON smaller. What stands there stays as it is and is read as before.
    if exists (select 1 from pg_settings where name = 'default_toast_compression' and 'lz4' = any(enumvals)) then
        for part in select name, attname from (
                        select 'decisions'::regclass as name union all
                        select inhrelid::regclass from pg_inherits where inhparent = 'decisions'::regclass
                    ) tables cross join unnest(array['rules', 'facts', 'facts_personal', 'trace', 'shadow']) as attname loop
            execute format('alter table %s alter %I set compression lz4', part.name, part.attname);
        end loop;
    end if;
end $$;
select assent_ensure_partitions(3);
