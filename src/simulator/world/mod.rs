//! What the emulated platform knows: users, tresors, pending operations, and every effect that ever happened.
//!
//! Synchronous and without I/O. `browser` is what clients do, `backend` what the admin API asks, `picture` how it looks
//! from outside. Approving an operation moves its tresor's version, and whatever was built against an older one is lost,
//! unless invalidation is switched off.

mod backend;
mod browser;
mod picture;

pub(super) use backend::Setting;

use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::zerokit::ErrorCode;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why the platform refuses.
pub type Refusal = ErrorCode;

/// Something that happened for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The kind of the operation.
    pub kind: Kind,
    /// The operation; for a tresor creation the tresor, for a validation the user.
    pub operation_id: String,
    /// What was done.
    pub verdict: Verdict,
    /// What came with the approval of an invitation link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_info: Option<String>,
}

#[derive(Debug)]
struct User {
    session_id: String,
    session_verifier: String,
    /// Made by the client when it registers; until then the user does not exist.
    validation_verifier: Option<String>,
    validated: bool,
    enabled: bool,
    may_create_tresors: bool,
    may_share_tresors: bool,
}

#[derive(Debug, Default)]
struct Tresor {
    approved: bool,
    deleted: bool,
    members: Vec<UserId>,
    /// The most members that approvals ever made of it.
    most_members: usize,
    version: u64,
    /// Who made each.
    links: BTreeMap<String, UserId>,
}

#[derive(Debug, Clone)]
struct Operation {
    kind: Kind,
    by: UserId,
    about: Option<UserId>,
    tresor: TresorId,
    built_on: u64,
    started_at: Timestamp,
    link: Option<String>,
}

/// The platform's state.
#[derive(Debug)]
pub struct World {
    tenant: String,
    /// Whether an approval invalidates the tresor's other pending operations.
    pub invalidates: bool,
    /// What is answered for an operation that is not known or was decided; the platform does not say.
    pub unknown_operation: ErrorCode,
    counter: u64,
    users: BTreeMap<UserId, User>,
    tresors: BTreeMap<TresorId, Tresor>,
    operations: BTreeMap<String, Operation>,
    effects: Vec<Effect>,
}

impl World {
    /// An empty tenant.
    #[must_use]
    pub const fn new(tenant: String, invalidates: bool) -> Self {
        Self {
            tenant,
            invalidates,
            unknown_operation: ErrorCode::BadInput,
            counter: 0,
            users: BTreeMap::new(),
            tresors: BTreeMap::new(),
            operations: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    /// The same tenant, with nothing in it. Names are not used again.
    pub fn clear(&mut self) {
        let fresh = Self::new(self.tenant.clone(), self.invalidates);
        *self = Self { counter: self.counter, unknown_operation: self.unknown_operation, ..fresh };
    }

    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A user who has registered.
    fn registered(&self, user: &UserId) -> Result<&User, Refusal> {
        self.users.get(user).filter(|user| user.validation_verifier.is_some()).ok_or(ErrorCode::UserNotExists)
    }

    /// A tresor that was not deleted, approved or not.
    fn tresor(&self, tresor: &TresorId) -> Result<&Tresor, Refusal> {
        match self.tresors.get(tresor) {
            None => Err(ErrorCode::TresorNotExists),
            Some(tresor) if tresor.deleted => Err(ErrorCode::TresorAlreadyDeleted),
            Some(tresor) => Ok(tresor),
        }
    }

    fn tresor_mut(&mut self, tresor: &TresorId) -> Result<&mut Tresor, Refusal> {
        self.tresor(tresor)?;
        self.tresors.get_mut(tresor).ok_or(ErrorCode::TresorNotExists)
    }

    fn effect(&mut self, kind: Kind, id: impl ToString, verdict: Verdict, additional_info: Option<String>) {
        self.effects.push(Effect { kind, operation_id: id.to_string(), verdict, additional_info });
    }

    /// Everything that ever happened, in order.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }
}
