-- The reasons of what was decided before they were noted. By itself, as there may be much to read: nobody who writes waits for it.
insert into decision_reasons (reason)
select d.reason from (select distinct reason from decisions) d where not exists (
    select 1 from decision_reasons r where hashtextextended(r.reason, 0) = hashtextextended(d.reason, 0) and r.reason = d.reason offset 0
);
