//! What can be wrong with a log, and the sentence for each.

use serde::Serialize;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// A row is not what was sealed.
    Changed {
        /// The leaf.
        index: u64,
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
    },
    /// A row is gone.
    Removed {
        /// The leaf.
        index: u64,
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
    },
    /// A row was never sealed, and nothing says that it will be.
    Added {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
    },
    /// Leaves are gone.
    Gap {
        /// The first that is missing.
        index: u64,
        /// The next that is there.
        next: u64,
    },
    /// Leaves fit no checkpoint: they were changed, or made, after it was signed.
    Rewritten {
        /// The first that may be.
        from: u64,
        /// The size of the checkpoint.
        to: u64,
    },
    /// Leaves in no place that a tree has.
    Outside {
        /// How many.
        count: u64,
    },
    /// Leaves under no checkpoint at all.
    Unsigned {
        /// The first.
        from: u64,
        /// How many leaves there are.
        to: u64,
    },
    /// A checkpoint is not signed by the log's key.
    BadSignature {
        /// Its size.
        size: u64,
        /// Whether it is not of the log, but from elsewhere.
        is_given: bool,
        /// Why.
        why: String,
    },
    /// The log is not the one that a checkpoint from elsewhere was taken of.
    OtherHistory {
        /// Its size.
        size: u64,
    },
    /// The log is shorter than a checkpoint from elsewhere.
    Shorter {
        /// How many leaves there are.
        leaves: u64,
        /// How many there were.
        size: u64,
    },
    /// An archived policy is not what its hash says, or is gone.
    Policy {
        /// The hash.
        hash: String,
        /// Why.
        why: String,
    },
    /// The policy and the facts come to another verdict than the record.
    Verdict {
        /// The decision.
        id: String,
        /// What the record says.
        recorded: String,
        /// What comes out.
        evaluated: String,
    },
    /// The kept count of a day's decisions is not what their rows come to.
    Count {
        /// The day.
        day: String,
        /// The kind of operation.
        kind: String,
        /// The verdict.
        verdict: String,
        /// The rules, as JSON.
        rules: String,
        /// What is kept.
        kept: u64,
        /// What was counted.
        counted: u64,
    },
    /// Sealed facts cannot be opened, and nobody says that their person was forgotten.
    Unread {
        /// The person.
        person: String,
        /// The first decision that stood on them.
        decision: String,
    },
    /// The hashes that the sealer goes on from are not those of the leaves.
    Nodes,
    /// A file of an export is not what its manifest says.
    Export {
        /// What is wrong.
        why: String,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Changed { index, table, id } => {
                write!(f, "row `{id}` of `{table}` (leaf {index}) was changed after it was sealed")
            }
            Finding::Removed { index, table, id } => {
                write!(f, "row `{id}` of `{table}` (leaf {index}) is gone, or its time was changed")
            }
            Finding::Added { table, id } => {
                write!(f, "row `{id}` of `{table}` was never sealed: somebody added it, or changed its id")
            }
            Finding::Gap { index, next } => write!(f, "leaves {index} to {} are gone", next.saturating_sub(1)),
            Finding::Rewritten { from, to } => {
                write!(
                    f,
                    "leaves {from} to {} are not those that the checkpoint of size {to} was signed over",
                    to.saturating_sub(1)
                )
            }
            Finding::Outside { count } => {
                write!(f, "{count} leaves stand where the tree has no place: before its first, or after its last")
            }
            Finding::Unsigned { from, to } => write!(f, "leaves {from} to {} are under no checkpoint", to.saturating_sub(1)),
            Finding::BadSignature { size, is_given: false, why } => write!(f, "the checkpoint of size {size} {why}"),
            Finding::BadSignature { size, is_given: true, why } => write!(f, "of those that were given the checkpoint of size {size} {why}"),
            Finding::OtherHistory { size } => {
                write!(f, "history was rewritten: the first {size} leaves are not those of the checkpoint that was given")
            }
            Finding::Shorter { leaves, size } => {
                write!(f, "the end of the log is gone: it has {leaves} leaves, and the checkpoint that was given has {size}")
            }
            Finding::Policy { hash, why } => write!(f, "the archived policy `{hash}` {why}"),
            Finding::Verdict { id, recorded, evaluated } => {
                write!(f, "decision `{id}` says {recorded}, and its policy makes {evaluated} of its facts")
            }
            Finding::Count { day, kind, verdict, rules, kept, counted } => {
                write!(
                    f,
                    "`decision_counts` says that {kept} decisions on `{kind}` of {day} are {verdict} by {rules}, and there are {counted}"
                )
            }
            Finding::Unread { person, decision } => write!(
                f,
                "facts of `{person}` cannot be read by `encryption.key`, and no operator forgot that person; decision `{decision}` stands on them"
            ),
            Finding::Nodes => f.write_str(
                "`tree_nodes` is not what the leaves come to, and nothing is sealed on top of it; put that table back from a backup",
            ),
            Finding::Export { why } => f.write_str(why),
        }
    }
}
