-- What was last decided of a user, so that the effect of an earlier decision does not undo that.
create index effects_of_users on effects (user_id, action, intended_at) where state in ('due', 'done');
