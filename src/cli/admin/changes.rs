//! The commands that change something and are no verdicts.

use super::advice::explain;
use super::commands::{ContentArgument, RegistrationArguments, TresorArgument, UploadArguments, UserSwitch};
use super::connection::Connection;
use super::output::{Screen, confirm};
use crate::cli::Failure;
use crate::cli::output::size;
use crate::cli::progress::Progress;
use crate::zerokit::{Endpoint, Upload};
use serde_json::{Value, json};
use std::sync::Arc;

const HIDDEN: &str = "(hidden; --show-secrets prints it)";

pub(super) async fn delete_tresor(
    connection: &Connection,
    screen: Screen,
    TresorArgument { tresor_id }: TresorArgument,
    yes: bool,
) -> Result<(), Failure> {
    let client = connection.client()?;
    confirm(&format!("tresor {tresor_id} and all that is in it will be gone for good"), yes)?;
    let endpoint = Endpoint::DELETE_TRESOR;
    client.delete_tresor(&tresor_id).await.map_err(|failure| explain(endpoint, &failure))?;
    screen.done(endpoint.name, &format!("tresor {tresor_id} is deleted"))
}

pub(super) async fn init_registration(
    connection: &Connection,
    screen: Screen,
    RegistrationArguments { show_secrets }: RegistrationArguments,
) -> Result<(), Failure> {
    let endpoint = Endpoint::INIT_USER_REGISTRATION;
    let begun = connection.client()?.init_user_registration().await.map_err(|failure| explain(endpoint, &failure))?;
    if screen.json {
        let public = json!({ "UserId": begun.user_id });
        let entity = if show_secrets { serde_json::to_value(&begun).unwrap_or(Value::Null) } else { public };
        return screen.print_json(&entity);
    }
    let [session, verifier] =
        if show_secrets { [begun.reg_session_id.as_str(), begun.reg_session_verifier.as_str()] } else { [HIDDEN, HIDDEN] };
    screen.entity(&(), &[("user", begun.user_id.as_str()), ("session", session), ("session verifier", verifier)])
}

pub(super) async fn set_status(
    connection: &Connection,
    screen: Screen,
    UserSwitch { user_id, enable }: UserSwitch,
    yes: bool,
) -> Result<(), Failure> {
    let client = connection.client()?;
    if !enable {
        confirm(&format!("user {user_id} will not be able to log in"), yes)?;
    }
    let endpoint = Endpoint::SET_USER_STATUS;
    client.set_user_status(&user_id, enable).await.map_err(|failure| explain(endpoint, &failure))?;
    screen.done(endpoint.name, &format!("user {user_id} may {}log in", not_unless(enable)))
}

pub(super) async fn set_creation(
    connection: &Connection,
    screen: Screen,
    UserSwitch { user_id, enable }: UserSwitch,
) -> Result<(), Failure> {
    let endpoint = Endpoint::SET_USER_TRESOR_CREATION_MODE;
    let set = connection.client()?.set_user_tresor_creation_mode(&user_id, enable).await;
    set.map_err(|failure| explain(endpoint, &failure))?;
    screen.done(endpoint.name, &format!("user {user_id} may {}create tresors", not_unless(enable)))
}

pub(super) async fn set_sharing(
    connection: &Connection,
    screen: Screen,
    UserSwitch { user_id, enable }: UserSwitch,
) -> Result<(), Failure> {
    let endpoint = Endpoint::SET_USER_TRESOR_SHARING_MODE;
    let set = connection.client()?.set_user_tresor_sharing_mode(&user_id, enable).await;
    set.map_err(|failure| explain(endpoint, &failure))?;
    screen.done(endpoint.name, &format!("user {user_id} may {}share tresors", not_unless(enable)))
}

const fn not_unless(enable: bool) -> &'static str {
    if enable { "" } else { "not " }
}

pub(super) async fn upload(
    connection: &Connection,
    screen: Screen,
    UploadArguments { content, data }: UploadArguments,
) -> Result<(), Failure> {
    let client = connection.client()?;
    let progress = Arc::new(Progress::of("uploading"));
    let shown = Arc::clone(&progress);
    let on_progress = Arc::new(move |done, total| shown.bytes(done, total));
    let upload = Upload::of(&data, on_progress).await.map_err(|error| Failure::input(error.to_string()))?;
    let endpoint = Endpoint::UPLOAD_CUSTOM_CONTENT;
    let uploaded = client.upload_custom_content(&content.file_name, &upload).await;
    drop((upload, progress));
    let file = uploaded.map_err(|failure| explain(endpoint, &failure))?;
    let lines = [
        ("path", file.path.as_str()),
        ("size", &size(file.size)),
        ("type", file.content_type.as_str()),
        ("etag", file.etag.as_str()),
        ("address", file.url.as_str()),
    ];
    screen.entity(&file, &lines)
}

pub(super) async fn delete_content(
    connection: &Connection,
    screen: Screen,
    ContentArgument { file_name }: ContentArgument,
    yes: bool,
) -> Result<(), Failure> {
    let client = connection.client()?;
    confirm(&format!("file {file_name} will be gone for good"), yes)?;
    let endpoint = Endpoint::DELETE_CUSTOM_CONTENT;
    client.delete_custom_content(&file_name).await.map_err(|failure| explain(endpoint, &failure))?;
    screen.done(endpoint.name, &format!("file {file_name} is deleted, or was not there"))
}
