//! Decisions as people look for them: by what they ask, the newest first, a page at a time.

use super::StoreError;
use crate::audit::Record;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// What decisions are asked for; every condition that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionQuery {
    /// None before this.
    pub since: Option<Timestamp>,
    /// None from this on.
    pub until: Option<Timestamp>,
    /// The kind of the operation.
    pub kind: Option<Kind>,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// A rule that decided.
    pub rule: Option<String>,
    /// Who started it.
    pub actor: Option<String>,
    /// Whom it concerns.
    pub subject: Option<String>,
    /// The tresor.
    pub tresor: Option<String>,
    /// The domain of somebody's e-mail address in it, as facts keep it.
    pub domain: Option<String>,
    /// The policy, by its hash or how that begins.
    pub policy: Option<String>,
    /// Who reviewed it.
    pub reviewer: Option<String>,
    /// A part of the reason, in any case.
    pub text: Option<String>,
    /// The operation at the platform.
    pub operation: Option<String>,
}

/// The place of a decision in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When it was made, RFC 3339 with microseconds.
    pub at: String,
    /// Which.
    pub id: String,
}

impl Cursor {
    /// As whoever asks for the next page says it.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {}", self.at, self.id))
    }

    /// From what [`Cursor::encode`] made; nothing where it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, id) = text.split_once(' ')?;
        at.parse::<Timestamp>().ok()?;
        uuid::Uuid::try_parse(id).ok()?;
        Some(Self { at: at.to_owned(), id: id.to_owned() })
    }
}

/// A decision, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundDecision {
    /// As it was recorded.
    pub record: Record,
    /// The latest outcome.
    pub outcome: Option<FoundOutcome>,
}

impl FoundDecision {
    /// The row as it was sealed, and how it ended.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = self.record.fields.clone();
        fields.remove("leaf");
        fields.insert("outcome".to_owned(), json!(self.outcome));
        Value::Object(fields)
    }

    /// Its place in the order of decisions.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        Some(Cursor { at: self.record.text("decided_at")?.to_owned(), id: self.record.text("id")?.to_owned() })
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundOutcome {
    /// In a word.
    pub outcome: String,
    /// The platform's error code.
    pub error_code: Option<String>,
    /// When.
    pub at: String,
}

/// How many decisions of a day had a rule among those that decided; nothing stands for those without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// The day, UTC.
    pub day: String,
    /// The rule.
    pub rule: Option<String>,
    /// The verdict.
    pub verdict: String,
    /// How many.
    pub count: u64,
}

/// How many decisions are read at once, however many are asked for.
const AT_ONCE: u32 = 501;

/// Decisions, the newest first, and where to go on behind them if there are more.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundPage {
    /// At most as many as were asked for.
    pub decisions: Vec<FoundDecision>,
    /// The place of the last of them, as [`Cursor::encode`] says it.
    pub next: Option<String>,
}

/// Looking for decisions.
#[async_trait]
pub trait Search: Send + Sync {
    /// The next decisions after a place, the newest first.
    async fn find(&self, query: &DecisionQuery, after: Option<&Cursor>, limit: u32) -> Result<Vec<FoundDecision>, StoreError>;

    /// The same as a page that says whether there is another one.
    async fn page(&self, query: &DecisionQuery, after: Option<&Cursor>, limit: u32) -> Result<FoundPage, StoreError> {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (mut decisions, mut after) = (Vec::<FoundDecision>::new(), after.cloned());
        // One more tells whether there are more.
        while decisions.len() <= count(limit) {
            let read = u32::try_from(decisions.len()).unwrap_or(u32::MAX);
            let left = limit.saturating_sub(read).saturating_add(1).min(AT_ONCE);
            let some = self.find(query, after.as_ref(), left).await?;
            let is_last = some.len() < count(left);
            decisions.extend(some);
            if is_last {
                break;
            }
            after = decisions.last().and_then(FoundDecision::cursor);
        }
        let has_more = decisions.len() > count(limit);
        decisions.truncate(count(limit));
        let next = decisions.last().filter(|_| has_more).and_then(FoundDecision::cursor).map(|last| last.encode());
        Ok(FoundPage { decisions, next })
    }

    /// How the database looks for the first page, in its own words.
    async fn explain(&self, query: &DecisionQuery, limit: u32) -> Result<Vec<String>, StoreError>;

    /// One decision with its latest outcome.
    async fn decision(&self, id: &str) -> Result<Option<FoundDecision>, StoreError>;

    /// Counts by day, rule and verdict, the newest day first.
    async fn count_by_day(&self, query: &DecisionQuery) -> Result<Vec<DayCount>, StoreError>;
}
