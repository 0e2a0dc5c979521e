//! Gathers what deciding needs: the details, then the facts that the policy uses, in parallel.

use super::Engine;
use super::payload::Payload;
use crate::domain::disposition::Disposition;
use crate::domain::duration::elapsed;
use crate::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use crate::domain::ids::{FlowId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Details, Intent, Lane};
use crate::fault::{self, Moment, Step};
use crate::policy::Policy;
use crate::store::{Claimed, LaneFacts, StoreError};
use crate::zerokit::Failure;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    /// `is_arriving`: it is not stored yet. Of a new tresor it is guessed that nobody has come there; should somebody have, what was
    /// gathered counts as too old, and nothing is guessed again.
    pub(super) async fn gather(
        &self,
        claimed: &Claimed,
        payload: &Payload,
        policy: &Policy,
        is_arriving: bool,
    ) -> Result<Gathered, NotGathered> {
        let kind = claimed.key.kind;
        let details = self.platform.details(kind, &claimed.key.operation_id).await;
        // Of a validation all is known: nobody was asked.
        if kind != Kind::UserValidation {
            self.health.note(&details);
        }
        let details = details.map_err(NotGathered::Read)?;
        if let (Some(requester), Some(initiator)) = (&claimed.requester, initiator(kind, &details))
            && requester != initiator
            && !fault::is_planted("anybody-may-report")
        {
            return Err(NotGathered::NotTheInitiator);
        }
        let intent =
            Intent { kind, tresor: details.tresor.clone(), actor: details.actor.clone(), subject: details.subject.clone() };
        let lane = Lane::of(&intent);
        // The version first: what is read after it is at least as new. A guess says that nothing ever came to an end there.
        let guess = if is_arriving && kind == Kind::TresorCreation { self.store.new_lane_facts(&lane) } else { None };
        let recorded = match guess {
            Some(guess) => guess,
            None => self.store.lane_facts(&lane, intent.tresor.as_ref().map(|tresor| tresor.as_str())).await?,
        };
        let needs = Needs { vital: policy.facts_for(kind), shadow: policy.shadow_facts_for(kind) };
        let needed = needs.vital | needs.shadow;
        let (members, users, people, tresor) = tokio::join!(
            self.members(&intent, &details, &needs),
            self.users(claimed, &intent, &needs),
            self.people(claimed, &intent, payload, &needed),
            self.tresor(&intent, &recorded, &needed),
        );
        let (members, users) = (members.map_err(NotGathered::Read)?, users.map_err(NotGathered::Read)?);
        let mut facts = FactSet::default();
        put_operation(&mut facts, claimed, &intent, &details, recorded.now);
        for (key, value) in &payload.context {
            facts.know(&format!("context.{key}"), text(value), Source::Notification);
        }
        people.into_iter().chain(tresor).for_each(|(name, state)| facts.put(name, state));
        put_members(&mut facts, claimed, &intent, members.as_ref());
        put_users(&mut facts, claimed, &intent, users.as_ref());
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
    async fn members(&self, intent: &Intent, details: &Details, needs: &Needs<'_>) -> Result<Option<Part<Vec<UserId>>>, Failure> {
        let Some(tresor) = &intent.tresor else { return Ok(None) };
        if intent.kind == Kind::TresorCreation {
            // The details of a creation were read from this very list.
            return Ok(Some(Ok(details.actor.iter().cloned().collect())));
        }
        let is_of_members = |name: &str| name.starts_with("tresor.member") || name.ends_with(".is_member");
        let is_vital = intent.kind.changes_members() || Needs::has(needs.vital, is_of_members);
        if !is_vital && !Needs::has(needs.shadow, is_of_members) {
            return Ok(None);
        }
        let members = self.platform.list_members(tresor).await;
        self.health.note(&members);
        part(members, is_vital).map(Some)
    }

    /// Whether actor, subject and requester are validated.
    async fn users(&self, claimed: &Claimed, intent: &Intent, needs: &Needs<'_>) -> Result<Option<Part<Registered>>, Failure> {
        let is_of_users = |name: &str| name.ends_with(".validated");
        let is_vital = Needs::has(needs.vital, is_of_users);
        if !is_vital && !Needs::has(needs.shadow, is_of_users) {
            return Ok(None);
        }
        let wanted: Vec<_> = intent.actor.iter().chain(&intent.subject).chain(&claimed.requester).collect();
        let users = self.platform.find_users(&wanted).await;
        self.health.note(&users);
        part(users, is_vital).map(Some)
    }

    /// What notification and directory say of the three people, asked for at the same time.
    async fn people(
        &self,
        claimed: &Claimed,
        intent: &Intent,
        payload: &Payload,
        needed: &BTreeSet<FactName>,
    ) -> Vec<(FactName, FactState)> {
        let ask = async |prefix, user: Option<&UserId>| match user {
            Some(user) => self.directory.person(prefix, user, payload.users.get(user), needed).await,
            None => Vec::new(),
        };
        fault::reach(Step::Ask, Moment::Before).await;
        let (actor, subject, requester) = tokio::join!(
            ask("actor", intent.actor.as_ref()),
            ask("subject", intent.subject.as_ref()),
            ask("requester", claimed.requester.as_ref()),
        );
        fault::reach(Step::Ask, Moment::After).await;
        [actor, subject, requester].concat()
    }

    /// What Assent recorded of the tresor, and what the directory says of it.
    async fn tresor(&self, intent: &Intent, recorded: &LaneFacts, needed: &BTreeSet<FactName>) -> Vec<(FactName, FactState)> {
        let Some(tresor) = &intent.tresor else { return Vec::new() };
        // Whoever is creating it has created it, should it come to that.
        let is_new = intent.kind == Kind::TresorCreation;
        let creator = if is_new { intent.actor.as_ref() } else { recorded.creator.as_ref() };
        self.directory.tresor(tresor, creator, recorded.created_at, recorded.now, needed).await
    }
}

/// The facts that the policy uses for the kind.
struct Needs<'p> {
    /// Without them nothing is decided.
    vital: &'p BTreeSet<FactName>,
    /// Only shadow rules use them, and shadows never count: what cannot be read for them is unknown.
    shadow: &'p BTreeSet<FactName>,
}

impl Needs<'_> {
    fn has(names: &BTreeSet<FactName>, is_one: impl Fn(&str) -> bool) -> bool {
        names.iter().any(|name| is_one(name.as_str()))
    }
}

fn part<T>(result: Result<T, Failure>, is_vital: bool) -> Result<Part<T>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(failure) => match failure.on_read() {
            Disposition::Gone | Disposition::Denied | Disposition::Already => Ok(Err(failure.code().to_owned())),
            _ if !is_vital => Ok(Err(failure.code().to_owned())),
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

fn put_operation(facts: &mut FactSet, claimed: &Claimed, intent: &Intent, details: &Details, now: Timestamp) {
    facts.know("operation.kind", text(intent.kind), Source::Notification);
    facts.know("operation.id", text(&claimed.key.operation_id), Source::Notification);
    let (age, source) = match details.started_at {
        Some(started) => (elapsed(started, now), Source::Details),
        None => (Duration::from_millis(u64::try_from(claimed.age.as_millis()).unwrap_or(u64::MAX)), Source::Record),
    };
    facts.know("operation.age", FactValue::Duration(age), source);
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

fn put_members(facts: &mut FactSet, claimed: &Claimed, intent: &Intent, members: Option<&Part<Vec<UserId>>>) {
    let people =
        [("actor.is_member", &intent.actor), ("requester.is_member", &claimed.requester), ("subject.is_member", &intent.subject)];
    let members = match members {
        None => return,
        Some(Ok(members)) => members,
        Some(Err(code)) => {
            let names = ["tresor.members", "tresor.member_count", "tresor.members_after"];
            let asked = people.iter().filter(|(_, user)| user.is_some()).map(|(name, _)| *name);
            names.into_iter().chain(asked).for_each(|name| {
                facts.put(FactName::new(name), FactState::Unknown(code.clone().into()));
            });
            return;
        }
    };
    let number = |count: usize| FactValue::Int(i64::try_from(count).unwrap_or(i64::MAX));
    facts.know("tresor.members", FactValue::List(members.iter().map(ToString::to_string).collect()), Source::Members);
    facts.know("tresor.member_count", number(members.len()), Source::Members);
    let is_member = |user: &UserId| members.contains(user);
    for (name, user) in people {
        if let Some(user) = user {
            facts.know(name, FactValue::Bool(is_member(user)), Source::Members);
        }
    }
    let Some(subject) = intent.subject.as_ref().filter(|_| intent.kind.changes_members()) else { return };
    let after = match (intent.kind == Kind::Kick, is_member(subject)) {
        (true, true) => members.len().saturating_sub(1),
        (false, false) => members.len().saturating_add(1),
        (true, false) | (false, true) => members.len(),
    };
    facts.know("tresor.members_after", number(after), Source::Members);
}

fn put_users(facts: &mut FactSet, claimed: &Claimed, intent: &Intent, users: Option<&Part<Registered>>) {
    let people =
        [("actor.validated", &intent.actor), ("subject.validated", &intent.subject), ("requester.validated", &claimed.requester)];
    for (name, user) in people {
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
