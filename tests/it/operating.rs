//! What operators do beside the policy: pauses, and the closing of what nobody knows the end of. Each act has its doer's name.

use crate::harness::command::{Ran, assent, write};
use crate::harness::{Backend, Setting, Stage, on_both, until};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::Endpoint;
use serde_json::{Value, json};

on_both!(
    a_pause_stops_verdicts_and_not_intake,
    a_pause_on_one_tresor_leaves_the_others_alone,
    what_a_person_decides_goes_on_in_a_pause,
    what_is_unknown_is_listed_and_closed_as_applied,
    what_is_closed_as_failed_gives_its_place_back,
);

const POLICY: &str = r#"
version: 1
rules:
  - {id: velocity, on: [invitation_link_creation], effect: reject, limit: {count: invitation_link_creation, per: actor.id, within: 24h, max: 1}}
  - {id: links, on: [invitation_link_creation], effect: approve, then: [{set_tresor_creation_policy: {user: actor.id, enable: false}}]}
  - {id: all, on: [share, kick, tresor_creation], effect: approve}
"#;

/// A stage, a configuration for commands beside it, Ann and her tresor.
struct Scene {
    stage: Stage,
    config: String,
    _folder: tempfile::TempDir,
    ann: UserId,
    tresor: TresorId,
}

impl Scene {
    async fn set(backend: Backend) -> Self {
        let stage = Stage::set(backend, Setting { policy: POLICY.to_owned(), ..Setting::default() }).await;
        let folder = tempfile::tempdir().unwrap();
        let config = stage.config_file(folder.path());
        let ann = stage.user("ann@example.com");
        let tresor = stage.tresor(&ann).await;
        Self { stage, config, _folder: folder, ann, tresor }
    }

    async fn ops(&self, args: &[&str]) -> Ran {
        assent(&[&["ops"], args, &["--config", &self.config]].concat(), &[("USER", "olga")]).await
    }

    /// Begins a share without waiting for anything; the record.
    async fn share(&self, tresor: &TresorId) -> (String, String) {
        let bob = self.stage.user("bob@example.com");
        let id = self.stage.simulator.world().share(&self.ann, &bob, tresor, self.stage.now()).unwrap();
        let data = self.stage.scenario.app().data(Kind::Share, &id, &self.ann, None);
        let answer = self.stage.scenario.app().report(&data, 0, self.stage.now().as_second()).await.unwrap();
        assert_eq!(answer.status, 202);
        (id, answer.text("id").to_owned())
    }

    async fn is_set_aside(&self, number: usize) {
        let sql = "select cast(count(*) as text) from operations where paused_on is not null";
        until("it is set aside", async || self.stage.database.texts(sql).await == [number.to_string()]).await;
    }

    async fn acts(&self) -> Vec<String> {
        let sql = "select operator || ' ' || action || ' ' || target || ' ' || coalesce(comment, '-') from operator_actions order by at";
        self.stage.database.texts(sql).await
    }

    async fn link(&self) -> Value {
        let (id, _) = self.stage.simulator.world().create_link(&self.ann, &self.tresor, self.stage.now()).unwrap();
        let data = self.stage.scenario.app().data(Kind::InvitationLinkCreation, &id, &self.ann, None);
        self.stage.report(data, "approve").await.body
    }
}

async fn a_pause_stops_verdicts_and_not_intake(backend: Backend) {
    let scene = Scene::set(backend).await;
    let ran = scene.ops(&["pause", "--comment", "the new policy is wrong"]).await;
    assert_eq!((ran.status, ran.out.as_str()), (0, "verdicts on everything are paused; `assent ops resume` lets them go on\n"));
    assert_eq!(scene.ops(&["pause"]).await.out, "verdicts on everything were paused already\n");
    let (_, one) = scene.share(&scene.tresor).await;
    let (_, two) = scene.share(&scene.tresor).await;
    scene.is_set_aside(2).await;
    let listed = scene.ops(&["pauses", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((&listed["pauses"][0]["scope"], &listed["pauses"][0]["waiting"]), (&json!("*"), &json!(2)));
    assert!(scene.ops(&["pauses"]).await.out.contains("everything  "));
    assert!(!scene.stage.simulator.calls().contains(&"ApproveShare"));
    assert_eq!(scene.stage.database.texts("select cast(count(*) as text) from decisions where kind = 'share'").await, ["0"]);
    let ran = scene.ops(&["resume", "--comment", "mended"]).await;
    assert_eq!(ran.out, "verdicts on everything go on; 2 operations waited\n");
    for record in [one, two] {
        assert_ne!(scene.stage.operation(&record).await["state"], "running");
    }
    assert_eq!(scene.acts().await, ["olga pause * the new policy is wrong", "olga resume * mended"]);
    let ran = scene.ops(&["resume"]).await;
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (1, "error: verdicts on everything are not paused; `assent ops pauses` lists what is\n")
    );
    assert_eq!(scene.ops(&["pauses"]).await.out, "nothing is paused\n");
}

async fn a_pause_on_one_tresor_leaves_the_others_alone(backend: Backend) {
    let scene = Scene::set(backend).await;
    let other = scene.stage.tresor(&scene.ann).await;
    let said = scene.ops(&["pause", "--tresor", scene.tresor.as_str()]).await.out;
    assert_eq!(
        said,
        format!("verdicts on tresor {0} are paused; `assent ops resume --tresor {0}` lets them go on\n", scene.tresor)
    );
    let (_, paused) = scene.share(&scene.tresor).await;
    let (_, free) = scene.share(&other).await;
    assert_eq!(scene.stage.operation(&free).await["state"], "approved");
    scene.is_set_aside(1).await;
    // Both hold: it goes on only when the last pause that concerns it has ended.
    assert_eq!(scene.ops(&["pause"]).await.status, 0);
    assert_eq!(scene.ops(&["resume", "--tresor", scene.tresor.as_str()]).await.status, 0);
    until("the other pause has it", async || {
        scene.stage.database.texts("select paused_on from operations where paused_on is not null").await == ["*"]
    })
    .await;
    assert_eq!(scene.ops(&["resume"]).await.status, 0);
    assert_eq!(scene.stage.operation(&paused).await["state"], "approved");
    assert_eq!(scene.ops(&["pause", "--tresor", "no good id"]).await.status, 2);
}

async fn what_a_person_decides_goes_on_in_a_pause(backend: Backend) {
    let scene = Scene::set(backend).await;
    assert_eq!(scene.ops(&["pause"]).await.status, 0);
    let bob = scene.stage.user("bob@example.com");
    let id = scene.stage.simulator.world().share(&scene.ann, &bob, &scene.tresor, scene.stage.now()).unwrap();
    let args = ["admin", "reject-share", "--operation-id", &id, "--yes", "--json", "--config", &scene.config];
    let ran = assent(&args, &[("USER", "olga")]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["state"], "rejected");
}

async fn what_is_unknown_is_listed_and_closed_as_applied(backend: Backend) {
    let scene = Scene::set(backend).await;
    // Somebody is told what became of it.
    let config: Value = serde_json::from_str(&std::fs::read_to_string(&scene.config).unwrap()).unwrap();
    let mut told = config.clone();
    told["webhooks"]["outbound"] = json!({ "url": "http://127.0.0.1:1/", "secret": crate::harness::SECRET });
    write(scene._folder.path(), &told);
    assert_eq!(scene.ops(&["unknown"]).await.out, "of every operation it is known how it ended\n");
    scene.stage.simulator.plan_fault(Endpoint::APPROVE_LINK_CREATION, Fault::DropAfter, 1);
    let link = scene.link().await;
    assert_eq!((&link["state"], &link["outcome"]["outcome"]), (&json!("unknown"), &json!("unknown")));
    let record = link["id"].as_str().unwrap();
    let listed: Value = serde_json::from_str(&scene.ops(&["unknown", "--json"]).await.out).unwrap();
    assert_eq!((&listed["operations"][0]["id"], &listed["operations"][0]["verdict"]), (&json!(record), &json!("approve")));
    let ran = scene.ops(&["resolve", record, "--as", "applied", "--comment", "the link works"]).await;
    let said = format!("invitation_link_creation {} is approved, as olga found out\n", link["operation_id"].as_str().unwrap());
    assert_eq!((ran.status, ran.out.clone()), (0, said), "{}", ran.err);
    let shown = scene.stage.operation(record).await;
    assert_eq!((&shown["state"], &shown["outcome"]["outcome"]), (&json!("approved"), &json!("applied")));
    let outcomes = scene
        .stage
        .database
        .texts("select outcome || ' ' || coalesce(detail, '') from outcomes where kind = 'invitation_link_creation' order by at")
        .await;
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    assert_eq!(outcomes[1], "applied resolved by operator:olga: the link works");
    assert_eq!(scene.acts().await, [format!("olga resolve {record} the link works")]);
    assert_eq!(scene.stage.database.texts("select type from events").await, ["operation.approved"]);
    // What the rule wanted done is done now, and the place stays taken.
    until("the effect is done", async || scene.stage.database.texts("select state from effects").await == ["done"]).await;
    assert_eq!(scene.link().await["state"], "rejected");
    let ran = scene.ops(&["resolve", record, "--as", "failed", "--comment", "no"]).await;
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (1, "error: this operation is approved; only one whose end is unknown can be resolved\n")
    );
    assert_eq!(scene.ops(&["resolve", "nonsense", "--as", "failed", "--comment", "no"]).await.status, 2);
    assert_eq!(scene.ops(&["resolve", record, "--as", "failed", "--comment", " "]).await.status, 2);
}

async fn what_is_closed_as_failed_gives_its_place_back(backend: Backend) {
    let scene = Scene::set(backend).await;
    scene.stage.simulator.plan_fault(Endpoint::APPROVE_LINK_CREATION, Fault::DropBefore, 1);
    let link = scene.link().await;
    assert_eq!(link["state"], "unknown");
    assert_eq!(scene.link().await["state"], "rejected", "its place may be taken, so it is");
    let record = link["id"].as_str().unwrap();
    assert_eq!(scene.ops(&["resolve", record, "--as", "failed", "--comment", "no such link"]).await.status, 0);
    assert_eq!(scene.stage.operation(record).await["state"], "failed");
    assert_eq!(scene.link().await["state"], "approved");
}
