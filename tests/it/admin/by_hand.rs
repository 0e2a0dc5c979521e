//! A verdict by hand goes the way of every operation: it takes the lane, it is recorded as that operator's decision, and
//! no operation gets two.

use crate::harness::command::{Ran, assent};
use crate::harness::{Backend, Setting, Stage, on_both, until};
use assent::domain::ids::{OperationId, RecordId, TresorId, UserId};
use assent::domain::kind::Kind;
use assent::domain::operation::OperationKey;
use assent::domain::verdict::Verdict;
use assent::engine::Mode;
use assent::simulator::Fault;
use assent::store::{ByHand, HandOrder, HandRole, Ordered};
use assent::zerokit::{Endpoint, ErrorCode};
use std::time::Duration;

on_both!(
    a_verdict_by_hand_is_that_operators_decision,
    what_was_escalated_can_be_decided_by_hand,
    no_operation_gets_a_second_verdict_by_hand,
    a_verdict_by_hand_waits_for_its_lane,
    a_conflict_and_a_lost_answer_are_told,
    a_daemon_carries_out_what_the_operators_process_left,
    a_verdict_by_hand_is_sent_in_observe_mode_too,
    a_user_is_validated_by_hand,
);

struct Desk {
    stage: Stage,
    folder: tempfile::TempDir,
    ann: UserId,
    bob: UserId,
    tresor: TresorId,
}

impl Desk {
    async fn set(backend: Backend, setting: Setting) -> Self {
        let stage = Stage::set(backend, setting).await;
        let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
        let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
        stage.simulator.world().approve_creation(&tresor).unwrap();
        Self { stage, folder: tempfile::tempdir().unwrap(), ann, bob, tresor }
    }

    fn share(&self) -> String {
        self.stage.simulator.world().share(&self.ann, &self.bob, &self.tresor, self.stage.now()).unwrap()
    }

    async fn admin(&self, arguments: &[&str]) -> Ran {
        let config = self.stage.config_file(self.folder.path());
        assent(&[&["admin"], arguments, &["--config", &config, "--operator", "anna", "--json"]].concat(), &[]).await
    }

    async fn rows(&self, id: &str) -> Vec<String> {
        let sql = format!(
            "select verdict || ' ' || decided_by || ' ' || reason || ' ' || coalesce(outcome, '-') from decision_history where operation_id = '{id}' order by decided_at"
        );
        self.stage.database.texts(sql).await
    }
}

async fn a_verdict_by_hand_is_that_operators_decision(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let id = desk.share();
    let ran = desk.admin(&["approve-share", "--operation-id", &id, "--comment", "seen with legal"]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let view: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((view["state"].as_str(), view["outcome"]["outcome"].as_str()), (Some("approved"), Some("applied")));
    assert_eq!(desk.rows(&id).await, ["approve operator:anna seen with legal applied"]);
    assert!(desk.stage.simulator.world().members(&desk.tresor).unwrap().contains(&desk.bob));
    // The daemon knows it: the report that comes late is that operation.
    let data = desk.stage.scenario.app().data(Kind::Share, &id, &desk.ann, None);
    assert_eq!(desk.stage.report(data, "reject").await.body["id"], view["id"]);
    // A link is made with what the operator says of it.
    let (id, _) = desk.stage.simulator.world().create_link(&desk.ann, &desk.tresor, desk.stage.now()).unwrap();
    let ran = desk.admin(&["approve-invitation-link-creation", "--operation-id", &id, "--additional-info", "till June"]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let world = desk.stage.simulator.world();
    assert_eq!(world.effects().last().unwrap().additional_info.as_deref(), Some("till June"));
}

async fn what_was_escalated_can_be_decided_by_hand(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let id = desk.share();
    let data = desk.stage.scenario.app().data(Kind::Share, &id, &desk.ann, None);
    assert_eq!(desk.stage.report(data.clone(), "escalate").await.state(), "escalated");
    let ran = desk.admin(&["reject-share", "--operation-id", &id]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let rows = desk.rows(&id).await;
    assert!(rows[0].starts_with("escalate policy ") && rows[0].ends_with(" -"), "{rows:?}");
    assert_eq!(rows[1..], ["reject operator:anna decided by hand by anna applied"]);
    assert_eq!(desk.stage.report(data, "approve").await.state(), "rejected");
}

async fn no_operation_gets_a_second_verdict_by_hand(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let id = desk.share();
    let data = desk.stage.scenario.app().data(Kind::Share, &id, &desk.ann, None);
    assert_eq!(desk.stage.report(data, "reject").await.state(), "rejected");
    let ran = desk.admin(&["approve-share", "--operation-id", &id]).await;
    assert_eq!(ran.status, 1);
    assert!(
        ran.err.contains("this operation is rejected already") && ran.err.contains("no operation gets two verdicts"),
        "{}",
        ran.err
    );
    // Nor does one that the daemon is working on.
    let id = desk.share();
    desk.stage.simulator.plan_fault(Endpoint::SHARE_DETAILS, Fault::Delay(Duration::from_millis(400)), 99);
    let data = desk.stage.scenario.app().data(Kind::Share, &id, &desk.ann, None);
    let (answer, ran) = tokio::join!(desk.stage.report(data, "approve"), async {
        let is_there =
            async || desk.stage.database.texts(format!("select id from operations where operation_id = '{id}'")).await.len() == 1;
        until("the report was stored", is_there).await;
        desk.admin(&["reject-share", "--operation-id", &id]).await
    });
    assert_eq!(answer.state(), "approved", "{}", answer.body);
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert_eq!(desk.rows(&id).await.len(), 1);
    let ran = desk.admin(&["approve-share", "--operation-id", &id, "--unrecorded"]).await;
    assert!(ran.status == 2 && ran.err.contains("leave out `--unrecorded`"), "{}", ran.err);
}

async fn a_verdict_by_hand_waits_for_its_lane(backend: Backend) {
    let desk =
        Desk::set(backend, Setting { invalidates: false, latency: Duration::from_millis(150), ..Setting::default() }).await;
    let first = desk.share();
    let (second, _) = desk.stage.simulator.world().create_link(&desk.ann, &desk.tresor, desk.stage.now()).unwrap();
    let data = desk.stage.scenario.app().data(Kind::Share, &first, &desk.ann, None);
    let by_hand = ["approve-invitation-link-creation", "--operation-id", &second];
    let (answer, ran) = tokio::join!(desk.stage.report(data, "approve"), desk.admin(&by_hand));
    assert_eq!(answer.state(), "approved", "{}", answer.body);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(desk.stage.simulator.most_in_flight(), 1, "one operation in flight a tresor");
}

async fn a_conflict_and_a_lost_answer_are_told(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let id = desk.share();
    desk.stage.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::Code(ErrorCode::LatestGkfNotKnownByClient), 1);
    let ran = desk.admin(&["approve-share", "--operation-id", &id]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("the client must start again, under a new id"), "{}", ran.err);
    assert!(desk.rows(&id).await[0].ends_with(" superseded"));
    // An answer that is lost is found out, as for the daemon.
    let id = desk.share();
    desk.stage.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::DropAfter, 1);
    let ran = desk.admin(&["approve-share", "--operation-id", &id]).await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert!(desk.rows(&id).await[0].ends_with(" applied"));
    // What the platform does not know has no details, and so no decision.
    let ran = desk.admin(&["approve-share", "--operation-id", "nothing"]).await;
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("the verdict did not take effect: Input validation failed."), "{}", ran.err);
}

async fn a_daemon_carries_out_what_the_operators_process_left(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let id = desk.share();
    // The order was stored, and the process died.
    let order = HandOrder {
        id: RecordId::generate(),
        key: OperationKey { kind: Kind::Share, operation_id: OperationId::new(id.as_str()).unwrap() },
        by_hand: ByHand {
            verdict: Verdict::Reject,
            role: HandRole::Operator,
            operator: "anna".into(),
            comment: None,
            additional_info: None,
        },
        payload: None,
        owner: "a process that died".into(),
        lease: Duration::ZERO,
    };
    let ordered = desk.stage.database.open().await.order_by_hand(order).await.unwrap();
    assert!(matches!(ordered, Ordered::Taken(_)), "{ordered:?}");
    let is_done = async || desk.rows(&id).await == ["reject operator:anna decided by hand by anna applied"];
    until("the daemon carried it out", is_done).await;
}

async fn a_verdict_by_hand_is_sent_in_observe_mode_too(backend: Backend) {
    let observe = Setting { change: |config| config.mode = Mode::Observe, ..Setting::default() };
    let desk = Desk::set(backend, observe).await;
    let id = desk.share();
    let order = HandOrder {
        id: RecordId::generate(),
        key: OperationKey { kind: Kind::Share, operation_id: OperationId::new(id.as_str()).unwrap() },
        by_hand: ByHand {
            verdict: Verdict::Approve,
            role: HandRole::Operator,
            operator: "anna".into(),
            comment: None,
            additional_info: None,
        },
        payload: None,
        owner: "a process that died".into(),
        lease: Duration::ZERO,
    };
    desk.stage.database.open().await.order_by_hand(order).await.unwrap();
    let is_done = async || desk.rows(&id).await == ["approve operator:anna decided by hand by anna applied"];
    until("the daemon carried it out", is_done).await;
}

async fn a_user_is_validated_by_hand(backend: Backend) {
    let desk = Desk::set(backend, Setting::default()).await;
    let (user, secrets) = desk.stage.simulator.world().begin_registration().unwrap();
    let verifier = desk.folder.path().join("verifier");
    std::fs::write(&verifier, secrets["session_verifier"].as_str().unwrap()).unwrap();
    let from_file = format!("@{}", verifier.display());
    let ran = desk
        .admin(&[
            "validate-user",
            "--user-id",
            user.as_str(),
            "--reg-session-id",
            secrets["session_id"].as_str().unwrap(),
            "--reg-session-verifier",
            &from_file,
            "--reg-validation-verifier",
            secrets["validation_verifier"].as_str().unwrap(),
        ])
        .await;
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(desk.rows(user.as_str()).await, ["approve operator:anna decided by hand by anna applied"]);
}
