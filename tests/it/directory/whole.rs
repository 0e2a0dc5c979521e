//! The directory through the whole daemon.

use super::*;

/// Through the whole daemon: the facts of rules come from the directory, with their source in the record, and a directory that
/// is down escalates.
async fn decisions_stand_on_the_directory_and_say_so(backend: Backend) {
    const POLICY: &str = "version: 1
rules:
  - {id: seed, on: [tresor_creation], effect: approve, when: {actor.id: {exists: true}}}
  - {id: leaver, on: [share], effect: reject, when: {subject.groups: {contains: leaver}}}
  - {id: secret, on: [share], effect: reject, when: {tresor.attributes.classification: {exists: true, eq: secret}}}
  - {id: new-tresor, on: [share], effect: escalate, when: {tresor.age: {gt: 1h}}}
  - {id: requesters, on: [share], effect: approve, when: {requester.attributes.plan: pro, requester.is_member: true, operation.age: {lt: 1h}, tresor.created_at: {gt: 2020-01-01}}}
";
    let setting = Setting {
        policy: POLICY.into(),
        // Beside the policy, as each run has a folder of its own for that.
        change: |config| {
            let users = Some(config.policies.join("users.csv"));
            config.directory =
                DirectorySettings { file: Some(FileSettings { users, tresors: None }), ..DirectorySettings::default() };
        },
        ..Setting::default()
    };
    let stage = Stage::set(backend, setting).await;
    let users = stage.policies().join("users.csv");
    let (ann, ben) = (stage.user("ann@example.com"), stage.user("ben@example.com"));
    std::fs::write(&users, format!("user_id,groups,plan\n{ann},,pro\n{ben},staff,\n")).unwrap();
    let tresor = stage.tresor(&ann).await;
    let share = async |stage: &Stage, to: &UserId| {
        let operation = stage.simulator.world().share(&ann, to, &tresor, stage.now()).unwrap();
        stage.report(stage.scenario.app().data(Kind::Share, &operation, &ann, None), "").await
    };
    let answer = share(&stage, &ben).await;
    assert_eq!(answer.state(), "approved", "{}", answer.body);
    let fact = |name: &str| match backend {
        Backend::Postgres => {
            format!("select (facts -> '{name}')::text from decisions where kind = 'share' order by decided_at desc limit 1")
        }
        Backend::Sqlite => {
            format!("select facts -> '$.\"{name}\"' from decisions where kind = 'share' order by decided_at desc limit 1")
        }
    };
    let json =
        async |name: &str| -> serde_json::Value { serde_json::from_str(&stage.database.texts(fact(name)).await[0]).unwrap() };
    assert_eq!(json("subject.groups").await, json!({"value": ["staff"], "source": "file"}));
    assert_eq!(json("requester.attributes.plan").await, json!({"personal": true, "source": "file"}));
    assert_eq!(json("tresor.created_at").await["source"], "record");
    assert_eq!(json("tresor.attributes.classification").await, json!({"absent": true}));
    // The file breaks: nobody is let in on what is not known.
    std::fs::write(&users, "nonsense").unwrap();
    let answer = share(&stage, &stage.user("cleo@example.com")).await;
    assert_eq!((answer.state(), answer.body["decision"]["rules"].clone()), ("escalated", json!(["leaver"])), "{}", answer.body);
    assert!(
        answer.body["decision"]["reason"].as_str().unwrap().contains("directory file: `users.csv` has no column `user_id`"),
        "{}",
        answer.body
    );
    stage.daemon.stop().await;
}

on_both!(decisions_stand_on_the_directory_and_say_so);
