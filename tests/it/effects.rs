//! Effects beyond the verdict: they follow once it took effect, at least once, in order, and each has its intent and its
//! result in a table of its own. And what a policy says with an invitation link.

use crate::harness::{Backend, Setting, Stage, on_both, until};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::engine::Mode;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::Value;

on_both!(
    a_rejection_can_stop_the_user_from_sharing_any_further,
    nothing_follows_from_a_verdict_that_did_not_take_effect,
    an_effect_is_tried_until_it_is_done,
    an_effect_that_the_platform_refuses_has_failed,
    an_effect_on_nobody_has_failed,
    the_last_decision_has_the_last_word,
    nothing_follows_in_observe_mode,
    a_link_is_approved_with_what_the_policy_says_of_it,
);

/// Rules with consequences; otherwise as the notification wants.
const CONSEQUENCES: &str = r#"
version: 1
rules:
  - id: no-more
    on: [share, kick]
    effect: reject
    when: {context.want: punish}
    then:
      - {set_tresor_sharing_policy: {user: actor.id, enable: false}}
      - {set_tresor_creation_policy: {user: actor.id, enable: false}}
  - {id: out, on: [kick], effect: approve, when: {context.want: expel}, then: [{set_user_state: {user: subject.id, enable: false}}]}
  - {id: in, on: [share], effect: approve, when: {context.want: welcome}, then: [{set_user_state: {user: subject.id, enable: true}}]}
  - {id: ask-the-owner, on: [share], effect: reject, when: {context.want: blame}, then: [{set_user_state: {user: tresor.creator_id, enable: false}}]}
  - {id: undecided, on: [share], effect: reject, when: {context.other: x, context.want: shrug}, then: [{set_user_state: {user: actor.id, enable: false}}]}
  - id: links
    on: [invitation_link_creation]
    effect: approve
    additional_info: "made by {actor.id} in {tresor.id}"
"#;

struct Scene {
    stage: Stage,
    ann: UserId,
    bob: UserId,
    tresor: TresorId,
}

impl Scene {
    async fn set(backend: Backend, setting: Setting) -> Self {
        let stage = Stage::set(backend, Setting { policy: CONSEQUENCES.to_owned(), ..setting }).await;
        let (ann, bob) = (stage.user("ann@example.com"), stage.user("bob@example.com"));
        let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
        stage.simulator.world().approve_creation(&tresor).unwrap();
        Self { stage, ann, bob, tresor }
    }

    async fn share(&self, want: &str) -> (String, String) {
        let id = self.stage.simulator.world().share(&self.ann, &self.bob, &self.tresor, self.stage.now()).unwrap();
        let answer = self.stage.report(self.stage.scenario.app().data(Kind::Share, &id, &self.ann, None), want).await;
        (id, answer.state().to_owned())
    }

    async fn kick(&self, want: &str) -> String {
        let id = self.stage.simulator.world().kick(&self.ann, &self.bob, &self.tresor, self.stage.now()).unwrap();
        let answer = self.stage.report(self.stage.scenario.app().data(Kind::Kick, &id, &self.ann, None), want).await;
        answer.state().to_owned()
    }

    /// Every effect with its result, in order.
    async fn effects(&self) -> Vec<String> {
        let sql = "select action || ' ' || rule || ' ' || state || ' ' || coalesce(error_code, '-') || case when user_id is null then ' nobody' else '' end from effects order by intended_at, id";
        self.stage.database.texts(sql).await
    }

    async fn effects_are(&self, expected: &[&str]) {
        until(&format!("{expected:?}, but {:?}", self.effects().await), async || self.effects().await == expected).await;
    }

    fn user(&self, user: &UserId) -> Value {
        let picture = self.stage.simulator.world().picture();
        picture["users"].as_array().unwrap().iter().find(|one| one["user_id"] == user.as_str()).unwrap().clone()
    }

    fn calls(&self, name: &str) -> usize {
        self.stage.simulator.calls().iter().filter(|call| **call == name).count()
    }
}

async fn a_rejection_can_stop_the_user_from_sharing_any_further(backend: Backend) {
    let scene = Scene::set(backend, Setting::default()).await;
    let (id, state) = scene.share("punish").await;
    assert_eq!(state, "rejected");
    scene.effects_are(&["set_tresor_sharing_policy no-more done -", "set_tresor_creation_policy no-more done -"]).await;
    let ann = scene.user(&scene.ann);
    assert_eq!(
        (ann["may_share_tresors"].as_bool(), ann["may_create_tresors"].as_bool(), ann["enabled"].as_bool()),
        (Some(false), Some(false), Some(true))
    );
    let refused = scene.stage.simulator.world().share(&scene.ann, &scene.bob, &scene.tresor, scene.stage.now());
    assert_eq!(refused, Err(ErrorCode::TresorSharingForbidden), "not only the one share");
    // The record of the decision stays one row; the effects stand beside it.
    let sql = format!("select cast(count(*) as text) from decision_history where operation_id = '{id}'");
    assert_eq!(scene.stage.database.texts(sql).await, ["1"]);
    let sql = format!("select e.rule from effects e join decisions d on d.id = e.decision_id where d.operation_id = '{id}'");
    assert_eq!(scene.stage.database.texts(sql).await, ["no-more", "no-more"]);
    // The effects came after the verdict.
    let calls = scene.stage.simulator.calls();
    let at = |name: &str| calls.iter().position(|call| *call == name).unwrap();
    assert!(at("RejectShare") < at("SetUserTresorSharingMode"), "{calls:?}");
    // A rule that cannot be decided does nothing to anybody.
    let other = scene.stage.simulator.world().add_user().unwrap();
    scene.stage.simulator.world().add_member(&scene.tresor, &other).unwrap();
    let id = scene.stage.simulator.world().share(&other, &scene.bob, &scene.tresor, scene.stage.now()).unwrap();
    let answer = scene.stage.report(scene.stage.scenario.app().data(Kind::Share, &id, &other, None), "shrug").await;
    assert_eq!((answer.state(), scene.effects().await.len()), ("escalated", 2), "{}", answer.body);
}

async fn nothing_follows_from_a_verdict_that_did_not_take_effect(backend: Backend) {
    let scene = Scene::set(backend, Setting::default()).await;
    scene.stage.simulator.world().add_member(&scene.tresor, &scene.bob).unwrap();
    scene.stage.simulator.plan_fault(Endpoint::APPROVE_KICK, Fault::Code(ErrorCode::StorageConflict), 1);
    assert_eq!(scene.kick("expel").await, "superseded");
    scene.effects_are(&["set_user_state out cancelled -"]).await;
    // A verdict that was decided twice before it took effect has its effects once.
    scene.stage.simulator.plan_fault(Endpoint::APPROVE_KICK, Fault::Code(ErrorCode::TenantDisabled), 2);
    assert_eq!(scene.kick("expel").await, "approved");
    scene
        .effects_are(&[
            "set_user_state out cancelled -",
            "set_user_state out cancelled -",
            "set_user_state out cancelled -",
            "set_user_state out done -",
        ])
        .await;
    assert_eq!((scene.calls("SetUserStatus"), scene.user(&scene.bob)["enabled"].as_bool()), (1, Some(false)));
}

async fn an_effect_is_tried_until_it_is_done(backend: Backend) {
    for fault in [
        Fault::Code(ErrorCode::StorageNetwork),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::HangAfter,
        Fault::NotJson(200),
        Fault::TooManyRequests(0),
    ] {
        let scene = Scene::set(backend, Setting::default()).await;
        scene.stage.simulator.world().add_member(&scene.tresor, &scene.bob).unwrap();
        scene.stage.simulator.plan_fault(Endpoint::SET_USER_STATUS, fault, 2);
        assert_eq!(scene.kick("expel").await, "approved", "the verdict does not wait for what follows");
        scene.effects_are(&["set_user_state out done -"]).await;
        assert_eq!((scene.calls("SetUserStatus"), scene.user(&scene.bob)["enabled"].as_bool()), (3, Some(false)), "{fault:?}");
    }
}

async fn an_effect_that_the_platform_refuses_has_failed(backend: Backend) {
    let scene = Scene::set(backend, Setting::default()).await;
    scene.stage.simulator.world().add_member(&scene.tresor, &scene.bob).unwrap();
    scene.stage.simulator.plan_fault(Endpoint::SET_USER_STATUS, Fault::Code(ErrorCode::UserUnderDeletion), 1);
    assert_eq!(scene.kick("expel").await, "approved");
    scene.effects_are(&["set_user_state out failed UserUnderDeletion"]).await;
    assert_eq!(scene.calls("SetUserStatus"), 1, "what is refused for good is not tried again");
}

async fn an_effect_on_nobody_has_failed(backend: Backend) {
    // The tresor is older than the daemon: nobody knows who created it.
    let scene = Scene::set(backend, Setting::default()).await;
    assert_eq!(scene.share("blame").await.1, "rejected", "the verdict stands all the same");
    scene.effects_are(&["set_user_state ask-the-owner failed UserUnknown nobody"]).await;
}

async fn the_last_decision_has_the_last_word(backend: Backend) {
    let scene = Scene::set(backend, Setting { invalidates: false, ..Setting::default() }).await;
    scene.stage.simulator.world().add_member(&scene.tresor, &scene.bob).unwrap();
    // The first effect is held up; the second, which contradicts it, waits for it.
    scene.stage.simulator.plan_fault(Endpoint::SET_USER_STATUS, Fault::Code(ErrorCode::StorageNetwork), 4);
    assert_eq!(scene.kick("expel").await, "approved");
    assert_eq!(scene.share("welcome").await.1, "approved");
    scene.effects_are(&["set_user_state out done -", "set_user_state in done -"]).await;
    assert_eq!(scene.user(&scene.bob)["enabled"].as_bool(), Some(true));
}

async fn nothing_follows_in_observe_mode(backend: Backend) {
    let observe = Setting { change: |config| config.mode = Mode::Observe, ..Setting::default() };
    let scene = Scene::set(backend, observe).await;
    assert_eq!(scene.share("punish").await.1, "unknown");
    scene.effects_are(&["set_tresor_sharing_policy no-more cancelled -", "set_tresor_creation_policy no-more cancelled -"]).await;
    assert_eq!(scene.calls("SetUserTresorSharingMode"), 0);
}

async fn a_link_is_approved_with_what_the_policy_says_of_it(backend: Backend) {
    let scene = Scene::set(backend, Setting::default()).await;
    // The first call is refused for the moment; the second carries the same.
    scene.stage.simulator.plan_fault(Endpoint::APPROVE_LINK_CREATION, Fault::Code(ErrorCode::TenantDisabled), 1);
    let (id, _) = scene.stage.simulator.world().create_link(&scene.ann, &scene.tresor, scene.stage.now()).unwrap();
    let data = scene.stage.scenario.app().data(Kind::InvitationLinkCreation, &id, &scene.ann, None);
    assert_eq!(scene.stage.report(data, "").await.state(), "approved");
    let said = scene.stage.simulator.world().effects()[0].additional_info.clone();
    assert_eq!(said, Some(format!("made by {} in {}", scene.ann, scene.tresor)));
}
