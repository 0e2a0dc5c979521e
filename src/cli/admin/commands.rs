//! The 29 commands and their flags.

use super::verdict::{ByHandArguments, ByHandCommand};
use crate::domain::ids::{OperationId, TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::Registration;
use crate::domain::secret::Secret;
use crate::domain::verdict::Verdict;
use crate::zerokit::{ContentName, MAX_PAGE};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// One command an endpoint.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "ENDPOINT")]
pub(in crate::cli) enum AdminCommand {
    /// Let a user join by an invitation link
    #[command(after_help = "Example:\n  assent admin approve-invitation-link-acception --operation-id ID --comment 'asked Ann'")]
    ApproveInvitationLinkAcception(OperationVerdict),
    /// Let an invitation link be made
    #[command(
        after_help = "Example:\n  assent admin approve-invitation-link-creation --operation-id ID --additional-info 'for the audit of 2026'"
    )]
    ApproveInvitationLinkCreation(LinkCreationVerdict),
    /// Let an invitation link be made invalid
    #[command(after_help = "Example:\n  assent admin approve-invitation-link-revocation --operation-id ID")]
    ApproveInvitationLinkRevocation(OperationVerdict),
    /// Let a member be kicked
    #[command(after_help = "Example:\n  assent admin approve-kick --operation-id ID")]
    ApproveKick(OperationVerdict),
    /// Let a tresor be shared
    #[command(
        after_help = "Example:\n  assent admin approve-share --operation-id ID --comment 'seen with legal'\n  assent admin approve-share --operation-id ID --unrecorded --service-url URL --admin-key-file FILE"
    )]
    ApproveShare(OperationVerdict),
    /// Make a new tresor usable
    #[command(after_help = "Example:\n  assent admin approve-tresor-creation --tresor-id 0000slpj4r86xbqlg9wmjhug")]
    ApproveTresorCreation(TresorVerdict),
    /// Delete an approved tresor, for good
    #[command(after_help = "Example:\n  assent admin delete-tresor --tresor-id 0000slpj4r86xbqlg9wmjhug --yes")]
    DeleteTresor(TresorArgument),
    /// Who joins what by whose invitation link
    #[command(after_help = "Example:\n  assent admin get-invitation-link-acception-details --operation-id ID")]
    GetInvitationLinkAcceptionDetails(OperationArgument),
    /// Who makes an invitation link to what
    #[command(after_help = "Example:\n  assent admin get-invitation-link-creation-details --operation-id ID")]
    GetInvitationLinkCreationDetails(OperationArgument),
    /// Who makes an invitation link to what invalid
    #[command(after_help = "Example:\n  assent admin get-invitation-link-revocation-details --operation-id ID")]
    GetInvitationLinkRevocationDetails(OperationArgument),
    /// Who kicks whom from what
    #[command(after_help = "Example:\n  assent admin get-kick-details --operation-id ID")]
    GetKickDetails(OperationArgument),
    /// Who shares what with whom
    #[command(after_help = "Example:\n  assent admin get-share-details --operation-id ID --json")]
    GetShareDetails(OperationArgument),
    /// The members of a tresor
    #[command(after_help = "Example:\n  assent admin list-members --tresor-id 0000slpj4r86xbqlg9wmjhug")]
    ListMembers(TresorArgument),
    /// The tenant's tresors
    #[command(
        after_help = "Example:\n  assent admin list-tresors\n  assent admin list-tresors --json --continue-from 0000slpj4r86xbqlg9wmjhug"
    )]
    ListTresors(PageArguments),
    /// Do not let a user join by an invitation link
    #[command(after_help = "Example:\n  assent admin reject-invitation-link-acception --operation-id ID")]
    RejectInvitationLinkAcception(OperationVerdict),
    /// Do not let an invitation link be made
    #[command(after_help = "Example:\n  assent admin reject-invitation-link-creation --operation-id ID")]
    RejectInvitationLinkCreation(OperationVerdict),
    /// Do not let an invitation link be made invalid
    #[command(after_help = "Example:\n  assent admin reject-invitation-link-revocation --operation-id ID")]
    RejectInvitationLinkRevocation(OperationVerdict),
    /// Do not let a member be kicked
    #[command(after_help = "Example:\n  assent admin reject-kick --operation-id ID")]
    RejectKick(OperationVerdict),
    /// Do not let a tresor be shared
    #[command(after_help = "Example:\n  assent admin reject-share --operation-id ID --comment 'not with them'")]
    RejectShare(OperationVerdict),
    /// Do not let a tresor be created
    #[command(after_help = "Example:\n  assent admin reject-tresor-creation --tresor-id 0000slpj4r86xbqlg9wmjhug")]
    RejectTresorCreation(TresorVerdict),
    /// Open a registration session for a new user
    #[command(after_help = "Example:\n  assent admin init-user-registration --show-secrets")]
    InitUserRegistration(RegistrationArguments),
    /// The registered users of the tenant
    #[command(after_help = "Example:\n  assent admin list-users --json")]
    ListUsers,
    /// Let a user log in, or not
    #[command(after_help = "Example:\n  assent admin set-user-status --user-id ID --enable false --yes")]
    SetUserStatus(UserSwitch),
    /// Let a user create tresors, or not
    #[command(after_help = "Example:\n  assent admin set-user-tresor-creation-mode --user-id ID --enable false")]
    SetUserTresorCreationMode(UserSwitch),
    /// Let a user share tresors, or not
    #[command(after_help = "Example:\n  assent admin set-user-tresor-sharing-mode --user-id ID --enable false")]
    SetUserTresorSharingMode(UserSwitch),
    /// Let a registered user in
    #[command(
        after_help = "Example:\n  assent admin validate-user --user-id ID --reg-session-id SESSION --reg-session-verifier @session.txt --reg-validation-verifier @validation.txt"
    )]
    ValidateUser(ValidationArguments),
    /// Delete a file that the tenant serves under /custom/
    #[command(after_help = "Example:\n  assent admin delete-custom-content --file-name styles/login.css --yes")]
    DeleteCustomContent(ContentArgument),
    /// The files that the tenant serves under /custom/
    #[command(after_help = "Example:\n  assent admin list-custom-contents")]
    ListCustomContents,
    /// Upload a file to be served under /custom/, over one of the same name if there is one
    #[command(after_help = "Example:\n  assent admin upload-custom-content --file-name styles/login.css --data ./login.css")]
    UploadCustomContent(UploadArguments),
}

fn operation_id(text: &str) -> Result<OperationId, crate::domain::ids::InvalidId> {
    OperationId::new(text)
}

fn tresor_id(text: &str) -> Result<TresorId, crate::domain::ids::InvalidId> {
    TresorId::new(text)
}

fn user_id(text: &str) -> Result<UserId, crate::domain::ids::InvalidId> {
    UserId::new(text)
}

/// A secret, or `@FILE` for one that stands in a file: what is on the command line can be seen by others.
fn secret(text: &str) -> Result<Secret<String>, String> {
    match text.strip_prefix('@') {
        None => Ok(Secret::new(text.to_owned())),
        Some(path) => {
            let read = std::fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"))?;
            Ok(Secret::new(read.trim().to_owned()))
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OperationArgument {
    /// The pending operation
    #[arg(long, value_name = "ID", value_parser = operation_id)]
    pub(super) operation_id: OperationId,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TresorArgument {
    /// The tresor
    #[arg(long, value_name = "ID", value_parser = tresor_id)]
    pub(super) tresor_id: TresorId,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PageArguments {
    /// How many tresors the platform is asked for at a time
    #[arg(long, visible_alias = "page-size", value_name = "N", default_value_t = MAX_PAGE, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) pagesize: u8,
    /// Begin at this tresor
    #[arg(long, value_name = "ID", value_parser = tresor_id)]
    pub(super) continue_from: Option<TresorId>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UserSwitch {
    /// The user
    #[arg(long, value_name = "ID", value_parser = user_id)]
    pub(super) user_id: UserId,
    /// Whether to allow it
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub(super) enable: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RegistrationArguments {
    /// Print the session and its verifier, which are secrets
    #[arg(long)]
    pub(super) show_secrets: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ContentArgument {
    /// The name with its folders: English letters, digits, `.`, `_`, `-` and `/`
    #[arg(long, visible_alias = "filename", value_name = "NAME", value_parser = ContentName::parse)]
    pub(super) file_name: ContentName,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UploadArguments {
    #[command(flatten)]
    pub(super) content: ContentArgument,
    /// The file to upload
    #[arg(long, value_name = "FILE")]
    pub(super) data: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OperationVerdict {
    #[command(flatten)]
    operation: OperationArgument,
    #[command(flatten)]
    by_hand: ByHandArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LinkCreationVerdict {
    #[command(flatten)]
    operation: OperationArgument,
    /// Shown with the link
    #[arg(long, value_name = "TEXT")]
    additional_info: Option<String>,
    #[command(flatten)]
    by_hand: ByHandArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TresorVerdict {
    #[command(flatten)]
    tresor: TresorArgument,
    #[command(flatten)]
    by_hand: ByHandArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ValidationArguments {
    /// The user
    #[arg(long, value_name = "ID", value_parser = user_id)]
    user_id: UserId,
    /// The registration session
    #[arg(long, value_name = "ID")]
    reg_session_id: String,
    /// The verifier that the client made, or @FILE
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    reg_validation_verifier: Secret<String>,
    /// The session's verifier, or @FILE
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    reg_session_verifier: Secret<String>,
    #[command(flatten)]
    by_hand: ByHandArguments,
}

impl AdminCommand {
    /// The command as a verdict by hand, if it is one.
    pub(super) fn verdict(self) -> Option<ByHandCommand> {
        use Kind::{InvitationLinkAcception, InvitationLinkCreation, InvitationLinkRevocation, Kick, Share};
        use Verdict::{Approve, Reject};
        let on = |kind, verdict, arguments: OperationVerdict| {
            Some(ByHandCommand::new(kind, verdict, arguments.operation.operation_id, arguments.by_hand))
        };
        let creation = |verdict, arguments: TresorVerdict| {
            let id = OperationId::new(arguments.tresor.tresor_id.as_str()).ok()?;
            Some(ByHandCommand::new(Kind::TresorCreation, verdict, id, arguments.by_hand))
        };
        match self {
            AdminCommand::ApproveShare(arguments) => on(Share, Approve, arguments),
            AdminCommand::RejectShare(arguments) => on(Share, Reject, arguments),
            AdminCommand::ApproveKick(arguments) => on(Kick, Approve, arguments),
            AdminCommand::RejectKick(arguments) => on(Kick, Reject, arguments),
            AdminCommand::ApproveInvitationLinkAcception(arguments) => on(InvitationLinkAcception, Approve, arguments),
            AdminCommand::RejectInvitationLinkAcception(arguments) => on(InvitationLinkAcception, Reject, arguments),
            AdminCommand::RejectInvitationLinkCreation(arguments) => on(InvitationLinkCreation, Reject, arguments),
            AdminCommand::ApproveInvitationLinkRevocation(arguments) => on(InvitationLinkRevocation, Approve, arguments),
            AdminCommand::RejectInvitationLinkRevocation(arguments) => on(InvitationLinkRevocation, Reject, arguments),
            AdminCommand::ApproveInvitationLinkCreation(arguments) => {
                let command =
                    ByHandCommand::new(InvitationLinkCreation, Approve, arguments.operation.operation_id, arguments.by_hand);
                Some(ByHandCommand { additional_info: arguments.additional_info, ..command })
            }
            AdminCommand::ApproveTresorCreation(arguments) => creation(Approve, arguments),
            AdminCommand::RejectTresorCreation(arguments) => creation(Reject, arguments),
            AdminCommand::ValidateUser(arguments) => {
                let id = OperationId::new(arguments.user_id.as_str()).ok()?;
                let registration = Registration {
                    session_id: arguments.reg_session_id,
                    session_verifier: arguments.reg_session_verifier,
                    validation_verifier: arguments.reg_validation_verifier,
                };
                let command = ByHandCommand::new(Kind::UserValidation, Approve, id, arguments.by_hand);
                Some(ByHandCommand { registration: Some(registration), ..command })
            }
            _ => None,
        }
    }
}
