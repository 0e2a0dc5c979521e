//! What goes into the store and comes out of it.

use super::StoreError;
use super::operating::{Escalation, Grant};
use super::outbox::ClaimedEvent;
use crate::audit::{DecisionRecord, WrappedKey};
use crate::domain::disposition::Disposition;
use crate::domain::effect::Effect;
use crate::domain::ids::{DecisionId, EffectId, FlowId, RecordId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Intent, Lane, OperationKey};
use crate::domain::verdict::{Outcome, Verdict};
use crate::flow::{Ending, State, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The right to work on one operation, until somebody else is given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The operation.
    pub id: RecordId,
    /// The number of the attempt; a write with an older number changes nothing.
    pub fence: i64,
}

impl Lease {
    /// Of whoever takes an operation in.
    #[must_use]
    pub const fn first(id: RecordId) -> Self {
        Self { id, fence: 1 }
    }
}

/// An operation as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationView {
    /// The record.
    pub id: RecordId,
    /// The flow; provisional until the details are known.
    pub flow_id: FlowId,
    /// The how-manieth operation of the flow.
    pub attempt: u32,
    /// The kind.
    pub kind: Kind,
    /// The operation at the platform.
    pub operation_id: String,
    /// Where it stands.
    pub state: State,
    /// The decision, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
    /// The outcome, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeView>,
}

/// A decision as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionView {
    /// The row of `decisions`.
    pub id: DecisionId,
    /// What was decided.
    pub verdict: Verdict,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// Why, for the auditor.
    pub reason: String,
    /// What to tell the end user.
    pub message: Option<String>,
    /// Which policy.
    pub policy_hash: String,
    /// When.
    pub decided_at: Timestamp,
}

/// An outcome as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeView {
    /// How it ended.
    pub outcome: Outcome,
    /// The platform's error code, or one of ours.
    pub error_code: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An operation that a worker was given.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// Which operation.
    pub key: OperationKey,
    /// Who was logged in when it was reported.
    pub requester: Option<UserId>,
    /// The flow that the client says it continues.
    pub requested_flow: Option<FlowId>,
    /// The notification, sealed.
    pub payload: Option<Vec<u8>>,
    /// How many tries were spent.
    pub tries: u32,
    /// The decision, if it came to one.
    pub decision: Option<DecisionId>,
    /// The verdict that may be at the platform.
    pub sent: Option<Sent>,
    /// How long ago it was reported, by the database's clock.
    pub age: Duration,
    /// What an operator decided in the policy's place.
    pub by_hand: Option<ByHand>,
    /// What the platform answered when it last stood in the way.
    pub last_failure: Option<LastFailure>,
    /// The how-manieth operation of its flow, once it has joined one.
    pub attempt: u32,
}

/// What the platform answered: what that means, and the error code.
pub type LastFailure = (Disposition, String);

/// Who gave a verdict in the policy's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandRole {
    /// An operator, by hand.
    #[default]
    Operator,
    /// A reviewer of what was escalated.
    Reviewer,
    /// Nobody: the time for a review was over.
    Timeout,
}

/// A verdict that somebody gave in the policy's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Approve or reject.
    pub verdict: Verdict,
    /// In which role.
    #[serde(default)]
    pub role: HandRole,
    /// Who.
    pub operator: String,
    /// Why, if that was said.
    pub comment: Option<String>,
    /// What is shown with an invitation link that is approved.
    pub additional_info: Option<String>,
}

impl ByHand {
    /// As it stands in the queue.
    ///
    /// # Errors
    /// Never, as it holds texts alone.
    pub(super) fn to_json(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|error| StoreError::Judge(error.to_string()))
    }

    /// Whether an operator said so: that is sent even where the daemon only observes, or pauses.
    #[must_use]
    pub const fn is_operators(&self) -> bool {
        matches!(self.role, HandRole::Operator)
    }
}

/// An operator's verdict, to be stored and carried out.
#[derive(Debug, Clone)]
pub struct HandOrder {
    /// The record it will have, if the operation is new.
    pub id: RecordId,
    /// Which operation.
    pub key: OperationKey,
    /// The verdict.
    pub by_hand: ByHand,
    /// A validation's secrets, sealed.
    pub payload: Option<Vec<u8>>,
    /// Who carries it out.
    pub owner: String,
    /// For how long it belongs to that one.
    pub lease: Duration,
}

/// What became of an operator's order.
#[derive(Debug, Clone)]
pub enum Ordered {
    /// It stands, and is leased to whoever ordered.
    Taken(Lease),
    /// The operation is decided, or somebody works on it.
    InTheWay(Box<OperationView>),
}

/// The right to work on one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectLease {
    /// The effect.
    pub id: EffectId,
    /// The number of the attempt; a write with an older number changes nothing.
    pub fence: i64,
}

/// An effect that a worker was given.
#[derive(Debug, Clone)]
pub struct ClaimedEffect {
    /// The right to work on it.
    pub lease: EffectLease,
    /// What is to be done.
    pub effect: Effect,
    /// How many tries were spent.
    pub tries: u32,
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectResult {
    /// The platform did it.
    Done,
    /// It will not be done; the error code.
    Failed(String),
}

/// A verdict that was committed and may have reached the platform.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The decision.
    pub decision: DecisionId,
    /// The verdict.
    pub verdict: Verdict,
    /// How many calls may have reached it.
    pub sends: u32,
    /// How long ago the last one was committed, by the database's clock.
    pub age: Duration,
    /// The members known before the call, where the kind changes them.
    pub members_before: Option<Vec<UserId>>,
    /// What goes with the approval of an invitation link.
    pub additional_info: Option<String>,
}

/// What the store knows of a lane and its tresor.
#[derive(Debug, Clone, Default)]
pub struct LaneFacts {
    /// How many outcomes there were on the lane.
    pub version: i64,
    /// Who created the tresor, if Assent decided its creation.
    pub creator: Option<UserId>,
    /// When that took effect.
    pub created_at: Option<Timestamp>,
    /// The database's time.
    pub now: Timestamp,
}

/// Why the judge gave no ruling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRuling {
    /// The policy was replaced since the facts were gathered: nothing is written, and it begins again.
    PolicyMoved,
    /// It is stored without its decision by now: nothing is written.
    BeingStored,
    /// A bug.
    Broken(String),
}

impl From<NoRuling> for StoreError {
    fn from(none: NoRuling) -> Self {
        match none {
            NoRuling::PolicyMoved => Self::PolicyMoved,
            NoRuling::BeingStored => Self::BeingStored,
            NoRuling::Broken(what) => Self::Judge(what),
        }
    }
}

impl From<String> for NoRuling {
    fn from(what: String) -> Self {
        NoRuling::Broken(what)
    }
}

/// A person whose facts the decision holds, with the key to use if there is none yet.
#[derive(Debug, Clone)]
pub struct Person {
    /// The person.
    pub id: UserId,
    /// A new key, sealed.
    pub fresh_key: WrappedKey,
}

/// What the deciding transaction needs to know beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Deciding<'d> {
    /// The right to work on it.
    pub lease: Lease,
    /// Which operation.
    pub key: &'d OperationKey,
    /// What it wants.
    pub intent: &'d Intent,
    /// The lane to take.
    pub lane: &'d Lane,
    /// The lane's version before the facts were read.
    pub seen_version: i64,
    /// The flow that the client says it continues.
    pub requested_flow: Option<FlowId>,
    /// The flow it has if it continues none.
    pub fresh_flow: FlowId,
    /// How the lane is handed on.
    pub rules: LaneRules,
    /// Counts to take: the name to give it under, counter, window.
    pub queries: &'d [(String, String, Duration)],
    /// The places that an approval takes, sorted.
    pub places: &'d [String],
    /// Whose personal facts are recorded, sorted.
    pub persons: &'d [Person],
    /// The policy's hash and body, for the archive.
    pub policy: (&'d str, &'d str),
    /// The members known before a call, where the kind changes them.
    pub members_before: Option<&'d [UserId]>,
    /// Whether a pause stops it: what a person decides goes on.
    pub pausable: bool,
}

/// What the deciding transaction saw under its locks: the ground the judge stands on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The database's time.
    pub now: Timestamp,
    /// What the limits saw, by the names that were asked for.
    pub counts: BTreeMap<String, u64>,
    /// The persons' keys, sealed.
    pub person_keys: BTreeMap<UserId, WrappedKey>,
    /// The flow.
    pub flow: FlowId,
    /// The how-manieth operation of the flow.
    pub attempt: u32,
    /// The verdict that was committed on this operation before, if any.
    pub committed: Option<Verdict>,
    /// What a reviewer allowed its flow, if that stands.
    pub grant: Option<Grant>,
}

/// What the judge says.
#[derive(Debug, Clone)]
pub struct Ruling {
    /// The decision's row.
    pub record: DecisionRecord,
    /// What to tell the end user.
    pub message: Option<String>,
    /// What goes with the approval of an invitation link.
    pub additional_info: Option<String>,
    /// What follows once the verdict took effect.
    pub effects: Vec<Effect>,
    /// What follows: `Send`, `AwaitReview` or `End`.
    pub step: Step,
    /// On which terms a person is asked, if one is.
    pub escalation: Option<Escalation>,
}

/// How a lane is handed on, and what is written with it.
#[derive(Debug, Clone, Copy)]
pub struct LaneRules {
    /// The longest time that a turn holds a lane.
    pub turn: Duration,
    /// The longest time that an operation waits for its flow's turn.
    pub wait: Duration,
    /// How long a superseded flow waits to be continued by equal intent.
    pub join_window: Duration,
    /// Whether there is a web app to be told by events.
    pub events: bool,
}

/// What handing on a lane brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// The operation that got the lane.
    pub handed_to: Option<RecordId>,
    /// The operations whose clients are told to start again.
    pub superseded: Vec<RecordId>,
}

/// What the end of an operation brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// What became of its lane.
    pub passed: Passed,
    /// When it ended, where that is known without asking.
    pub at: Option<Timestamp>,
    /// The event that tells of it, leased to the replica that was to deliver it at once; not where an earlier one of its
    /// flow is still to be told.
    pub event: Option<ClaimedEvent>,
}

impl Passed {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.handed_to = self.handed_to.or(other.handed_to);
        self.superseded.extend(other.superseded);
        self
    }
}

/// What became of the deciding transaction.
#[derive(Debug, Clone)]
pub enum Decided {
    /// The decision stands; what follows is for the worker. With it, who got the lane if it was freed.
    Ruled {
        /// The ruling as it was written.
        ruling: Box<Ruling>,
        /// The committed verdict, if it is to be sent.
        sent: Option<Sent>,
        /// What became of the lane, if it was freed.
        passed: Passed,
    },
    /// The lane is taken, or held for another flow; this one waits in line and was given back.
    Parked(Passed),
    /// The lane is taken, but the facts are older than its last outcome: gather again.
    Stale,
}

/// The end of an operation, to be written.
#[derive(Debug, Clone, Copy)]
pub struct Finishing<'f> {
    /// The right to work on it.
    pub lease: Lease,
    /// Which operation.
    pub key: &'f OperationKey,
    /// The decision, if it came to one.
    pub decision: Option<DecisionId>,
    /// How it ended.
    pub ending: &'f Ending,
    /// How the lane is handed on.
    pub rules: LaneRules,
    /// The ruling behind the decision, where this process has it still in hand.
    pub ruling: Option<&'f Ruling>,
    /// The replica that works on it.
    pub replica: &'f str,
    /// For how long the event that tells of it belongs to that replica, if it can deliver it at once.
    pub deliver_within: Option<Duration>,
}
