-- Retention: months of decisions and outcomes that are kept elsewhere are dropped. The owner's alone; leaves, checkpoints and
-- everything else that is sealed stay.

-- The months that there are partitions for.
create function assent_months() returns table (month text) language sql stable as $$
    select distinct replace(right(partition.relname, 7), '_', '-')
    from pg_inherits part join pg_class partition on partition.oid = part.inhrelid
    where part.inhparent in ('decisions'::regclass, 'outcomes'::regclass) and partition.relname ~ '_[0-9]{4}_[0-9]{2}$'
    order by 1
$$;

-- Drops a month that has as many rows as were exported, and not one more; whether it did.
create function assent_drop_month(month text, exported bigint) returns boolean language plpgsql as $$
declare
    suffix  text := replace(month, '-', '_');
    parent  text;
    rows    bigint;
    there   bigint := 0;
begin
    -- Whoever looks at all months waits while they are dropped; and nobody is to wait long.
    set local lock_timeout = '5s';
    foreach parent in array array['outcomes', 'decisions'] loop
        if to_regclass(parent || '_' || suffix) is not null then
            execute format('lock table %I in share mode', parent || '_' || suffix);
            execute format('select count(*) from %I', parent || '_' || suffix) into rows;
            there := there + rows;
        end if;
    end loop;
    if there <> exported then
        return false;
    end if;
    foreach parent in array array['outcomes', 'decisions'] loop
        execute format('drop table if exists %I', parent || '_' || suffix);
    end loop;
    delete from decision_counts where to_char(day, 'YYYY-MM') = month;
    return true;
end $$;
revoke all on function assent_drop_month(text, bigint) from public;
