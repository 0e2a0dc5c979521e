//! The 29 endpoints of the admin API: name, verb, path, query and entities, as the reference lists them.
//!
//! The one table that says so: the client calls by it, the command line and the simulator are held against it.

use super::wire;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;

/// The parts of the admin API, as the reference groups them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Tresors and the operations in them.
    Tresor,
    /// Users, their registration and what they may do.
    User,
    /// The tenant's custom contents.
    Tenant,
}

impl Group {
    /// All groups, in the order of the reference.
    pub const ALL: [Group; 3] = [Group::Tresor, Group::User, Group::Tenant];

    /// The first part of the paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Group::Tresor => "tresor",
            Group::User => "user",
            Group::Tenant => "tenant",
        }
    }
}

/// An endpoint as the reference describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The name in the reference, such as `ApproveShare`.
    pub name: &'static str,
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub verb: &'static str,
    /// The path below `api/v4/admin/`.
    pub path: &'static str,
    /// The names of the query parameters, in lower case; they are matched without regard to case.
    pub query: &'static [&'static str],
    /// The entity that is sent, by its name in the reference; `Stream` for a file, nothing for no body.
    pub request: Option<&'static str>,
    /// The entity that is answered; nothing for an empty answer.
    pub response: Option<&'static str>,
    /// The part of the API it belongs to.
    pub group: Group,
}

impl Endpoint {
    /// Where a verdict goes; the platform takes no escalation, and no rejection of a validation.
    #[must_use]
    pub const fn of_verdict(kind: Kind, verdict: Verdict) -> Option<Self> {
        Some(match (kind, verdict) {
            (_, Verdict::Escalate) | (Kind::UserValidation, Verdict::Reject) => return None,
            (Kind::Share, Verdict::Approve) => Self::APPROVE_SHARE,
            (Kind::Share, Verdict::Reject) => Self::REJECT_SHARE,
            (Kind::Kick, Verdict::Approve) => Self::APPROVE_KICK,
            (Kind::Kick, Verdict::Reject) => Self::REJECT_KICK,
            (Kind::TresorCreation, Verdict::Approve) => Self::APPROVE_TRESOR_CREATION,
            (Kind::TresorCreation, Verdict::Reject) => Self::REJECT_TRESOR_CREATION,
            (Kind::InvitationLinkCreation, Verdict::Approve) => Self::APPROVE_LINK_CREATION,
            (Kind::InvitationLinkCreation, Verdict::Reject) => Self::REJECT_LINK_CREATION,
            (Kind::InvitationLinkAcception, Verdict::Approve) => Self::APPROVE_LINK_ACCEPTION,
            (Kind::InvitationLinkAcception, Verdict::Reject) => Self::REJECT_LINK_ACCEPTION,
            (Kind::InvitationLinkRevocation, Verdict::Approve) => Self::APPROVE_LINK_REVOCATION,
            (Kind::InvitationLinkRevocation, Verdict::Reject) => Self::REJECT_LINK_REVOCATION,
            (Kind::UserValidation, Verdict::Approve) => Self::VALIDATE_USER,
        })
    }
}

macro_rules! entity_name {
    (-) => {
        None
    };
    (Stream) => {
        Some("Stream")
    };
    ($name:ident) => {{
        // An entity that is not implemented does not compile.
        const _: usize = size_of::<wire::$name>();
        Some(stringify!($name))
    }};
}

macro_rules! endpoints {
    ($($group:ident $constant:ident $name:literal $verb:literal $path:literal [$($query:literal)*] $request:tt $response:tt,)+) => {
        impl Endpoint {
            $(
                #[doc = concat!("`", $name, "`: `", $verb, " ", $path, "`.")]
                pub const $constant: Endpoint = Endpoint {
                    name: $name,
                    verb: $verb,
                    path: $path,
                    query: &[$($query),*],
                    request: entity_name!($request),
                    response: entity_name!($response),
                    group: Group::$group,
                };
            )+

            /// Every endpoint of the reference.
            pub const ALL: &'static [Endpoint] = &[$(Endpoint::$constant),+];
        }
    };
}

endpoints! {
    Tresor APPROVE_LINK_ACCEPTION "ApproveInvitationLinkAcception" "POST" "tresor/approve-invitation-link-acception" [] ApproveAcceptInvitationLinkRequest -,
    Tresor APPROVE_LINK_CREATION "ApproveInvitationLinkCreation" "POST" "tresor/approve-invitation-link-creation" [] ApproveCreateInvitationLinkRequest -,
    Tresor APPROVE_LINK_REVOCATION "ApproveInvitationLinkRevocation" "POST" "tresor/approve-invitation-link-revocation" [] ApproveRevokeInvitationLinkRequest -,
    Tresor APPROVE_KICK "ApproveKick" "POST" "tresor/approve-kick" [] ApproveKickRequest -,
    Tresor APPROVE_SHARE "ApproveShare" "POST" "tresor/approve-share" [] ApproveShareRequest -,
    Tresor APPROVE_TRESOR_CREATION "ApproveTresorCreation" "POST" "tresor/approve-tresor-creation" [] ApproveTresorCreationRequest -,
    Tenant DELETE_CUSTOM_CONTENT "DeleteCustomContent" "DELETE" "tenant/delete-custom-content" ["filename"] - -,
    Tresor DELETE_TRESOR "DeleteTresor" "POST" "tresor/delete-tresor" [] DeleteTresorRequest -,
    Tresor LINK_ACCEPTION_DETAILS "GetInvitationLinkAcceptionDetails" "GET" "tresor/get-invitation-link-acception-details" ["operationid"] - GetAcceptInvitationLinkDetailsResponse,
    Tresor LINK_CREATION_DETAILS "GetInvitationLinkCreationDetails" "GET" "tresor/get-invitation-link-creation-details" ["operationid"] - GetCreateInvitationLinkDetailsResponse,
    Tresor LINK_REVOCATION_DETAILS "GetInvitationLinkRevocationDetails" "GET" "tresor/get-invitation-link-revocation-details" ["operationid"] - GetRevokeInvitationLinkDetailsResponse,
    Tresor KICK_DETAILS "GetKickDetails" "GET" "tresor/get-kick-details" ["operationid"] - GetKickDetailsResponse,
    Tresor SHARE_DETAILS "GetShareDetails" "GET" "tresor/get-share-details" ["operationid"] - GetShareDetailsResponse,
    User INIT_USER_REGISTRATION "InitUserRegistration" "POST" "user/init-user-registration" [] - InitUserRegistrationResponse,
    Tenant LIST_CUSTOM_CONTENTS "ListCustomContents" "GET" "tenant/list-custom-contents" [] - ListCustomContentResponse,
    Tresor LIST_MEMBERS "ListMembers" "GET" "tresor/list-members" ["tresorid"] - ListMembersResponse,
    Tresor LIST_TRESORS "ListTresors" "GET" "tresor/list-tresors" ["pagesize" "continuefrom"] - ListTresorsResponse,
    User LIST_USERS "ListUsers" "GET" "user/list-users" [] - ListUsersResponse,
    Tresor REJECT_LINK_ACCEPTION "RejectInvitationLinkAcception" "POST" "tresor/reject-invitation-link-acception" [] RejectAcceptInvitationLinkRequest -,
    Tresor REJECT_LINK_CREATION "RejectInvitationLinkCreation" "POST" "tresor/reject-invitation-link-creation" [] RejectCreateInvitationLinkRequest -,
    Tresor REJECT_LINK_REVOCATION "RejectInvitationLinkRevocation" "POST" "tresor/reject-invitation-link-revocation" [] RejectRevokeInvitationLinkRequest -,
    Tresor REJECT_KICK "RejectKick" "POST" "tresor/reject-kick" [] RejectKickRequest -,
    Tresor REJECT_SHARE "RejectShare" "POST" "tresor/reject-share" [] RejectShareRequest -,
    Tresor REJECT_TRESOR_CREATION "RejectTresorCreation" "POST" "tresor/reject-tresor-creation" [] RejectTresorCreationRequest -,
    User SET_USER_STATUS "SetUserStatus" "POST" "user/set-user-state" [] SetUserStatusRequest -,
    User SET_USER_TRESOR_CREATION_MODE "SetUserTresorCreationMode" "POST" "user/set-tresor-creation-policy" [] SetUserTresorCreationModeRequest -,
    User SET_USER_TRESOR_SHARING_MODE "SetUserTresorSharingMode" "POST" "user/set-tresor-sharing-policy" [] SetUserTresorSharingModeRequest -,
    Tenant UPLOAD_CUSTOM_CONTENT "UploadCustomContent" "PUT" "tenant/upload-custom-content" ["filename"] Stream CustomContentDetailsResponse,
    User VALIDATE_USER "ValidateUser" "POST" "user/validate-user-registration" [] ValidateUserRequest -,
}
