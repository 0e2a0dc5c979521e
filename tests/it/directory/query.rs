//! A query on the web app's database: one row, one parameter, and nothing is ever changed by it.

use super::*;

/// A database of the web app's.
async fn app_database(backend: Backend) -> (Database, SqlSettings) {
    let database = Database::new(backend).await;
    if backend == Backend::Sqlite {
        std::fs::write(database.url.strip_prefix("sqlite://").unwrap(), "").unwrap();
    }
    let (list, text) = match backend {
        Backend::Postgres => ("array['legal', 'staff']", "varchar(99)"),
        Backend::Sqlite => ("'[\"legal\", \"staff\"]'", "text"),
    };
    database
        .try_run(&format!(
            "create table people (id text primary key, mail {text}, groups {}, level bigint, active boolean)",
            if backend == Backend::Postgres { "text[]" } else { "text" }
        ))
        .await
        .unwrap();
    database
        .try_run(&format!(
            "insert into people values ('ann', 'ann@example.com', {list}, 3, true), ('bob', null, null, null, null)"
        ))
        .await
        .unwrap();
    let sql = SqlSettings {
        url: Secret::new(database.url.clone()),
        user_query: Some("select mail as email, groups, level, active from people where id = $1;".into()),
        tresor_query: None,
        timeout: Duration::from_millis(300),
        connections: 2,
    };
    (database, sql)
}

async fn a_query_gives_one_row_and_can_do_nothing_else(backend: Backend) {
    let (database, sql) = app_database(backend).await;
    let open = |query: &str| {
        let sql = SqlSettings { user_query: Some(query.into()), ..sql.clone() };
        Directory::open(&DirectorySettings { sql: Some(sql), negative_ttl: Duration::ZERO, ..settings() }).unwrap()
    };
    let directory = open(sql.user_query.as_ref().unwrap());
    let names =
        ["actor.email_domain", "actor.groups", "actor.attributes.level", "actor.attributes.active", "actor.attributes.plan"];
    let said = ask(&directory, "ann", None, &names).await;
    let active = match backend {
        Backend::Postgres => "actor.attributes.active = true (sql)",
        // SQLite keeps truth values as numbers, and says so only for the column.
        Backend::Sqlite => said[0].as_str(),
    };
    assert_eq!(
        said,
        [
            active,
            "actor.attributes.level = 3 (sql)",
            "actor.attributes.plan absent",
            "actor.email = ann@example.com (sql)",
            "actor.email_domain = example.com (sql)",
            "actor.groups = legal, staff (sql)",
            "actor.registrable_domain = example.com (sql)",
        ]
    );
    assert!(ask(&directory, "bob", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    // An id that looks like SQL is only an id.
    assert_eq!(ask(&directory, "'||(select-1)--", None, &["actor.groups"]).await, ["actor.groups absent"]);
    let cause = |said: Vec<String>| said[0].clone();
    let many = open("select groups from people where $1 <> ''");
    assert!(cause(ask(&many, "ann", None, &["actor.groups"]).await).contains("more than one row"));
    // Whatever the operator writes, nothing is changed by it.
    for query in [
        "select 1 from people where id = $1) x; delete from people; --",
        "delete from people where id = $1 returning id",
        "with gone as (delete from people where id = $1 returning id) select id from gone",
    ] {
        let said = cause(ask(&open(query), "ann", None, &["actor.groups"]).await);
        assert!(said.contains("the database refuses the query"), "{query}: {said}");
    }
    assert_eq!(database.texts("select cast(count(*) as text) from people").await, ["2"]);
    let wrong_type = open(match backend {
        Backend::Postgres => "select 1.5::numeric as level from people where id = $1",
        Backend::Sqlite => "select 1.5 as level from people where id = $1",
    });
    assert!(
        cause(ask(&wrong_type, "ann", None, &["actor.attributes.level"]).await).contains("cast it to text, bigint or boolean")
    );
    if backend == Backend::Postgres {
        let slow = open("select pg_sleep(30)::text as plan from people where id = $1");
        let said = cause(ask(&slow, "ann", None, &["actor.attributes.plan"]).await);
        assert!(
            said.contains("no answer in time")
                || said.contains("refuses the query (code 57014)")
                || said.contains("within the budget"),
            "{said}"
        );
        // A function that writes is stopped by the session, not only by the form of the query.
        database
            .try_run("create function spoil(text) returns text language sql as $$ update people set mail = 'x'; select 'done' $$")
            .await
            .unwrap();
        let said = cause(ask(&open("select spoil($1) as plan"), "ann", None, &["actor.attributes.plan"]).await);
        assert!(said.contains("code 25006"), "{said}");
        assert_eq!(database.texts("select mail from people where id = 'ann'").await, ["ann@example.com"]);
    }
}

on_both!(a_query_gives_one_row_and_can_do_nothing_else);
