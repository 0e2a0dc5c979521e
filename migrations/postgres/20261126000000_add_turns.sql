-- Turns on a lane: whoever lost to a conflict waits in line until its client is to start again, and finds the lane held.
-- Every column that is added has a preset or may be null, so that the release before this one works on beside it.

alter table operations add column home text;                    -- the replica that took it in, and where requests wait for it
alter table operations add column place_in_line bigint;         -- since when its flow is in line; null until it has joined one
alter table operations add column wait_until bigint;            -- while `waiting`: when its client is told, turn or no turn
create index operations_in_line on operations (parked_on, place_in_line, received_at, id) where parked_on is not null;
create index operations_wait_over on operations (wait_until) where state = 'waiting';
create index operations_waiting on operations (flow_id) where state = 'waiting';

alter table flows add column lane text;
alter table flows add column since bigint;                      -- its place in line: when it first came, or missed its turn
alter table flows add column in_line bigint not null default 0; -- 1 while it waits for a turn
alter table flows add column turn_since bigint;                 -- since when the lane is held for it
alter table flows add column turn_until bigint;
alter table flows add column missed bigint not null default 0;  -- turns in a row that nobody came for
create index flows_in_line on flows (lane, since, id) where in_line = 1;
create index flows_turn_over on flows (turn_until) where turn_until is not null;
-- One turn a lane.
create unique index flows_one_turn on flows (lane) where turn_until is not null;

-- How long clients on the lane take to come back, on average; microseconds.
alter table lanes add column returns_after bigint;
