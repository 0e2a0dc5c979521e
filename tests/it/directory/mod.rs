//! User facts from files, an endpoint and a query: which source answers, what is kept, and what happens when one is down.

mod endpoint;
mod files;
mod query;
mod whole;

use endpoint::http;

use crate::harness::{Backend, Database, Setting, Stage, on_both, until};
use assent::directory::{Directory, DirectorySettings, FileSettings, HttpSettings, Place, SqlSettings};
use assent::domain::fact::{FactName, FactState, FactValue, Source};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::domain::operation::UserClaims;
use assent::domain::secret::Secret;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

fn user(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

fn needed(names: &[&str]) -> BTreeSet<FactName> {
    names.iter().map(|name| FactName::new(*name)).collect()
}

const ALL: [&str; 5] = ["actor.email", "actor.email_domain", "actor.registrable_domain", "actor.groups", "actor.attributes.plan"];

/// What the directory says of a user, in short.
async fn ask(directory: &Directory, id: &str, notified: Option<&UserClaims>, names: &[&str]) -> Vec<String> {
    let mut said: Vec<_> = directory
        .person("actor", &user(id), notified, &needed(names))
        .await
        .into_iter()
        .map(|(name, state)| match state {
            FactState::Known(value, source) => format!("{name} = {} ({})", value.display(), json!(source).as_str().unwrap()),
            FactState::Absent => format!("{name} absent"),
            FactState::Unknown(cause) => format!("{name} unknown: {cause}"),
        })
        .collect();
    said.sort();
    said
}

fn settings() -> DirectorySettings {
    DirectorySettings { budget: Duration::from_millis(600), ..DirectorySettings::default() }
}

#[test]
fn settings_that_cannot_work_are_told() {
    let said = |settings: DirectorySettings| Directory::open(&settings).err().map(|error| error.to_string()).unwrap_or_default();
    let of_http = |user_url: &str| {
        said(DirectorySettings {
            http: Some(HttpSettings { user_url: Some(user_url.into()), ..http("127.0.0.1:1".parse().unwrap()) }),
            ..settings()
        })
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    assert_eq!(
        said(DirectorySettings { sources: vec![Place::Sql], ..settings() }),
        "`directory.sources` names `sql`, and there is no section `directory.sql`"
    );
    assert_eq!(
        of_http("https://app.example/users"),
        "`directory.http.user_url` must hold `{user_id}`, which is replaced by the id"
    );
    for wrong in [
        "https://{user_id}.example/x",
        "ftp://app.example/{user_id}",
        "app.example/{user_id}",
        "https://app.example:{user_id}/",
        "https://app.example/users#{user_id}",
        "https://{user_id}@app.example/",
    ] {
        assert!(of_http(wrong).contains("in its path or query"), "{wrong}: {}", of_http(wrong));
    }
    let of_sql = |url: &str, query: &str| {
        said(DirectorySettings {
            sql: Some(SqlSettings {
                url: Secret::new(url.into()),
                user_query: Some(query.into()),
                tresor_query: None,
                timeout: Duration::from_secs(1),
                connections: 1,
            }),
            ..settings()
        })
    };
    assert_eq!(of_sql("sqlite://x", "select 1"), "`directory.sql.user_query` must hold `$1`, which stands for the id");
    assert!(of_sql("mysql://x", "select $1").contains("must begin with `postgres://` or `sqlite://`"));
}
