//! Gathers what deciding needs: the details, then the facts that the policy uses, in parallel.

use super::Engine;
use super::payload::Payload;
use crate::directory::put_user_facts;
use crate::domain::disposition::Disposition;
use crate::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use crate::domain::ids::{FlowId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Details, Intent, Lane};
use crate::policy::Policy;
use crate::store::{Claimed, LaneFacts, StoreError};
use crate::zerokit::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was gathered for one decision.
pub(super) struct Gathered {
    pub(super) intent: Intent,
    pub(super) lane: Lane,
    pub(super) lane_version: i64,
    pub(super) facts: FactSet,
    pub(super) members: Option<Vec<UserId>>,
    pub(super) fresh_flow: FlowId,
}

/// What stands in the way of a decision.
pub(super) enum NotGathered {
    /// The platform could not be read.
    Read(Failure),
    /// Somebody else started the operation.
    NotTheInitiator,
    /// The database.
    Store(StoreError),
}

impl From<StoreError> for NotGathered {
    fn from(error: StoreError) -> Self {
        NotGathered::Store(error)
    }
}

/// A read that is part of the facts: what was refused for good is an unknown fact, what may pass is tried again.
type Part<T> = Result<T, String>;

/// Whether registered users are validated.
type Registered = BTreeMap<UserId, bool>;

impl Engine {
    pub(super) async fn gather(&self, claimed: &Claimed, payload: &Payload, policy: &Policy) -> Result<Gathered, NotGathered> {
        let kind = claimed.key.kind;
        let details = self.platform.details(kind, &claimed.key.operation_id).await;
        self.health.note(&details);
        let details = details.map_err(NotGathered::Read)?;
        if let (Some(requester), Some(initiator)) = (&claimed.requester, initiator(kind, &details))
            && requester != initiator
        {
            return Err(NotGathered::NotTheInitiator);
        }
        let intent =
            Intent { kind, tresor: details.tresor.clone(), actor: details.actor.clone(), subject: details.subject.clone() };
        let lane = Lane::of(&intent);
        // The version first: what is read after it is at least as new.
        let recorded = self.store.lane_facts(&lane, intent.tresor.as_ref().map(|tresor| tresor.as_str())).await?;
        let needed = policy.facts_for(kind);
        let (members, users) = tokio::join!(self.members(&intent, &details, &needed), self.users(&intent, &needed));
        let (members, users) = (members.map_err(NotGathered::Read)?, users.map_err(NotGathered::Read)?);
        let mut facts = FactSet::default();
        put_operation(&mut facts, claimed, &intent);
        put_web_app(&mut facts, &intent, payload);
        put_members(&mut facts, &intent, members.as_ref());
        put_users(&mut facts, &intent, users.as_ref());
        put_record(&mut facts, &intent, &recorded);
        Ok(Gathered {
            lane,
            lane_version: recorded.version,
            facts: keep_needed(facts, &needed),
            members: members.and_then(Result::ok),
            fresh_flow: FlowId::generate(),
            intent,
        })
    }

    /// The tresor's members: always where an approval changes them, since they tell afterwards whether it did.
    async fn members(
        &self,
        intent: &Intent,
        details: &Details,
        needed: &BTreeSet<FactName>,
    ) -> Result<Option<Part<Vec<UserId>>>, Failure> {
        let Some(tresor) = &intent.tresor else { return Ok(None) };
        if intent.kind == Kind::TresorCreation {
            // The details of a creation were read from this very list.
            return Ok(Some(Ok(details.actor.iter().cloned().collect())));
        }
        let is_used =
            needed.iter().any(|name| name.as_str().starts_with("tresor.member") || name.as_str().ends_with(".is_member"));
        if !is_used && !intent.kind.changes_members() {
            return Ok(None);
        }
        let members = self.platform.list_members(tresor).await;
        self.health.note(&members);
        part(members).map(Some)
    }

    /// Whether actor and subject are validated.
    async fn users(&self, intent: &Intent, needed: &BTreeSet<FactName>) -> Result<Option<Part<Registered>>, Failure> {
        if !needed.iter().any(|name| name.as_str().ends_with(".validated")) {
            return Ok(None);
        }
        let wanted: Vec<_> = intent.actor.iter().chain(&intent.subject).collect();
        let users = self.platform.find_users(&wanted).await;
        self.health.note(&users);
        part(users).map(Some)
    }
}

fn part<T>(result: Result<T, Failure>) -> Result<Part<T>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(failure) => match failure.on_read() {
            Disposition::Gone | Disposition::Denied | Disposition::Already => Ok(Err(failure.code().to_owned())),
            Disposition::Transient | Disposition::Conflict | Disposition::Uncertain | Disposition::Misconfigured => Err(failure),
        },
    }
}

/// Who may report an operation: whoever started it. For a link acception that is who accepted, not who made the link.
fn initiator(kind: Kind, details: &Details) -> Option<&UserId> {
    match kind {
        Kind::InvitationLinkAcception | Kind::UserValidation => details.subject.as_ref(),
        _ => details.actor.as_ref(),
    }
}

fn text(id: impl ToString) -> FactValue {
    FactValue::Text(id.to_string())
}

fn put_operation(facts: &mut FactSet, claimed: &Claimed, intent: &Intent) {
    facts.know("operation.kind", text(intent.kind), Source::Notification);
    facts.know("operation.id", text(&claimed.key.operation_id), Source::Notification);
    if let Some(requester) = &claimed.requester {
        facts.know("requester.id", text(requester), Source::Notification);
    }
    if let Some(actor) = &intent.actor {
        facts.know("actor.id", text(actor), Source::Details);
    }
    if let Some(subject) = &intent.subject {
        facts.know("subject.id", text(subject), Source::Details);
    }
    if let Some(tresor) = &intent.tresor {
        facts.know("tresor.id", text(tresor), Source::Details);
    }
}

fn put_web_app(facts: &mut FactSet, intent: &Intent, payload: &Payload) {
    for (prefix, user) in [("actor", &intent.actor), ("subject", &intent.subject)] {
        if let Some(user) = user {
            put_user_facts(facts, prefix, user, &payload.users);
        }
    }
    for (key, value) in &payload.context {
        facts.know(&format!("context.{key}"), text(value), Source::Notification);
    }
}

fn put_members(facts: &mut FactSet, intent: &Intent, members: Option<&Part<Vec<UserId>>>) {
    let members = match members {
        None => return,
        Some(Ok(members)) => members,
        Some(Err(code)) => {
            for name in ["tresor.members", "tresor.member_count", "tresor.members_after", "actor.is_member", "subject.is_member"]
            {
                facts.put(FactName::new(name), FactState::Unknown(code.clone().into()));
            }
            return;
        }
    };
    let number = |count: usize| FactValue::Int(i64::try_from(count).unwrap_or(i64::MAX));
    facts.know("tresor.members", FactValue::List(members.iter().map(ToString::to_string).collect()), Source::Members);
    facts.know("tresor.member_count", number(members.len()), Source::Members);
    let is_member = |user: &UserId| members.contains(user);
    if let Some(actor) = &intent.actor {
        facts.know("actor.is_member", FactValue::Bool(is_member(actor)), Source::Members);
    }
    let Some(subject) = intent.subject.as_ref().filter(|_| intent.kind.changes_members()) else { return };
    facts.know("subject.is_member", FactValue::Bool(is_member(subject)), Source::Members);
    let after = match (intent.kind == Kind::Kick, is_member(subject)) {
        (true, true) => members.len().saturating_sub(1),
        (false, false) => members.len().saturating_add(1),
        (true, false) | (false, true) => members.len(),
    };
    facts.know("tresor.members_after", number(after), Source::Members);
}

fn put_users(facts: &mut FactSet, intent: &Intent, users: Option<&Part<Registered>>) {
    for (name, user) in [("actor.validated", &intent.actor), ("subject.validated", &intent.subject)] {
        match (users, user) {
            (Some(Ok(users)), Some(user)) => {
                if let Some(is_validated) = users.get(user) {
                    facts.know(name, FactValue::Bool(*is_validated), Source::Users);
                }
            }
            (Some(Err(code)), Some(_)) => facts.put(FactName::new(name), FactState::Unknown(code.clone().into())),
            _ => {}
        }
    }
}

fn put_record(facts: &mut FactSet, intent: &Intent, recorded: &LaneFacts) {
    let creator = if intent.kind == Kind::TresorCreation { intent.actor.as_ref() } else { recorded.creator.as_ref() };
    if let Some(creator) = creator {
        facts.know("tresor.creator_id", text(creator), Source::Record);
    }
}

/// Ids are always kept for the auditor; everything else only if the policy uses it, personal data above all.
fn keep_needed(facts: FactSet, needed: &BTreeSet<FactName>) -> FactSet {
    let mut kept = FactSet::default();
    for (name, state) in facts.iter() {
        let is_id = matches!(
            name.as_str(),
            "operation.kind" | "operation.id" | "requester.id" | "actor.id" | "subject.id" | "tresor.id" | "tresor.member_count"
        );
        if is_id || needed.contains(name) {
            kept.put(name.clone(), state.clone());
        }
    }
    // What was needed and never answered is recorded as absent.
    for name in needed {
        if matches!(kept.get(name), FactState::Absent) {
            kept.put(name.clone(), FactState::Absent);
        }
    }
    kept
}
