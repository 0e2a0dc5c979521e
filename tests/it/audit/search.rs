//! Looking for decisions among many: by indexes, in the months that are asked for, and counted without reading all of them.

use super::Auditor;
use crate::harness::command::assent;
use crate::harness::{Backend, MachineClock, Stage, on_both};
use assent::domain::clock::Clock as _;
use assent::domain::kind::Kind;
use assent::store::{DecisionQuery, FoundDecision};
use sqlx::Connection as _;
use std::collections::{BTreeMap, BTreeSet};

on_both!(counts_by_day_are_those_of_the_rows, text_is_found_whenever_it_was_written);

/// Decisions of May and June as they may be, a minute apart.
const MANY: &str = "
    do $$ begin
        create table decisions_2026_05 partition of decisions for values from ('2026-05-01Z') to ('2026-06-01Z');
        create table decisions_2026_06 partition of decisions for values from ('2026-06-01Z') to ('2026-07-01Z');
        alter table decisions disable trigger decisions_await_sealing;
        insert into decisions
        select ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, '2026-05-01Z'::timestamptz + i * interval '1 minute',
            'tenant', (array['share', 'kick', 'tresor_creation'])[1 + i % 3], 'op-' || i, gen_random_uuid(), 1, 'tresor-' || i % 900,
            'actor-' || i % 800, 'subject-' || i % 700, null, (array['approve', 'reject'])[1 + i % 2],
            case i % 1000 when 7 then 'reviewer:rita' else 'policy' end,
            case when i % 11 = 0 then jsonb_build_array('rule-' || i % 40, 'second-' || i % 7, 'third', 'fourth', 'fifth-' || i % 3)
                 else jsonb_build_array('rule-' || i % 40) end,
            'because of ' || md5((i % 5000)::text), md5((i % 900)::text) || md5((i % 900)::text), '1',
            jsonb_build_object('subject.email_domain', jsonb_build_object('value', 'd' || i % 300 || '.example')), '{}', '[]', '[]'
        from generate_series(0, 60 * 24 * 61 - 1) i;
        alter table decisions enable trigger decisions_await_sealing;
    end $$";

/// For each filter something of which there are a few, the index that finds it, and what it means.
const FILTERS: [(&str, &str, &str, &str); 11] = [
    ("--kind", "invitation_link_creation", "kind", "kind = 'invitation_link_creation'"),
    ("--verdict", "escalate", "verdict", "verdict = 'escalate'"),
    ("--rule", "rule-17", "rule", "rules ? 'rule-17'"),
    ("--actor", "actor-17", "actor", "actor_id = 'actor-17'"),
    ("--subject", "subject-17", "subject", "subject_id = 'subject-17'"),
    ("--tresor", "tresor-17", "tresor", "tresor_id = 'tresor-17'"),
    ("--domain", "d17.example", "subject_domain", "facts -> 'subject.email_domain' ->> 'value' = 'd17.example'"),
    ("--policy", "8f14e45fceea167a5a36dedd4bea2543", "policy", "policy_hash like '8f14e45fceea167a5a36dedd4bea2543%'"),
    ("--reviewer", "rita", "by_people", "decided_by = 'reviewer:rita'"),
    ("--text", "c9f0f895", "reason", "reason ilike '%c9f0f895%'"),
    ("--operation", "op-1717", "operation", "operation_id = 'op-1717'"),
];

/// The partitions of decisions, and the indexes, that a plan names.
fn named(plan: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let words = plan.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours: BTreeSet<_> = words.filter(|word| word.starts_with("decisions_") && word.len() > 10).map(str::to_owned).collect();
    let month = |name: &String| name.len() == "decisions_2026_05".len() || name == "decisions_default";
    let (partitions, indexes): (BTreeSet<_>, BTreeSet<_>) = ours.into_iter().partition(month);
    let month_of_index = indexes.iter().filter_map(|name| name.get(.."decisions_2026_05".len())).map(str::to_owned);
    (partitions.into_iter().chain(month_of_index).collect(), indexes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_has_an_index_and_reads_no_month_that_is_not_asked_for() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    auditor.stage.database.try_run(MANY).await.unwrap();
    auditor.stage.database.try_run("analyze decisions").await.unwrap();
    let plan = async |args: &[&str]| {
        let ran = auditor.audit(&[["query", "--explain"].as_slice(), args].concat()).await;
        assert_eq!(ran.status, 0, "{}", ran.err);
        ran.out
    };
    for (filter, value, index, means) in FILTERS {
        let shown = plan(&[filter, value]).await;
        let (_, indexes) = named(&shown);
        let wanted = format!(
            "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid \
             where i.inhparent = 'decisions_{index}'::regclass and c.relname like 'decisions_2026_05%'"
        );
        let wanted = auditor.stage.database.texts(wanted).await.concat();
        assert!(indexes.contains(&wanted), "{filter} without {wanted}: {shown}");
        assert!(!shown.contains("Seq Scan on decisions_2026_05"), "{filter}: {shown}");
        let shown = plan(&[filter, value, "--since", "2026-05-03", "--until", "2026-05-20"]).await;
        let (partitions, _) = named(&shown);
        assert_eq!(partitions, BTreeSet::from(["decisions_2026_05".to_owned()]), "{filter}: {shown}");
        let ran = auditor.audit(&["query", filter, value, "--since", "2026-05-01", "--csv", "--limit", "100"]).await;
        let found = Auditor::ids(&ran);
        let wanted = format!("select id::text from decisions where {means} order by decided_at desc limit 100");
        assert_eq!(found, auditor.stage.database.texts(wanted).await, "{filter} {value}: {}", ran.err);
    }
    // A decision by many rules is found by each of them, once.
    for (rule, count) in [("rule-22", 200), ("second-1", 50), ("third", 50), ("fourth", 50), ("fifth-0", 50)] {
        let ran =
            auditor.audit(&["query", "--rule", rule, "--since", "2026-05-01", "--csv", "--limit", &count.to_string()]).await;
        let ids: BTreeSet<_> = Auditor::ids(&ran).into_iter().collect();
        assert_eq!(ids.len(), count, "{rule}: {}", ran.err);
    }
    // Text that one reason has, some have, hundreds have, all have, none has: what is found is what a look at each row finds.
    for (text, and, reasons) in [
        ("c9f0f895", "true", 1..=1),
        ("C9F0", "true", 2..=8),
        ("f0f", "rules ? 'rule-17'", 9..=1_000),
        ("of a", "true", 9..=1_000),
        ("of b", "verdict = 'reject'", 9..=1_000),
        ("because of", "rules ? 'rule-17'", 1_001..=5_000),
        // What is rare of it finds it, and the rest must stand beside that.
        ("because OF c9f0f895", "true", 1..=1),
        ("f c9f0f895", "verdict = 'reject'", 1..=1),
        ("because_c9f0f895", "true", 0..=0),
        ("of c9f0f895 because", "true", 0..=0),
        ("_", "true", 0..=0),
        ("nothing like it", "true", 0..=0),
    ] {
        let like = format!("reason ilike '%{}%'", text.replace('_', "\\_"));
        let known = auditor.stage.database.texts(format!("select reason from decision_reasons where {like}")).await;
        assert!(reasons.contains(&known.len()), "{text}: {}", known.len());
        let wanted = format!("select id::text from decisions where {like} and {and} order by decided_at desc, id desc limit 100");
        let more: &[&str] = match and {
            "rules ? 'rule-17'" => &["--rule", "rule-17"],
            "verdict = 'reject'" => &["--verdict", "reject"],
            _ => &[],
        };
        let ran = auditor.audit(&[["query", "--text", text, "--csv", "--limit", "100"].as_slice(), more].concat()).await;
        let found = Auditor::ids(&ran);
        assert_eq!(found, auditor.stage.database.texts(wanted).await, "{text}: {}", ran.err);
        let counted = auditor.audit(&[["query", "--text", text, "--count", "--csv"].as_slice(), more].concat()).await;
        let counted: BTreeSet<_> = counted.out.lines().skip(1).map(|line| line.split_once(',').unwrap().0.to_owned()).collect();
        let days =
            format!("select distinct to_char(decided_at at time zone 'utc', 'YYYY-MM-DD') from decisions where {like} and {and}");
        assert_eq!(counted, auditor.stage.database.texts(days).await.into_iter().collect(), "{text}");
    }
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_is_listed_once_whoever_comes_to_it_first() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let database = &auditor.stage.database;
    for number in 0..6 {
        let row = decision(number, "2026-03-01T00:00:00.000000Z", "share", "approve", "[]");
        database.try_run(&row.replace("because", ["rain", "snow", "rain"][number as usize % 3])).await.unwrap();
    }
    let listed = async || database.texts("select reason from decision_reasons where reason in ('rain', 'snow') order by 1").await;
    assert_eq!(listed().await, ["rain", "snow"]);
    // What was decided before reasons were listed is listed by the migration.
    database.try_run("delete from decision_reasons where reason <> 'rain'").await.unwrap();
    database.try_run(include_str!("../../../migrations/postgres/20261203000100_note_reasons_of_history.sql")).await.unwrap();
    assert_eq!(listed().await, ["rain", "snow"]);
    let missing = "select distinct reason from decisions except select reason from decision_reasons";
    assert_eq!(database.texts(missing).await, [""; 0]);
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_that_a_month_lacks_are_built_by_migrate() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let database = &auditor.stage.database;
    database.try_run("drop index decisions_actor").await.unwrap();
    database.try_run("create index decisions_actor on only decisions (actor_id, decided_at)").await.unwrap();
    let is_built = "select indisvalid::text from pg_index where indexrelid = 'decisions_actor'::regclass";
    assert_eq!(database.texts(is_built).await, ["false"]);
    let ran = assent(&["migrate", "--config", &auditor.config], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(database.texts(is_built).await, ["true"]);
    assert_eq!(database.texts("select assent_indexes_to_build()").await, [""; 0]);
    auditor.stage.daemon.stop().await;
}

/// A decision at a time, by rules.
fn decision(number: u32, at: &str, kind: &str, verdict: &str, rules: &str) -> String {
    let id = format!("00000000-0000-7000-8000-{number:012x}");
    format!(
        "insert into decisions (id, decided_at, tenant, kind, operation_id, flow_id, attempt, verdict, decided_by, rules, reason, policy_hash, \
         evaluator_version, facts, facts_personal, trace, shadow) values ('{id}', '{at}', 't', '{kind}', 'o{number}', '{id}', 1, '{verdict}', \
         'policy', '{rules}', 'because', 'none', '1', '{{}}', '{{}}', '[]', '[]')"
    )
}

async fn text_is_found_whenever_it_was_written(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    // Many of one moment, some of a year before, some that a clock ahead of ours wrote, and some of today.
    let today = MachineClock.now().strftime("%Y-%m-%dT00:00:00.000000Z").to_string();
    let times = ["2026-03-01T00:00:00.000000Z", "2025-02-28T23:59:59.999999Z", "2099-12-31T00:00:00.000000Z", &today];
    for number in 0..40 {
        let row = decision(number, times[number as usize % 4], "share", "approve", "[]");
        auditor
            .stage
            .database
            .try_run(&row.replace("because", &format!("because of {}", if number % 2 == 0 { "Rain" } else { "snow" })))
            .await
            .unwrap();
    }
    let ids = async |more: &str| {
        let (mut ids, mut next) = (Vec::new(), String::new());
        loop {
            let answer = auditor.stage.get(&format!("/v1/decisions?limit=4{more}{next}")).await;
            ids.extend(answer["decisions"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = answer["next"].as_str() else { return ids };
            next = format!("&after={cursor}");
        }
    };
    let all: Vec<_> = ids("").await.into_iter().filter(|id| id.starts_with("00000000")).collect();
    assert_eq!(all.len(), 40);
    assert_eq!(ids("&text=because+of").await, all, "in the order of all");
    assert_eq!(ids("&text=rain").await.len(), 20);
    let first = ids("&text=because&since=2026-03-01T00:00:00Z&until=2026-03-01T00:00:01Z").await;
    assert_eq!(first.len(), 10, "all of one moment, page after page");
    assert_eq!(ids("&text=because&until=9999-12-01T00:00:00Z").await, all);
    auditor.stage.daemon.stop().await;
}

/// Decisions of one day, many of one moment, one in 1,200 of them because of rain; and 2,000 of two months before, all because of it.
const RAIN: &str = "
    do $$ begin
        insert into decisions
        select ('00000000-0000-7000-8000-' || lpad(to_hex(i * 7919 % 62000), 12, '0'))::uuid,
            (case when i < 1000 then '2026-03-30Z' when i < 2000 then '2026-04-30Z' else '2026-05-01Z' end)::timestamptz + i / 5 * interval '4 seconds',
            't', (array['share', 'kick'])[1 + i % 2], 'o', gen_random_uuid(), 1, null, null, null, null, 'approve', 'policy', '[]',
            case when i < 2000 or i % 1200 = 0 then 'because of rain ' || i else 'because of snow' end, 'none', '1', '{}', '{}', '[]', '[]'
        from generate_series(0, 61999) i;
        insert into decisions
        select gen_random_uuid(), at::timestamptz, 't', 'share', 'o', gen_random_uuid(), 1, null, null, null, null, 'approve', 'policy', '[]',
            'because of frogs', 'none', '1', '{}', '{}', '[]', '[]'
        from unnest(array['0045-03-15 BC', '20000-01-01']) at;
    end $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_found_whether_the_last_decisions_have_enough_of_it_or_not() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    auditor.stage.database.try_run(RAIN).await.unwrap();
    let store = auditor.stage.database.open().await;
    // The last have 50, all shares; more of them, and all kicks, are of before.
    for (kind, limit) in [(None, 20), (None, 50), (None, 51), (Some("share"), 60), (Some("kick"), 1), (Some("kick"), 30)] {
        let until = Some("2026-05-02T00:00:00Z".parse().unwrap());
        let kind_asked = kind.map(|kind| Kind::parse(kind).unwrap());
        let query = DecisionQuery { text: Some("of RAIN".into()), kind: kind_asked, until, ..DecisionQuery::default() };
        let wanted = format!(
            "select id::text from decisions where reason like '%of rain%' and kind = coalesce({}, kind) order by decided_at desc, id desc limit {}",
            kind.map_or("null".to_owned(), |kind| format!("'{kind}'")),
            limit * 24
        );
        let wanted = auditor.stage.database.texts(wanted).await;
        let mut found: Vec<String> = Vec::new();
        let mut after = None;
        while found.len() < wanted.len() {
            let page = store.find(&query, after.as_ref(), limit).await.unwrap();
            assert!(!page.is_empty());
            found.extend(page.iter().filter_map(|one| one.record.text("id")).map(str::to_owned));
            after = page.last().and_then(FoundDecision::cursor);
        }
        found.truncate(wanted.len());
        assert_eq!(found, wanted, "{kind:?}, {limit} at once");
    }
    // Times that nobody writes stand in nobody's way.
    for text in ["of rain", "of snow", "because"] {
        let query = DecisionQuery { text: Some(text.into()), ..DecisionQuery::default() };
        assert_eq!(store.find(&query, None, 10).await.unwrap().len(), 10, "{text}");
    }
    // What the last decisions have enough of needs no list of reasons, and nothing is made of a list that cannot be read.
    auditor.stage.database.try_run("alter table decision_reasons rename to hidden").await.unwrap();
    let until = Some("2026-05-02T00:00:00Z".parse().unwrap());
    let query = DecisionQuery { text: Some("of RAIN".into()), until, ..DecisionQuery::default() };
    let newest = "select id::text from decisions where reason like '%of rain%' order by decided_at desc, id desc limit 50";
    let found = store.find(&query, None, 50).await.unwrap();
    let found: Vec<_> = found.iter().filter_map(|one| one.record.text("id")).collect();
    assert_eq!(found, auditor.stage.database.texts(newest).await);
    assert!(store.find(&query, None, 51).await.is_err());
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_nobody_waits_for_keep_nobody_from_asking() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let store = auditor.stage.database.open().await;
    let query = DecisionQuery { text: Some("because".into()), ..DecisionQuery::default() };
    for _ in 0..20 {
        let asked = store.find(&query, None, 10);
        // Polled once, then dropped.
        tokio::select! { biased; _ = asked => {}, () = std::future::ready(()) => {} }
    }
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (store, query) = (store.clone(), query.clone());
        asking.spawn(async move { store.find(&query, None, 10).await });
    }
    for answer in asking.join_all().await {
        answer.unwrap();
    }
    // A server that was started again has new connections.
    let cut = "select pg_terminate_backend(pid)::text from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    auditor.stage.database.texts(cut).await;
    crate::harness::until("it answers again", async || store.find(&query, None, 10).await.is_ok()).await;
    auditor.stage.daemon.stop().await;
}

/// Those who look for reasons where somebody holds the list.
const LOOKING_FOR_REASONS: &str = "select pid::text from pg_stat_activity where datname = current_database() \
                                   and wait_event_type = 'Lock' and query like '%decision_reasons%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_nobody_waits_for_is_given_up() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let store = auditor.stage.database.open().await;
    let mut holder = sqlx::PgConnection::connect(&auditor.stage.database.url).await.unwrap();
    sqlx::raw_sql("begin; lock table decision_reasons in access exclusive mode").execute(&mut holder).await.unwrap();
    let are_waiting = async |count| auditor.stage.database.texts(LOOKING_FOR_REASONS).await.len() == count;
    // As many as may ask at the same time.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        asking.spawn(async move {
            let query = DecisionQuery { text: Some("nothing like it".into()), ..DecisionQuery::default() };
            store.find(&query, None, 10).await.is_ok()
        });
    }
    crate::harness::until("the server looks for them", async || are_waiting(4).await).await;
    asking.shutdown().await;
    // Long before the server gives them up by itself.
    let ended = crate::harness::until("the server looks for them no longer", async || are_waiting(0).await);
    tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.unwrap();
    assert!(!store.find(&DecisionQuery::default(), None, 10).await.unwrap().is_empty());
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_ends_with_the_program_that_asked_it() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    let mut holder = sqlx::PgConnection::connect(&auditor.stage.database.url).await.unwrap();
    sqlx::raw_sql("begin; lock table decision_reasons in access exclusive mode").execute(&mut holder).await.unwrap();
    let mut asking = tokio::process::Command::new(env!("CARGO_BIN_EXE_assent"));
    let args = ["audit", "query", "--text", "nothing like it", "--config", &auditor.config];
    let mut asking = asking.args(args).kill_on_drop(true).spawn().unwrap();
    let is_waiting = async || !auditor.stage.database.texts(LOOKING_FOR_REASONS).await.is_empty();
    crate::harness::until("the server looks for it", is_waiting).await;
    asking.kill().await.unwrap();
    // Long before the server gives it up by itself.
    let ended = crate::harness::until("the server looks for it no longer", async || !is_waiting().await);
    tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.unwrap();
    auditor.stage.daemon.stop().await;
}

async fn counts_by_day_are_those_of_the_rows(backend: Backend) {
    let auditor = Auditor::begin(backend).await;
    let mut made = Vec::new();
    for number in 0..96 {
        let (day, hour) = (1 + number / 24, number % 24);
        let at = format!("2026-03-0{day}T{hour:02}:30:00.000000Z");
        let verdict = if number % 3 == 0 { "reject" } else { "approve" };
        let kind = if number % 4 == 0 { "kick" } else { "share" };
        let rules: &[&str] = if number % 5 == 0 {
            &["one", "two"]
        } else if number % 7 == 0 {
            &[]
        } else {
            &["one"]
        };
        made.push((at, kind, verdict, rules));
    }
    let mut rows = (0..).zip(&made).map(|(number, (at, kind, verdict, rules))| {
        let rules = serde_json::json!(rules).to_string();
        decision(number, at, kind, verdict, &rules)
    });
    for row in rows.by_ref().take(60) {
        auditor.stage.database.try_run(&row).await.unwrap();
    }
    auditor.all_sealed().await;
    let Auditor { stage: Stage { daemon, database, .. }, folder: _folder, config, .. } = auditor;
    daemon.stop().await;
    // What comes now waits to be sealed.
    for row in rows {
        database.try_run(&row).await.unwrap();
    }
    let audit = async |args: &[&str]| assent(&[&["audit"], args, &["--config", &config]].concat(), &[]).await;
    let asked: [&[&str]; 9] = [
        &["--until", "2026-03-09"],
        &["--since", "2026-03-01", "--until", "2026-03-05"],
        &["--since", "2026-03-01T07:10:00Z", "--until", "2026-03-04T11:00:00Z"],
        &["--since", "2026-03-02T07:10:00Z", "--until", "2026-03-02T19:00:00Z"],
        &["--since", "2026-03-02T07:10:00Z", "--until", "2026-03-03T19:00:00Z"],
        &["--since", "2026-03-02", "--until", "2026-03-09", "--verdict", "reject"],
        &["--since", "2026-03-02", "--until", "2026-03-09", "--kind", "kick"],
        &["--since", "2026-03-01T12:00:00Z", "--until", "2026-03-09", "--rule", "two"],
        &["--since", "2026-03-01T12:00:00Z", "--until", "2026-03-09", "--operation", "o77"],
    ];
    for args in asked {
        let of = |name: &str| args.iter().position(|arg| *arg == name).map(|place| args[place + 1]);
        let time = |name: &str, preset: &str| {
            let text = of(name).unwrap_or(preset);
            if text.len() == 10 { format!("{text}T00:00:00.000000Z") } else { text.replace("00Z", "00.000000Z") }
        };
        let (since, until) = (time("--since", "2000-01-01"), time("--until", "2100-01-01"));
        let mut expected: BTreeMap<String, u32> = BTreeMap::new();
        for (number, (at, kind, verdict, rules)) in made.iter().enumerate() {
            let is_asked = *at >= since
                && *at < until
                && of("--verdict").is_none_or(|asked| asked == *verdict)
                && of("--kind").is_none_or(|asked| asked == *kind)
                && of("--rule").is_none_or(|asked| rules.contains(&asked))
                && of("--operation").is_none_or(|asked| asked == format!("o{number}"));
            let rules = if rules.is_empty() { &[""] } else { *rules };
            for rule in rules.iter().filter(|_| is_asked) {
                *expected.entry(format!("{},{rule},{verdict}", &at[..10])).or_default() += 1;
            }
        }
        let ran = audit(&[["query", "--count", "--csv"].as_slice(), args].concat()).await;
        let counted: BTreeMap<String, u32> = (ran.out.lines().skip(1))
            .map(|line| line.rsplit_once(',').map(|(of, count)| (of.to_owned(), count.parse().unwrap())).unwrap())
            .collect();
        assert_eq!(counted, expected, "{args:?}: {}", ran.err);
    }
    // Whoever changes what was counted is told so.
    let kept =
        "update decision_counts set decisions = decisions + 1 where day = '2026-03-01' and verdict = 'reject' and kind = 'kick'";
    assert!(database.try_run(kept).await.unwrap() > 0);
    let ran = audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(
        ran.out
            .contains("`decision_counts` says that 2 decisions on `kick` of 2026-03-01 are reject by [\"one\"], and there are 1"),
        "{}",
        ran.out
    );
}
