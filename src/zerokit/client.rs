//! The client of the admin API: signs, sends, and says exactly what came back.
//!
//! It never retries and never interprets: whether a failure is final is the table's and the flow's business. It never
//! follows a redirect, because the signature covers the path.

use super::address::{AdminKey, ServiceUrl};
use super::error_code::ErrorCode;
use super::signing::{Request, sign};
use super::wire;
use crate::domain::clock::Clock;
use crate::domain::disposition::Disposition;
use crate::domain::ids::{OperationId, TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Details, Registration};
use crate::domain::verdict::Verdict;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// An endpoint by its name in the reference, its verb and its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The name in the reference, such as `ApproveShare`.
    pub name: &'static str,
    /// `GET` or `POST`.
    pub verb: &'static str,
    /// The path below `api/v4/admin/`.
    pub path: &'static str,
}

macro_rules! endpoints {
    ($($constant:ident $name:literal $verb:literal $path:literal,)+) => {
        impl Endpoint {
            $(
                #[doc = concat!("`", $name, "`: `", $verb, " ", $path, "`.")]
                pub const $constant: Endpoint = Endpoint { name: $name, verb: $verb, path: $path };
            )+

            /// Every endpoint that the client speaks.
            pub const ALL: &'static [Endpoint] = &[$(Endpoint::$constant),+];
        }
    };
}

endpoints! {
    APPROVE_LINK_ACCEPTION "ApproveInvitationLinkAcception" "POST" "tresor/approve-invitation-link-acception",
    APPROVE_LINK_CREATION "ApproveInvitationLinkCreation" "POST" "tresor/approve-invitation-link-creation",
    APPROVE_LINK_REVOCATION "ApproveInvitationLinkRevocation" "POST" "tresor/approve-invitation-link-revocation",
    APPROVE_KICK "ApproveKick" "POST" "tresor/approve-kick",
    APPROVE_SHARE "ApproveShare" "POST" "tresor/approve-share",
    APPROVE_TRESOR_CREATION "ApproveTresorCreation" "POST" "tresor/approve-tresor-creation",
    LINK_ACCEPTION_DETAILS "GetInvitationLinkAcceptionDetails" "GET" "tresor/get-invitation-link-acception-details",
    LINK_CREATION_DETAILS "GetInvitationLinkCreationDetails" "GET" "tresor/get-invitation-link-creation-details",
    LINK_REVOCATION_DETAILS "GetInvitationLinkRevocationDetails" "GET" "tresor/get-invitation-link-revocation-details",
    KICK_DETAILS "GetKickDetails" "GET" "tresor/get-kick-details",
    SHARE_DETAILS "GetShareDetails" "GET" "tresor/get-share-details",
    INIT_USER_REGISTRATION "InitUserRegistration" "POST" "user/init-user-registration",
    LIST_MEMBERS "ListMembers" "GET" "tresor/list-members",
    LIST_USERS "ListUsers" "GET" "user/list-users",
    REJECT_LINK_ACCEPTION "RejectInvitationLinkAcception" "POST" "tresor/reject-invitation-link-acception",
    REJECT_LINK_CREATION "RejectInvitationLinkCreation" "POST" "tresor/reject-invitation-link-creation",
    REJECT_LINK_REVOCATION "RejectInvitationLinkRevocation" "POST" "tresor/reject-invitation-link-revocation",
    REJECT_KICK "RejectKick" "POST" "tresor/reject-kick",
    REJECT_SHARE "RejectShare" "POST" "tresor/reject-share",
    REJECT_TRESOR_CREATION "RejectTresorCreation" "POST" "tresor/reject-tresor-creation",
    VALIDATE_USER "ValidateUser" "POST" "user/validate-user-registration",
}

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The platform could not be reached at all.
    #[error("the platform at {address} cannot be reached: {cause}; check `zerokit.service_url` and the network")]
    Unreachable {
        /// The address.
        address: String,
        /// What the network said.
        cause: String,
    },
    /// The connection broke or the time was over; it may have been done.
    #[error("{endpoint} got no answer: {cause}")]
    NoAnswer {
        /// The endpoint.
        endpoint: &'static str,
        /// What happened.
        cause: String,
    },
    /// The answer is not what the reference says; it may have been done.
    #[error("{endpoint} answered HTTP {status} with something that is not the platform's: {cause}")]
    NotThePlatform {
        /// The endpoint.
        endpoint: &'static str,
        /// The status.
        status: u16,
        /// What is wrong with it.
        cause: String,
    },
    /// The platform answered with an error code.
    #[error("{endpoint} answered {code} (HTTP {status}): {}", ErrorCode::parse(code).map_or("not a code of the reference", ErrorCode::message))]
    Refused {
        /// The endpoint.
        endpoint: &'static str,
        /// The status.
        status: u16,
        /// The code, as it stood in the answer. The platform's sentence is left behind: it may quote anything, and a
        /// failure is logged and stored.
        code: String,
    },
}

impl Failure {
    /// The platform's error code, or a name of ours for what has none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Failure::Unreachable { .. } => "Unreachable",
            Failure::NoAnswer { .. } => "NoAnswer",
            Failure::NotThePlatform { .. } => ErrorCode::StandardHttpErrorWrapping.as_str(),
            Failure::Refused { code, .. } => code,
        }
    }

    fn known_code(&self) -> ErrorCode {
        ErrorCode::parse(self.code()).unwrap_or(ErrorCode::StandardHttpErrorWrapping)
    }

    /// What it means when details or lists were read.
    #[must_use]
    pub fn on_read(&self) -> Disposition {
        match self {
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } => Disposition::Transient,
            Failure::NotThePlatform { .. } | Failure::Refused { .. } => self.known_code().on_read(),
        }
    }

    /// What it means when a verdict was sent. Where no connection was made, nothing was done.
    #[must_use]
    pub fn on_verdict(&self) -> Disposition {
        match self {
            Failure::Unreachable { .. } => Disposition::Transient,
            Failure::NoAnswer { .. } => Disposition::Uncertain,
            Failure::NotThePlatform { .. } | Failure::Refused { .. } => self.known_code().on_verdict(),
        }
    }

    /// Whether the platform as a whole seems to be away, rather than this one call being refused.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } => true,
            Failure::NotThePlatform { status, .. } => *status >= 500 || *status == 429,
            // A platform that answers with a code of its own is there; one operation that it chokes on is no outage.
            Failure::Refused { status, .. } => *status == 503,
        }
    }
}

/// A verdict on one operation.
#[derive(Debug, Clone, Copy)]
pub struct VerdictCall<'v> {
    /// The kind.
    pub kind: Kind,
    /// The operation.
    pub operation_id: &'v OperationId,
    /// Approve or reject; an escalation is nobody's verdict yet.
    pub verdict: Verdict,
    /// Only for a validation.
    pub registration: Option<&'v Registration>,
}

/// A client of one tenant.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    service: ServiceUrl,
    key: AdminKey,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with its own connection pool; `timeout` bounds each call from connect to the last byte.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(service: ServiceUrl, key: AdminKey, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .user_agent(concat!("assent/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, service, key, clock })
    }

    /// The tenant's address.
    #[must_use]
    pub const fn service(&self) -> &ServiceUrl {
        &self.service
    }

    /// What the platform says of an operation; for a tresor creation what its member list says.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn details(&self, kind: Kind, id: &OperationId) -> Result<Details, Failure> {
        let endpoint = match kind {
            Kind::Share => {
                let details: wire::ShareDetails = self.get(Endpoint::SHARE_DETAILS, "operationid", id.as_str()).await?;
                return build_details(
                    Endpoint::SHARE_DETAILS,
                    &details.by_user_id,
                    Some(&details.for_user_id),
                    &details.tresor_id,
                    None,
                );
            }
            Kind::TresorCreation => return self.creation_details(id).await,
            Kind::UserValidation => {
                let user = UserId::new(id.as_str()).map_err(|error| malformed(Endpoint::VALIDATE_USER, error))?;
                return Ok(Details { actor: None, subject: Some(user), tresor: None, started_at: None });
            }
            Kind::InvitationLinkCreation => Endpoint::LINK_CREATION_DETAILS,
            Kind::InvitationLinkRevocation => Endpoint::LINK_REVOCATION_DETAILS,
            Kind::InvitationLinkAcception => Endpoint::LINK_ACCEPTION_DETAILS,
            Kind::Kick => Endpoint::KICK_DETAILS,
        };
        if kind.has_subject() {
            let details: wire::MemberDetails = self.get(endpoint, "operationid", id.as_str()).await?;
            build_details(endpoint, &details.by_user_id, Some(&details.for_user_id), &details.tresor_id, Some(&details.timestamp))
        } else {
            let details: wire::LinkDetails = self.get(endpoint, "operationid", id.as_str()).await?;
            build_details(endpoint, &details.by_user_id, None, &details.tresor_id, Some(&details.timestamp))
        }
    }

    /// A tresor that waits for approval has one member: who created it.
    async fn creation_details(&self, id: &OperationId) -> Result<Details, Failure> {
        let tresor = TresorId::new(id.as_str()).map_err(|error| malformed(Endpoint::LIST_MEMBERS, error))?;
        let mut members = self.members(&tresor).await?;
        match (members.pop(), members.is_empty()) {
            (Some(creator), true) => Ok(Details { actor: Some(creator), subject: None, tresor: Some(tresor), started_at: None }),
            _ => Err(malformed(Endpoint::LIST_MEMBERS, "a tresor in creation must have exactly one member")),
        }
    }

    /// The members of a tresor.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn members(&self, tresor: &TresorId) -> Result<Vec<UserId>, Failure> {
        let answer: wire::Members = self.get(Endpoint::LIST_MEMBERS, "tresorid", tresor.as_str()).await?;
        let members = answer.members.into_iter().map(UserId::new).collect::<Result<Vec<_>, _>>();
        members.map_err(|error| malformed(Endpoint::LIST_MEMBERS, error))
    }

    /// All registered users, validated or not.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn users(&self) -> Result<wire::Users, Failure> {
        self.call(Endpoint::LIST_USERS, None, None).await.and_then(|body| decode(Endpoint::LIST_USERS, &body))
    }

    /// Opens a registration session for a new user.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn init_user_registration(&self) -> Result<wire::InitUserRegistrationResponse, Failure> {
        let endpoint = Endpoint::INIT_USER_REGISTRATION;
        self.call(endpoint, None, Some(Vec::new())).await.and_then(|body| decode(endpoint, &body))
    }

    /// Approves or rejects. A success is a 200 whose body, if any, arrived whole.
    ///
    /// # Errors
    /// See [`Failure`]; a verdict that the platform has no call for is `Refused` without one.
    pub async fn send_verdict(&self, call: VerdictCall<'_>) -> Result<(), Failure> {
        let VerdictCall { kind, operation_id, verdict, registration } = call;
        let id = operation_id.as_str().to_owned();
        let endpoint = match (kind, verdict) {
            (_, Verdict::Escalate) | (Kind::UserValidation, Verdict::Reject) => {
                return Err(unsupported(Endpoint::VALIDATE_USER));
            }
            (Kind::Share, Verdict::Approve) => Endpoint::APPROVE_SHARE,
            (Kind::Share, Verdict::Reject) => Endpoint::REJECT_SHARE,
            (Kind::Kick, Verdict::Approve) => Endpoint::APPROVE_KICK,
            (Kind::Kick, Verdict::Reject) => Endpoint::REJECT_KICK,
            (Kind::InvitationLinkCreation, Verdict::Approve) => Endpoint::APPROVE_LINK_CREATION,
            (Kind::InvitationLinkCreation, Verdict::Reject) => Endpoint::REJECT_LINK_CREATION,
            (Kind::InvitationLinkAcception, Verdict::Approve) => Endpoint::APPROVE_LINK_ACCEPTION,
            (Kind::InvitationLinkAcception, Verdict::Reject) => Endpoint::REJECT_LINK_ACCEPTION,
            (Kind::InvitationLinkRevocation, Verdict::Approve) => Endpoint::APPROVE_LINK_REVOCATION,
            (Kind::InvitationLinkRevocation, Verdict::Reject) => Endpoint::REJECT_LINK_REVOCATION,
            (Kind::TresorCreation, Verdict::Approve) => Endpoint::APPROVE_TRESOR_CREATION,
            (Kind::TresorCreation, Verdict::Reject) => Endpoint::REJECT_TRESOR_CREATION,
            (Kind::UserValidation, Verdict::Approve) => Endpoint::VALIDATE_USER,
        };
        let body = match kind {
            Kind::TresorCreation => encode(endpoint, &wire::TresorRequest { tresor_id: id }),
            Kind::UserValidation => {
                let registration = registration.ok_or_else(|| unsupported(endpoint))?;
                let request = wire::ValidateUserRequest {
                    user_id: id,
                    reg_session_id: registration.session_id.clone(),
                    reg_validation_verifier: registration.validation_verifier.expose().clone(),
                    reg_session_verifier: registration.session_verifier.expose().clone(),
                };
                encode(endpoint, &request)
            }
            Kind::InvitationLinkCreation if verdict == Verdict::Approve => {
                encode(endpoint, &wire::ApproveLinkCreationRequest { operation_id: id, additional_info: None })
            }
            _ => encode(endpoint, &wire::OperationRequest { operation_id: id }),
        }?;
        let answer = self.call(endpoint, None, Some(body)).await?;
        // A proxy's page with status 200 is no consent, and an error in a 200 is none either.
        let is_error = |value: &serde_json::Value| value.get("ErrorCode").is_some();
        let sound = answer.is_empty() || serde_json::from_slice(&answer).is_ok_and(|value| !is_error(&value));
        if sound { Ok(()) } else { Err(malformed(endpoint, "a verdict is answered with nothing, and this is something else")) }
    }

    async fn get<T: DeserializeOwned>(&self, endpoint: Endpoint, name: &str, value: &str) -> Result<T, Failure> {
        let body = self.call(endpoint, Some((name, value)), None).await?;
        decode(endpoint, &body)
    }

    async fn call(&self, endpoint: Endpoint, query: Option<(&str, &str)>, body: Option<Vec<u8>>) -> Result<Vec<u8>, Failure> {
        let mut path = self.service.path(endpoint.path);
        if let Some((name, value)) = query {
            path = format!("{path}?{name}={}", percent_encode(value));
        }
        let content_type = body.as_ref().map(|_| "application/json");
        let request = Request { verb: endpoint.verb, path: &path, content_type, body: body.as_deref() };
        let headers = sign(request, &self.service.tenant, &self.key, self.clock.now());
        let method = if endpoint.verb == "POST" { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut builder = self.http.request(method, self.service.url(&path));
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let answer = builder.send().await.map_err(|error| self.no_answer(endpoint, &error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.no_answer(endpoint, &error))?;
        if status == reqwest::StatusCode::OK {
            return Ok(bytes.to_vec());
        }
        match serde_json::from_slice::<wire::ErrorBody>(&bytes) {
            Ok(error) if error.error_code.len() <= 100 && error.error_code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(Failure::Refused { endpoint: endpoint.name, status: status.as_u16(), code: error.error_code })
            }
            _ => Err(Failure::NotThePlatform {
                endpoint: endpoint.name,
                status: status.as_u16(),
                cause: "no error code in it".into(),
            }),
        }
    }

    fn no_answer(&self, endpoint: Endpoint, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        if error.is_connect() {
            return Failure::Unreachable { address: self.service.to_string(), cause: cause.to_string() };
        }
        let cause = if error.is_timeout() { "the time is over".to_owned() } else { cause.to_string() };
        Failure::NoAnswer { endpoint: endpoint.name, cause }
    }
}

fn build_details(
    endpoint: Endpoint,
    by: &str,
    about: Option<&String>,
    tresor: &str,
    timestamp: Option<&String>,
) -> Result<Details, Failure> {
    let user = |id: &str| UserId::new(id).map_err(|error| malformed(endpoint, error));
    Ok(Details {
        actor: Some(user(by)?),
        subject: about.map(|id| user(id)).transpose()?,
        tresor: Some(TresorId::new(tresor).map_err(|error| malformed(endpoint, error))?),
        started_at: timestamp.and_then(|text| text.parse().ok()),
    })
}

fn encode<T: Serialize>(endpoint: Endpoint, request: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(request).map_err(|_| unsupported(endpoint))
}

fn decode<T: DeserializeOwned>(endpoint: Endpoint, body: &[u8]) -> Result<T, Failure> {
    // serde's message can quote the answer, and the answer can hold secrets: only the place is kept.
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "a field is missing or of another type" } else { "it is not JSON" };
        malformed(endpoint, format!("{what} (line {}, column {})", error.line(), error.column()))
    })
}

fn malformed(endpoint: Endpoint, cause: impl ToString) -> Failure {
    Failure::NotThePlatform { endpoint: endpoint.name, status: 200, cause: cause.to_string() }
}

/// A call that cannot even be made; a bug of the caller, which fails the operation.
fn unsupported(endpoint: Endpoint) -> Failure {
    let code = ErrorCode::BadInput;
    Failure::Refused { endpoint: endpoint.name, status: 400, code: code.as_str().to_owned() }
}

/// Everything but the unreserved characters of RFC 3986 is encoded; the result is signed and sent as it is.
fn percent_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
