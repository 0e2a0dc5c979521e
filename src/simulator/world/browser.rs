//! What browsers do on the platform: register, create, share, kick, link. Every act yields an operation that waits.

use super::{Operation, Refusal, Tresor, World};
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use crate::simulator::signature::new_tresor_id;
use crate::zerokit::ErrorCode;
use jiff::Timestamp;

impl World {
    /// A client completes a registration that the backend began; the validation verifier that it made.
    ///
    /// # Errors
    /// The user was never initiated, or has registered already.
    pub fn register(&mut self, user: &UserId) -> Result<String, Refusal> {
        let number = self.number();
        let user = self.users.get_mut(user).ok_or(ErrorCode::UserNotExists)?;
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
        let user = self.init_registration()?.user_id;
        self.register(&user)?;
        if let Some(user) = self.users.get_mut(&user) {
            user.validated = true;
        }
        Ok(user)
    }

    /// A user creates a tresor, which waits for its approval.
    ///
    /// # Errors
    /// There is no such user, or it may not.
    pub fn create_tresor(&mut self, by: &UserId) -> Result<TresorId, Refusal> {
        self.may_act(by)?;
        if !self.registered(by)?.may_create_tresors {
            return Err(ErrorCode::TresorCreationForbidden);
        }
        let id = new_tresor_id(self.number()).ok_or(ErrorCode::UnexpectedError)?;
        self.tresors.insert(id.clone(), Tresor { members: vec![by.clone()], ..Tresor::default() });
        Ok(id)
    }

    /// A member shares a tresor; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn share(&mut self, by: &UserId, about: &UserId, tresor: &TresorId, now: Timestamp) -> Result<String, Refusal> {
        self.registered(about)?;
        let members = &self.tresor_of_sharer(by, tresor)?.members;
        if members.contains(about) {
            return Err(ErrorCode::TargetUserAlreadyTresorMember);
        }
        self.begin(Kind::Share, by, Some(about), tresor, None, now)
    }

    /// A member kicks another one; the operation id.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn kick(&mut self, by: &UserId, about: &UserId, tresor: &TresorId, now: Timestamp) -> Result<String, Refusal> {
        if !self.tresor_of_member(by, tresor)?.members.contains(about) {
            return Err(ErrorCode::TargetUserIsNotMemberOfTresor);
        }
        self.begin(Kind::Kick, by, Some(about), tresor, None, now)
    }

    /// A member makes an invitation link; the operation id, and the link's name once it is approved.
    ///
    /// # Errors
    /// What the SDK would say.
    pub fn create_link(&mut self, by: &UserId, tresor: &TresorId, now: Timestamp) -> Result<(String, String), Refusal> {
        self.tresor_of_sharer(by, tresor)?;
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
        self.may_act(about)?;
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
        self.tresor_mut(tresor).map(|tresor| tresor.approved = true)
    }

    /// A user is a member without having been invited.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn add_member(&mut self, tresor: &TresorId, user: &UserId) -> Result<(), Refusal> {
        self.tresor_mut(tresor).map(|tresor| tresor.members.push(user.clone()))
    }

    /// A user is no member any more without having been kicked.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn remove_member(&mut self, tresor: &TresorId, user: &UserId) -> Result<(), Refusal> {
        self.tresor_mut(tresor).map(|tresor| tresor.members.retain(|member| member != user))
    }

    /// A link is there without having been made; its name.
    ///
    /// # Errors
    /// There is no such tresor.
    pub fn add_link(&mut self, tresor: &TresorId) -> Result<String, Refusal> {
        let link = format!("link-{}", self.number());
        let tresor = self.tresor_mut(tresor)?;
        let maker = tresor.members.first().cloned().ok_or(ErrorCode::UserNotExists)?;
        tresor.links.insert(link.clone(), maker);
        Ok(link)
    }

    /// A registration that the client has completed; the user, and the secrets as a notification carries them.
    ///
    /// # Errors
    /// Never, unless the tenant's name makes no user id.
    pub fn begin_registration(&mut self) -> Result<(UserId, serde_json::Value), Refusal> {
        let begun = self.init_registration()?;
        let verifier = self.register(&begun.user_id)?;
        let secrets = serde_json::json!({
            "session_id": begun.reg_session_id, "session_verifier": begun.reg_session_verifier, "validation_verifier": verifier,
        });
        Ok((begun.user_id, secrets))
    }

    fn has_link(&self, tresor: &TresorId, link: &str) -> Result<(), Refusal> {
        self.link_maker(tresor, link).map(|_| ())
    }

    /// Who made an approved link.
    ///
    /// # Errors
    /// There is no such link.
    pub fn link_maker(&self, tresor: &TresorId, link: &str) -> Result<UserId, Refusal> {
        self.tresor(tresor)?.links.get(link).cloned().ok_or(ErrorCode::InvalidInvitationLink)
    }

    /// Whoever is disabled cannot log in, and so cannot do anything.
    fn may_act(&self, user: &UserId) -> Result<(), Refusal> {
        if self.registered(user)?.enabled { Ok(()) } else { Err(ErrorCode::UserIsDisabledByPolicy) }
    }

    fn tresor_of_member(&self, by: &UserId, tresor: &TresorId) -> Result<&Tresor, Refusal> {
        self.may_act(by)?;
        let tresor = self.tresor(tresor)?;
        if !tresor.approved {
            return Err(ErrorCode::TresorIsNotApproved);
        }
        if tresor.members.contains(by) { Ok(tresor) } else { Err(ErrorCode::CallerUserIsNotMemberOfTresor) }
    }

    fn tresor_of_sharer(&self, by: &UserId, tresor: &TresorId) -> Result<&Tresor, Refusal> {
        let tresor = self.tresor_of_member(by, tresor)?;
        if self.registered(by)?.may_share_tresors { Ok(tresor) } else { Err(ErrorCode::TresorSharingForbidden) }
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
        let built_on = self.tresor(tresor)?.version;
        let operation =
            Operation { kind, by: by.clone(), about: about.cloned(), tresor: tresor.clone(), built_on, started_at: now, link };
        self.operations.insert(id.clone(), operation);
        Ok(id)
    }
}
