-- Which policy was in force from when on: what a restart falls back to, and what an auditor asks. Insert-only.

create table policy_activations (
    id       integer primary key autoincrement,
    at       text not null,
    hash     text not null,
    replica  text not null
);
create trigger policy_activations_no_update before update on policy_activations begin select raise(abort, 'table policy_activations is insert-only'); end;
create trigger policy_activations_no_delete before delete on policy_activations begin select raise(abort, 'table policy_activations is insert-only'); end;
