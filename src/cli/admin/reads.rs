//! The commands that only read. Long lists are printed as they arrive.

use super::advice::explain;
use super::commands::{OperationArgument, PageArguments, TresorArgument};
use super::connection::Connection;
use super::output::Screen;
use crate::cli::Failure;
use crate::cli::output::{size, table};
use crate::cli::progress::Progress;
use crate::zerokit::wire::{GetShareDetailsResponse, LinkDetails, ListMembersResponse, MemberDetails};
use crate::zerokit::{self, Endpoint, Items};
use serde::Serialize;
use std::io::{BufWriter, IsTerminal as _, Write};

pub(super) async fn members(connection: &Connection, screen: Screen, arguments: TresorArgument) -> Result<(), Failure> {
    let members = connection.client()?.list_members(&arguments.tresor_id).await;
    let members = members.map_err(|failure| explain(Endpoint::LIST_MEMBERS, &failure))?;
    if screen.json {
        return screen.print_json(&ListMembersResponse { members });
    }
    members.iter().for_each(|member| println!("{member}"));
    println!("{}", counted(members.len() as u64, "member"));
    Ok(())
}

pub(super) async fn share(connection: &Connection, screen: Screen, arguments: OperationArgument) -> Result<(), Failure> {
    let details = connection.client()?.get_share_details(&arguments.operation_id).await;
    let details: GetShareDetailsResponse = details.map_err(|failure| explain(Endpoint::SHARE_DETAILS, &failure))?;
    let lines = [
        ("operation", arguments.operation_id.as_str()),
        ("by", details.by_user_id.as_str()),
        ("for", details.for_user_id.as_str()),
        ("tresor", details.tresor_id.as_str()),
    ];
    screen.entity(&details, &lines)
}

pub(super) fn member_details(
    screen: Screen,
    endpoint: Endpoint,
    arguments: &OperationArgument,
    details: Result<MemberDetails, zerokit::Failure>,
) -> Result<(), Failure> {
    let details = details.map_err(|failure| explain(endpoint, &failure))?;
    let lines = [
        ("operation", arguments.operation_id.as_str()),
        ("by", details.by_user_id.as_str()),
        ("for", details.for_user_id.as_str()),
        ("tresor", details.tresor_id.as_str()),
        ("started", details.timestamp.as_str()),
    ];
    screen.entity(&details, &lines)
}

pub(super) fn link_details(
    screen: Screen,
    endpoint: Endpoint,
    arguments: &OperationArgument,
    details: Result<LinkDetails, zerokit::Failure>,
) -> Result<(), Failure> {
    let details = details.map_err(|failure| explain(endpoint, &failure))?;
    let lines = [
        ("operation", arguments.operation_id.as_str()),
        ("by", details.by_user_id.as_str()),
        ("tresor", details.tresor_id.as_str()),
        ("started", details.timestamp.as_str()),
    ];
    screen.entity(&details, &lines)
}

pub(super) async fn contents(connection: &Connection, screen: Screen) -> Result<(), Failure> {
    let list = connection.client()?.list_custom_contents().await;
    let list = list.map_err(|failure| explain(Endpoint::LIST_CUSTOM_CONTENTS, &failure))?;
    if screen.json {
        return screen.print_json(&list);
    }
    let rows: Vec<_> = list
        .contents
        .iter()
        .map(|file| vec![file.path.clone(), size(file.size), file.content_type.clone(), file.etag.clone(), file.url.clone()])
        .collect();
    table(&["path", "size", "type", "etag", "address"], &rows);
    println!("{}, {}", counted(list.custom_content_count, "file"), size(list.total_used_bytes));
    Ok(())
}

pub(super) async fn tresors(connection: &Connection, screen: Screen, arguments: PageArguments) -> Result<(), Failure> {
    let items = connection.client()?.list_tresors(arguments.pagesize, arguments.continue_from);
    let list = List { endpoint: Endpoint::LIST_TRESORS, field: "Tresors", tail: ",\n  \"NextTresor\": null", thing: "tresor" };
    let mut last = None;
    let listed = list.print(screen, items, |tresor| {
        last = Some(tresor.clone());
        tresor.to_string()
    });
    // What was listed stands on the screen already.
    listed.await.map_err(|failure| match last {
        Some(last) if !failure.message().is_empty() => {
            failure.with_note(&format!("go on with `--continue-from {last}`, the last one listed"))
        }
        _ => failure,
    })
}

pub(super) async fn users(connection: &Connection, screen: Screen) -> Result<(), Failure> {
    let list = List { endpoint: Endpoint::LIST_USERS, field: "Users", tail: "", thing: "user" };
    let users = connection.client()?.list_users();
    list.print(screen, users, |user| format!("{:<11}  {}", user.user_registration_state.to_lowercase(), user.user_id)).await
}

/// A list that may be long.
struct List {
    endpoint: Endpoint,
    /// Where it stands in the platform's entity.
    field: &'static str,
    /// What follows it there.
    tail: &'static str,
    thing: &'static str,
}

impl List {
    async fn print<T: Serialize>(
        &self,
        screen: Screen,
        mut items: Items<T>,
        mut line: impl FnMut(&T) -> String,
    ) -> Result<(), Failure> {
        let broken = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::broken_pipe(),
            _ => Failure::input(format!("the list cannot be written: {error}")),
        };
        // Lines that scroll by are progress enough.
        let progress = (!std::io::stdout().is_terminal()).then(|| Progress::of("listing"));
        let mut out = BufWriter::new(std::io::stdout());
        let mut count: u64 = 0;
        while let Some(item) = items.next().await {
            let item = match item {
                Ok(item) => item,
                Err(failure) => {
                    out.flush().map_err(broken)?;
                    return Err(explain(self.endpoint, &failure));
                }
            };
            if screen.json {
                let opening = if count == 0 { format!("{{\n  \"{}\": [\n    ", self.field) } else { ",\n    ".to_owned() };
                let text = serde_json::to_string(&item).map_err(|error| Failure::input(error.to_string()))?;
                write!(out, "{opening}{text}").map_err(broken)?;
            } else {
                writeln!(out, "{}", line(&item)).map_err(broken)?;
            }
            count += 1;
            if let Some(progress) = &progress {
                progress.count(count, &format!("{}s", self.thing));
            }
        }
        drop(progress);
        match (screen.json, count) {
            (true, 0) => writeln!(out, "{{\n  \"{}\": []{}\n}}", self.field, self.tail),
            (true, _) => writeln!(out, "\n  ]{}\n}}", self.tail),
            (false, _) => writeln!(out, "{}", counted(count, self.thing)),
        }
        .and_then(|()| out.flush())
        .map_err(broken)
    }
}

fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
