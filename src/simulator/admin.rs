//! The 29 endpoints of the emulated platform: a request's query and body in, the platform's answer out.

use super::answer::{done, json};
use super::contents::{self, Contents, Received};
use super::world::{Refusal, Setting, World};
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::zerokit::{ContentName, Endpoint, ErrorCode, MAX_PAGE, wire};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What came with a call.
pub(super) enum Payload {
    /// A body that is held in memory.
    Bytes(Vec<u8>),
    /// A body that was written to a file.
    File(Received),
}

/// One call that was let in.
pub(super) struct Call<'c> {
    pub(super) endpoint: Endpoint,
    pub(super) uri: &'c Uri,
    /// The address that `/custom/` follows.
    pub(super) base: &'c str,
}

impl Call<'_> {
    /// Does it.
    pub(super) fn perform(&self, world: &mut World, contents: &mut Contents, payload: Payload) -> Result<Response, Refusal> {
        let operation = || query(self.uri, "operationid");
        let body = match (&payload, self.endpoint) {
            (Payload::Bytes(bytes), _) => bytes.as_slice(),
            (Payload::File(_), _) => &[],
        };
        let tresor = || read::<wire::TresorRequest>(body).map(|request| request.tresor_id);
        match self.endpoint {
            Endpoint::SHARE_DETAILS => json(&world.share_details(&operation()?)?),
            Endpoint::KICK_DETAILS => json(&world.member_details(Kind::Kick, &operation()?)?),
            Endpoint::LINK_ACCEPTION_DETAILS => json(&world.member_details(Kind::InvitationLinkAcception, &operation()?)?),
            Endpoint::LINK_CREATION_DETAILS => json(&world.link_details(Kind::InvitationLinkCreation, &operation()?)?),
            Endpoint::LINK_REVOCATION_DETAILS => json(&world.link_details(Kind::InvitationLinkRevocation, &operation()?)?),
            Endpoint::LIST_MEMBERS => {
                json(&wire::ListMembersResponse { members: world.members(&tresor_id(&query(self.uri, "tresorid")?)?)? })
            }
            Endpoint::LIST_TRESORS => json(&self.list_tresors(world)?),
            Endpoint::DELETE_TRESOR => world.delete_tresor(&tresor()?).map(|()| done()),
            Endpoint::LIST_USERS => json(&world.list_users()),
            Endpoint::INIT_USER_REGISTRATION => json(&world.init_registration()?),
            Endpoint::VALIDATE_USER => world.validate(&read(body)?).map(|()| done()),
            Endpoint::SET_USER_STATUS => set(world, Setting::Enabled, body),
            Endpoint::SET_USER_TRESOR_CREATION_MODE => set(world, Setting::MayCreateTresors, body),
            Endpoint::SET_USER_TRESOR_SHARING_MODE => set(world, Setting::MayShareTresors, body),
            Endpoint::APPROVE_TRESOR_CREATION => world.decide_creation(&tresor()?, Verdict::Approve).map(|()| done()),
            Endpoint::REJECT_TRESOR_CREATION => world.decide_creation(&tresor()?, Verdict::Reject).map(|()| done()),
            Endpoint::LIST_CUSTOM_CONTENTS => json(&contents.list(self.base)),
            Endpoint::DELETE_CUSTOM_CONTENT => {
                contents.delete(self.content_name()?.as_str());
                Ok(done())
            }
            Endpoint::UPLOAD_CUSTOM_CONTENT => {
                let (name, Payload::File(received)) = (self.content_name()?, payload) else { return Err(ErrorCode::BadInput) };
                let content = contents.keep(&name, received);
                json(&contents::describe(self.base, name.as_str(), &content))
            }
            Endpoint::APPROVE_LINK_CREATION => {
                let request: wire::ApproveCreateInvitationLinkRequest = read(body)?;
                let kind = Kind::InvitationLinkCreation;
                world.approve(kind, &request.operation_id, request.additional_info).map(|()| done())
            }
            endpoint => {
                let (kind, verdict) = verdict(endpoint).ok_or(ErrorCode::TheseArentTheDroidsYouAreLookingFor)?;
                let id = read::<wire::OperationRequest>(body)?.operation_id;
                let decided = match verdict {
                    Verdict::Approve => world.approve(kind, &id, None),
                    _ => world.reject(kind, &id),
                };
                decided.map(|()| done())
            }
        }
    }

    fn list_tresors(&self, world: &World) -> Result<wire::ListTresorsResponse, Refusal> {
        let size = match query(self.uri, "pagesize") {
            Ok(size) => size.parse().ok().filter(|size| (1..=usize::from(MAX_PAGE)).contains(size)).ok_or(ErrorCode::BadInput)?,
            Err(_) => usize::from(MAX_PAGE),
        };
        let from = query(self.uri, "continuefrom").ok().filter(|from| !from.is_empty());
        let from = from.map(|from| tresor_id(&from)).transpose()?;
        Ok(world.list_tresors(size, from.as_ref()))
    }

    fn content_name(&self) -> Result<ContentName, Refusal> {
        ContentName::parse(&query(self.uri, "filename")?).map_err(|_| ErrorCode::BadInput)
    }
}

/// Public clients leave `Enable` out or misspell it, and expect to hear of the user first.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LenientSetting {
    user_id: UserId,
    #[serde(default)]
    enable: bool,
}

fn set(world: &mut World, setting: Setting, body: &[u8]) -> Result<Response, Refusal> {
    let request: LenientSetting = read(body)?;
    world.set(setting, &request.user_id, request.enable).map(|()| done())
}

fn verdict(endpoint: Endpoint) -> Option<(Kind, Verdict)> {
    Some(match endpoint {
        Endpoint::APPROVE_SHARE => (Kind::Share, Verdict::Approve),
        Endpoint::REJECT_SHARE => (Kind::Share, Verdict::Reject),
        Endpoint::APPROVE_KICK => (Kind::Kick, Verdict::Approve),
        Endpoint::REJECT_KICK => (Kind::Kick, Verdict::Reject),
        Endpoint::REJECT_LINK_CREATION => (Kind::InvitationLinkCreation, Verdict::Reject),
        Endpoint::APPROVE_LINK_ACCEPTION => (Kind::InvitationLinkAcception, Verdict::Approve),
        Endpoint::REJECT_LINK_ACCEPTION => (Kind::InvitationLinkAcception, Verdict::Reject),
        Endpoint::APPROVE_LINK_REVOCATION => (Kind::InvitationLinkRevocation, Verdict::Approve),
        Endpoint::REJECT_LINK_REVOCATION => (Kind::InvitationLinkRevocation, Verdict::Reject),
        _ => return None,
    })
}

fn tresor_id(text: &str) -> Result<TresorId, Refusal> {
    TresorId::new(text).map_err(|_| ErrorCode::BadInput)
}

/// A query parameter; names are matched without regard to case.
fn query(uri: &Uri, name: &str) -> Result<String, Refusal> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    percent_decode(values.next().ok_or(ErrorCode::BadInput)?).ok_or(ErrorCode::BadInput)
}

pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| ErrorCode::BadInput)
}
