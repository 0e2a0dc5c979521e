-- Retention: months of decisions and outcomes that are kept elsewhere are dropped. The owner's alone; leaves, checkpoints and
-- everything else that is sealed stay.

-- The months that there are partitions for.
create function assent_months() returns table (month text) language sql stable as $$
    select distinct replace(right(partition.relname, 7), '_', '-')
    from pg_inherits part join pg_class partition on partition.oid = part.inhrelid
    where part.inhparent in ('decisions'::regclass, 'outcomes'::regclass) and partition.relname ~ '_[0-9]{4}_[0-9]{2}$'
    order by 1
$$;

-- Drops a month that has the rows that were exported, and not one more; else it says why the month stays.
create function assent_drop_month(month text, exported bigint) returns text language plpgsql as $$
declare
    suffix  text := replace(month, '-', '_');
    since   timestamptz := (month || '-01T00:00:00Z')::timestamptz;
    until   timestamptz := ((month || '-01')::date + interval '1 month') at time zone 'utc';
    parent  text;
    rows    bigint;
    there   bigint := 0;
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
    -- In the order in which everybody else takes them.
    lock table only decisions, only outcomes in access exclusive mode;
    foreach parent in array array['decisions', 'outcomes'] loop
        execute format('drop table if exists %I', parent || '_' || suffix);
    end loop;
    delete from decision_counts c where to_char(c.day, 'YYYY-MM') = month;
    return 'dropped';
end $$;
revoke all on function assent_drop_month(text, bigint) from public;
