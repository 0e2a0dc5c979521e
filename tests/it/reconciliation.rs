//! Answers that are lost, late, broken or not the platform's: what became of the verdict is found out, never guessed.

use crate::harness::{Backend, Setting, Stage, on_both};
use assent::domain::ids::UserId;
use assent::domain::kind::Kind;
use assent::domain::verdict::Verdict;
use assent::simulator::{Answer, Fault};
use assent::zerokit::{Endpoint, ErrorCode};

on_both!(
    an_approval_whose_answer_was_lost_is_found_applied,
    an_approval_that_never_arrived_goes_out_once_more,
    a_proxys_page_is_no_consent,
    a_lost_rejection_is_sent_again,
    a_creation_whose_answer_was_lost_is_proved_by_the_second_answer,
    a_link_whose_approval_was_lost_ends_unknown,
    what_was_done_before_is_not_credited_to_a_late_report,
    a_platform_that_is_away_for_a_moment_costs_nothing,
    an_operation_that_the_platform_does_not_know_fails,
    a_tresor_that_is_not_in_creation_is_no_foreign_platform,
    a_refused_access_fails_and_makes_the_daemon_unready,
    an_answer_without_its_fields_is_never_an_approval,
);

struct Share {
    stage: Stage,
    ann: UserId,
    id: String,
}

/// Reports one share after a fault was planned.
async fn share(backend: Backend, endpoint: Endpoint, fault: Fault, count: usize, want: &str) -> (Share, Answer) {
    let stage = Stage::set(backend, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    let bob = stage.user("bob@example.com");
    stage.simulator.plan_fault(endpoint, fault, count);
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    let data = stage.scenario.app().data(Kind::Share, &id, &ann, None);
    let answer = stage.report(data, want).await;
    (Share { stage, ann, id }, answer)
}

impl Share {
    /// What the platform did, and what was recorded: outcome, whether reconciled, decisions.
    async fn record(&self) -> (Vec<Verdict>, Vec<String>) {
        let effects = self
            .stage
            .simulator
            .world()
            .effects()
            .iter()
            .filter(|effect| effect.operation_id == self.id)
            .map(|effect| effect.verdict)
            .collect();
        let sql = format!(
            "select outcome || case when cast(reconciled as text) in ('1', 'true') then ' reconciled' else '' end from outcomes where operation_id = '{}'",
            self.id
        );
        (effects, self.stage.database.texts(sql).await)
    }

    fn calls(&self, name: &str) -> usize {
        self.stage.simulator.calls().iter().filter(|call| **call == name).count()
    }
}

async fn an_approval_whose_answer_was_lost_is_found_applied(backend: Backend) {
    for fault in [Fault::DropAfter, Fault::HangAfter] {
        let (share, answer) = share(backend, Endpoint::APPROVE_SHARE, fault, 1, "approve").await;
        assert_eq!(answer.state(), "approved", "{}", answer.body);
        assert_eq!(share.record().await, (vec![Verdict::Approve], vec!["applied reconciled".to_owned()]));
        assert_eq!(share.calls("ApproveShare"), 1, "it was applied: nothing is sent again");
    }
}

async fn an_approval_that_never_arrived_goes_out_once_more(backend: Backend) {
    for fault in [Fault::DropBefore, Fault::HangBefore] {
        let (share, answer) = share(backend, Endpoint::APPROVE_SHARE, fault, 1, "approve").await;
        assert_eq!(answer.state(), "approved", "{}", answer.body);
        assert_eq!(share.record().await, (vec![Verdict::Approve], vec!["applied".to_owned()]));
        assert_eq!(share.calls("ApproveShare"), 2);
    }
    // And only once more: if that is lost too, nobody knows.
    let (share, answer) = share(backend, Endpoint::APPROVE_SHARE, Fault::DropBefore, 9, "approve").await;
    assert_eq!(answer.state(), "unknown", "{}", answer.body);
    assert_eq!(share.record().await, (vec![], vec!["unknown reconciled".to_owned()]));
    assert_eq!(share.calls("ApproveShare"), 2);
}

async fn a_proxys_page_is_no_consent(backend: Backend) {
    for status in [200, 502] {
        let (share, answer) = share(backend, Endpoint::APPROVE_SHARE, Fault::NotJson(status), 1, "approve").await;
        assert_eq!(answer.state(), "approved", "{status}: {}", answer.body);
        assert_eq!(share.calls("ApproveShare"), 2, "{status}: the page was not taken for a success");
        assert_eq!(share.record().await.0, [Verdict::Approve]);
    }
}

async fn a_lost_rejection_is_sent_again(backend: Backend) {
    for (fault, outcome) in [(Fault::DropBefore, "applied"), (Fault::DropAfter, "applied reconciled")] {
        let (share, answer) = share(backend, Endpoint::REJECT_SHARE, fault, 1, "reject").await;
        assert_eq!(answer.state(), "rejected", "{}", answer.body);
        assert_eq!(share.record().await, (vec![Verdict::Reject], vec![outcome.to_owned()]));
        assert_eq!(share.calls("RejectShare"), 2);
    }
}

async fn a_creation_whose_answer_was_lost_is_proved_by_the_second_answer(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    for fault in [Fault::DropAfter, Fault::DropBefore] {
        stage.simulator.plan_fault(Endpoint::APPROVE_TRESOR_CREATION, fault, 1);
        let tresor = stage.tresor(&ann).await;
        let effects = stage.simulator.world().effects().iter().filter(|effect| effect.operation_id == tresor.as_str()).count();
        assert_eq!(effects, 1, "{fault:?}");
    }
}

async fn what_was_done_before_is_not_credited_to_a_late_report(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let mallory = stage.user("mallory@example.com");
    // A tresor older than the daemon, with one member who did not create it.
    let tresor = stage.simulator.world().create_tresor(&mallory).unwrap();
    stage.simulator.world().approve_creation(&tresor).unwrap();
    let data = stage.scenario.app().data(Kind::TresorCreation, tresor.as_str(), &mallory, None);
    let answer = stage.report(data, "approve").await;
    assert_eq!((answer.state(), answer.body["outcome"]["error_code"].as_str()), ("failed", Some("TresorIsAlreadyApproved")));
    assert_eq!(stage.database.texts("select creator_id from tresors").await, [""; 0]);
    // The second of two clicks on the same share.
    let bob = stage.user("bob@example.com");
    let id = stage.simulator.world().share(&mallory, &bob, &tresor, stage.now()).unwrap();
    stage.simulator.world().add_member(&tresor, &bob).unwrap();
    let answer = stage.report(stage.scenario.app().data(Kind::Share, &id, &mallory, None), "approve").await;
    assert_eq!(
        (answer.state(), answer.body["outcome"]["error_code"].as_str()),
        ("failed", Some("TargetUserAlreadyTresorMember"))
    );
}

async fn a_link_whose_approval_was_lost_ends_unknown(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    stage.simulator.plan_fault(Endpoint::APPROVE_LINK_CREATION, Fault::DropAfter, 1);
    let (id, _) = stage.simulator.world().create_link(&ann, &tresor, stage.now()).unwrap();
    let answer = stage.report(stage.scenario.app().data(Kind::InvitationLinkCreation, &id, &ann, None), "approve").await;
    assert_eq!(answer.state(), "unknown", "{}", answer.body);
    let calls = stage.simulator.calls().iter().filter(|call| **call == "ApproveInvitationLinkCreation").count();
    assert_eq!(calls, 1, "what cannot be read back is not sent again");
}

async fn a_platform_that_is_away_for_a_moment_costs_nothing(backend: Backend) {
    let faults = [
        (Endpoint::SHARE_DETAILS, Fault::DropBefore),
        (Endpoint::SHARE_DETAILS, Fault::HangBefore),
        (Endpoint::SHARE_DETAILS, Fault::NotJson(502)),
        (Endpoint::SHARE_DETAILS, Fault::Code(ErrorCode::UnexpectedError)),
        (Endpoint::LIST_MEMBERS, Fault::Code(ErrorCode::StorageNetwork)),
        (Endpoint::APPROVE_SHARE, Fault::Code(ErrorCode::TenantDisabled)),
    ];
    for (endpoint, fault) in faults {
        let (share, answer) = share(backend, endpoint, fault, 2, "approve").await;
        assert_eq!(answer.state(), "approved", "{endpoint:?} {fault:?}: {}", answer.body);
        assert_eq!(share.record().await, (vec![Verdict::Approve], vec!["applied".to_owned()]), "{endpoint:?} {fault:?}");
        let sql = format!("select cast(count(*) as text) from decisions where operation_id = '{}'", share.id);
        // What was gathered again was decided again; each verdict that was to be sent stands on its own facts.
        let rulings = if endpoint == Endpoint::APPROVE_SHARE { "3" } else { "1" };
        assert_eq!(share.stage.database.texts(sql).await, [rulings], "{endpoint:?} {fault:?}");
    }
}

async fn an_operation_that_the_platform_does_not_know_fails(backend: Backend) {
    let (share, answer) = share(backend, Endpoint::SHARE_DETAILS, Fault::Code(ErrorCode::BadInput), 1, "approve").await;
    assert_eq!((answer.state(), answer.body["outcome"]["error_code"].as_str()), ("failed", Some("BadInput")));
    assert_eq!(share.record().await, (vec![], vec!["failed".to_owned()]));
    // A failed report may be made again, and is then a new attempt.
    let data = share.stage.scenario.app().data(Kind::Share, &share.id, &share.ann, None);
    let again = share.stage.report(data, "approve").await;
    assert_eq!(again.state(), "approved", "{}", again.body);
    assert_ne!(again.body["id"], answer.body["id"]);
}

async fn a_tresor_that_is_not_in_creation_is_no_foreign_platform(backend: Backend) {
    let stage = Stage::set(backend, Setting::default()).await;
    let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
    let tresor = stage.tresor(&ann).await;
    stage.simulator.world().add_member(&tresor, &bob).unwrap();
    let before = stage.simulator.calls().len();
    // Not the creation that was approved: as of an Assent that has just been put in its place.
    stage.database.try_run("delete from operations").await.unwrap();
    stage.database.try_run("delete from finished_operations").await.unwrap();
    let data = stage.scenario.app().data(Kind::TresorCreation, tresor.as_str(), &ann, None);
    let answer = stage.report(data, "approve").await;
    assert_eq!((answer.state(), answer.body["outcome"]["error_code"].as_str()), ("failed", Some("BadInput")), "{}", answer.body);
    assert_eq!(stage.simulator.calls().len() - before, 1, "it is asked once");
}

async fn a_refused_access_fails_and_makes_the_daemon_unready(backend: Backend) {
    let (share, answer) =
        share(backend, Endpoint::SHARE_DETAILS, Fault::Code(ErrorCode::InvalidAuthorization), 1, "approve").await;
    assert_eq!((answer.state(), answer.body["outcome"]["error_code"].as_str()), ("failed", Some("InvalidAuthorization")));
    let ready = reqwest::get(share.stage.url("/readyz")).await.unwrap();
    assert_eq!(ready.status(), 503);
    let problem = ready.text().await.unwrap();
    assert!(problem.contains("the platform refuses this daemon's access"), "{problem}");
    assert_eq!(reqwest::get(share.stage.url("/livez")).await.unwrap().status(), 200);
}

async fn an_answer_without_its_fields_is_never_an_approval(backend: Backend) {
    // Details that are a proxy's page with status 200, for as long as anybody asks.
    let (share, answer) = share(backend, Endpoint::SHARE_DETAILS, Fault::NotJson(200), 99, "approve").await;
    assert_eq!(answer.state(), "failed", "{}", answer.body);
    assert_eq!(answer.body["outcome"]["error_code"], "StandardHttpErrorWrapping", "what stood in the way to the last");
    assert_eq!(share.record().await, (vec![], vec!["failed".to_owned()]));
}
