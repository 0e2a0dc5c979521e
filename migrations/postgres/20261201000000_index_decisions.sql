-- Looking for decisions: an index for each way to look, with the time in it, so that the newest are found first. A decision has a
-- rule or two; more than four are rare. What may be of any length is cut, since an index has room for so much and no more.
create index reviews_reviewer on reviews (left(reviewer, 100), at);
do $$ declare
    -- Where there are decisions, only on the parents, which takes no time: `assent migrate` then builds them on each month beside
    -- whoever writes. Months to come have them from the beginning.
    parents     text := case when exists (select 1 from decisions) then 'only' else '' end;
    definition  text;
begin
    foreach definition in array array[
        'decisions_kind on %s decisions (kind, decided_at)',
        'decisions_verdict on %s decisions (verdict, decided_at)',
        'decisions_policy on %s decisions (substr(policy_hash, 1, 20), decided_at)',
        'decisions_actor on %s decisions (actor_id, decided_at)',
        'decisions_subject on %s decisions (subject_id, decided_at)',
        'decisions_tresor on %s decisions (tresor_id, decided_at)',
        'decisions_by_people on %s decisions (left(decided_by, 100), decided_at) where decided_by <> ''policy''',
        'decisions_rule on %s decisions (left(rules ->> 0, 100), decided_at)',
        'decisions_second_rule on %s decisions (left(rules ->> 1, 100), decided_at) where rules ->> 1 is not null',
        'decisions_third_rule on %s decisions (left(rules ->> 2, 100), decided_at) where rules ->> 2 is not null',
        'decisions_fourth_rule on %s decisions (left(rules ->> 3, 100), decided_at) where rules ->> 3 is not null',
        'decisions_more_rules on %s decisions using gin (rules jsonb_path_ops) where rules ->> 4 is not null',
        'decisions_subject_domain on %s decisions (left(facts #>> ''{subject.email_domain,value}'', 100), decided_at) where facts #>> ''{subject.email_domain,value}'' is not null',
        'decisions_actor_domain on %s decisions (left(facts #>> ''{actor.email_domain,value}'', 100), decided_at) where facts #>> ''{actor.email_domain,value}'' is not null',
        'decisions_requester_domain on %s decisions (left(facts #>> ''{requester.email_domain,value}'', 100), decided_at) where facts #>> ''{requester.email_domain,value}'' is not null'
    ] loop
        execute format('create index ' || definition, parents);
    end loop;
    -- Text in reasons: by what a server has for it, and where it has nothing, by reading them.
    begin
        create extension if not exists pg_trgm;
        execute format('create index decisions_reason on %s decisions using gin (reason gin_trgm_ops)', parents);
    exception when others then
        raise warning 'decisions are not indexed by the text of their reasons: %', sqlerrm;
    end;
end $$;

-- The statements that build what indexes a month lacks, one after the other, each by itself.
create function assent_indexes_to_build() returns setof text language sql stable as $$
    with lacking as (
        select index.oid::regclass as parent, partition.oid::regclass as month, partition.relname,
               partition.relname || substr(index.relname, strpos(index.relname, '_')) as name,
               substr(pg_get_indexdef(index.oid), strpos(pg_get_indexdef(index.oid), ' USING ')) as definition
        from pg_index parent
        join pg_class index on index.oid = parent.indexrelid and index.relkind = 'I'
        join pg_inherits month on month.inhparent = parent.indrelid
        join pg_class partition on partition.oid = month.inhrelid
        where pg_has_role(partition.relowner, 'USAGE')
          and index.relnamespace = (select relnamespace from pg_class where oid = 'decisions'::regclass)
          and not exists (select 1 from pg_inherits built join pg_index child on child.indexrelid = built.inhrelid
                          where built.inhparent = index.oid and child.indrelid = partition.oid)
    )
    select statement from (
        select relname, name, number, statement from lacking cross join lateral (values
            (1, format('drop index concurrently if exists %I', name)),
            (2, format('create index concurrently %I on %s %s', name, month, definition)),
            (3, format('alter index %s attach partition %I', parent, name))
        ) step (number, statement)
        union all
        select distinct relname, 'zz', 4, format('analyze %s', month) from lacking
    ) steps
    order by relname desc, name, number
$$;
