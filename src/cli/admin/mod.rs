//! `assent admin`: the platform's admin API by hand, one command an endpoint, grouped as the reference groups them.
//!
//! The flags are the reference's parameter and field names in kebab-case. A verdict by hand takes the lane and is
//! recorded, like the daemon's own.

mod advice;
mod changes;
mod commands;
mod connection;
mod output;
mod reads;
mod verdict;

pub(super) use commands::AdminCommand;

use super::Failure;
use crate::zerokit::{Endpoint, Group};
use clap::{Args, Command};
use connection::ConnectionArguments;
use std::fmt::Write as _;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: AdminCommand,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// How to answer.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "The answer")]
struct OutputArguments {
    /// Print the platform's entities as JSON, under the names of the reference
    #[arg(long, global = true)]
    json: bool,
    /// Do not ask before what cannot be undone
    #[arg(long, short = 'y', global = true)]
    yes: bool,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    super::output::start_logging("warn");
    let screen = output::Screen { json: options.output.json };
    let done = Box::pin(perform(options, screen)).await;
    // Programs that asked for JSON get their errors as JSON, too.
    done.map_err(|failure| if screen.json { failure.as_json() } else { failure })
}

async fn perform(options: Options, screen: output::Screen) -> Result<(), Failure> {
    let connection = options.connection.resolve()?;
    let yes = options.output.yes;
    match options.command {
        AdminCommand::ListTresors(arguments) => reads::tresors(&connection, screen, arguments).await,
        AdminCommand::ListUsers => reads::users(&connection, screen).await,
        AdminCommand::ListMembers(arguments) => reads::members(&connection, screen, arguments).await,
        AdminCommand::ListCustomContents => reads::contents(&connection, screen).await,
        AdminCommand::GetShareDetails(arguments) => reads::share(&connection, screen, arguments).await,
        AdminCommand::GetKickDetails(arguments) => {
            let details = connection.client()?.get_kick_details(&arguments.operation_id).await;
            reads::member_details(screen, Endpoint::KICK_DETAILS, &arguments, details)
        }
        AdminCommand::GetInvitationLinkAcceptionDetails(arguments) => {
            let details = connection.client()?.get_invitation_link_acception_details(&arguments.operation_id).await;
            reads::member_details(screen, Endpoint::LINK_ACCEPTION_DETAILS, &arguments, details)
        }
        AdminCommand::GetInvitationLinkCreationDetails(arguments) => {
            let details = connection.client()?.get_invitation_link_creation_details(&arguments.operation_id).await;
            reads::link_details(screen, Endpoint::LINK_CREATION_DETAILS, &arguments, details)
        }
        AdminCommand::GetInvitationLinkRevocationDetails(arguments) => {
            let details = connection.client()?.get_invitation_link_revocation_details(&arguments.operation_id).await;
            reads::link_details(screen, Endpoint::LINK_REVOCATION_DETAILS, &arguments, details)
        }
        AdminCommand::DeleteTresor(arguments) => changes::delete_tresor(&connection, screen, arguments, yes).await,
        AdminCommand::InitUserRegistration(arguments) => changes::init_registration(&connection, screen, arguments).await,
        AdminCommand::SetUserStatus(arguments) => changes::set_status(&connection, screen, arguments, yes).await,
        AdminCommand::SetUserTresorCreationMode(arguments) => changes::set_creation(&connection, screen, arguments).await,
        AdminCommand::SetUserTresorSharingMode(arguments) => changes::set_sharing(&connection, screen, arguments).await,
        AdminCommand::UploadCustomContent(arguments) => changes::upload(&connection, screen, arguments).await,
        AdminCommand::DeleteCustomContent(arguments) => changes::delete_content(&connection, screen, arguments, yes).await,
        // All that are left are verdicts.
        command => match command.verdict() {
            Some(verdict) => verdict::run(&connection, screen, verdict).await,
            None => Err(Failure::input("this command has no call")),
        },
    }
}

/// The help of `assent admin`, with the commands in the groups of the reference.
pub(super) fn grouped(arguments: Command) -> Command {
    const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}";
    arguments.mut_subcommand("admin", |admin| {
        let width = admin.get_subcommands().map(|command| command.get_name().len()).max().unwrap_or(0);
        let mut text = String::new();
        for group in Group::ALL {
            let title = match group {
                Group::Tresor => "Tresors and their operations",
                Group::User => "Users",
                Group::Tenant => "The tenant's custom contents",
            };
            let _ = write!(text, "\n{title}:");
            for command in admin.get_subcommands().filter(|command| group_of(command.get_name()) == Some(group)) {
                let about = command.get_about().map(ToString::to_string).unwrap_or_default();
                let _ = write!(text, "\n  {:<width$}  {about}", command.get_name());
            }
            text.push('\n');
        }
        text.push_str(
            "\nExample:\n  assent admin list-members --tresor-id 0000slpj4r86xbqlg9wmjhug\n  \
             assent admin list-users --json --service-url https://tenant1234.api.tresorit.io --admin-key-file admin.key",
        );
        // They stand in their groups already.
        let admin = admin.mut_subcommands(|command| command.hide(true)).disable_help_subcommand(true);
        let admin = admin.override_usage("assent admin [OPTIONS] <ENDPOINT>");
        admin.help_template(TEMPLATE).after_help(text.trim_start().to_owned())
    })
}

fn group_of(command: &str) -> Option<Group> {
    Endpoint::ALL.iter().find(|endpoint| kebab(endpoint.name) == command).map(|endpoint| endpoint.group)
}

/// An endpoint's name as a command: `ApproveShare` is `approve-share`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
