//! The store's contract: every function, on both databases. What a new backend must do to be one.

mod archive;
mod arrivals;
mod decisions;
mod effects;
mod groups;
mod plans;
mod queue;
mod sealing;

use crate::harness::{Backend, Database};
use assent::audit::{DecisionRecord, MasterKey};
use assent::domain::effect::Effect;
use assent::domain::ids::{DecisionId, FlowId, OperationId, RecordId, TresorId, UserId};
use assent::domain::kind::Kind;
use assent::domain::operation::{Intent, Lane, OperationKey};
use assent::domain::verdict::{Outcome, Verdict};
use assent::flow::{Ending, State, Step};
use assent::store::{
    Claimed, Decided, Deciding, Finishing, Ground, LaneRules, NewOperation, NoRuling, Passed, Person, Received, Ruling, Store,
    StoreError,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(60);
const RULES: LaneRules =
    LaneRules { turn: Duration::from_secs(3), wait: Duration::from_secs(60), join_window: Duration::from_secs(60), events: true };

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn share(tresor: &str) -> Intent {
    Intent {
        kind: Kind::Share,
        tresor: Some(TresorId::new(tresor).unwrap()),
        actor: Some(user("ann")),
        subject: Some(user("bob")),
    }
}

fn key(id: &str) -> OperationKey {
    OperationKey { kind: Kind::Share, operation_id: OperationId::new(id).unwrap() }
}

fn new(webhook: &str, id: &str) -> NewOperation {
    NewOperation {
        webhook_id: webhook.to_owned(),
        body_mac: format!("hash of {webhook}"),
        id: RecordId::generate(),
        key: key(id),
        requester: Some(user("ann")),
        requested_flow: None,
        payload: Some(b"sealed".to_vec()),
        replica: "me".into(),
        lease: None,
    }
}

async fn received(store: &dyn Store, id: &str) -> RecordId {
    match store.receive(new(&format!("msg-{id}"), id)).await.unwrap() {
        Received::New(view, None) => view.id,
        other => panic!("{other:?}"),
    }
}

async fn claim_one(store: &dyn Store) -> Claimed {
    let mut claimed = store.claim("me", LEASE, 1).await.unwrap();
    assert_eq!(claimed.len(), 1);
    claimed.pop().unwrap()
}

/// What a decision is made with, without the borrows.
struct Case {
    claimed: Claimed,
    intent: Intent,
    lane: Lane,
    seen: i64,
    flow: Option<FlowId>,
    queries: Vec<(String, String, Duration)>,
    places: Vec<String>,
    persons: Vec<Person>,
    effects: Vec<Effect>,
}

impl Case {
    fn of(claimed: Claimed, tresor: &str) -> Self {
        let intent = share(tresor);
        let lane = Lane::of(&intent);
        Self { claimed, intent, lane, seen: 0, flow: None, queries: vec![], places: vec![], persons: vec![], effects: vec![] }
    }

    fn ruling(&self, ground: &Ground, verdict: Verdict, step: Step) -> Ruling {
        let record = DecisionRecord {
            id: DecisionId::generate(),
            decided_at: ground.now,
            tenant: "tenant1234".into(),
            key: self.claimed.key.clone(),
            flow: ground.flow,
            attempt: ground.attempt,
            intent: self.intent.clone(),
            requester: self.claimed.requester.clone(),
            verdict,
            decided_by: "policy".into(),
            rules: vec!["r".into()],
            reason: "because".into(),
            policy_hash: "hash".into(),
            evaluator_version: "1".into(),
            facts: r#"{"actor.id": {"value": "ann", "source": "details"}}"#.into(),
            facts_personal: "{}".into(),
            trace: "[]".into(),
            shadow: "[]".into(),
        };
        Ruling {
            record,
            message: Some("message".into()),
            additional_info: None,
            effects: self.effects.clone(),
            step,
            escalation: None,
        }
    }

    async fn decide(&self, store: &dyn Store, verdict: Verdict, step: Step) -> Decided {
        self.try_decide(store, &|ground| Ok(self.ruling(&ground, verdict, step.clone()))).await.unwrap()
    }

    async fn try_decide(
        &self,
        store: &dyn Store,
        judge: &(dyn Fn(Ground) -> Result<Ruling, NoRuling> + Send + Sync),
    ) -> Result<Decided, StoreError> {
        store.decide(self.deciding(&[user("ann")]), judge).await
    }

    fn deciding<'d>(&'d self, members: &'d [UserId]) -> Deciding<'d> {
        Deciding {
            lease: self.claimed.lease,
            key: &self.claimed.key,
            intent: &self.intent,
            lane: &self.lane,
            seen_version: self.seen,
            requested_flow: self.flow,
            fresh_flow: FlowId::generate(),
            rules: RULES,
            queries: &self.queries,
            places: &self.places,
            persons: &self.persons,
            policy: ("hash", "body"),
            members_before: Some(members),
            pausable: true,
        }
    }

    /// Decides on an approval that is to be sent; the ruling.
    async fn approve(&self, store: &dyn Store) -> Ruling {
        match self.decide(store, Verdict::Approve, Step::Send).await {
            Decided::Ruled { ruling, sent: Some(_), .. } => *ruling,
            other => panic!("{other:?}"),
        }
    }

    async fn finish(&self, store: &dyn Store, decision: Option<DecisionId>, outcome: Outcome) -> Option<RecordId> {
        let ending = Ending::new(outcome, Some(Verdict::Approve)).code("Code").detail("detail");
        let finishing = Finishing {
            lease: self.claimed.lease,
            key: &self.claimed.key,
            decision,
            ending: &ending,
            rules: RULES,
            ruling: None,
            replica: "me",
            deliver_within: None,
        };
        store.finish(finishing).await.unwrap().passed.handed_to
    }
}

/// Ends an operation by the verdict of its ruling, as a worker does that has it in hand.
async fn end_with(
    store: &dyn Store,
    case: &Case,
    ruling: &Ruling,
    outcome: Outcome,
    deliver_within: Option<Duration>,
) -> Result<assent::store::Finished, StoreError> {
    let ending = Ending::new(outcome, Some(ruling.record.verdict));
    let finishing = Finishing {
        lease: case.claimed.lease,
        key: &case.claimed.key,
        decision: Some(ruling.record.id),
        ending: &ending,
        rules: RULES,
        ruling: Some(ruling),
        replica: "me",
        deliver_within,
    };
    store.finish(finishing).await
}

async fn open(backend: Backend) -> (Database, Arc<dyn Store>) {
    let database = Database::new(backend).await;
    let store = database.open().await;
    (database, store)
}
