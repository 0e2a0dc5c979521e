//! All seven kinds from the signed notification to the auditor's rows, on both databases.

use crate::harness::{Backend, Setting, Stage, on_both};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::{Value, json};

on_both!(
    every_kind_is_approved_rejected_and_escalated,
    every_kind_that_can_is_superseded_and_run_again_whole,
    a_report_of_somebody_elses_operation_is_refused_and_the_right_requester_decides_it,
    personal_facts_stand_encrypted_and_nowhere_else,
    observe_mode_decides_and_records_but_sends_nothing,
    auditors_tables_are_insert_only,
    a_limit_released_by_a_failure_is_free_again,
);

/// Who and where a test's operations are.
struct Set {
    stage: Stage,
    ann: UserId,
    tresor: TresorId,
    counter: std::sync::atomic::AtomicU32,
}

impl Set {
    async fn new(backend: Backend, setting: Setting) -> Self {
        let stage = Stage::set(backend, setting).await;
        let ann = stage.user("ann@example.com");
        let tresor = stage.tresor(&ann).await;
        Self { stage, ann, tresor, counter: 0.into() }
    }

    fn somebody(&self) -> UserId {
        let number = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.stage.user(&format!("user{number}@example.com"))
    }

    /// A link that is approved at the platform.
    async fn link(&self) -> String {
        let (operation, link) = self.stage.simulator.world().create_link(&self.ann, &self.tresor, self.stage.now()).unwrap();
        let data = self.stage.scenario.app().data(Kind::InvitationLinkCreation, &operation, &self.ann, None);
        assert_eq!(self.stage.report(data, "approve").await.state(), "approved");
        link
    }

    async fn member(&self) -> UserId {
        let user = self.somebody();
        let operation = self.stage.simulator.world().share(&self.ann, &user, &self.tresor, self.stage.now()).unwrap();
        let data = self.stage.scenario.app().data(Kind::Share, &operation, &self.ann, None);
        assert_eq!(self.stage.report(data, "approve").await.state(), "approved");
        user
    }

    /// What a kind's operation needs to be there before it starts.
    async fn prepare(&self, kind: Kind) -> Prepared {
        match kind {
            Kind::Kick => Prepared::Member(self.member().await),
            Kind::InvitationLinkAcception | Kind::InvitationLinkRevocation => Prepared::Link(self.link().await),
            _ => Prepared::Nothing,
        }
    }

    /// Starts a pending operation of a kind; the data of its report.
    fn begin(&self, kind: Kind, prepared: &Prepared) -> Value {
        let app = self.stage.scenario.app();
        let (stage, ann, tresor, now) = (&self.stage, &self.ann, &self.tresor, self.stage.now());
        let somebody = self.somebody();
        let mut world = stage.simulator.world();
        let (id, requester) = match (kind, prepared) {
            (Kind::Share, _) => (world.share(ann, &somebody, tresor, now).unwrap(), ann.clone()),
            (Kind::Kick, Prepared::Member(member)) => (world.kick(ann, member, tresor, now).unwrap(), ann.clone()),
            (Kind::TresorCreation, _) => (world.create_tresor(ann).unwrap().to_string(), ann.clone()),
            (Kind::InvitationLinkCreation, _) => (world.create_link(ann, tresor, now).unwrap().0, ann.clone()),
            (Kind::InvitationLinkAcception, Prepared::Link(link)) => {
                (world.accept_link(ann, &somebody, tresor, link, now).unwrap(), somebody.clone())
            }
            (Kind::InvitationLinkRevocation, Prepared::Link(link)) => {
                (world.revoke_link(ann, tresor, link, now).unwrap(), ann.clone())
            }
            other => panic!("{other:?}"),
        };
        drop(world);
        app.data(kind, &id, &requester, None)
    }
}

#[derive(Debug)]
enum Prepared {
    Nothing,
    Member(UserId),
    Link(String),
}

/// A registration that the client completed; the data of its report.
async fn begin_validation(stage: &Stage) -> Value {
    let client = platform_client(stage).await;
    let begun = client.init_user_registration().await.unwrap();
    let user = begun.user_id.clone();
    let verifier = stage.simulator.world().register(&user).unwrap();
    stage.scenario.app().know(&user, json!({ "email": "new@example.com" }));
    let mut data = stage.scenario.app().data(Kind::UserValidation, user.as_str(), &user, None);
    data["registration"] = json!({
        "session_id": begun.reg_session_id, "session_verifier": begun.reg_session_verifier, "validation_verifier": verifier,
    });
    data
}

async fn platform_client(stage: &Stage) -> assent::zerokit::Client {
    let (key, clock) = (crate::harness::ADMIN_KEY, std::sync::Arc::new(crate::harness::MachineClock));
    let service = stage.platform_url();
    let service = assent::zerokit::ServiceUrl::parse(&service, None).unwrap();
    assent::zerokit::Client::new(
        service,
        assent::zerokit::AdminKey::parse(key).unwrap(),
        std::time::Duration::from_secs(2),
        clock,
    )
    .unwrap()
}

fn id_of(data: &Value) -> &str {
    ["operation_id", "tresor_id", "user_id"].iter().find_map(|field| data[field].as_str()).unwrap()
}

async fn every_kind_is_approved_rejected_and_escalated(backend: Backend) {
    let set = Set::new(backend, Setting::default()).await;
    for kind in Kind::ALL {
        for (want, state, rule) in [
            ("approve", "approved", "wants-approval"),
            ("reject", "rejected", "wants-rejection"),
            ("escalate", "escalated", "wants-review"),
        ] {
            let data = match kind {
                Kind::UserValidation => begin_validation(&set.stage).await,
                _ => {
                    let prepared = set.prepare(kind).await;
                    set.begin(kind, &prepared)
                }
            };
            let id = id_of(&data).to_owned();
            let effects_before = set.stage.simulator.world().effects().len();
            let answer = set.stage.report(data, want).await;
            assert_eq!((answer.status, answer.state()), (200, state), "{kind} {want}: {}", answer.body);
            assert_eq!(answer.body["decision"]["verdict"], want);
            assert_eq!(answer.body["decision"]["rules"], json!([rule]));
            let outcome = &answer.body["outcome"];
            if want == "escalate" {
                assert!(outcome.is_null(), "an escalated operation has no outcome yet");
            } else {
                assert_eq!(outcome["outcome"], "applied");
            }
            if want == "reject" {
                assert_eq!(answer.body["decision"]["message"], "No.");
            }
            // The platform saw exactly what was decided; a validation cannot be rejected there.
            let effects = set.stage.simulator.world().effects()[effects_before..].to_vec();
            let silent = want == "escalate" || (kind == Kind::UserValidation && want == "reject");
            let seen: Vec<_> = effects.iter().map(|effect| (effect.operation_id.as_str(), effect.verdict.as_str())).collect();
            assert_eq!(seen, if silent { vec![] } else { vec![(id.as_str(), want)] }, "{kind} {want}");
            // And so do the auditor's rows.
            let history = set.stage.database.texts(format!(
                "select kind || ' ' || verdict || ' ' || decided_by || ' ' || coalesce(outcome, '-') from decision_history where operation_id = '{id}'"
            ));
            let outcome = if want == "escalate" { "-" } else { "applied" };
            assert_eq!(history.await, vec![format!("{kind} {want} policy {outcome}")]);
        }
    }
    // One row a decision, one outcome for each but the escalated, every decision under an archived policy.
    let counts = set.stage.database.texts(
        "select (select count(*) from decisions) || ' ' || (select count(*) from decision_history) || ' ' \
         || (select count(*) from decisions where verdict = 'escalate') || ' ' || (select count(*) from outcomes) || ' ' \
         || (select count(*) from decisions d join policies p on p.hash = d.policy_hash)",
    );
    let counts = counts.await;
    let numbers: Vec<u32> = counts[0].split(' ').map(|number| number.parse().unwrap()).collect();
    let [decisions, history, escalated, outcomes, archived] = numbers[..] else { panic!("{counts:?}") };
    assert_eq!((history, outcomes, archived, escalated), (decisions, decisions - escalated, decisions, 7));
}

async fn every_kind_that_can_is_superseded_and_run_again_whole(backend: Backend) {
    let set = Set::new(backend, Setting::default()).await;
    for kind in Kind::ALL {
        if kind == Kind::UserValidation {
            // A validation belongs to no tresor and never conflicts.
            continue;
        }
        let prepared = set.prepare(kind).await;
        let data = set.begin(kind, &prepared);
        let subject = set.stage.simulator.world().subject_of(id_of(&data));
        if kind == Kind::TresorCreation {
            set.stage.simulator.plan_fault(Endpoint::APPROVE_TRESOR_CREATION, Fault::Code(ErrorCode::StorageConflict), 1);
        } else {
            // Another approval on the tresor comes first and invalidates it.
            set.member().await;
        }
        let first = set.stage.report(data.clone(), "approve").await;
        assert_eq!((first.status, first.state()), (200, "superseded"), "{kind}: {}", first.body);
        assert_eq!(first.body["outcome"]["outcome"], "superseded");
        let code = first.body["outcome"]["error_code"].as_str().unwrap();
        assert_eq!(code, if kind == Kind::TresorCreation { "StorageConflict" } else { "LatestGkfNotKnownByClient" });
        assert_eq!(first.body["attempt"], 1);
        if kind == Kind::TresorCreation {
            // The client's next tresor is another one, and so another intent.
            continue;
        }
        // The browser starts again: for the same subject, so that the intent is the same.
        let mut again = restart(&set, kind, subject.as_ref(), &data, &prepared);
        again["flow_id"] = first.body["flow_id"].clone();
        let second = set.stage.report(again, "approve").await;
        assert_eq!(second.state(), "approved", "{kind}: {}", second.body);
        assert_eq!(second.body["attempt"], 2, "{kind}");
        assert_eq!(second.body["flow_id"], first.body["flow_id"], "{kind}");
        let rows = set.stage.database.texts(format!(
            "select attempt || ' ' || outcome from decision_history where {} = '{}' order by attempt",
            if backend == Backend::Postgres { "flow_id::text" } else { "flow_id" },
            first.text("flow_id")
        ));
        assert_eq!(rows.await, ["1 superseded", "2 applied"]);
    }
}

/// The same intent under a new operation id.
fn restart(set: &Set, kind: Kind, subject: Option<&UserId>, data: &Value, prepared: &Prepared) -> Value {
    let (ann, tresor, now) = (&set.ann, &set.tresor, set.stage.now());
    let mut world = set.stage.simulator.world();
    let requester = UserId::new(data["requester_id"].as_str().unwrap()).unwrap();
    let id = match (kind, prepared) {
        (Kind::Share, _) => world.share(ann, subject.unwrap(), tresor, now).unwrap(),
        (Kind::Kick, Prepared::Member(member)) => world.kick(ann, member, tresor, now).unwrap(),
        (Kind::InvitationLinkCreation, _) => world.create_link(ann, tresor, now).unwrap().0,
        (Kind::InvitationLinkAcception, Prepared::Link(link)) => world.accept_link(ann, &requester, tresor, link, now).unwrap(),
        (Kind::InvitationLinkRevocation, Prepared::Link(link)) => world.revoke_link(ann, tresor, link, now).unwrap(),
        other => panic!("{other:?}"),
    };
    drop(world);
    set.stage.scenario.app().data(kind, &id, &requester, None)
}

async fn a_report_of_somebody_elses_operation_is_refused_and_the_right_requester_decides_it(backend: Backend) {
    let set = Set::new(backend, Setting::default()).await;
    let mallory = set.somebody();
    let data = set.begin(Kind::Share, &Prepared::Nothing);
    let id = id_of(&data).to_owned();
    let mut forged = data.clone();
    forged["requester_id"] = json!(mallory);
    let calls_before = set.stage.simulator.calls().len();
    let refused = set.stage.report(forged, "approve").await;
    assert_eq!(refused.state(), "refused", "{}", refused.body);
    assert!(refused.body["decision"].is_null());
    assert_eq!(refused.body["outcome"]["outcome"], "refused");
    // Only the details were read: whoever started it can only be known from them. Nothing was sent.
    assert_eq!(set.stage.simulator.calls()[calls_before..], ["GetShareDetails"]);
    let right = set.stage.report(data, "approve").await;
    assert_eq!(right.state(), "approved", "{}", right.body);
    assert_ne!(right.body["id"], refused.body["id"]);
    let outcomes = set.stage.database.texts(format!("select outcome from outcomes where operation_id = '{id}' order by at"));
    assert_eq!(outcomes.await, ["refused", "applied"]);
}

async fn personal_facts_stand_encrypted_and_nowhere_else(backend: Backend) {
    let policy = r#"
version: 1
rules:
  - {id: known-address, on: [share, tresor_creation], effect: approve, when: {any: [{actor.email: {eq: ann@example.com}}, {actor.email_domain: {exists: true}}]}}
"#;
    let set = Set::new(backend, Setting { policy: policy.to_owned(), ..Setting::default() }).await;
    let data = set.begin(Kind::Share, &Prepared::Nothing);
    let id = id_of(&data).to_owned();
    assert_eq!(set.stage.report(data, "approve").await.state(), "approved");
    let dump = set.stage.database.texts(format!(
        "select cast(facts as text) || cast(trace as text) || cast(facts_personal as text) || reason from decisions where operation_id = '{id}'"
    ));
    let dump = dump.await.concat();
    assert!(!dump.contains("ann@example.com"), "{dump}");
    assert!(dump.contains("example.com"), "the domain is a public fact");
    // With the key from the configuration it can be read again, and only as this decision's.
    let personal =
        set.stage.database.texts(format!("select cast(facts_personal as text) from decisions where operation_id = '{id}'")).await;
    let personal: Value = serde_json::from_str(&personal[0]).unwrap();
    let sealed = personal[set.ann.as_str()].as_str().unwrap();
    let decision = set.stage.database.texts(format!("select cast(id as text) from decisions where operation_id = '{id}'")).await;
    let wrapped = set.stage.database.texts(format!(
        "select {} from person_keys where person_id = '{}'",
        if backend == Backend::Postgres { "encode(wrapped, 'hex')" } else { "hex(wrapped)" },
        set.ann
    ));
    let wrapped = assent::audit::WrappedKey(hex::decode(&wrapped.await[0]).unwrap());
    let master = assent::audit::MasterKey::parse(crate::harness::ENCRYPTION_KEY).unwrap();
    let key = master.person_key(set.ann.as_str(), &wrapped).unwrap();
    let plain = key.open(&format!("decision {}", decision[0]), sealed).unwrap();
    assert!(String::from_utf8(plain).unwrap().contains("ann@example.com"));
    // What waited in the queue is gone.
    let left = set.stage.database.texts("select cast(count(*) as text) from operations where payload is not null").await;
    assert_eq!(left, ["0"]);
}

async fn observe_mode_decides_and_records_but_sends_nothing(backend: Backend) {
    let stage =
        Stage::set(backend, Setting { change: |config| config.mode = assent::engine::Mode::Observe, ..Setting::default() }).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    let data = stage.scenario.app().data(Kind::TresorCreation, tresor.as_str(), &ann, None);
    let answer = stage.report(data, "approve").await;
    assert_eq!(answer.state(), "unknown", "what the platform will hear is not ours to say: {}", answer.body);
    assert_eq!(answer.body["decision"]["verdict"], "approve");
    assert!(stage.simulator.world().effects().is_empty());
    let rows = stage.database.texts("select verdict || ' ' || outcome || ' ' || detail from decision_history").await;
    assert_eq!(rows, ["approve unknown observe mode: the verdict was recorded, not sent"]);
}

async fn auditors_tables_are_insert_only(backend: Backend) {
    let set = Set::new(backend, Setting::default()).await;
    let mut statements = vec![];
    for table in ["decisions", "outcomes", "policies"] {
        statements.push(format!("delete from {table}"));
        if backend == Backend::Postgres {
            statements.push(format!("truncate {table}"));
            if table != "policies" {
                let partitions =
                    "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = ";
                let partitions = set.stage.database.texts(format!("{partitions}'{table}'::regclass")).await;
                assert!(partitions.len() >= 5, "the coming months are there: {partitions:?}");
                statements.extend(partitions.iter().map(|partition| format!("truncate {partition}")));
            }
        }
    }
    statements.push("update decisions set verdict = 'reject'".to_owned());
    statements.push("update outcomes set outcome = 'failed'".to_owned());
    statements.push("update policies set body = ''".to_owned());
    for statement in statements {
        let refusal = set.stage.database.try_run(&statement).await.unwrap_err();
        assert!(refusal.contains("is insert-only"), "{statement}: {refusal}");
    }
    assert_eq!(set.stage.database.texts("select verdict from decisions").await, ["approve"]);
}

async fn a_limit_released_by_a_failure_is_free_again(backend: Backend) {
    let policy = r#"
version: 1
rules:
  - {id: one-share, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 1h, max: 1}}
  - {id: all, on: [share, tresor_creation], effect: approve}
"#;
    let set = Set::new(backend, Setting { policy: policy.to_owned(), ..Setting::default() }).await;
    set.stage.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::Code(ErrorCode::TresorSharingForbidden), 1);
    let states = [
        set.begin(Kind::Share, &Prepared::Nothing),
        set.begin(Kind::Share, &Prepared::Nothing),
        set.begin(Kind::Share, &Prepared::Nothing),
    ];
    let mut seen = vec![];
    for data in states {
        let answer = set.stage.report(data, "approve").await;
        seen.push((answer.state().to_owned(), answer.body["outcome"]["error_code"].as_str().unwrap_or("-").to_owned()));
    }
    let texts: Vec<_> = seen.iter().map(|(state, code)| format!("{state} {code}")).collect();
    // The first failed and gave its place back; the second took it; the third found none.
    assert_eq!(texts, ["failed TresorSharingForbidden", "approved -", "rejected -"]);
}
