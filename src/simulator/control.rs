//! `/_simulator`: looks into the emulated platform and drives its clients, so that an integrator can test a backend
//! against it. Unsigned: whoever reaches the simulator may use it. `docs/simulator.md` describes it.

use super::fault::FaultRequest;
use super::server::{Simulator, lock};
use super::world::{Refusal, World};
use crate::domain::diagnostic::nearest;
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
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

async fn add_user(State(simulator): State<Simulator>) -> Done {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    kind: Kind,
    by: Option<UserId>,
    about: Option<UserId>,
    tresor_id: Option<TresorId>,
    link: Option<String>,
}

async fn begin(State(simulator): State<Simulator>, body: Bytes) -> Done {
    let beginning: Beginning = read(&body)?;
    let now = simulator.now();
    let mut world = simulator.world();
    let missing = |name: &str| Wrong::Request(format!("missing field `{name}` for `{}`", beginning.kind));
    let by = beginning.by.as_ref().ok_or_else(|| missing("by"));
    let about = beginning.about.as_ref().ok_or_else(|| missing("about"));
    let tresor = beginning.tresor_id.as_ref().ok_or_else(|| missing("tresor_id"));
    let link = beginning.link.as_deref().ok_or_else(|| missing("link"));
    let world: &mut World = &mut world;
    let answer = match beginning.kind {
        Kind::Share => json!({ "operation_id": world.share(by?, about?, tresor?, now)? }),
        Kind::Kick => json!({ "operation_id": world.kick(by?, about?, tresor?, now)? }),
        Kind::TresorCreation => json!({ "tresor_id": world.create_tresor(by?)? }),
        Kind::InvitationLinkCreation => {
            let (operation, link) = world.create_link(by?, tresor?, now)?;
            json!({ "operation_id": operation, "link": link })
        }
        Kind::InvitationLinkAcception => {
            json!({ "operation_id": world.accept_link(by?, about?, tresor?, link?, now)? })
        }
        Kind::InvitationLinkRevocation => json!({ "operation_id": world.revoke_link(by?, tresor?, link?, now)? }),
        Kind::UserValidation => {
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
