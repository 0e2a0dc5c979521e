//! Verdicts by hand. With a database they go the way of every operation: lane, record, limits, reconciliation. Without
//! one they are sent as they are, and only if the operator says so.

use super::advice::explain;
use super::connection::Connection;
use super::output::Screen;
use crate::cli::daemon::{check_file, check_key, engine, reach};
use crate::cli::{ConfigArgument, Failure, config, ops};
use crate::domain::ids::OperationId;
use crate::domain::kind::Kind;
use crate::domain::operation::{OperationKey, Registration};
use crate::domain::verdict::{Outcome, Verdict};
use crate::engine::{HandError, start_policy};
use crate::flow::State;
use crate::store::{self, ByHand, HandRole, OperationView};
use crate::zerokit::{Endpoint, ErrorCode, VerdictCall};
use clap::Args;
use std::time::Duration;

/// How long the operator is kept waiting for a busy lane.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who decides in the policy's place, and why.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The record")]
pub(in crate::cli) struct ByHandArguments {
    /// Who decides, for the record; by default who is logged in here
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Send the verdict although no database is there to record it
    #[arg(long)]
    unrecorded: bool,
}

/// What an operator wants.
pub(in crate::cli) struct ByHandCommand {
    pub(super) kind: Kind,
    pub(super) verdict: Verdict,
    pub(super) id: OperationId,
    pub(super) additional_info: Option<String>,
    pub(super) registration: Option<Registration>,
    pub(super) by_hand: ByHandArguments,
}

impl ByHandCommand {
    pub(super) const fn new(kind: Kind, verdict: Verdict, id: OperationId, by_hand: ByHandArguments) -> Self {
        Self { kind, verdict, id, additional_info: None, registration: None, by_hand }
    }
}

pub(super) async fn run(connection: &Connection, screen: Screen, command: ByHandCommand) -> Result<(), Failure> {
    match (&connection.config, connection.records()) {
        (Some(config), true) if !command.by_hand.unrecorded => recorded(config, screen, command).await,
        (_, true) => {
            let message = "a database is configured, so this verdict is recorded there; leave out `--unrecorded`";
            Err(Failure::input(message))
        }
        // The validation of a user is the platform's own step of a registration, and no approve or reject.
        (_, false) if command.by_hand.unrecorded || command.kind == Kind::UserValidation => {
            unrecorded(connection, screen, command).await
        }
        (_, false) => {
            let message = "no database is configured, so nothing would be recorded and no lane taken; configure one, or add `--unrecorded` to send the verdict all the same";
            Err(Failure::input(message))
        }
    }
}

async fn unrecorded(connection: &Connection, screen: Screen, command: ByHandCommand) -> Result<(), Failure> {
    let call = VerdictCall {
        kind: command.kind,
        operation_id: &command.id,
        verdict: command.verdict,
        registration: command.registration.as_ref(),
        additional_info: command.additional_info.as_deref(),
    };
    let endpoint = Endpoint::of_verdict(command.kind, command.verdict)
        .ok_or_else(|| Failure::input("the platform has no call for this verdict"))?;
    connection.client()?.send_verdict(call).await.map_err(|failure| explain(endpoint, &failure))?;
    let done = if command.verdict == Verdict::Approve { "approved" } else { "rejected" };
    screen.done(endpoint.name, &format!("{} {} is {done}; nothing was recorded", command.kind, command.id))
}

async fn recorded(config: &ConfigArgument, screen: Screen, command: ByHandCommand) -> Result<(), Failure> {
    let mut config = config::read(&config.config)?;
    let operator = ops::operator(command.by_hand.operator)?;
    check_file(&config.database_url)?;
    let store = store::open(&config.database_url, 4).await?;
    // As for the daemon: a file migrates itself, a server is migrated by whoever runs it.
    if config.database_url.starts_with("sqlite://") {
        store.migrate().await?;
    }
    store.check_schema().await?;
    config.encryption = check_key(store.as_ref(), &config.encryption, true).await?;
    let policy = start_policy(&config.policies, config.require_tests, store.as_ref()).await?;
    let (clock, platform) = reach(&config, Some(store.as_ref())).await?;
    let engine = engine(&config, store, policy, clock, platform)?;
    let by_hand = ByHand {
        verdict: command.verdict,
        role: HandRole::Operator,
        operator,
        comment: command.by_hand.comment,
        additional_info: command.additional_info,
    };
    let key = OperationKey { kind: command.kind, operation_id: command.id };
    let view = engine.decide_by_hand(key, by_hand, command.registration, PATIENCE).await.map_err(|error| match error {
        HandError::InTheWay(_) => Failure::no(error.to_string()),
        HandError::Seal => Failure::input(error.to_string()),
        HandError::Store(error) => error.into(),
    })?;
    show(screen, command.verdict, &view)
}

fn show(screen: Screen, verdict: Verdict, view: &OperationView) -> Result<(), Failure> {
    if screen.json {
        screen.print_json(view)?;
    } else {
        let reason = view.decision.as_ref().map(|decision| decision.reason.clone()).unwrap_or_default();
        let outcome = view.outcome.as_ref().map(|outcome| {
            let code = outcome.error_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!("{}{code}", outcome.outcome.as_str())
        });
        let operation = format!("{} {}", view.kind, view.operation_id);
        let (record, state) = (view.id.to_string(), view.state.to_string());
        let mut lines = vec![("operation", operation.as_str()), ("record", &record), ("state", &state)];
        if view.decision.is_some() {
            lines.push(("reason", &reason));
        }
        let outcome = outcome.unwrap_or_default();
        if view.outcome.is_some() {
            lines.push(("outcome", &outcome));
        }
        screen.entity(&(), &lines)?;
    }
    let wanted = State::of(Outcome::Applied, Some(verdict));
    if view.state == wanted { Ok(()) } else { Err(Failure::no(what_now(view))) }
}

fn what_now(view: &OperationView) -> String {
    let code = view.outcome.as_ref().and_then(|outcome| outcome.error_code.as_deref());
    let sentence = code.and_then(ErrorCode::parse).map(|code| format!(": {}", code.message())).unwrap_or_default();
    match view.state {
        State::Superseded => {
            format!("another operation on this tresor came first{sentence}; the client must start again, under a new id")
        }
        State::Failed => format!("the verdict did not take effect{sentence}"),
        State::Unknown => "what became of the verdict cannot be established; look at the platform".to_owned(),
        _ => "the verdict stands and waits for its lane; a running daemon carries it out".to_owned(),
    }
}
