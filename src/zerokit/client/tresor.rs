//! The endpoints of tresors and of the operations in them. Failures of all of them: see [`Failure`].

use super::Client;
use super::items::Items;
use crate::domain::ids::{OperationId, TresorId, UserId};
use crate::zerokit::endpoint::Endpoint;
use crate::zerokit::failure::Failure;
use crate::zerokit::wire::{
    ApproveCreateInvitationLinkRequest, GetAcceptInvitationLinkDetailsResponse, GetCreateInvitationLinkDetailsResponse,
    GetKickDetailsResponse, GetRevokeInvitationLinkDetailsResponse, GetShareDetailsResponse, ListMembersResponse,
    ListTresorsResponse, OperationRequest, TresorRequest,
};

/// The most tresors on one page.
pub const MAX_PAGE: u8 = 100;

/// A verdict on an operation, by its own endpoint.
macro_rules! verdicts {
    ($($(#[$doc:meta])* $name:ident $endpoint:ident,)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// See [`Failure`]; a conflict means that the client must start again.
            pub async fn $name(&self, operation: &OperationId) -> Result<(), Failure> {
                self.command(Endpoint::$endpoint, &OperationRequest { operation_id: operation.clone() }).await
            }
        )+
    };
}

/// What the platform says of a pending operation.
macro_rules! details {
    ($($(#[$doc:meta])* $name:ident $endpoint:ident -> $entity:ident,)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// See [`Failure`]; `BadInput` where there is no such pending operation.
            pub async fn $name(&self, operation: &OperationId) -> Result<$entity, Failure> {
                self.read(Endpoint::$endpoint, &[operation.as_str()]).await
            }
        )+
    };
}

impl Client {
    verdicts! {
        /// Lets a share happen.
        approve_share APPROVE_SHARE,
        /// Does not let a share happen.
        reject_share REJECT_SHARE,
        /// Lets a kick happen.
        approve_kick APPROVE_KICK,
        /// Does not let a kick happen.
        reject_kick REJECT_KICK,
        /// Lets a user join by an invitation link.
        approve_invitation_link_acception APPROVE_LINK_ACCEPTION,
        /// Does not let a user join by an invitation link.
        reject_invitation_link_acception REJECT_LINK_ACCEPTION,
        /// Does not let an invitation link be made.
        reject_invitation_link_creation REJECT_LINK_CREATION,
        /// Lets an invitation link be made invalid.
        approve_invitation_link_revocation APPROVE_LINK_REVOCATION,
        /// Does not let an invitation link be made invalid.
        reject_invitation_link_revocation REJECT_LINK_REVOCATION,
    }

    details! {
        /// Who shares what with whom.
        get_share_details SHARE_DETAILS -> GetShareDetailsResponse,
        /// Who kicks whom from what.
        get_kick_details KICK_DETAILS -> GetKickDetailsResponse,
        /// Who joins what by whose link.
        get_invitation_link_acception_details LINK_ACCEPTION_DETAILS -> GetAcceptInvitationLinkDetailsResponse,
        /// Who makes a link to what.
        get_invitation_link_creation_details LINK_CREATION_DETAILS -> GetCreateInvitationLinkDetailsResponse,
        /// Who makes a link to what invalid.
        get_invitation_link_revocation_details LINK_REVOCATION_DETAILS -> GetRevokeInvitationLinkDetailsResponse,
    }

    /// Lets an invitation link be made; `additional_info` is shown with it.
    ///
    /// # Errors
    /// See [`Failure`]; a conflict means that the client must start again.
    pub async fn approve_invitation_link_creation(
        &self,
        operation: &OperationId,
        additional_info: Option<&str>,
    ) -> Result<(), Failure> {
        let request = ApproveCreateInvitationLinkRequest {
            operation_id: operation.clone(),
            additional_info: additional_info.map(str::to_owned),
        };
        self.command(Endpoint::APPROVE_LINK_CREATION, &request).await
    }

    /// Makes a new tresor usable.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn approve_tresor_creation(&self, tresor: &TresorId) -> Result<(), Failure> {
        self.command(Endpoint::APPROVE_TRESOR_CREATION, &TresorRequest { tresor_id: tresor.clone() }).await
    }

    /// Does not let a tresor be created.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn reject_tresor_creation(&self, tresor: &TresorId) -> Result<(), Failure> {
        self.command(Endpoint::REJECT_TRESOR_CREATION, &TresorRequest { tresor_id: tresor.clone() }).await
    }

    /// Deletes an approved tresor, for good.
    ///
    /// # Errors
    /// See [`Failure`]; `TresorIsNotApproved` and `TresorAlreadyDeleted` among them.
    pub async fn delete_tresor(&self, tresor: &TresorId) -> Result<(), Failure> {
        self.command(Endpoint::DELETE_TRESOR, &TresorRequest { tresor_id: tresor.clone() }).await
    }

    /// The members of a tresor; of one that waits for its approval only its creator.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_members(&self, tresor: &TresorId) -> Result<Vec<UserId>, Failure> {
        let answer: ListMembersResponse = self.read(Endpoint::LIST_MEMBERS, &[tresor.as_str()]).await?;
        Ok(answer.members)
    }

    /// One page of the tenant's tresors, of at most [`MAX_PAGE`], from `continue_from` on or from the beginning.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_tresors_page(&self, size: u8, continue_from: Option<&TresorId>) -> Result<ListTresorsResponse, Failure> {
        let size = size.clamp(1, MAX_PAGE).to_string();
        let from = continue_from.map(|tresor| tresor.as_str());
        self.read(Endpoint::LIST_TRESORS, [Some(size.as_str()), from].into_iter().flatten().collect::<Vec<_>>().as_slice()).await
    }

    /// All tresors from `continue_from` on, page by page: the next page is read while this one is used.
    #[must_use]
    pub fn list_tresors(&self, page_size: u8, continue_from: Option<TresorId>) -> Items<TresorId> {
        let client = self.clone();
        Items::from_task(async move |sink| {
            let mut from = continue_from;
            loop {
                let page = client.list_tresors_page(page_size, from.as_ref()).await?;
                let is_stuck = page.next_tresor.is_some() && (page.tresors.is_empty() || page.next_tresor == from);
                for tresor in page.tresors {
                    if sink.send(Ok(tresor)).await.is_err() {
                        return Ok(());
                    }
                }
                if is_stuck {
                    return Err(Failure::malformed(Endpoint::LIST_TRESORS, "the next page is this page again"));
                }
                if page.next_tresor.is_none() {
                    return Ok(());
                }
                from = page.next_tresor;
            }
        })
    }
}
