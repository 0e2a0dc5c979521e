-- A lane says whether somebody may be in line for it, so that the end of whoever has it need not look. A column with a preset,
-- so that the release before this one works on beside it; what that one leaves in line is found by looking, as ever.

alter table lanes add column waiting bigint not null default 0; -- 1 while somebody may be in line, or has a turn
update lanes set waiting = 1 where lane in (select parked_on from operations where parked_on is not null)
    or lane in (select lane from flows where in_line = 1 or turn_until is not null);
