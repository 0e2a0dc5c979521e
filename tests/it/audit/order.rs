//! A log whose rows were sealed in another order than that of their times, as after an import or with clocks that disagree: `verify`
//! reads rows as they follow each other in time, and nothing it finds may depend on that.

use super::Auditor;
use crate::harness::command::assent;
use crate::harness::{Backend, Database, log_key};
use assent::audit::Stream;
use assent::store::{RowPlace, RowsInOrder, Sealed};
use uuid::Uuid;

/// Twice as many as rows ever wait for their leaves, at times that have nothing to do with the order in which they are written.
const SHUFFLED: &str = "insert into outcomes select ('00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, null, \
    '2026-05-01Z'::timestamptz + (i * 7919 % 16000) * interval '1 minute', 'share', 'op-' || i, 'applied', null, null, false \
    from generate_series(0, 15999) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_not_sealed_in_the_order_of_their_times_are_checked_as_well() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    auditor.some_decisions().await;
    let Auditor { stage, config, folder, .. } = auditor;
    stage.daemon.stop().await;
    let (database, store) = (&stage.database, stage.database.open().await);
    let audit = async |args: &[&str]| assent(&[&["audit"], args, &["--config", &config]].concat(), &[]).await;
    database.try_run(SHUFFLED).await.unwrap();
    while let Sealed::Leaves { .. } = store.seal(&log_key(), None, 1_000).await.unwrap() {}
    let sound = audit(&["verify"]).await;
    assert_eq!(sound.status, 0, "{}{}", sound.out, sound.err);
    let export = folder.path().join("export").display().to_string();
    let ran = audit(&["export", &export]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    let ran = audit(&["verify", "--export", &export]).await;
    assert_eq!((ran.status, ran.out.lines().nth(1)), (0, sound.out.lines().nth(1)), "{}", ran.out);

    let as_superuser = async |sql: &str| {
        database.try_run(&format!("do $$ begin set local session_replication_role = replica; {sql}; end $$")).await.unwrap();
    };
    // A second leaf in the last place of a page, for a row that nobody sealed.
    let forged = "00000000-0000-7000-8000-0000000fffff";
    as_superuser(&format!(
        "alter table leaves drop constraint leaves_pkey; create index leaves_place on leaves (leaf); \
         insert into outcomes select '{forged}', null, at, kind, operation_id, 'failed', null, null, false from outcomes order by at limit 1; \
         insert into leaves (leaf, at, id, stream, hash) select 3999, at, id, 2, decode(repeat('00', 32), 'hex') from outcomes where id = '{forged}'"
    ))
    .await;
    let ran = audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    as_superuser(&format!("delete from leaves where id = '{forged}'; delete from outcomes where id = '{forged}'")).await;

    let id = |number: u32| format!("00000000-0000-7000-8000-{number:012x}");
    // One of the first and one of the last times, and in between.
    let (gone, changed, new) = (id(3), id(9_000), id(99_999));
    as_superuser(&format!("delete from outcomes where id = '{gone}'")).await;
    as_superuser(&format!("update outcomes set outcome = 'failed' where id = '{changed}'")).await;
    as_superuser(&format!(
        "insert into outcomes select '{new}', decision_id, at, kind, operation_id, outcome, error_code, detail, reconciled from outcomes \
         where id = '{}'",
        id(5_000)
    ))
    .await;
    let ran = audit(&["verify"]).await;
    let mut found: Vec<_> = ran.out.lines().filter(|line| line.starts_with('x')).collect();
    found.sort_unstable();
    let [a, b, c] = found[..] else { panic!("{}", ran.out) };
    assert!(a.contains(&gone) && a.ends_with("is gone, or its time was changed"), "{a}");
    assert!(b.contains(&changed) && b.ends_with("was changed after it was sealed"), "{b}");
    assert!(c.contains(&new) && c.contains("was never sealed"), "{c}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_times_in_which_nobody_decides_are_counted_by_their_days_and_do_not_stop_the_sealer() {
    let auditor = Auditor::begin(Backend::Postgres).await;
    auditor.some_decisions().await;
    let Auditor { stage, config, .. } = auditor;
    stage.daemon.stop().await;
    let (database, store) = (&stage.database, stage.database.open().await);
    // Both in one second as a machine counts them, and rules spelled in two ways.
    let copies = |times: &[(&str, &str)]| {
        let values: Vec<_> = times.iter().map(|(time, rules)| format!("('{time}'::timestamptz, '{rules}'::jsonb)")).collect();
        format!(
            "insert into decisions select gen_random_uuid(), v.at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, \
             subject_id, requester_id, verdict, decided_by, v.rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow \
             from (select * from decisions where decided_at > '2000-01-01Z' order by decided_at limit 1) d, (values {}) v(at, rules)",
            values.join(", ")
        )
    };
    let [before, after] = ["1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00.5Z"];
    database.try_run(&copies(&[(before, "[1.0]"), (before, "[1.00]"), (after, "[1.0]"), (after, "[\"one\"]")])).await.unwrap();
    while let Sealed::Leaves { .. } = store.seal(&log_key(), None, 1_000).await.unwrap() {}
    let counts = "select day || ' ' || rules || ' ' || decisions from decision_counts where day < '2000-01-01' order by 1";
    let found: Vec<_> = database.texts(counts).await.iter().map(|count| count.replace("[1.00]", "[1.0]")).collect();
    assert_eq!(found, ["1969-12-31 [1.0] 2", "1970-01-01 [\"one\"] 1", "1970-01-01 [1.0] 1"]);

    database.try_run(&copies(&[("0045-03-15 00:00:00+00 BC", "[\"one\"]")])).await.unwrap();
    // No row that waits may be of the end of time, so nobody but whoever owns the database can put one there.
    let endless = copies(&[("infinity", "[\"one\"]")]);
    database.try_run(&format!("do $$ begin set local session_replication_role = replica; {endless}; end $$")).await.unwrap();
    assert_eq!(store.seal(&log_key(), None, 1_000).await.unwrap(), Sealed::Nothing);
    assert_eq!(store.unsealed().await.unwrap(), 0);
    let ran = assent(&["audit", "verify", "--config", &config], &[]).await;
    let found: Vec<_> = ran.out.lines().filter(|line| line.starts_with('x') && line.contains("was never sealed")).collect();
    assert_eq!((ran.status, found.len()), (1, 2), "{}{}", ran.out, ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_follow_each_other_beyond_the_end_of_a_month_and_months_without_any() {
    let database = Database::new(Backend::Postgres).await;
    let store = database.open().await;
    for month in 1..=3 {
        for table in ["outcomes", "decisions"] {
            let (from, until) = (format!("2026-0{month}-01Z"), format!("2026-0{}-01Z", month + 1));
            let made =
                format!("create table {table}_2026_0{month} partition of {table} for values from ('{from}') to ('{until}')");
            database.try_run(&made).await.unwrap();
        }
    }
    // Two of the last moment of a month, and three of the first of the next; months without any, and some that nobody made.
    let times = [
        "2026-01-30T12:00:00Z",
        "2026-01-31T23:59:59.999999Z",
        "2026-01-31T23:59:59.999999Z",
        "2026-02-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
        "2026-02-28T23:59:59.999999Z",
        "2026-06-01T00:00:00Z",
        "2026-06-01T00:00:00.000001Z",
        "2031-12-31T23:59:59.999999Z",
        "9999-12-30T00:00:00Z",
    ];
    let id = |number: usize| Uuid::from_u128(number as u128);
    for (number, time) in times.iter().enumerate() {
        let id = id(number);
        for row in [
            format!("insert into outcomes values ('{id}', null, '{time}', 'share', 'op', 'applied', null, null, false)"),
            format!(
                "insert into decisions (id, decided_at, tenant, kind, operation_id, flow_id, attempt, verdict, decided_by, rules, reason, \
                 policy_hash, evaluator_version, facts, facts_personal, trace, shadow) values ('{id}', '{time}', 't', 'share', 'o', '{id}', 1, \
                 'approve', 'policy', '[]', 'because', 'none', '1', '{{}}', '{{}}', '[]', '[]')"
            ),
        ] {
            database.try_run(&row).await.unwrap();
        }
    }
    let begin = times[0].parse().unwrap();
    let all: Vec<_> = times.iter().enumerate().map(|(number, time)| (id(number), time.parse().unwrap())).collect();
    // No page is of one time alone, as no page of 2,000 is.
    for (stream, at_once) in
        [Stream::Decision, Stream::Outcome].into_iter().flat_map(|stream| (4..=12).map(move |at_once| (stream, at_once)))
    {
        let (mut found, mut next) = (Vec::new(), Some(RowPlace { at: begin, id: Uuid::nil() }));
        while let Some(from) = next {
            let RowsInOrder { rows, last } = store.rows_from(stream, from, at_once).await.unwrap().unwrap();
            let rows = rows.await.unwrap().unwrap();
            assert_eq!(last.is_some(), rows.len() as u32 == at_once);
            // Each page begins with the last row of the one before.
            let is_first = found.is_empty();
            found.extend(rows.iter().map(|(place, _)| (place.id, place.at)).skip(usize::from(!is_first)));
            next = last;
        }
        assert_eq!(found, all, "{at_once} of {stream:?} at once");
    }
}
