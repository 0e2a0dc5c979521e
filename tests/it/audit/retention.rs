//! Months that need not be kept longer leave the database, and every row of them can be proved all the same.

use super::Auditor;
use crate::harness::Backend;
use crate::harness::command::assent;
use serde_json::Value;

/// Decisions and their outcomes as they are now, but of eight years ago, over two months, forty times.
const LONG_AGO: &str = "
    do $$ declare first timestamp := date_trunc('month', now() at time zone 'utc') - interval '8 years'; parent text; begin
        for i in 0..1 loop
            foreach parent in array array['decisions', 'outcomes'] loop
                execute format('create table %I partition of %I for values from (%L) to (%L)',
                    parent || to_char(first + make_interval(months => i), '_YYYY_MM'), parent,
                    (first + make_interval(months => i)) at time zone 'utc', (first + make_interval(months => i + 1)) at time zone 'utc');
            end loop;
        end loop;
        create temp table old on commit drop as
            select d.id as was, gen_random_uuid() as id, first at time zone 'utc' + i * interval '1 day' as at
            from decisions d, generate_series(0, 39) i;
        insert into decisions
            select o.id, o.at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, subject_id, requester_id, verdict, decided_by,
                rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow
            from decisions d join old o on o.was = d.id;
        insert into outcomes
            select gen_random_uuid(), o.id, o.at, kind, operation_id, outcome, error_code, detail, reconciled
            from outcomes t join old o on o.was = t.decision_id;
        -- A ciphertext is of one decision, so nobody can open those of the copies.
        insert into operator_actions (id, at, operator, action, target)
            select gen_random_uuid(), now(), 'anna', 'forget', person from (select distinct json_object_keys(facts_personal) as person from decisions) p;
    end $$";

/// A log with two old months, and how many rows these have.
async fn old_log() -> (Auditor, Vec<String>, usize) {
    let auditor = Auditor::begin(Backend::Postgres).await;
    auditor.some_decisions().await;
    auditor.stage.database.try_run(LONG_AGO).await.unwrap();
    auditor.all_sealed().await;
    let months = auditor.stage.database.texts("select month from assent_months() where month < '2020'").await;
    assert_eq!(months.len(), 2);
    let rows = auditor
        .stage
        .database
        .texts("select ((select count(*) from decisions where decided_at < '2020-01-01') + (select count(*) from outcomes where at < '2020-01-01'))::text")
        .await;
    (auditor, months, rows.concat().parse().unwrap())
}

fn retain<'a>(archive: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["retain", "--keep", "7y", "--archive", archive, "--operator", "anna"], more].concat()
}

/// How many months a check says were dropped, with how many rows, and how many of them an archive had.
fn dropped(said: &str) -> (usize, usize, usize) {
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("  dropped ")).collect();
    let number =
        |line: &str, after: &str| -> usize { line.split_once(after).unwrap().1.split(' ').next().unwrap().parse().unwrap() };
    let sum = |after: &str| lines.iter().map(|line| number(line, after)).sum();
    (lines.len(), sum(": "), sum(", "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_is_proved_from_the_archive_and_the_tree() {
    let (auditor, months, rows) = old_log().await;
    let (kept, key, archive) =
        (auditor.keep_checkpoint("kept.txt").await, auditor.audit(&["key"]).await.out, auditor.path("archive"));
    let old = auditor
        .stage
        .database
        .texts("select id::text from decisions where decided_at < '2020-01-01' order by id limit 1")
        .await
        .concat();
    let before: Value = serde_json::from_str(&auditor.audit(&["verify", "--json"]).await.out).unwrap();

    let ran = auditor.audit(&retain(&archive, &[])).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.err.contains(&format!("`--yes` writes {} into", months.join(", "))), "{}", ran.err);
    // Not among the files of an export, which would be checked as one.
    let export = auditor.path("another");
    assert_eq!(auditor.audit(&["export", &export]).await.status, 0);
    let ran = auditor.audit(&retain(&export, &["--yes"])).await;
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("holds an export; name another folder for the months"), "{}", ran.err);
    // Broken off, nothing is dropped.
    let args = [&["audit"], retain(&archive, &["--yes"]).as_slice(), &["--config", &auditor.config]].concat();
    assert_eq!(assent(&args, &[("ASSENT_KILL_AT", "retain.within")]).await.status, -1);
    assert_eq!(auditor.stage.database.texts("select month from assent_months() where month < '2020'").await, months);
    let ran = auditor.audit(&retain(&archive, &["--yes", "--comment", "seven years are over"])).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains(" rows in ") && !ran.out.contains("not sealed yet"), "{}", ran.out);
    assert_eq!(auditor.stage.database.texts("select month from assent_months() where month < '2020'").await, [""; 0]);
    // An operation of then is there as it was, without what was decided.
    let database = &auditor.stage.database;
    let record = database.texts("select id from operations where kind = 'share' order by id limit 1").await.concat();
    database.try_run(&format!("update operations set decision_id = '{old}' where id = '{record}'")).await.unwrap();
    let view = auditor.stage.get(&format!("/v1/operations/{record}")).await;
    assert!(view["state"].is_string() && view["decision"].is_null() && view["outcome"].is_object(), "{view}");
    let again = auditor.audit(&retain(&archive, &["--yes"])).await;
    assert!(again.out.starts_with("nothing is older than "), "{}{}", again.out, again.err);

    let verify = async |more: &[&str]| {
        let ran = auditor.audit(&[["verify", "--checkpoint", &kept].as_slice(), more].concat()).await;
        (ran.status, ran.out)
    };
    let (status, said) = verify(&[]).await;
    assert_eq!(status, 0, "{said}");
    assert_eq!(dropped(&said), (2, rows, 0), "{said}");
    assert!(said.contains(&format!("dropped        {}: ", months[0])) && said.contains(" rows by anna on 20"), "{said}");
    let (status, said) = verify(&["--archive", &archive]).await;
    assert_eq!(status, 0, "{said}");
    assert_eq!(dropped(&said), (2, rows, rows), "{said}");
    let (_, said) = verify(&["--archive", &archive, "--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["decided_again"], before["decided_again"], "in the archive as in the database");

    // Whoever looks for what was there is told where it went.
    let ran = auditor.audit(&["query", "--until", "2019-01-01"]).await;
    let note = format!("months were dropped, {} the newest of them; they are in the archive of `assent audit retain`", months[1]);
    assert_eq!((ran.status, ran.out.as_str()), (0, "no decision is like that\n"));
    assert!(ran.err.contains(&note), "{}", ran.err);

    // One decision of them, to anyone.
    let (proof, key_file) = (auditor.path("old.tlog-proof"), auditor.path("key.txt"));
    std::fs::write(&key_file, &key).unwrap();
    let ran = auditor.audit(&["prove", &old, "--out", &proof]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("if `assent audit retain` took it out, `--archive` names where to"), "{}", ran.err);
    let ran = auditor.audit(&["prove", &old, "--archive", &archive, "--out", &proof]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(assent(&["audit", "verify", "--proof", &proof, "--key", &key_file], &[]).await.status, 0);

    // All of it without the database.
    let export = auditor.path("export");
    assert_eq!(auditor.audit(&["export", &export]).await.status, 0);
    let offline = async |more: &[&str]| {
        let all = ["audit", "verify", "--export", &export, "--key", key.trim(), "--checkpoint", &kept, "--config", "none"];
        assent(&[all.as_slice(), more].concat(), &[]).await
    };
    let ran = offline(&[]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let ran = offline(&["--archive", &archive]).await;
    assert_eq!(dropped(&ran.out), (2, rows, rows), "{}{}", ran.out, ran.err);
    let month = format!("{archive}/{}", months[0]);
    let ran = assent(&["audit", "verify", "--export", &month, "--key", key.trim()], &[]).await;
    assert!(ran.err.contains("which was taken out of a log; give it as `--archive`"), "{}", ran.err);

    // An archive that somebody changed says so.
    let file = format!("{month}/log-000000.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("elsewhere.example is outside", "elsewhere.example is inside", 1)).unwrap();
    let ran = offline(&["--archive", &archive]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains("was changed after it was sealed"), "{}", ran.out);
    assert!(ran.out.contains("is not the file that the manifest names"), "{}", ran.out);
    // Nor does one that lacks a row.
    std::fs::write(&file, text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let ran = offline(&["--archive", &archive]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains(&format!("the archive of {} lacks 1 of its ", months[0])), "{}", ran.out);
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_archive_is_written_over_and_nobody_writes_beside_somebody() {
    let (auditor, months, _) = old_log().await;
    let archive = auditor.path("archive");
    let refused = async |why: &str| {
        let ran = auditor.audit(&retain(&archive, &["--yes"])).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
        assert_eq!(auditor.stage.database.texts("select month from assent_months() where month < '2020'").await, months);
    };
    std::fs::create_dir(&archive).unwrap();
    let lock = std::fs::File::create(format!("{archive}/.lock")).unwrap();
    lock.lock().unwrap();
    refused("another `assent audit retain` writes into").await;
    drop(lock);
    // Another log's month.
    let (other, _, _) = old_log().await;
    assert_eq!(other.audit(&retain(&archive, &["--yes"])).await.status, 0);
    let before = std::fs::read(format!("{archive}/{}/log-000000.jsonl", months[0])).unwrap();
    refused("holds something else than").await;
    assert_eq!(std::fs::read(format!("{archive}/{}/log-000000.jsonl", months[0])).unwrap(), before);
    other.stage.daemon.stop().await;
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_dropped_that_is_not_sealed_or_not_what_was_sealed() {
    let (auditor, months, _) = old_log().await;
    let (archive, database) = (auditor.path("archive"), &auditor.stage.database);
    let refused = async |why: &str| {
        let ran = auditor.audit(&retain(&archive, &["--yes"])).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
        assert!(database.texts("select month from assent_months() where month < '2020'").await.contains(&months[0]), "{why}");
    };
    let as_superuser = async |sql: &str| {
        let all = format!("do $$ begin set local session_replication_role = replica; {sql}; end $$");
        database.try_run(&all).await.unwrap();
    };
    // A row that no tree knows.
    let copy = "insert into decisions select gen_random_uuid(), decided_at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, \
                subject_id, requester_id, verdict, decided_by, rules, reason, policy_hash, evaluator_version, facts, facts_personal, trace, shadow \
                from decisions where decided_at < '2020-01-01' order by decided_at limit 1";
    as_superuser(copy).await;
    refused("it has rows that are in no tree").await;
    as_superuser(
        "delete from decisions d where decided_at < '2020-01-01' and not exists (select 1 from leaves l where l.id = d.id)",
    )
    .await;
    // Somebody still waits for what stands on it.
    let open = "update operations set state = 'escalated', decision_id = (select id::text from decisions where decided_at < '2020-01-01' order by decided_at limit 1) \
                where id = (select id from operations limit 1)";
    as_superuser(open).await;
    refused("operations that are open, or of which nobody knows how they ended, stand on it").await;
    as_superuser("update operations set state = 'approved' where state = 'escalated'").await;
    // A row that was changed.
    as_superuser("update decisions set reason = 'never mind' where id = (select id from decisions where decided_at < '2020-01-01' order by decided_at limit 1)").await;
    refused("is not what was sealed, and what may be evidence is not dropped").await;
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_away_more_than_was_written_down() {
    let (auditor, _, _) = old_log().await;
    let (archive, database) = (auditor.path("archive"), &auditor.stage.database);
    assert_eq!(auditor.audit(&retain(&archive, &["--yes"])).await.status, 0);
    assert_eq!(auditor.audit(&["verify"]).await.status, 0);
    // One of today, made to look as if it had been of then.
    let one = database.texts("select id::text from decisions order by decided_at limit 1").await.concat();
    let other = database.texts("select id::text from decisions order by decided_at desc limit 1").await.concat();
    let one_month = database.texts("select to_char(max(decided_at) at time zone 'utc', 'YYYY-MM') from decisions").await.concat();
    let attack = format!(
        "do $$ begin set local session_replication_role = replica; delete from decisions where id = '{one}'; \
         update leaves set at = at - interval '8 years' where id = '{one}'; end $$"
    );
    database.try_run(&attack).await.unwrap();
    let ran = auditor.audit(&["verify"]).await;
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(ran.out.contains(&format!("row `{one}` of `decisions`")), "{}", ran.out);
    // Nor with an action that says so, which no operator's command wrote: of a month that is too young, or of a part of one.
    for month in [one_month.as_str(), "2018-01"] {
        let mut digest = assent::audit::MonthDigest::default();
        let leaf = auditor.stage.daemon.engine.store().leaf_of(assent::audit::Stream::Decision, &one).await.unwrap().unwrap();
        digest.add(leaf.index, leaf.hash);
        let target = digest.finish(month).to_string();
        let forged = format!(
            "do $$ begin insert into operator_actions (id, at, operator, action, target) values (gen_random_uuid(), now(), 'anna', 'retain', '{target}'); \
             set local session_replication_role = replica; \
             update leaves set at = '{month}-15Z' where id = '{one}'; \
             update decisions set decided_at = '{month}-16Z' where id = '{other}'; update leaves set at = '{month}-16Z' where id = '{other}'; end $$"
        );
        database.try_run(&forged).await.unwrap();
        auditor.all_sealed().await;
        let ran = auditor.audit(&["verify"]).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.out.contains(&format!("row `{one}` of `decisions`")), "{month}: {}", ran.out);
    }
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_the_log_is_kept_whole() {
    let auditor = Auditor::begin(Backend::Sqlite).await;
    let ran = auditor.audit(&retain(&auditor.path("archive"), &["--yes"])).await;
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("SQLite has no months that can be dropped; the log is kept whole"), "{}", ran.err);
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_that_were_a_dropped_months_alone_go_with_it() {
    let (auditor, months, _) = old_log().await;
    let own_reason = "insert into decisions select gen_random_uuid(), decided_at, tenant, kind, operation_id, flow_id, attempt, tresor_id, actor_id, \
                      subject_id, requester_id, verdict, decided_by, rules, 'only then', policy_hash, evaluator_version, facts, facts_personal, trace, \
                      shadow from decisions where decided_at < '2020-01-01' order by decided_at limit 1";
    auditor.stage.database.try_run(own_reason).await.unwrap();
    let listed = "select distinct reason from decision_reasons order by 1";
    let before = auditor.stage.database.texts(listed).await;
    assert!(before.len() > 1 && before.contains(&"only then".to_owned()), "{before:?}");
    auditor.all_sealed().await;
    let ran = auditor.audit(&retain(&auditor.path("archive"), &["--yes"])).await;
    assert!(months.iter().all(|month| ran.out.contains(month.as_str())), "{}{}", ran.out, ran.err);
    let after: Vec<_> = before.into_iter().filter(|reason| reason != "only then").collect();
    assert_eq!(auditor.stage.database.texts(listed).await, after, "what was decided since stands on these");
    auditor.stage.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_under_a_dropped_month_is_seen_whatever_is_missing_in_it() {
    let (auditor, _, _) = old_log().await;
    let columns = "decided_at, id, tenant, kind, operation_id, flow_id, attempt, verdict, decided_by, rules, reason, policy_hash, evaluator_version, \
                   facts, facts_personal, trace, shadow";
    let old = "create table kept as select * from decisions where decided_at < '2020-01-01' order by decided_at limit 1";
    auditor.stage.database.try_run(old).await.unwrap();
    let archive = auditor.path("archive");
    assert_eq!(auditor.audit(&retain(&archive, &["--yes"])).await.status, 0);
    assert_eq!(auditor.audit(&["verify"]).await.status, 0);
    for forged in [
        "alter table decisions alter kind drop not null".to_owned(),
        format!(
            "do $$ begin set local session_replication_role = replica; insert into decisions ({columns}) select {} from kept; end $$",
            columns.replace("kind,", "null,").replace("verdict,", "'reject',")
        ),
    ] {
        auditor.stage.database.try_run(&forged).await.unwrap();
    }
    for more in [&[][..], &["--archive", &archive]] {
        let ran = auditor.audit(&[&["verify"], more].concat()).await;
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.out.contains("was changed after it was sealed"), "{}", ran.out);
    }
    auditor.stage.daemon.stop().await;
}
