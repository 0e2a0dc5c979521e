//! The entities of the admin API as they stand on the wire. Names and meanings are the reference's.
//!
//! Shared by the client and the simulator, so golden JSON from the reference pins them. Unknown fields in answers are
//! tolerated, missing ones are errors.

use serde::{Deserialize, Serialize};

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    };
}

entity! {
    /// Approve and reject of a share, kick or invitation link operation.
    OperationRequest {
        /// The operation.
        operation_id: String,
    }
}
/// `ApproveCreateInvitationLinkRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApproveLinkCreationRequest {
    /// The operation.
    pub operation_id: String,
    /// Shown with the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_info: Option<String>,
}
entity! {
    /// Approve and reject of a tresor creation.
    TresorRequest {
        /// The tresor that was created.
        tresor_id: String,
    }
}
entity! {
    /// `GetShareDetailsResponse`: the only details without a timestamp.
    ShareDetails {
        /// Who invited.
        by_user_id: String,
        /// Who is invited.
        for_user_id: String,
        /// The tresor.
        tresor_id: String,
    }
}
entity! {
    /// `GetKickDetailsResponse` and `GetAcceptInvitationLinkDetailsResponse`, which have the same fields.
    MemberDetails {
        /// Who kicks; for an acception who created the link.
        by_user_id: String,
        /// Who is kicked; for an acception who accepted.
        for_user_id: String,
        /// The tresor.
        tresor_id: String,
        /// ISO 8601, UTC.
        timestamp: String,
    }
}
entity! {
    /// `GetCreateInvitationLinkDetailsResponse` and `GetRevokeInvitationLinkDetailsResponse`.
    LinkDetails {
        /// Who makes or revokes the link.
        by_user_id: String,
        /// The tresor.
        tresor_id: String,
        /// ISO 8601, UTC.
        timestamp: String,
    }
}
entity! {
    /// `ListMembersResponse`.
    Members {
        /// The user ids of the tresor's members.
        members: Vec<String>,
    }
}
entity! {
    /// `ListUsersResponse`.
    Users {
        /// The registered users of the tenant.
        users: Vec<UserListItem>,
    }
}
entity! {
    /// `UserListItem`.
    UserListItem {
        /// The user.
        user_id: String,
        /// `Unvalidated` or `Validated`.
        user_registration_state: String,
    }
}
/// `InitUserRegistrationResponse`. Session id and verifier are secrets: it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InitUserRegistrationResponse {
    /// The new user.
    pub user_id: String,
    /// The registration session.
    pub reg_session_id: String,
    /// Its verifier.
    pub reg_session_verifier: String,
}
/// `ValidateUserRequest`. Holds secrets: it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ValidateUserRequest {
    /// The user.
    pub user_id: String,
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
