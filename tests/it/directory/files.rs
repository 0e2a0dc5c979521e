//! Files, and the order of the sources.

use super::endpoint::{Endpoint, http};
use super::*;

fn files(folder: &std::path::Path, users: &str, text: &str) -> FileSettings {
    std::fs::write(folder.join(users), text).unwrap();
    FileSettings { users: Some(folder.join(users)), tresors: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_sources_says_who_answers_and_a_source_that_is_down_leaves_the_rest_unknown() {
    let (endpoint, address) = Endpoint::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = files(folder.path(), "users.yaml", "ann: {groups: [from-file], attributes: {plan: free}}\n");
    let open = |sources: Vec<Place>| {
        Directory::open(&DirectorySettings { sources, http: Some(http(address)), file: Some(file.clone()), ..settings() })
            .unwrap()
    };
    let notified = UserClaims { email: Some("ann@notified.example".into()), ..UserClaims::default() };
    let usual = open(vec![]);
    let said =
        ask(&usual, "ann", Some(&notified), &["actor.email", "actor.groups", "actor.attributes.plan", "actor.attributes.level"])
            .await;
    assert_eq!(
        said,
        [
            "actor.attributes.level absent",
            "actor.attributes.plan = free (file)",
            "actor.email = ann@notified.example (notification)",
            "actor.email_domain = notified.example (notification)",
            "actor.groups = from-file (file)",
            "actor.registrable_domain = notified.example (notification)",
        ]
    );
    // What is settled before asks nobody.
    let before = endpoint.asked.load(Ordering::SeqCst);
    ask(&usual, "ann", Some(&notified), &["actor.email", "actor.groups"]).await;
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), before);
    let endpoint_first = open(vec![Place::Http, Place::Notification, Place::File]);
    assert_eq!(ask(&endpoint_first, "ann", Some(&notified), &["actor.groups"]).await, ["actor.groups = legal (http)"]);
    // The endpoint might have said otherwise, so what stands behind it is not believed.
    endpoint.failing.store(usize::MAX, Ordering::SeqCst);
    let down = open(vec![Place::Http, Place::Notification, Place::File]);
    assert_eq!(ask(&down, "ann", Some(&notified), &["actor.groups"]).await, ["actor.groups unknown: directory http: HTTP 503"]);
    let behind = open(vec![Place::Notification, Place::File, Place::Http]);
    assert_eq!(ask(&behind, "ann", None, &["actor.groups"]).await, ["actor.groups = from-file (file)"]);
    assert_eq!(
        ask(&behind, "ann", None, &["actor.attributes.level"]).await,
        ["actor.attributes.level unknown: directory http: HTTP 503"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_yaml_or_csv_and_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "user_id, email, groups, plan, level\nann, ann@example.com, legal; staff, pro, 3\nbob,,,,\n";
    let file = files(folder.path(), "users.csv", csv);
    let directory = Directory::open(&DirectorySettings { file: Some(file.clone()), ..settings() }).unwrap();
    let names = ["actor.email", "actor.groups", "actor.attributes.plan", "actor.attributes.level"];
    let said = ask(&directory, "ann", None, &names).await;
    assert!(
        said.contains(&"actor.groups = legal, staff (file)".into()) && said.contains(&"actor.attributes.level = 3 (file)".into()),
        "{said:?}"
    );
    assert!(ask(&directory, "bob", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    assert!(ask(&directory, "zoe", None, &names).await.iter().all(|fact| fact.ends_with(" absent")));
    for (text, cause) in [
        ("user_id,groups\nann,new\n", None),
        ("id,groups\nann,new\n", Some("has no column `user_id`")),
        ("user_id,groups\nann,a,b\n", Some("has a row that cannot be read (line 2): has it as many fields as the head?")),
        ("user_id,groups\nann,a\nann,b\n", Some("names an id twice (line 3)")),
        ("user_id,groups\n,a\n", Some("has a row without an id (line 2)")),
    ] {
        std::fs::write(file.users.as_ref().unwrap(), text).unwrap();
        let expected = cause.map_or("actor.groups = new (file)".to_owned(), |cause| {
            format!("actor.groups unknown: directory file: `users.csv` {cause}")
        });
        assert_eq!(ask(&directory, "ann", None, &["actor.groups"]).await, [expected]);
    }
    std::fs::remove_file(file.users.as_ref().unwrap()).unwrap();
    assert_eq!(
        ask(&directory, "ann", None, &["actor.groups"]).await,
        ["actor.groups unknown: directory file: `users.csv` cannot be read (entity not found)"]
    );
    for (text, cause) in [
        ("ann: {groups: [a}\n", "is not valid YAML (line 1)"),
        ("- ann\n", "must be a mapping of ids, and is a list"),
        ("zoe: {}\nann: {group: [a]}\n", "has an entry that is no such record (line 2)"),
    ] {
        let directory =
            Directory::open(&DirectorySettings { file: Some(files(folder.path(), "u.yaml", text)), ..settings() }).unwrap();
        let said = ask(&directory, "ann", None, &["actor.groups"]).await;
        assert!(said[0].starts_with(&format!("actor.groups unknown: directory file: `u.yaml` {cause}")), "{said:?}");
    }
}
