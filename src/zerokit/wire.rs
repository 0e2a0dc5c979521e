//! The entities of the admin API as they stand on the wire. Names and meanings are the reference's.
//!
//! Shared by the client and the simulator, so golden JSON from the reference pins them. Unknown fields in answers are
//! tolerated, missing ones are errors.

use crate::domain::ids::{OperationId, TresorId, UserId};
use serde::{Deserialize, Deserializer, Serialize};

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

entity! {
    /// What a verdict on a share, kick or invitation link operation carries.
    OperationRequest {
        /// The operation.
        operation_id: OperationId,
    }
}
/// Body of `ApproveShare`.
pub type ApproveShareRequest = OperationRequest;
/// Body of `RejectShare`.
pub type RejectShareRequest = OperationRequest;
/// Body of `ApproveKick`.
pub type ApproveKickRequest = OperationRequest;
/// Body of `RejectKick`.
pub type RejectKickRequest = OperationRequest;
/// Body of `ApproveInvitationLinkAcception`.
pub type ApproveAcceptInvitationLinkRequest = OperationRequest;
/// Body of `RejectInvitationLinkAcception`.
pub type RejectAcceptInvitationLinkRequest = OperationRequest;
/// Body of `RejectInvitationLinkCreation`.
pub type RejectCreateInvitationLinkRequest = OperationRequest;
/// Body of `ApproveInvitationLinkRevocation`.
pub type ApproveRevokeInvitationLinkRequest = OperationRequest;
/// Body of `RejectInvitationLinkRevocation`.
pub type RejectRevokeInvitationLinkRequest = OperationRequest;

entity! {
    /// Body of `ApproveInvitationLinkCreation`.
    ApproveCreateInvitationLinkRequest {
        /// The operation.
        operation_id: OperationId,
        /// Shown with the link; left out where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        additional_info: Option<String>,
    }
}

entity! {
    /// What a verdict on a tresor creation and the deletion of a tresor carry.
    TresorRequest {
        /// The tresor.
        tresor_id: TresorId,
    }
}
/// Body of `ApproveTresorCreation`.
pub type ApproveTresorCreationRequest = TresorRequest;
/// Body of `RejectTresorCreation`.
pub type RejectTresorCreationRequest = TresorRequest;
/// Body of `DeleteTresor`. Only approved tresors that are not deleted yet can be deleted.
pub type DeleteTresorRequest = TresorRequest;

entity! {
    /// Answer of `GetShareDetails`: the only details without a timestamp.
    GetShareDetailsResponse {
        /// Who invited.
        by_user_id: UserId,
        /// Who is invited.
        for_user_id: UserId,
        /// The tresor.
        tresor_id: TresorId,
    }
}
entity! {
    /// Answer of `GetKickDetails` and `GetInvitationLinkAcceptionDetails`, which have the same fields.
    MemberDetails {
        /// Who kicks; for an acception who created the link.
        by_user_id: UserId,
        /// Who is kicked; for an acception who accepted.
        for_user_id: UserId,
        /// The tresor.
        tresor_id: TresorId,
        /// When it was started: ISO 8601, UTC, such as `2000-01-23T23:59:59Z`.
        timestamp: String,
    }
}
/// Answer of `GetKickDetails`.
pub type GetKickDetailsResponse = MemberDetails;
/// Answer of `GetInvitationLinkAcceptionDetails`.
pub type GetAcceptInvitationLinkDetailsResponse = MemberDetails;
entity! {
    /// Answer of `GetInvitationLinkCreationDetails` and `GetInvitationLinkRevocationDetails`.
    LinkDetails {
        /// Who makes or revokes the link.
        by_user_id: UserId,
        /// The tresor.
        tresor_id: TresorId,
        /// When it was started: ISO 8601, UTC, such as `2000-01-23T23:59:59Z`.
        timestamp: String,
    }
}
/// Answer of `GetInvitationLinkCreationDetails`.
pub type GetCreateInvitationLinkDetailsResponse = LinkDetails;
/// Answer of `GetInvitationLinkRevocationDetails`.
pub type GetRevokeInvitationLinkDetailsResponse = LinkDetails;

entity! {
    /// Answer of `ListMembers`.
    ListMembersResponse {
        /// The tresor's members.
        members: Vec<UserId>,
    }
}
entity! {
    /// Answer of `ListTresors`: one page.
    ListTresorsResponse {
        /// The tresors of this page.
        tresors: Vec<TresorId>,
        /// Where the next page begins; nothing on the last one.
        #[serde(default, deserialize_with = "marker")]
        next_tresor: Option<TresorId>,
    }
}
entity! {
    /// Answer of `ListUsers`. The client reads it item by item, as a tenant may have very many.
    ListUsersResponse {
        /// The registered users of the tenant.
        users: Vec<UserListItem>,
    }
}
entity! {
    /// One registered user.
    UserListItem {
        /// The user.
        user_id: UserId,
        /// `Unvalidated` or `Validated`.
        user_registration_state: String,
    }
}

impl UserListItem {
    /// Whether the user was validated and may log in.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.user_registration_state == "Validated"
    }
}

entity! {
    /// Body of `SetUserStatus`: whether the user may log in.
    SetUserStatusRequest {
        /// The user.
        user_id: UserId,
        /// Enabled or disabled.
        enable: bool,
    }
}
entity! {
    /// Body of `SetUserTresorCreationMode`: whether the user may create tresors.
    SetUserTresorCreationModeRequest {
        /// The user.
        user_id: UserId,
        /// Enabled (the default of the platform) or not.
        enable: bool,
    }
}
entity! {
    /// Body of `SetUserTresorSharingMode`: whether the user may share tresors.
    SetUserTresorSharingModeRequest {
        /// The user.
        user_id: UserId,
        /// `FreeShare` (the default of the platform) or `NoShare`.
        enable: bool,
    }
}
entity! {
    /// Answer of `UploadCustomContent`, and one item of `ListCustomContents`.
    CustomContentDetailsResponse {
        /// The last part of the path.
        name: String,
        /// The path below the custom contents.
        path: String,
        /// The full public address.
        url: String,
        /// Bytes.
        size: u64,
        /// Guessed by the platform from the extension.
        content_type: String,
        /// Changes with the content.
        etag: String,
    }
}
entity! {
    /// Answer of `ListCustomContents`.
    ListCustomContentResponse {
        /// How many files there are.
        custom_content_count: u64,
        /// What they take together, in bytes.
        total_used_bytes: u64,
        /// The files.
        contents: Vec<CustomContentDetailsResponse>,
    }
}

/// Answer of `InitUserRegistration`. Session id and verifier are secrets: it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InitUserRegistrationResponse {
    /// The new user, who exists only once the client has registered.
    pub user_id: UserId,
    /// The registration session.
    pub reg_session_id: String,
    /// Its verifier.
    pub reg_session_verifier: String,
}
/// Body of `ValidateUser`. Holds secrets: it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ValidateUserRequest {
    /// The user.
    pub user_id: UserId,
    /// The registration session.
    pub reg_session_id: String,
    /// The verifier that the client made.
    pub reg_validation_verifier: String,
    /// The session's verifier.
    pub reg_session_verifier: String,
}

entity! {
    /// The body of an error: message first, as a public client's regular expression wants it.
    ErrorBody {
        /// For people.
        error_message: String,
        /// For programs; see [`super::ErrorCode`].
        error_code: String,
    }
}

/// The end of a list is told by `null`, by an empty text, or by nothing at all.
fn marker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TresorId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(TresorId::new).transpose().map_err(serde::de::Error::custom)
}
