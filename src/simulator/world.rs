//! What the emulated platform knows: users, tresors, pending operations, and every effect that ever happened.
//!
//! Synchronous and without I/O. Approving an operation moves its tresor's version, and whatever was built against an
//! older one is lost, unless invalidation is switched off.

use super::signature::new_tresor_id;
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::zerokit::{ErrorCode, wire};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Why the platform refuses.
pub type Refusal = ErrorCode;

/// Something that happened for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The kind of the operation.
    pub kind: Kind,
    /// The operation; for a tresor creation the tresor, for a validation the user.
    pub operation_id: String,
    /// What was done.
    pub verdict: Verdict,
}

#[derive(Debug)]
struct User {
    session_id: String,
    session_verifier: String,
    validation_verifier: Option<String>,
    validated: bool,
}

#[derive(Debug)]
struct Tresor {
    approved: bool,
    members: Vec<String>,
    version: u64,
    links: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Operation {
    kind: Kind,
    by: String,
    about: Option<String>,
    tresor: String,
    built_on: u64,
    started_at: Timestamp,
    link: Option<String>,
}

/// The platform's state.
#[derive(Debug)]
pub struct World {
    tenant: String,
    invalidates: bool,
    counter: u64,
    users: BTreeMap<String, User>,
    tresors: BTreeMap<String, Tresor>,
    operations: BTreeMap<String, Operation>,
    effects: Vec<Effect>,
}

impl World {
    /// An empty tenant; `invalidates` says whether an approval invalidates the tresor's other pending operations.
    #[must_use]
    pub const fn new(tenant: String, invalidates: bool) -> Self {
        Self {
            tenant,
            invalidates,
            counter: 0,
            users: BTreeMap::new(),
            tresors: BTreeMap::new(),
            operations: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    // What the browsers do.

    /// A client completes a registration that the backend began; the validation verifier that it made.
    ///
    /// # Errors
    /// The user was never initiated, or has registered already.
    pub fn register(&mut self, user: &UserId) -> Result<String, Refusal> {
        let number = self.number();
        let user = self.users.get_mut(user.as_str()).ok_or(ErrorCode::UserNotExists)?;
        if user.validation_verifier.is_some() {
            return Err(ErrorCode::UserAlreadyRegistered);
        }
        let verifier = format!("validation-verifier-{number}");
        user.validation_verifier = Some(verifier.clone());
        Ok(verifier)
    }

    /// A validated user, for whoever does not want to go through the registration.
    ///
    /// # Errors
    /// Never, unless the tenant's name makes no user id.
    pub fn add_user(&mut self) -> Result<UserId, Refusal> {
        let answer = self.init_registration();
        let user = UserId::new(answer.user_id).map_err(|_| ErrorCode::BadInput)?;
        self.register(&user)?;
        if let Some(user) = self.users.get_mut(user.as_str()) {
            user.validated = true;
        }
        Ok(user)
    }

    /// A user creates a tresor, which waits for its approval.
    ///
    /// # Errors
    /// There is no such user.
    pub fn create_tresor(&mut self, by: &UserId) -> Result<TresorId, Refusal> {
        self.exists(by.as_str())?;
        let id = new_tresor_id(self.number()).ok_or(ErrorCode::UnexpectedError)?;
        let tresor = Tresor { approved: false, members: vec![by.to_string()], version: 0, links: BTreeSet::new() };
        self.tresors.insert(id.to_string(), tresor);
        Ok(id)
    }

    /// A member shares a tresor; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn share(&mut self, by: &UserId, about: &UserId, tresor: &TresorId, now: Timestamp) -> Result<String, Refusal> {
        self.exists(about.as_str())?;
        if self.tresor_of_member(by, tresor)?.members.iter().any(|member| member == about.as_str()) {
            return Err(ErrorCode::TargetUserAlreadyTresorMember);
        }
        self.begin(Kind::Share, by, Some(about), tresor, None, now)
    }

    /// A member kicks another one; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn kick(&mut self, by: &UserId, about: &UserId, tresor: &TresorId, now: Timestamp) -> Result<String, Refusal> {
        if !self.tresor_of_member(by, tresor)?.members.iter().any(|member| member == about.as_str()) {
            return Err(ErrorCode::TargetUserIsNotMemberOfTresor);
        }
        self.begin(Kind::Kick, by, Some(about), tresor, None, now)
    }

    /// A member makes an invitation link; the operation id, and the link's name once it is approved.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn create_link(&mut self, by: &UserId, tresor: &TresorId, now: Timestamp) -> Result<(String, String), Refusal> {
        self.tresor_of_member(by, tresor)?;
        let link = format!("link-{}", self.number());
        let operation = self.begin(Kind::InvitationLinkCreation, by, None, tresor, Some(link.clone()), now)?;
        Ok((operation, link))
    }

    /// A user follows an approved link that `maker` made; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn accept_link(
        &mut self,
        maker: &UserId,
        about: &UserId,
        tresor: &TresorId,
        link: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        self.has_link(tresor, link)?;
        self.begin(Kind::InvitationLinkAcception, maker, Some(about), tresor, Some(link.to_owned()), now)
    }

    /// A member revokes an approved link; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn revoke_link(&mut self, by: &UserId, tresor: &TresorId, link: &str, now: Timestamp) -> Result<String, Refusal> {
        self.tresor_of_member(by, tresor)?;
        self.has_link(tresor, link)?;
        self.begin(Kind::InvitationLinkRevocation, by, None, tresor, Some(link.to_owned()), now)
    }

    // Short cuts for whoever sets a scene rather than plays it.

    /// A tresor's creation is approved without anybody having been asked.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn approve_creation(&mut self, tresor: &TresorId) -> Result<(), Refusal> {
        self.tresors.get_mut(tresor.as_str()).map(|tresor| tresor.approved = true).ok_or(ErrorCode::TresorNotExists)
    }

    /// A user is a member without having been invited.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn add_member(&mut self, tresor: &TresorId, user: &UserId) -> Result<(), Refusal> {
        let tresor = self.tresors.get_mut(tresor.as_str()).ok_or(ErrorCode::TresorNotExists)?;
        tresor.members.push(user.to_string());
        Ok(())
    }

    /// A link is there without having been made; its name.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn add_link(&mut self, tresor: &TresorId) -> Result<String, Refusal> {
        let link = format!("link-{}", self.number());
        let tresor = self.tresors.get_mut(tresor.as_str()).ok_or(ErrorCode::TresorNotExists)?;
        tresor.links.insert(link.clone());
        Ok(link)
    }

    /// A registration that the client has completed; the user, and the secrets as a notification carries them.
    ///
    /// # Errors
    /// Never, unless the tenant's name makes no user id.
    pub fn begin_registration(&mut self) -> Result<(UserId, serde_json::Value), Refusal> {
        let begun = self.init_registration();
        let user = UserId::new(begun.user_id).map_err(|_| ErrorCode::BadInput)?;
        let verifier = self.register(&user)?;
        let secrets = serde_json::json!({
            "session_id": begun.reg_session_id, "session_verifier": begun.reg_session_verifier, "validation_verifier": verifier,
        });
        Ok((user, secrets))
    }

    fn has_link(&self, tresor: &TresorId, link: &str) -> Result<(), Refusal> {
        let tresor = self.tresors.get(tresor.as_str()).ok_or(ErrorCode::TresorNotExists)?;
        if tresor.links.contains(link) { Ok(()) } else { Err(ErrorCode::InvalidInvitationLink) }
    }

    fn exists(&self, user: &str) -> Result<(), Refusal> {
        let registered = self.users.get(user).is_some_and(|user| user.validation_verifier.is_some());
        if registered { Ok(()) } else { Err(ErrorCode::UserNotExists) }
    }

    fn tresor_of_member(&self, by: &UserId, tresor: &TresorId) -> Result<&Tresor, Refusal> {
        let tresor = self.tresors.get(tresor.as_str()).ok_or(ErrorCode::TresorNotExists)?;
        if !tresor.approved {
            return Err(ErrorCode::TresorIsNotApproved);
        }
        if tresor.members.iter().any(|member| member == by.as_str()) {
            Ok(tresor)
        } else {
            Err(ErrorCode::CallerUserIsNotMemberOfTresor)
        }
    }

    fn begin(
        &mut self,
        kind: Kind,
        by: &UserId,
        about: Option<&UserId>,
        tresor: &TresorId,
        link: Option<String>,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let id = format!("{kind}-{}", self.number());
        let built_on = self.tresors.get(tresor.as_str()).ok_or(ErrorCode::TresorNotExists)?.version;
        let operation = Operation {
            kind,
            by: by.to_string(),
            about: about.map(ToString::to_string),
            tresor: tresor.to_string(),
            built_on,
            started_at: now,
            link,
        };
        self.operations.insert(id.clone(), operation);
        Ok(id)
    }

    // What the backend asks.

    pub(super) fn init_registration(&mut self) -> wire::InitUserRegistrationResponse {
        let number = self.number();
        let user_id = format!("20260302100000.u{number:07}@{}.tresorit.io", self.tenant);
        let (session_id, session_verifier) = (format!("session-{number}"), format!("session-verifier-{number}"));
        self.users.insert(
            user_id.clone(),
            User {
                session_id: session_id.clone(),
                session_verifier: session_verifier.clone(),
                validation_verifier: None,
                validated: false,
            },
        );
        wire::InitUserRegistrationResponse { user_id, reg_session_id: session_id, reg_session_verifier: session_verifier }
    }

    pub(super) fn validate(&mut self, request: &wire::ValidateUserRequest) -> Result<(), Refusal> {
        let user = self.users.get_mut(&request.user_id).ok_or(ErrorCode::UserNotExists)?;
        let verifier = user.validation_verifier.as_ref().ok_or(ErrorCode::UserNotExists)?;
        if user.session_id != request.reg_session_id {
            return Err(ErrorCode::RegistrationSessionNotExists);
        }
        if user.session_verifier != request.reg_session_verifier {
            return Err(ErrorCode::InvalidRegistrationSessionVerifier);
        }
        if *verifier != request.reg_validation_verifier {
            return Err(ErrorCode::InvalidRegistrationValidationVerifier);
        }
        if user.validated {
            return Err(ErrorCode::UserInWrongState);
        }
        user.validated = true;
        self.effect(Kind::UserValidation, &request.user_id.clone(), Verdict::Approve);
        Ok(())
    }

    pub(super) fn list_users(&self) -> wire::Users {
        let registered = self.users.iter().filter(|(_, user)| user.validation_verifier.is_some());
        let item = |(id, user): (&String, &User)| wire::UserListItem {
            user_id: id.clone(),
            user_registration_state: if user.validated { "Validated" } else { "Unvalidated" }.to_owned(),
        };
        wire::Users { users: registered.map(item).collect() }
    }

    /// The members of a tresor.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn members(&self, tresor: &str) -> Result<Vec<String>, Refusal> {
        self.tresors.get(tresor).map(|tresor| tresor.members.clone()).ok_or(ErrorCode::TresorNotExists)
    }

    fn pending(&self, kind: Kind, id: &str) -> Result<&Operation, Refusal> {
        // Not documented: an operation that is not known or was decided answers `BadInput`.
        self.operations.get(id).filter(|operation| operation.kind == kind).ok_or(ErrorCode::BadInput)
    }

    pub(super) fn share_details(&self, id: &str) -> Result<wire::ShareDetails, Refusal> {
        let operation = self.pending(Kind::Share, id)?.clone();
        Ok(wire::ShareDetails {
            by_user_id: operation.by,
            for_user_id: operation.about.unwrap_or_default(),
            tresor_id: operation.tresor,
        })
    }

    pub(super) fn member_details(&self, kind: Kind, id: &str) -> Result<wire::MemberDetails, Refusal> {
        let operation = self.pending(kind, id)?.clone();
        Ok(wire::MemberDetails {
            by_user_id: operation.by,
            for_user_id: operation.about.unwrap_or_default(),
            tresor_id: operation.tresor,
            timestamp: operation.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        })
    }

    pub(super) fn link_details(&self, kind: Kind, id: &str) -> Result<wire::LinkDetails, Refusal> {
        let operation = self.pending(kind, id)?.clone();
        Ok(wire::LinkDetails {
            by_user_id: operation.by,
            tresor_id: operation.tresor,
            timestamp: operation.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        })
    }

    pub(super) fn decide_creation(&mut self, id: &str, verdict: Verdict) -> Result<(), Refusal> {
        let tresor = self.tresors.get_mut(id).ok_or(ErrorCode::TresorNotExists)?;
        if tresor.approved {
            return Err(ErrorCode::TresorIsAlreadyApproved);
        }
        if verdict == Verdict::Approve {
            tresor.approved = true;
        } else {
            self.tresors.remove(id);
        }
        self.effect(Kind::TresorCreation, id, verdict);
        Ok(())
    }

    pub(super) fn reject(&mut self, kind: Kind, id: &str) -> Result<(), Refusal> {
        self.pending(kind, id)?;
        self.operations.remove(id);
        self.effect(kind, id, Verdict::Reject);
        Ok(())
    }

    pub(super) fn approve(&mut self, kind: Kind, id: &str) -> Result<(), Refusal> {
        let operation = self.pending(kind, id)?.clone();
        // Whatever comes of it, the operation is consumed.
        self.operations.remove(id);
        let invalidates = self.invalidates;
        let tresor = self.tresors.get_mut(&operation.tresor).ok_or(ErrorCode::TresorNotExists)?;
        if invalidates && operation.built_on != tresor.version {
            return Err(ErrorCode::LatestGkfNotKnownByClient);
        }
        let about = operation.about.unwrap_or_default();
        let link = operation.link.unwrap_or_default();
        let is_member = tresor.members.contains(&about);
        match kind {
            Kind::Share | Kind::InvitationLinkAcception if is_member => return Err(ErrorCode::TargetUserAlreadyTresorMember),
            Kind::Share | Kind::InvitationLinkAcception => tresor.members.push(about),
            Kind::Kick if !is_member => return Err(ErrorCode::TargetUserIsNotMemberOfTresor),
            Kind::Kick => tresor.members.retain(|member| *member != about),
            Kind::InvitationLinkCreation => {
                tresor.links.insert(link);
            }
            Kind::InvitationLinkRevocation if !tresor.links.remove(&link) => return Err(ErrorCode::CertToRevocateNotFound),
            Kind::InvitationLinkRevocation => {}
            Kind::TresorCreation | Kind::UserValidation => return Err(ErrorCode::BadInput),
        }
        tresor.version += 1;
        self.effect(kind, id, Verdict::Approve);
        Ok(())
    }

    /// Whom a pending operation concerns.
    #[must_use]
    pub fn subject_of(&self, id: &str) -> Option<UserId> {
        self.operations.get(id)?.about.as_ref().and_then(|about| UserId::new(about.as_str()).ok())
    }

    /// The tresor of a pending operation; for a tresor creation the tresor itself.
    pub(super) fn tresor_of(&self, id: &str) -> Option<String> {
        self.operations
            .get(id)
            .map(|operation| operation.tresor.clone())
            .or_else(|| self.tresors.contains_key(id).then(|| id.to_owned()))
    }

    fn effect(&mut self, kind: Kind, id: &str, verdict: Verdict) {
        self.effects.push(Effect { kind, operation_id: id.to_owned(), verdict });
    }

    /// Everything that ever happened, in order.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }
}
