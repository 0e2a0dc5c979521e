//! What a failed call means for whoever made it, and what they can do.

use crate::cli::Failure;
use crate::domain::disposition::Disposition;
use crate::zerokit::{self, Endpoint, ErrorCode};
use serde_json::json;

/// The failure as the command ends with it: code, sentence, meaning.
pub(super) fn explain(endpoint: Endpoint, failure: &zerokit::Failure) -> Failure {
    let meaning = meaning(endpoint, failure);
    let text = format!("{failure}\n\n{meaning}");
    let status = match failure {
        zerokit::Failure::Refused { status, .. } | zerokit::Failure::NotThePlatform { status, .. } => Some(*status),
        zerokit::Failure::Unreachable { .. } | zerokit::Failure::NoAnswer { .. } => None,
    };
    let json = json!({
        "endpoint": endpoint.name, "code": failure.code(), "http_status": status, "message": failure.to_string(),
        "meaning": meaning,
    });
    match failure {
        zerokit::Failure::Refused { .. } => Failure::no(text),
        _ => Failure::unreachable(text),
    }
    .with_json(json)
}

fn meaning(endpoint: Endpoint, failure: &zerokit::Failure) -> String {
    let is_read = endpoint.verb == "GET";
    let text = match failure {
        zerokit::Failure::Unreachable { .. } => "nothing was sent",
        zerokit::Failure::NoAnswer { .. } | zerokit::Failure::NotThePlatform { .. } if is_read => {
            "nothing is known; try again, and check the address and what stands between"
        }
        zerokit::Failure::NoAnswer { .. } | zerokit::Failure::NotThePlatform { .. } => {
            "it may have been done all the same: look before you try again"
        }
        zerokit::Failure::Refused { .. } => of_code(failure.known_code(), endpoint, is_read),
    };
    match failure.retry_after() {
        Some(wait) => format!("{text}; it asks to be left alone for {} s", wait.as_secs()),
        None => text.to_owned(),
    }
}

fn of_code(code: ErrorCode, endpoint: Endpoint, is_read: bool) -> &'static str {
    let names_operation =
        endpoint.query.contains(&"operationid") || endpoint.request.is_some_and(|name| name.contains("Request"));
    match code {
        ErrorCode::UserNotExists => "there is no such user; one who was only initiated exists once the client has registered",
        ErrorCode::TresorNotExists => "there is no such tresor; check the id",
        ErrorCode::TresorAlreadyDeleted => "the tresor was deleted before; there is nothing left to do",
        ErrorCode::TresorIsNotApproved => "the tresor waits for the approval of its creation; decide that first",
        ErrorCode::TresorIsAlreadyApproved => "the creation was approved before; there is nothing left to decide",
        ErrorCode::InvalidAuthorization => "the platform does not accept the signature: check admin key, tenant and clock",
        ErrorCode::BadInput if names_operation => {
            "there is no such pending operation: check the id; what was decided before is gone, too"
        }
        ErrorCode::BadInput => "the platform cannot make sense of a value: check what was given",
        code => of_disposition(if is_read { code.on_read() } else { code.on_verdict() }, is_read),
    }
}

const fn of_disposition(disposition: Disposition, is_read: bool) -> &'static str {
    match disposition {
        Disposition::Conflict => "another operation on this tresor came first; the client must start again, under a new id",
        Disposition::Transient if is_read => "it may pass; try again",
        Disposition::Transient => "nothing was done; the same may succeed later",
        Disposition::Already => "what was asked for seems to be there already; this call did nothing",
        Disposition::Uncertain => "it may have been done all the same: look before you try again",
        Disposition::Gone => "there is no such thing at the platform any more; check the id",
        Disposition::Denied => "nothing was done, and the same call will be refused again",
        Disposition::Misconfigured => "the platform refuses this access: check address, tenant and admin key",
    }
}
