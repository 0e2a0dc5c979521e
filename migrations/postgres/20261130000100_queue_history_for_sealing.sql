-- What was written before there was a tree is sealed, too. By itself, as it may be much: nobody who writes waits for it.
insert into unsealed_history (at, id, stream) select decided_at, id, 1 from decisions;
insert into unsealed_history (at, id, stream) select at, id, 2 from outcomes;
insert into unsealed_history (at, id, stream) select at, id, 3 from reviews;
insert into unsealed_history (at, id, stream) select at, id, 4 from operator_actions;
insert into unsealed_history (at, id, stream)
    select at, ('00000000-0000-0000-0000-' || lpad(to_hex(id), 12, '0'))::uuid, 5 from policy_activations;
