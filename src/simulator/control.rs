//! `/_simulator`: looks into the emulated platform and drives its clients, so that an integrator can test a backend
//! against it. Unsigned: whoever reaches the simulator may use it. `docs/simulator.md` describes it.

use super::fault::FaultRequest;
use super::platform::{Simulator, lock};
use super::world::Refusal;
use crate::domain::diagnostic::nearest;
use crate::domain::ids::{TresorId, UserId};
use crate::zerokit::{Endpoint, ErrorCode};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Why something was not done.
enum Wrong {
    /// The request itself.
    Request(String),
    /// The platform's SDK would have refused.
    Refused(Refusal),
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Wrong::Refused(refusal)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        match self {
            Wrong::Request(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
            Wrong::Refused(code) => super::answer::refuse(code),
        }
    }
}

type Done = Result<Json<Value>, Wrong>;

pub(super) fn router<S: Clone + Send + Sync + 'static>(simulator: Simulator) -> Router<S> {
    let acts = "state, calls, users, registrations, tresors, operations, faults, settings, reset";
    Router::new()
        .route("/state", get(state))
        .route("/calls", get(calls))
        .route("/users", post(add_user))
        .route("/registrations", post(register))
        .route("/tresors", post(add_tresor))
        .route("/operations", post(begin))
        .route("/faults", post(plan))
        .route("/settings", post(set))
        .route("/reset", post(reset))
        .fallback(move || async move {
            (StatusCode::NOT_FOUND, Json(json!({ "error": format!("there is nothing here; see {acts}") })))
        })
        .with_state(simulator)
}

/// An empty body is an empty object; what is unknown or missing is named.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Wrong> {
    let text = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(text).map_err(|error| Wrong::Request(error.to_string()))
}

async fn state(State(simulator): State<Simulator>) -> Json<Value> {
    let mut picture = simulator.world().picture();
    let contents = lock(&simulator.shared.contents).list("");
    if let Some(map) = picture.as_object_mut() {
        map.insert("contents".to_owned(), json!(contents.contents));
    }
    Json(picture)
}

async fn calls(State(simulator): State<Simulator>) -> Json<Value> {
    Json(json!({ "calls": *lock(&simulator.shared.calls) }))
}

/// Nothing can be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn add_user(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let Nothing {} = read(&body)?;
    let user = simulator.world().add_user()?;
    Ok(Json(json!({ "user_id": user })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registering {
    user_id: UserId,
}

async fn register(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let Registering { user_id } = read(&body)?;
    let verifier = simulator.world().register(&user_id)?;
    Ok(Json(json!({ "user_id": user_id, "validation_verifier": verifier })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTresor {
    by: UserId,
    #[serde(default)]
    members: Vec<UserId>,
}

async fn add_tresor(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let NewTresor { by, members } = read(&body)?;
    let mut world = simulator.world();
    let tresor = world.create_tresor(&by)?;
    world.approve_creation(&tresor)?;
    for member in &members {
        world.add_member(&tresor, member)?;
    }
    Ok(Json(json!({ "tresor_id": tresor })))
}

/// What a browser begins.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Beginning {
    Share { by: UserId, about: UserId, tresor_id: TresorId },
    Kick { by: UserId, about: UserId, tresor_id: TresorId },
    TresorCreation { by: UserId },
    InvitationLinkCreation { by: UserId, tresor_id: TresorId },
    InvitationLinkAcception { about: UserId, tresor_id: TresorId, link: String },
    InvitationLinkRevocation { by: UserId, tresor_id: TresorId, link: String },
    UserValidation {},
}

async fn begin(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let beginning: Beginning = read(&body)?;
    let now = simulator.now();
    let mut world = simulator.world();
    let operation = |id: String| json!({ "operation_id": id });
    let answer = match beginning {
        Beginning::Share { by, about, tresor_id } => operation(world.share(&by, &about, &tresor_id, now)?),
        Beginning::Kick { by, about, tresor_id } => operation(world.kick(&by, &about, &tresor_id, now)?),
        Beginning::TresorCreation { by } => json!({ "tresor_id": world.create_tresor(&by)? }),
        Beginning::InvitationLinkCreation { by, tresor_id } => {
            let (id, link) = world.create_link(&by, &tresor_id, now)?;
            json!({ "operation_id": id, "link": link })
        }
        Beginning::InvitationLinkAcception { about, tresor_id, link } => {
            let maker = world.link_maker(&tresor_id, &link)?;
            operation(world.accept_link(&maker, &about, &tresor_id, &link, now)?)
        }
        Beginning::InvitationLinkRevocation { by, tresor_id, link } => operation(world.revoke_link(&by, &tresor_id, &link, now)?),
        Beginning::UserValidation {} => {
            let (user, registration) = world.begin_registration()?;
            json!({ "user_id": user, "registration": registration })
        }
    };
    Ok(Json(answer))
}

async fn plan(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let (name, fault, count) = read::<FaultRequest>(&body)?.read().map_err(Wrong::Request)?;
    let Some(endpoint) = Endpoint::ALL.iter().find(|endpoint| endpoint.name == name) else {
        let near = nearest(&name, Endpoint::ALL.iter().map(|endpoint| endpoint.name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(Wrong::Request(format!("`endpoint` names no endpoint: `{name}`{hint}")));
    };
    simulator.plan_fault(*endpoint, fault, count);
    Ok(Json(json!({ "endpoint": endpoint.name, "count": count })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    invalidates: Option<bool>,
    unknown_operation: Option<String>,
}

async fn set(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let settings: Settings = read(&body)?;
    let unknown = settings.unknown_operation.map(|code| {
        ErrorCode::parse(&code).ok_or_else(|| Wrong::Request(format!("`unknown_operation` names no error code: `{code}`")))
    });
    let unknown = unknown.transpose()?;
    let mut world = simulator.world();
    world.invalidates = settings.invalidates.unwrap_or(world.invalidates);
    world.unknown_operation = unknown.unwrap_or(world.unknown_operation);
    Ok(Json(json!({ "invalidates": world.invalidates, "unknown_operation": world.unknown_operation.as_str() })))
}

async fn reset(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear();
    Json(json!({}))
}
