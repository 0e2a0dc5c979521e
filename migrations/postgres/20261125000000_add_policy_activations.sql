-- Which policy was in force from when on: what a restart falls back to, and what an auditor asks. Insert-only.

create table policy_activations (
    id       bigint generated always as identity primary key,
    at       timestamptz not null,
    hash     text not null,
    replica  text not null
);
create trigger policy_activations_insert_only before update or delete on policy_activations
    for each row execute function assent_insert_only();
create trigger policy_activations_no_truncate before truncate on policy_activations
    for each statement execute function assent_insert_only();
