-- Looking for decisions: an index for each way to look, with the time in it, so that the newest are found first.
--
-- Only on the parents, which takes no time: `assent migrate` then builds them on each month beside whoever writes, and months
-- to come have them from the beginning.
create index decisions_kind on only decisions (kind, decided_at);
create index decisions_verdict on only decisions (verdict, decided_at);
create index decisions_policy on only decisions (substr(policy_hash, 1, 20), decided_at);
create index decisions_actor on only decisions (actor_id, decided_at);
create index decisions_subject on only decisions (subject_id, decided_at);
create index decisions_tresor on only decisions (tresor_id, decided_at);
create index decisions_by_people on only decisions (decided_by, decided_at) where decided_by <> 'policy';
-- A decision has a rule or two; more than four are rare.
create index decisions_rule on only decisions ((rules ->> 0), decided_at);
create index decisions_second_rule on only decisions ((rules ->> 1), decided_at) where rules ->> 1 is not null;
create index decisions_third_rule on only decisions ((rules ->> 2), decided_at) where rules ->> 2 is not null;
create index decisions_fourth_rule on only decisions ((rules ->> 3), decided_at) where rules ->> 3 is not null;
create index decisions_more_rules on only decisions using gin (rules jsonb_path_ops) where rules ->> 4 is not null;
create index decisions_subject_domain on only decisions ((facts #>> '{subject.email_domain,value}'), decided_at)
    where facts #>> '{subject.email_domain,value}' is not null;
create index decisions_actor_domain on only decisions ((facts #>> '{actor.email_domain,value}'), decided_at)
    where facts #>> '{actor.email_domain,value}' is not null;
create index decisions_requester_domain on only decisions ((facts #>> '{requester.email_domain,value}'), decided_at)
    where facts #>> '{requester.email_domain,value}' is not null;
-- Text in reasons: by what a server has for it, and where it has nothing, by reading them.
do $$ begin
    create extension if not exists pg_trgm;
    create index decisions_reason on only decisions using gin (reason gin_trgm_ops);
exception when others then
    raise warning 'decisions are not indexed by the text of their reasons: %', sqlerrm;
end $$;
create index reviews_reviewer on reviews (reviewer, at);

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
