//! User facts: what is known of people and tresors beyond the platform's ids.
//!
//! Sources stand in an order; the first one that has a fact gives it, and its name is kept with the fact. A source that is
//! down makes every fact unknown that no source before it has given: what it would have said cannot be guessed. What all
//! sources answered and none has is absent.

mod cache;
mod claims;
mod file;
mod http;
mod settings;
mod sql;

pub use settings::{DirectoryError, DirectorySettings, FileSettings, HttpSettings, Place, SqlSettings};

use crate::domain::fact::{FactName, FactState, FactValue, Source};
use crate::domain::ids::{TresorId, UserId};
use crate::domain::operation::UserClaims;
use async_trait::async_trait;
use claims::{Answer, Claims, Wanted};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// A source that did not answer: the cause, in words that hold no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Down {
    /// What went wrong.
    pub cause: String,
    /// Whether the next try may well succeed.
    pub may_pass: bool,
}

impl Down {
    fn for_now(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), may_pass: true }
    }

    fn for_good(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), may_pass: false }
    }
}

/// Of whom or what something is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    User(UserId),
    Tresor(TresorId),
}

impl Subject {
    fn id(&self) -> &str {
        match self {
            Subject::User(id) => id.as_str(),
            Subject::Tresor(id) => id.as_str(),
        }
    }
}

/// One source beyond the notification.
#[async_trait]
trait Lookup: Send + Sync {
    /// Its name beside a fact.
    fn source(&self) -> Source;
    /// Whether it is asked of such a thing at all.
    fn knows_of(&self, subject: &Subject) -> bool;
    /// What it has; nothing if it has no such entry.
    async fn look_up(&self, subject: &Subject) -> Result<Option<Arc<Claims>>, Down>;
}

/// The sources in their order.
#[derive(Clone)]
pub struct Directory {
    /// Nothing stands for the notification.
    order: Vec<Option<Arc<dyn Lookup>>>,
    /// How long all tries of one look-up may take together.
    budget: Duration,
}

impl Default for Directory {
    /// The notification alone.
    fn default() -> Self {
        Self { order: vec![None], budget: Duration::ZERO }
    }
}

impl Directory {
    /// Opens the sources that the settings name; none of them has to answer yet.
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn open(settings: &DirectorySettings) -> Result<Self, DirectoryError> {
        let cached = |source: Arc<dyn Lookup>| -> Arc<dyn Lookup> { Arc::new(cache::Cached::new(source, settings)) };
        let mut order: Vec<Option<Arc<dyn Lookup>>> = Vec::new();
        for place in settings.order() {
            match place {
                Place::Notification => order.push(None),
                Place::File => {
                    let file = settings.file.clone().ok_or(DirectoryError::NotConfigured("file"))?;
                    order.push(Some(Arc::new(file::FileSource::new(file))));
                }
                Place::Http => {
                    let http = settings.http.as_ref().ok_or(DirectoryError::NotConfigured("http"))?;
                    order.push(Some(cached(Arc::new(http::HttpSource::new(http)?))));
                }
                Place::Sql => {
                    let sql = settings.sql.as_ref().ok_or(DirectoryError::NotConfigured("sql"))?;
                    order.push(Some(cached(Arc::new(sql::SqlSource::new(sql)?))));
                }
            }
        }
        Ok(Self { order, budget: settings.budget })
    }

    /// Asks every source once for somebody who is not there, so that a mistake in the configuration is noticed early.
    ///
    /// # Errors
    /// The first source that does not answer.
    pub async fn check(&self) -> Result<(), DirectoryError> {
        let probe = UserId::new("assent-probe").map(Subject::User);
        let tresor = TresorId::new("0000assentprobe").map(Subject::Tresor);
        for source in self.order.iter().flatten() {
            for subject in [&probe, &tresor].into_iter().flatten().filter(|subject| source.knows_of(subject)) {
                source.look_up(subject).await.map_err(|down| DirectoryError::Down(source.source(), down))?;
            }
        }
        Ok(())
    }

    /// Those of the needed facts of a person that the directory has, under a prefix such as `actor`.
    pub async fn person(
        &self,
        prefix: &str,
        user: &UserId,
        notified: Option<&UserClaims>,
        needed: &BTreeSet<FactName>,
    ) -> Vec<(FactName, FactState)> {
        let wanted = Wanted::of_person(prefix, needed);
        if wanted.is_empty() {
            return Vec::new();
        }
        let notified = notified.map(|claims| Arc::new(Claims::from(claims.clone())));
        let answers = self.ask(&Subject::User(user.clone()), notified, &wanted).await;
        wanted.facts(prefix, &answers)
    }

    /// Those of the needed facts of a tresor that the directory has; what Assent itself recorded comes first.
    pub async fn tresor(
        &self,
        tresor: &TresorId,
        creator: Option<&UserId>,
        created_at: Option<Timestamp>,
        now: Timestamp,
        needed: &BTreeSet<FactName>,
    ) -> Vec<(FactName, FactState)> {
        let wanted = Wanted::of_tresor(needed);
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut answers = Vec::new();
        let recorded = Claims {
            creator_id: creator.map(|user| FactValue::Text(user.to_string())),
            created_at: created_at.map(FactValue::Time),
            ..Claims::default()
        };
        answers.push(Answer { source: Source::Record, said: Ok(Some(Arc::new(recorded))) });
        if !wanted.are_settled(&answers) {
            answers.extend(self.ask(&Subject::Tresor(tresor.clone()), None, &wanted).await);
        }
        wanted.tresor_facts(&answers, now)
    }

    /// The answers in the order of the sources, as far as they are needed. Sources that must be waited for are asked at
    /// the same time.
    async fn ask(&self, subject: &Subject, notified: Option<Arc<Claims>>, wanted: &Wanted) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut tasks = JoinSet::new();
        let deadline = Instant::now() + self.budget;
        for (index, source) in self.order.iter().enumerate() {
            match source {
                None => answers.push((index, Answer { source: Source::Notification, said: Ok(notified.clone()) })),
                Some(source) if source.knows_of(subject) => {
                    // Nobody is asked for what is known for certain already.
                    let is_settled = tasks.is_empty() && wanted.are_settled(answers.iter().map(|(_, answer)| answer));
                    if !is_settled {
                        let (source, subject) = (Arc::clone(source), subject.clone());
                        tasks.spawn(async move {
                            let said = insist(source.as_ref(), &subject, deadline).await;
                            (index, Answer { source: source.source(), said })
                        });
                    }
                }
                Some(_) => {}
            }
        }
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(answer) => answers.push(answer),
                // Which source it was is not known any more: as if the first one were down.
                Err(_) => {
                    answers.push((0, Answer { source: Source::Notification, said: Err(Down::for_good("a source failed")) }))
                }
            }
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// Tries again what may pass, with back-off, until the budget is spent.
async fn insist(source: &dyn Lookup, subject: &Subject, deadline: Instant) -> Result<Option<Arc<Claims>>, Down> {
    let mut pause = Duration::from_millis(50);
    loop {
        let said = timeout_at(deadline, source.look_up(subject)).await;
        let down = match said {
            Ok(Ok(claims)) => return Ok(claims),
            Ok(Err(down)) => down,
            Err(_) => return Err(Down::for_now("no answer within the budget")),
        };
        if !down.may_pass || Instant::now() + pause >= deadline {
            return Err(down);
        }
        sleep(pause).await;
        pause *= 2;
    }
}
