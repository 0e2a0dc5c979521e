//! What is written down of a month that was dropped, so that nobody can take away more than that: how many leaves lost their rows,
//! and a digest over them.

use super::leaf::{Record, Stream};
use aws_lc_rs::digest;
use std::fmt;
use tlog_tiles::Hash;

/// How many months a month must be behind the one in which it is dropped: what is younger is dropped by no operator's command.
const YOUNGEST: i32 = 3;

/// What an operator wrote down of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedBy {
    /// Which month.
    pub month: DroppedMonth,
    /// Who.
    pub operator: String,
    /// When, RFC 3339.
    pub at: String,
}

impl DroppedBy {
    /// What an operator's action says, if it is one, and one that the command makes.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let month = DroppedMonth::of(record)?;
        let (operator, at) = (record.text("operator")?.to_owned(), record.text("at")?.to_owned());
        let is_old = number(month_of(&at))?.checked_sub(number(&month.month)?)? > YOUNGEST;
        is_old.then_some(Self { month, operator, at })
    }
}

/// Months since the year 0.
fn number(month: &str) -> Option<i32> {
    let (year, month) = month.split_once('-')?;
    year.parse::<i32>().ok()?.checked_mul(12)?.checked_add(month.parse().ok()?)
}

/// A month whose rows were dropped. Its text is the target of the operator's action, which is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedMonth {
    /// As `2026-03`.
    pub month: String,
    /// How many leaves lost their rows.
    pub leaves: u64,
    /// [`MonthDigest`] over them, in hex.
    pub digest: String,
}

impl DroppedMonth {
    /// How the operator's action is called.
    pub const ACTION: &'static str = "retain";

    fn of(record: &Record) -> Option<Self> {
        let is_one = record.stream == Stream::OperatorAction && record.text("action") == Some(Self::ACTION);
        let (month, rest) = record.text("target").filter(|_| is_one)?.split_once(": ")?;
        let (leaves, digest) = rest.split_once(" leaves, sha256:")?;
        Some(Self { month: month.to_owned(), leaves: leaves.parse().ok()?, digest: digest.to_owned() })
    }
}

impl fmt::Display for DroppedMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} leaves, sha256:{}", self.month, self.leaves, self.digest)
    }
}

/// The month of a time, RFC 3339.
#[must_use]
pub fn month_of(at: &str) -> &str {
    at.get(..7).unwrap_or(at)
}

/// A digest over leaves in the order of their places: of each the place, eight bytes, the highest first, and the hash.
#[derive(Clone)]
pub struct MonthDigest {
    leaves: u64,
    context: digest::Context,
}

impl Default for MonthDigest {
    fn default() -> Self {
        Self { leaves: 0, context: digest::Context::new(&digest::SHA256) }
    }
}

impl MonthDigest {
    /// One more leaf.
    pub fn add(&mut self, index: u64, hash: Hash) {
        self.leaves = self.leaves.saturating_add(1);
        self.context.update(&index.to_be_bytes());
        self.context.update(&hash.0);
    }

    /// What is written down of them.
    #[must_use]
    pub fn finish(self, month: &str) -> DroppedMonth {
        DroppedMonth { month: month.to_owned(), leaves: self.leaves, digest: hex::encode(self.context.finish()) }
    }
}
