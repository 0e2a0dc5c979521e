//! The durable and the remote steps by name, so that a test can stop, kill or count at each of them, and plant bugs.
//!
//! Everything that does so is compiled by the feature `faults`, which nothing but the tests turns on: the released binary
//! has the names alone.

#[cfg(feature = "faults")]
mod armed;
#[cfg(feature = "faults")]
pub mod bugs;
#[cfg(not(feature = "faults"))]
mod disarmed;

#[cfg(feature = "faults")]
pub(crate) use armed::{VARIABLES, clock_offset, is_lost, is_planted, reach, reach_call, sql};
#[cfg(not(feature = "faults"))]
pub(crate) use disarmed::{VARIABLES, clock_offset, is_lost, is_planted, reach, reach_call, sql};

/// Before a step, within its transaction, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it has happened.
    Before,
    /// All of it is written, and not committed.
    Within,
    /// All of it has happened, and nobody knows yet.
    After,
}

impl Moment {
    /// As it ends a point's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::Within => "within",
            Moment::After => "after",
        }
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What changes the database in one transaction, or something outside of this process.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $name),+
        }

        impl Step {
            /// All of them. Calls to the platform have the names of their endpoints beside these.
            pub const ALL: &[Step] = &[$(Step::$name),+];

            /// The name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Step::$name => $text),+
                }
            }
        }
    };
}

steps! {
    /// A notification is stored.
    Receive = "receive",
    /// Due operations are claimed.
    Claim = "claim",
    /// One due operation is claimed.
    ClaimOne = "claim-one",
    /// A lease is prolonged.
    Extend = "extend",
    /// Notification and directory are asked for facts.
    Ask = "ask",
    /// Decision, intent and places are written.
    Decide = "decide",
    /// A notification is stored, and its decision, intent and places with it.
    TakeIn = "take-in",
    /// A verdict is to go out once more.
    Resend = "resend",
    /// An operation is given back.
    Reschedule = "reschedule",
    /// The outcome is written.
    Finish = "finish",
    /// Operations that ended long ago leave the queue.
    Retire = "retire",
    /// Turns and waits that are over are seen to.
    Tidy = "tidy",
    /// Reviews that nobody gave in time are seen to.
    ExpireReviews = "expire-reviews",
    /// A reviewer's verdict is stored.
    Review = "review",
    /// An operator's verdict is stored.
    OrderByHand = "order-by-hand",
    /// Verdicts are stopped.
    Pause = "pause",
    /// Verdicts go on.
    Resume = "resume",
    /// What became of an unknown verdict is stored.
    Resolve = "resolve",
    /// A registration's secrets are kept.
    KeepRegistration = "keep-registration",
    /// Old registrations are erased.
    EraseRegistrations = "erase-registrations",
    /// Due effects are claimed.
    ClaimEffects = "claim-effects",
    /// An effect is given back.
    EffectAgain = "effect-again",
    /// What became of an effect is written.
    FinishEffect = "finish-effect",
    /// A policy is put in force.
    ActivatePolicy = "activate-policy",
    /// Due events are claimed.
    ClaimEvents = "claim-events",
    /// An event is delivered to the web app.
    Deliver = "deliver",
    /// What became of a delivery is written.
    FinishEvent = "finish-event",
    /// Events are to be sent again.
    ResendEvents = "resend-events",
    /// Old events are erased.
    EraseEvents = "erase-events",
    /// Rows for auditors become leaves, and a checkpoint is signed.
    Seal = "seal",
    /// All that is sealed is put under another key.
    Rekey = "rekey",
    /// A month is dropped, once it is kept elsewhere.
    Retain = "retain",
    /// A person's key is destroyed.
    Forget = "forget",
    /// What a witness signed is kept.
    Cosign = "cosign",
    /// What a replica was told is recorded.
    Configure = "configure",
    /// The schema is brought up to date.
    Migrate = "migrate",
    /// Partitions for the months to come are made.
    Maintain = "maintain",
    /// What tells a wrong key is kept.
    KeepSentinel = "keep-sentinel",
}
