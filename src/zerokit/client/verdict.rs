//! Operations of all kinds in one form: their details, and a verdict on one of them.

use super::Client;
use crate::domain::ids::{OperationId, TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Details, Registration};
use crate::domain::verdict::Verdict;
use crate::zerokit::endpoint::Endpoint;
use crate::zerokit::failure::Failure;
use crate::zerokit::wire::{LinkDetails, MemberDetails, OperationRequest, TresorRequest, ValidateUserRequest};

/// A verdict on one operation.
#[derive(Debug, Clone, Copy)]
pub struct VerdictCall<'v> {
    /// The kind.
    pub kind: Kind,
    /// The operation.
    pub operation_id: &'v OperationId,
    /// Approve or reject; an escalation is nobody's verdict yet.
    pub verdict: Verdict,
    /// Only for a validation.
    pub registration: Option<&'v Registration>,
    /// What is shown with an invitation link that is approved.
    pub additional_info: Option<&'v str>,
}

impl Client {
    /// What the platform says of an operation; for a tresor creation what its member list says.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn details(&self, kind: Kind, id: &OperationId) -> Result<Details, Failure> {
        match kind {
            Kind::Share => {
                let details = self.get_share_details(id).await?;
                Ok(Details {
                    actor: Some(details.by_user_id),
                    subject: Some(details.for_user_id),
                    tresor: Some(details.tresor_id),
                    started_at: None,
                })
            }
            Kind::Kick => self.get_kick_details(id).await.map(Details::from),
            Kind::InvitationLinkAcception => self.get_invitation_link_acception_details(id).await.map(Details::from),
            Kind::InvitationLinkCreation => self.get_invitation_link_creation_details(id).await.map(Details::from),
            Kind::InvitationLinkRevocation => self.get_invitation_link_revocation_details(id).await.map(Details::from),
            Kind::TresorCreation => self.creation_details(id).await,
            Kind::UserValidation => Ok(Details { actor: None, subject: Some(user_of(id)?), tresor: None, started_at: None }),
        }
    }

    /// A tresor that waits for approval has one member: who created it. Any other is not in creation, whoever says so.
    async fn creation_details(&self, id: &OperationId) -> Result<Details, Failure> {
        let tresor = tresor_of(Endpoint::LIST_MEMBERS, id)?;
        let mut members = self.list_members(&tresor).await?;
        match (members.pop(), members.is_empty()) {
            (Some(creator), true) => Ok(Details { actor: Some(creator), subject: None, tresor: Some(tresor), started_at: None }),
            _ => Err(Failure::unsupported(Endpoint::LIST_MEMBERS)),
        }
    }

    /// Approves or rejects.
    ///
    /// # Errors
    /// See [`Failure`]; a verdict that the platform has no call for is `Refused` without one.
    pub async fn send_verdict(&self, call: VerdictCall<'_>) -> Result<(), Failure> {
        let id = call.operation_id;
        let Some(endpoint) = Endpoint::of_verdict(call.kind, call.verdict) else {
            return Err(Failure::unsupported(Endpoint::VALIDATE_USER));
        };
        match call.kind {
            Kind::TresorCreation => self.command(endpoint, &TresorRequest { tresor_id: tresor_of(endpoint, id)? }).await,
            Kind::InvitationLinkCreation if call.verdict == Verdict::Approve => {
                self.approve_invitation_link_creation(id, call.additional_info).await
            }
            Kind::UserValidation => {
                let registration = call.registration.ok_or_else(|| Failure::unsupported(endpoint))?;
                let request = ValidateUserRequest {
                    user_id: user_of(id)?,
                    reg_session_id: registration.session_id.clone(),
                    reg_validation_verifier: registration.validation_verifier.expose().clone(),
                    reg_session_verifier: registration.session_verifier.expose().clone(),
                };
                self.validate_user(&request).await
            }
            _ => self.command(endpoint, &OperationRequest { operation_id: id.clone() }).await,
        }
    }
}

fn tresor_of(endpoint: Endpoint, id: &OperationId) -> Result<TresorId, Failure> {
    TresorId::new(id.as_str()).map_err(|_| Failure::unsupported(endpoint))
}

fn user_of(id: &OperationId) -> Result<UserId, Failure> {
    UserId::new(id.as_str()).map_err(|_| Failure::unsupported(Endpoint::VALIDATE_USER))
}

impl From<MemberDetails> for Details {
    fn from(details: MemberDetails) -> Self {
        Self {
            actor: Some(details.by_user_id),
            subject: Some(details.for_user_id),
            tresor: Some(details.tresor_id),
            started_at: details.timestamp.parse().ok(),
        }
    }
}

impl From<LinkDetails> for Details {
    fn from(details: LinkDetails) -> Self {
        Self {
            actor: Some(details.by_user_id),
            subject: None,
            tresor: Some(details.tresor_id),
            started_at: details.timestamp.parse().ok(),
        }
    }
}
