//! A log to measure on: decisions that a daemon made, many times over a year. Rows, indexes and what waits to be sealed are the
//! database's own; only the decisions are copies.

use crate::cluster::{id_at, number, run};
use assent::audit::{LeafRecord, MasterKey, PersonKey, Stream, WrappedKey};
use assent::store::{LEAVES_AT_ONCE, Store};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What a run of the demonstration left: its decisions with their outcomes, and its policies.
pub(crate) struct Patterns {
    decisions: Value,
    outcomes: Value,
    policies: Vec<(String, String)>,
}

impl Patterns {
    pub(crate) async fn make(program: &Path, folder: &Path) -> Self {
        let file = folder.join("demo.db");
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        let ran =
            Command::new(program).args(["demo", "--pause", "0", "--policies", policies, "--keep"]).arg(&file).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let store = assent::store::open(&format!("sqlite://{}", file.display()), 2).await.unwrap();
        let (mut decisions, mut outcomes) = (vec![], vec![]);
        let leaves = store.leaves(0, u64::from(LEAVES_AT_ONCE)).await.unwrap();
        for record in store.rows(&leaves).await.unwrap().into_iter().flatten().filter_map(LeafRecord::record) {
            let mut fields = record.fields;
            if let Some(sealed) = record.sealed {
                fields.insert("facts_personal".into(), sealed);
            }
            match record.stream {
                Stream::Decision if fields["decided_by"] == "policy" => decisions.push(Value::Object(fields)),
                Stream::Outcome => outcomes.push(Value::Object(fields)),
                _ => {}
            }
        }
        assert!(decisions.len() >= 5, "the demonstration decides");
        Self { decisions: decisions.into(), outcomes: outcomes.into(), policies: store.policies("", 100).await.unwrap() }
    }

    /// Tables of them in the database.
    pub(crate) async fn put(&self, connection: &mut PgConnection) {
        for (table, rows) in [("decisions", &self.decisions), ("outcomes", &self.outcomes)] {
            let sql = format!(
                "create table pattern_{table} as select row_number() over () - 1 as number, p.* from json_populate_recordset(null::{table}, $1::json) p"
            );
            // As text, so that JSON in them stays as it was written.
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(rows.to_string()).execute(&mut *connection).await.unwrap();
        }
        for (hash, body) in &self.policies {
            let sql = "insert into policies (hash, body, first_used_at) values ($1, $2, now())";
            sqlx::query(sql).bind(hash).bind(body).execute(&mut *connection).await.unwrap();
        }
    }
}

/// The months of the last year.
pub(crate) const MONTHS: &str = "do $$ declare first timestamp := date_trunc('month', now() at time zone 'utc') - interval '12 months';
    parent text; begin
        for i in 0..11 loop foreach parent in array array['decisions', 'outcomes'] loop
            execute format('create table %I partition of %I for values from (%L) to (%L)',
                parent || to_char(first + make_interval(months => i), '_YYYY_MM'), parent,
                (first + make_interval(months => i)) at time zone 'utc', (first + make_interval(months => i + 1)) at time zone 'utc');
        end loop; end loop;
    end $$";

/// `rows` decisions over a year, each with its outcome; they wait to be sealed if somebody is to seal them.
pub(crate) async fn fill(connection: &mut PgConnection, rows: u64, is_sealed: bool) {
    let patterns = number(connection, "select count(*) from pattern_decisions").await;
    if !is_sealed {
        run(connection, "set session_replication_role = replica").await;
    }
    run(
        connection,
        &format!(
            "create temp table made as select i, {} as id, i % {patterns} as number, at from generate_series(1, {rows}) i, \
             lateral (select now() - interval '1 hour' - ({rows} - i) * (interval '364 days' / {rows}) as at) t",
            id_at("at")
        ),
    )
    .await;
    // Persons, tresors, domains and rules of which some are common and some are rare; why somebody was rejected is told of each by name.
    run(
        connection,
        "insert into decisions select m.id, m.at, tenant, kind, 'operation-' || m.i, m.id, attempt, 'tresor-' || abs(hashint8(m.i)) % 300000, \
         'actor-' || least(abs(hashint8(m.i)) % 50000, abs(hashint8(m.i + 1)) % 50000), 'subject-' || abs(hashint8(m.i)) % 200000, requester_id, verdict, \
         decided_by, rules, case verdict when 'approve' then reason else 'subject-' || abs(hashint8(m.i)) % 200000 || ' of ' || \
         abs(hashint8(m.i)) % 1000 || '.example.com: ' || reason end, policy_hash, evaluator_version, facts, facts_personal, trace, shadow \
         from made m join pattern_decisions p using (number)",
    )
    .await;
    if !is_sealed {
        run(connection, "insert into decision_reasons select distinct reason from decisions").await;
        run(connection, "vacuum analyze decision_reasons").await;
    }
    run(
        connection,
        &format!(
            "insert into outcomes select {}, m.id, m.at + interval '5 ms', p.kind, 'operation-' || m.i, 'applied', null, null, false \
             from made m join pattern_decisions p using (number)",
            id_at("m.at")
        ),
    )
    .await;
    run(connection, "drop table made; set session_replication_role = origin").await;
    run(connection, "vacuum analyze decisions").await;
    run(connection, "vacuum analyze outcomes").await;
}

/// What a person's facts look like.
const PERSONAL: &[u8] = br#"{"subject.email":{"value":"somebody@example.com","source":"notification"}}"#;

/// Gives each decision facts of somebody, under that person's key: fifty to each, as in the log of a year; how many persons.
pub(crate) async fn put_persons(connection: &mut PgConnection, master: &MasterKey) -> usize {
    const DECISIONS: &str =
        "select id::text, 'person-' || row_number() over (order by id) % greatest(count(*) over () / 50, 1) from decisions";
    let mut keys: HashMap<String, (WrappedKey, PersonKey)> = HashMap::new();
    let decisions: Vec<(String, String)> = sqlx::query_as(DECISIONS).fetch_all(&mut *connection).await.unwrap();
    run(connection, "set session_replication_role = replica").await;
    for some in decisions.chunks(5_000) {
        let seal = |(id, person): &(String, String)| {
            let (_, key) = keys.entry(person.clone()).or_insert_with(|| {
                let wrapped = master.new_person_key(person).unwrap();
                let key = master.person_key(person, &wrapped).unwrap();
                (wrapped, key)
            });
            json!({ person: key.seal(&format!("decision {id}"), PERSONAL).unwrap() }).to_string()
        };
        let sealed: Vec<_> = some.iter().map(seal).collect();
        let ids: Vec<_> = some.iter().map(|(id, _)| id.as_str()).collect();
        let put = "update decisions d set facts_personal = n.sealed::json from unnest($1::text[], $2::text[]) n(id, sealed) where d.id = n.id::uuid";
        sqlx::query(put).bind(ids).bind(sealed).execute(&mut *connection).await.unwrap();
    }
    for some in keys.iter().collect::<Vec<_>>().chunks(5_000) {
        let persons: Vec<_> = some.iter().map(|(person, _)| person.as_str()).collect();
        let wrapped: Vec<_> = some.iter().map(|(_, (wrapped, _))| wrapped.0.as_slice()).collect();
        let put = "insert into person_keys (person_id, wrapped, created_at) select p, w, 0 from unnest($1::text[], $2::bytea[]) n(p, w)";
        sqlx::query(put).bind(persons).bind(wrapped).execute(&mut *connection).await.unwrap();
    }
    run(connection, "set session_replication_role = origin").await;
    run(connection, "vacuum full decisions").await;
    run(connection, "vacuum analyze decisions").await;
    keys.len()
}

/// Sealed as fast as it goes; rows a second.
pub(crate) async fn seal(store: &Arc<dyn Store>, key: &assent::audit::LogKey) -> f64 {
    let (started, waiting) = (std::time::Instant::now(), store.unsealed().await.unwrap());
    while store.unsealed().await.unwrap() > 0 {
        for _ in 0..20 {
            store.seal(key, None, 500).await.unwrap();
        }
    }
    waiting as f64 / started.elapsed().as_secs_f64()
}
