//! What people do to operations beside the policy, as the engine and the commands see it: reviews of what was escalated,
//! pauses, and the closing of what could not be established. Each act is recorded with its doer's name.

use super::StoreError;
use super::types::{LaneRules, OperationView};
use crate::domain::ids::{DecisionId, RecordId, UserId};
use crate::domain::verdict::Verdict;
use crate::flow::State;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

/// On which terms an operation waits for a person, and what that stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// How long it waits, and how long an approval by a reviewer stands.
    pub ttl: std::time::Duration,
    /// Whether it is rejected when nobody reviewed it in that time.
    pub rejects: bool,
    /// The rules and facts behind it, in the policy's own form; no values.
    pub basis: String,
}

/// What a reviewer allowed, as long as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub reviewer: String,
    /// Why.
    pub comment: String,
    /// What the escalation stood on.
    pub basis: String,
}

/// A reviewer's verdict on an operation that was escalated.
#[derive(Debug, Clone)]
pub struct Review {
    /// The operation.
    pub id: RecordId,
    /// The escalation that the reviewer saw, if that was said.
    pub decision: Option<DecisionId>,
    /// Approve or reject.
    pub verdict: Verdict,
    /// Who.
    pub reviewer: String,
    /// The platform's user behind the reviewer.
    pub user: Option<UserId>,
    /// Why.
    pub comment: String,
}

/// What became of a review.
#[derive(Debug, Clone)]
pub enum Reviewed {
    /// It stands, and the operation is worked on again.
    Taken(OperationView),
    /// There is no such operation.
    NoSuchOperation,
    /// Nobody is asked: it was not escalated, is decided already, or its time is over.
    NotEscalated(OperationView),
    /// It was escalated anew since the reviewer looked.
    AnotherDecision,
    /// The reviewer is the requester, the actor or the subject of it.
    Involved,
}

/// Why an operation cannot be reviewed as it stands.
#[must_use]
pub fn not_reviewable(view: &OperationView) -> String {
    match view.state {
        State::Escalated => "the time to review this operation is over".to_owned(),
        state => format!("this operation is {state}; only one that is escalated can be reviewed"),
    }
}

/// What became of the closing of an operation whose end was unknown.
#[derive(Debug, Clone)]
pub enum Resolved {
    /// It is closed.
    Closed(OperationView),
    /// There is no such operation.
    NoSuchOperation,
    /// Its end is known, or still to come.
    NotUnknown(OperationView),
}

/// An operation that somebody has to see to, as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct OpenView {
    /// The record.
    pub id: RecordId,
    /// The decision, if it came to one.
    pub decision_id: Option<String>,
    /// The kind.
    pub kind: String,
    /// The operation at the platform.
    pub operation_id: String,
    /// The tresor.
    pub tresor_id: Option<String>,
    /// Who started it.
    pub actor_id: Option<String>,
    /// Whom it concerns.
    pub subject_id: Option<String>,
    /// What was decided.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The platform's error code, or one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When it is rejected if nobody reviews it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A pause as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct PauseView {
    /// `*` for everything, or a lane.
    pub scope: String,
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub operator: String,
    /// Why.
    pub comment: Option<String>,
    /// How many operations wait for its end.
    pub waiting: i64,
}

/// The scope of a pause of everything.
pub const EVERYTHING: &str = "*";

/// Seals anew, under another key: from what something is bound to and how it stands; nothing if it cannot be opened.
pub type Reseal<'r> = &'r (dyn Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync);

/// How what is sealed is put under another key.
pub struct Rekeying<'r> {
    /// How each thing is sealed anew.
    pub reseal: Reseal<'r>,
    /// What the database will know its key by.
    pub sentinel: Vec<u8>,
    /// Who does it.
    pub operator: &'r str,
    /// Why.
    pub comment: Option<&'r str>,
}

/// What became of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekeyed {
    /// So many connections of others are open; nothing was changed.
    InUse(u64),
    /// So many things were sealed anew.
    Done(u64),
}

/// What became of writing decisions anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewritten {
    /// So many connections of others are open; nothing was changed.
    InUse(u64),
    /// They are kept as this release keeps them already.
    Before,
    /// So many were written anew.
    Decisions(u64),
}

/// What became of a person's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Whether there was one.
    pub had_key: bool,
    /// How many operations are still open; what they were told of anybody is erased as each of them ends.
    pub open: u64,
}

/// What people do to operations.
#[async_trait]
pub trait Operating: Send + Sync {
    /// Stores a reviewer's verdict and has the operation worked on again, in one transaction.
    async fn review(&self, review: Review) -> Result<Reviewed, StoreError>;

    /// Sees to escalations that nobody reviewed in time, and to grants that stand no longer; how many are rejected.
    async fn expire_reviews(&self) -> Result<u64, StoreError>;

    /// The operations that wait for a reviewer, the longest waiting first.
    async fn escalated(&self, limit: u32) -> Result<Vec<OpenView>, StoreError>;

    /// The operations whose end is unknown, the oldest first.
    async fn unknown(&self, limit: u32) -> Result<Vec<OpenView>, StoreError>;

    /// Writes what became of an operation whose end was unknown, as an operator found out.
    async fn resolve(
        &self,
        id: RecordId,
        is_applied: bool,
        operator: &str,
        comment: &str,
        rules: LaneRules,
    ) -> Result<Resolved, StoreError>;

    /// Stops verdicts on everything, or on one lane; false where that was so already.
    async fn pause(&self, scope: &str, operator: &str, comment: Option<&str>) -> Result<bool, StoreError>;

    /// Lets verdicts go on; how many operations waited, or nothing where there was no such pause.
    async fn resume(&self, scope: &str, operator: &str, comment: Option<&str>) -> Result<Option<u64>, StoreError>;

    /// The pauses in force.
    async fn pauses(&self) -> Result<Vec<PauseView>, StoreError>;

    /// Destroys a person's key, and records who did it; what comes after has another one.
    async fn forget(&self, person: &UserId, operator: &str, comment: Option<&str>) -> Result<Forgotten, StoreError>;

    /// Puts all that is sealed under another key, in one transaction, unless somebody else is connected.
    async fn rekey(&self, rekeying: Rekeying<'_>) -> Result<Rekeyed, StoreError>;
}
