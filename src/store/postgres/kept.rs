//! Connections that are kept from one statement to the next without asking how they are each time. No statement is put together here,
//! and none is sent a second time.

use super::{Query, plain};
use crate::store::connection::Row;
use crate::store::error::StoreError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// After so long a connection may have been cut, which whoever has a verdict to write should not be the one to find out.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// After so long a connection may have been forgotten by whatever is in between.
const REST_AT_MOST: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// So soon a connection that is sound says so: sooner than whoever asks whether the daemon is ready gives up.
const SAY_WITHIN: Duration = Duration::from_secs(1);
/// Under a lease, as whoever waits for it keeps others from taking over.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A program that has its answer leaves what it asked in vain to the server, which would go on with that beside the next question.
const ENDS_WITH_US: &str = "set client_connection_check_interval = '10ms'";
/// The first version of the server that can.
const ENDS_WITH_US_SINCE: u32 = 140_000;

/// Connections of the groups, and of questions. A pool asks a connection how it is before and after each use, which costs as much as
/// many a statement; here only one that has rested is asked, and whatever meets an error, is slow, or has rested for long is thrown away.
pub(super) struct KeptConnections {
    options: PgConnectOptions,
    answer_within: Duration,
    /// Whether a statement is to end with whoever asks.
    ends_with_us: bool,
    idle: Mutex<Vec<Kept>>,
}

struct Kept {
    connection: PgConnection,
    since: Instant,
    /// Whether the server ends a statement with whoever asks: not every one can tell.
    ends_with_us: bool,
}

impl KeptConnections {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, answer_within: ANSWER_WITHIN, ends_with_us: false, idle: Mutex::default() }
    }

    /// For questions, which the server is the one to give up.
    pub(super) fn for_questions(options: PgConnectOptions) -> Self {
        let within = QUESTION_WITHIN.as_millis().to_string();
        let options = options.options([("statement_timeout", within.as_str()), ("default_transaction_read_only", "on")]);
        Self { answer_within: QUESTION_WITHIN + ANSWER_WITHIN, ends_with_us: true, ..Self::new(options) }
    }

    /// Connects, and keeps the connection.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        let kept = self.connected().await?;
        self.idle().push(kept);
        Ok(())
    }

    async fn connected(&self) -> Result<Kept, StoreError> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            let may_end = self.ends_with_us && connection.server_version_num() >= Some(ENDS_WITH_US_SINCE);
            let ends_with_us = may_end && connection.execute(ENDS_WITH_US).await.is_ok();
            Ok(Kept { connection, since: Instant::now(), ends_with_us })
        };
        let late = |_| StoreError::Unreachable(format!("no answer within {} seconds", CONNECT_WITHIN.as_secs()));
        tokio::time::timeout(CONNECT_WITHIN, connecting).await.map_err(late)?
    }

    pub(super) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.rows_until(query, std::future::pending()).await
    }

    /// The same, or nothing once it is given up, where the server notices that.
    async fn rows_until(&self, query: Query, given_up: impl Future<Output = ()>) -> Result<Vec<Row>, StoreError> {
        let over = |_| StoreError::Unreachable("no answer in time".into());
        let mut kept = match self.rested().await {
            Some(kept) => kept,
            None => self.connected().await?,
        };
        let answer = tokio::select! {
            answer = tokio::time::timeout(self.answer_within, query.fetch_all(&mut kept.connection)) => answer.map_err(over),
            () = given_up, if kept.ends_with_us => return Ok(Vec::new()),
        };
        match answer.and_then(|rows| rows.map_err(StoreError::from)) {
            Ok(rows) => {
                self.idle().push(Kept { since: Instant::now(), ..kept });
                Ok(plain(rows))
            }
            Err(error) => {
                if matches!(error, StoreError::Unreachable(_)) {
                    // What broke this one broke the others.
                    self.idle().clear();
                }
                Err(error)
            }
        }
    }

    /// One that is there and sound.
    async fn rested(&self) -> Option<Kept> {
        let mut kept = self.still_good().pop()?;
        if kept.since.elapsed() < ASK_AFTER {
            return Some(kept);
        }
        let asked = tokio::time::timeout(SAY_WITHIN, kept.connection.ping()).await;
        if asked.is_ok_and(|answer| answer.is_ok()) {
            return Some(kept);
        }
        // What broke this one broke the others.
        self.idle().clear();
        None
    }

    /// The last that was used is the last here; those that have rested for too long are closed.
    fn still_good(&self) -> MutexGuard<'_, Vec<Kept>> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < REST_AT_MOST);
        idle
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After so long the server gives a question up.
const QUESTION_WITHIN: Duration = Duration::from_mins(1);
/// For so long a question waits for others.
const WAIT_AT_MOST: Duration = Duration::from_secs(10);
/// What nobody waits for may end by itself for so long; then it is given up, with its connection, which costs the next question more.
const GIVE_UP_AFTER: Duration = Duration::from_millis(100);
/// How many statements are asked at the same time; a question has two at most, and may leave one that nobody waits for.
const AT_ONCE: usize = 4;

/// For questions of people about all there is, which take their time: they wait for each other, and nobody for them. Each statement of
/// a question finds the connection of the one before it, whose server process has looked up all the months.
pub(super) struct Questions {
    kept: Arc<KeptConnections>,
    room: Arc<Semaphore>,
}

impl Questions {
    pub(super) fn new(kept: Arc<KeptConnections>) -> Self {
        Self { kept, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(super) async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let room = tokio::time::timeout(WAIT_AT_MOST, Arc::clone(&self.room).acquire_owned()).await;
        let room =
            room.ok().and_then(Result::ok).ok_or_else(|| StoreError::Unreachable("other questions take too long".into()))?;
        let kept = Arc::clone(&self.kept);
        let (_waits, nobody_waits) = tokio::sync::oneshot::channel::<()>();
        let given_up = async {
            let _ = nobody_waits.await;
            tokio::time::sleep(GIVE_UP_AFTER).await;
        };
        // A task of its own: whoever no longer waits for the answer makes no room for others while the server looks for it.
        let asked = tokio::spawn(async move {
            let rows = kept.rows_until(query, given_up).await;
            drop(room);
            let kept = Arc::downgrade(&kept);
            tokio::spawn(async move {
                tokio::time::sleep(REST_AT_MOST).await;
                if let Some(kept) = kept.upgrade() {
                    drop(kept.still_good());
                }
            });
            rows
        });
        asked.await.map_err(|_| StoreError::Database("the task that asked ended".into()))?
    }
}
