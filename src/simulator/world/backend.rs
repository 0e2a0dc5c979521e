//! What the backend of the web app asks of the platform: the admin API without HTTP.

use super::{Operation, Refusal, User, World};
use crate::domain::ids::{OperationId, TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::zerokit::{ErrorCode, wire};

/// A setting of a user that the backend may change.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) enum Setting {
    Enabled,
    MayCreateTresors,
    MayShareTresors,
}

impl World {
    pub(in crate::simulator) fn init_registration(&mut self) -> Result<wire::InitUserRegistrationResponse, Refusal> {
        let number = self.number();
        let id = format!("20260302100000.u{number:07}@{}.tresorit.io", self.tenant);
        let user_id = UserId::new(id).map_err(|_| ErrorCode::BadInput)?;
        let (session_id, session_verifier) = (format!("session-{number}"), format!("session-verifier-{number}"));
        let user = User {
            session_id: session_id.clone(),
            session_verifier: session_verifier.clone(),
            validation_verifier: None,
            validated: false,
            enabled: true,
            may_create_tresors: true,
            may_share_tresors: true,
        };
        self.users.insert(user_id.clone(), user);
        Ok(wire::InitUserRegistrationResponse { user_id, reg_session_id: session_id, reg_session_verifier: session_verifier })
    }

    pub(in crate::simulator) fn validate(&mut self, request: &wire::ValidateUserRequest) -> Result<(), Refusal> {
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
        self.effect(Kind::UserValidation, &request.user_id, Verdict::Approve, None);
        Ok(())
    }

    /// A user that was only initiated does not exist yet.
    pub(in crate::simulator) fn set(&mut self, setting: Setting, user: &UserId, enable: bool) -> Result<(), Refusal> {
        self.registered(user)?;
        let user = self.users.get_mut(user).ok_or(ErrorCode::UserNotExists)?;
        let field = match setting {
            Setting::Enabled => &mut user.enabled,
            Setting::MayCreateTresors => &mut user.may_create_tresors,
            Setting::MayShareTresors => &mut user.may_share_tresors,
        };
        *field = enable;
        Ok(())
    }

    pub(in crate::simulator) fn list_users(&self) -> wire::ListUsersResponse {
        let registered = self.users.iter().filter(|(_, user)| user.validation_verifier.is_some());
        let item = |(id, user): (&UserId, &User)| wire::UserListItem {
            user_id: id.clone(),
            user_registration_state: if user.validated { "Validated" } else { "Unvalidated" }.to_owned(),
        };
        wire::ListUsersResponse { users: registered.map(item).collect() }
    }

    /// One page of the tresors that were not deleted, from a marker on.
    pub(in crate::simulator) fn list_tresors(&self, size: usize, from: Option<&TresorId>) -> wire::ListTresorsResponse {
        let first = self.tresors.keys().next();
        let there = from.or(first).into_iter().flat_map(|from| self.tresors.range(from..));
        let mut ids = there.filter(|(_, tresor)| !tresor.deleted).map(|(id, _)| id.clone());
        let tresors = ids.by_ref().take(size).collect();
        wire::ListTresorsResponse { tresors, next_tresor: ids.next() }
    }

    /// The members of a tresor.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn members(&self, tresor: &TresorId) -> Result<Vec<UserId>, Refusal> {
        self.tresor(tresor).map(|tresor| tresor.members.clone())
    }

    /// The most members that approvals ever made of any tresor.
    #[must_use]
    pub fn most_members(&self) -> usize {
        self.tresors.values().map(|tresor| tresor.most_members).max().unwrap_or(0)
    }

    fn pending(&self, kind: Kind, id: &str) -> Result<&Operation, Refusal> {
        self.operations.get(id).filter(|operation| operation.kind == kind).ok_or(self.unknown_operation)
    }

    pub(in crate::simulator) fn share_details(&self, id: &str) -> Result<wire::GetShareDetailsResponse, Refusal> {
        let operation = self.pending(Kind::Share, id)?.clone();
        Ok(wire::GetShareDetailsResponse {
            by_user_id: operation.by,
            for_user_id: operation.about.ok_or(ErrorCode::UnexpectedError)?,
            tresor_id: operation.tresor,
        })
    }

    pub(in crate::simulator) fn member_details(&self, kind: Kind, id: &str) -> Result<wire::MemberDetails, Refusal> {
        let operation = self.pending(kind, id)?.clone();
        Ok(wire::MemberDetails {
            timestamp: started_at(&operation),
            by_user_id: operation.by,
            for_user_id: operation.about.ok_or(ErrorCode::UnexpectedError)?,
            tresor_id: operation.tresor,
        })
    }

    pub(in crate::simulator) fn link_details(&self, kind: Kind, id: &str) -> Result<wire::LinkDetails, Refusal> {
        let operation = self.pending(kind, id)?.clone();
        Ok(wire::LinkDetails { timestamp: started_at(&operation), by_user_id: operation.by, tresor_id: operation.tresor })
    }

    pub(in crate::simulator) fn decide_creation(&mut self, id: &TresorId, verdict: Verdict) -> Result<(), Refusal> {
        let tresor = self.tresor_mut(id)?;
        if tresor.approved {
            return Err(ErrorCode::TresorIsAlreadyApproved);
        }
        if verdict == Verdict::Approve {
            tresor.approved = true;
        } else {
            self.tresors.remove(id);
        }
        self.effect(Kind::TresorCreation, id, verdict, None);
        Ok(())
    }

    pub(in crate::simulator) fn delete_tresor(&mut self, id: &TresorId) -> Result<(), Refusal> {
        let tresor = self.tresor_mut(id)?;
        if !tresor.approved {
            return Err(ErrorCode::TresorIsNotApproved);
        }
        tresor.deleted = true;
        Ok(())
    }

    pub(in crate::simulator) fn reject(&mut self, kind: Kind, id: &OperationId) -> Result<(), Refusal> {
        self.pending(kind, id.as_str())?;
        self.operations.remove(id.as_str());
        self.effect(kind, id, Verdict::Reject, None);
        Ok(())
    }

    /// The admin API's approval, for whoever stands in for another backend.
    ///
    /// # Errors
    /// What the platform would say.
    pub fn approve(&mut self, kind: Kind, id: &OperationId, additional_info: Option<String>) -> Result<(), Refusal> {
        let operation = self.pending(kind, id.as_str())?.clone();
        // Whatever comes of it, the operation is consumed.
        self.operations.remove(id.as_str());
        let invalidates = self.invalidates;
        let tresor = self.tresor_mut(&operation.tresor)?;
        if invalidates && operation.built_on != tresor.version {
            return Err(ErrorCode::LatestGkfNotKnownByClient);
        }
        let is_member = |user: &UserId| tresor.members.contains(user);
        match (kind, operation.about, operation.link) {
            (Kind::Share | Kind::InvitationLinkAcception, Some(about), _) => {
                if is_member(&about) {
                    return Err(ErrorCode::TargetUserAlreadyTresorMember);
                }
                tresor.members.push(about);
                tresor.most_members = tresor.most_members.max(tresor.members.len());
            }
            (Kind::Kick, Some(about), _) => {
                if !is_member(&about) {
                    return Err(ErrorCode::TargetUserIsNotMemberOfTresor);
                }
                tresor.members.retain(|member| *member != about);
            }
            (Kind::InvitationLinkCreation, _, Some(link)) => {
                tresor.links.insert(link, operation.by);
            }
            (Kind::InvitationLinkRevocation, _, Some(link)) => {
                if tresor.links.remove(&link).is_none() {
                    return Err(ErrorCode::CertToRevocateNotFound);
                }
            }
            _ => return Err(ErrorCode::BadInput),
        }
        tresor.version += 1;
        self.effect(kind, id, Verdict::Approve, additional_info);
        Ok(())
    }

    /// Whom a pending operation concerns.
    #[must_use]
    pub fn subject_of(&self, id: &str) -> Option<UserId> {
        self.operations.get(id)?.about.clone()
    }

    /// The tresor of a pending operation; for a tresor creation the tresor itself.
    pub(in crate::simulator) fn tresor_of(&self, id: &str) -> Option<TresorId> {
        let tresor = || TresorId::new(id).ok().filter(|tresor| self.tresors.contains_key(tresor));
        self.operations.get(id).map(|operation| operation.tresor.clone()).or_else(tresor)
    }
}

fn started_at(operation: &Operation) -> String {
    operation.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
