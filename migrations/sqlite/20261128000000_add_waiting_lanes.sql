-- Fewer statements an operation: a lane says whether somebody may be in line for it, so that its end need not look. And fewer
-- indexes on the table that everything is written to. A column with a preset, so that the release before this one works on
-- beside it; what it leaves in line is found by looking, as ever.

alter table lanes add column waiting integer not null default 0; -- 1 while somebody may be in line, or has a turn
update lanes set waiting = 1 where lane in (select parked_on from operations where parked_on is not null)
    or lane in (select lane from flows where in_line = 1 or turn_until is not null);

-- Records that a new report may open again; all others are found by `operations_one_record`.
create index operations_reopened on operations (kind, operation_id, received_at) where state in ('failed', 'refused');
drop index operations_key;
-- `operations_in_line` has the same rows.
drop index operations_parked;
