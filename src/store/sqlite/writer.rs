//! The one connection that writes: transactions take their turns on it, and those that came while one ran are committed
//! together with it, as what a commit takes is mostly the disk. Whoever committed is answered when that is durable, and one that
//! is given up takes nothing with it but itself. Knows no tables.

use crate::store::error::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most that are committed together.
const AT_MOST: usize = 32;
/// While there is always somebody who writes, how often and how long nobody does, so that another process comes to its turn: it
/// looks again and again whether it may.
const PAUSE_EVERY: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(1);
/// How long a transaction waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(20);

type Answer = oneshot::Sender<Result<(), StoreError>>;

/// Somebody who wants a turn.
struct Asked {
    turn: oneshot::Sender<Result<Turn, StoreError>>,
    is_long: bool,
}

/// Gives out turns.
pub(super) struct Writer(mpsc::UnboundedSender<Asked>);

/// A transaction; dropping it rolls back.
pub(super) struct Turn {
    connection: Option<SqliteConnection>,
    back: Option<oneshot::Sender<Returned>>,
}

/// The connection after a turn, and whom to tell when what was written is durable; nobody where it was given up.
struct Returned {
    connection: Option<SqliteConnection>,
    committed: Option<Answer>,
}

impl Writer {
    /// Works until nobody can ask any more.
    pub(super) async fn start(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let connection = options.connect().await?;
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(take_turns(options, connection, asked));
        Ok(Self(sender))
    }

    /// Begins a transaction when it is its turn; one that takes long is committed by itself.
    pub(super) async fn begin(&self, is_long: bool) -> Result<Turn, StoreError> {
        let (turn, comes) = oneshot::channel();
        self.0.send(Asked { turn, is_long }).map_err(|_| ended())?;
        match tokio::time::timeout(TURN_WITHIN, comes).await {
            Ok(turn) => turn.map_err(|_| ended())?,
            Err(_) => Err(StoreError::Unreachable("the transactions before this one did not end in time".into())),
        }
    }
}

impl Turn {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or_else(ended)
    }

    /// Makes it durable.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let (answer, comes) = oneshot::channel();
        self.hand_back(Some(answer));
        comes.await.map_err(|_| ended())?
    }

    fn hand_back(&mut self, committed: Option<Answer>) {
        if let Some(back) = self.back.take() {
            let _ = back.send(Returned { connection: self.connection.take(), committed });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.hand_back(None);
    }
}

fn ended() -> StoreError {
    StoreError::Unreachable("the connection that writes was closed".into())
}

async fn take_turns(options: SqliteConnectOptions, mut connection: SqliteConnection, mut asked: mpsc::UnboundedReceiver<Asked>) {
    let (mut held, mut paused) = (None, Instant::now());
    while let Some(first) = match held.take() {
        Some(held) => Some(held),
        None => asked.recv().await,
    } {
        if first.turn.is_closed() {
            continue;
        }
        // The savepoint is there for as long as the transaction is: without it nothing is committed.
        if let Err(error) = connection.execute("BEGIN IMMEDIATE; SAVEPOINT turns").await {
            if matches!(error, sqlx::Error::WorkerCrashed)
                && let Ok(another) = options.connect().await
            {
                connection = another;
            }
            let _ = first.turn.send(Err(error.into()));
            continue;
        }
        let (mut next, mut committed) = (Some(first), Vec::new());
        while let Some(Asked { turn, is_long }) = next.take() {
            if !committed.is_empty()
                && let Err(error) = connection.execute("SAVEPOINT turn").await
            {
                let _ = turn.send(Err(error.into()));
                break;
            }
            let (back, comes) = oneshot::channel();
            // Where whoever asked is gone, what is dropped comes back at once.
            drop(turn.send(Ok(Turn { connection: Some(connection), back: Some(back) })));
            let Ok(Returned { connection: Some(returned), committed: answer }) = comes.await else { return };
            connection = returned;
            let Some(answer) = answer else {
                if !committed.is_empty() {
                    let _ = connection.execute("ROLLBACK TO turn").await;
                }
                break;
            };
            committed.push(answer);
            if committed.len() < AT_MOST && !is_long {
                next = asked.try_recv().ok();
            }
            // Nobody who is done waits for what takes long.
            held = next.take_if(|next| next.is_long);
        }
        end(&mut connection, committed).await;
        if asked.is_empty() && held.is_none() {
            paused = Instant::now();
        } else if paused.elapsed() >= PAUSE_EVERY {
            tokio::time::sleep(PAUSE).await;
            paused = Instant::now();
        }
    }
}

/// Commits what was written in these turns; nothing where there were none.
async fn end(connection: &mut SqliteConnection, committed: Vec<Answer>) {
    let end = if committed.is_empty() { "ROLLBACK" } else { "RELEASE turns; COMMIT" };
    let ended = connection.execute(end).await.map(|_| ()).map_err(|error| match StoreError::from(error) {
        // The database gave up on all of it because of one, as it does where the disk is full; the others may try again.
        StoreError::Database(_) => StoreError::Contention,
        error => error,
    });
    if ended.is_err() {
        // Where it stayed open nobody else could begin.
        let _ = connection.execute("ROLLBACK").await;
    }
    for answer in committed {
        let _ = answer.send(ended.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::sqlite::SqliteJournalMode;

    struct Notes {
        options: SqliteConnectOptions,
        writer: Writer,
        _folder: tempfile::TempDir,
    }

    impl Notes {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = SqliteConnectOptions::new().filename(folder.path().join("notes.db")).create_if_missing(true);
            let options = options.journal_mode(SqliteJournalMode::Wal);
            let mut connection = options.connect().await.unwrap();
            connection.execute("create table notes (text text not null unique)").await.unwrap();
            let writer = Writer::start(options.clone()).await.unwrap();
            Self { options, writer, _folder: folder }
        }

        /// What others see.
        async fn durable(&self) -> Vec<String> {
            let mut connection = self.options.connect().await.unwrap();
            sqlx::query_scalar("select text from notes order by text").fetch_all(&mut connection).await.unwrap()
        }
    }

    async fn note(turn: &mut Turn, text: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query("insert into notes (text) values ($1)").bind(text).execute(turn.connection().unwrap()).await.map(|_| ())
    }

    /// Asks, and has to wait.
    async fn waits<F: Future>(mut begin: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(begin.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn what_comes_while_a_transaction_runs_is_committed_with_it_and_answered_then() {
        let notes = Notes::new().await;
        let mut first = notes.writer.begin(false).await.unwrap();
        note(&mut first, "first").await.unwrap();
        let second = notes.writer.begin(false);
        tokio::pin!(second);
        assert!(waits(second.as_mut()).await);
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        note(&mut second, "second").await.unwrap();
        assert_eq!(notes.durable().await, [""; 0], "nothing is durable yet");
        assert!(!first.is_finished(), "so nobody was answered");
        second.commit().await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(notes.durable().await, ["first", "second"]);
    }

    #[tokio::test]
    async fn a_transaction_that_is_given_up_takes_nothing_with_it_but_itself() {
        let notes = Notes::new().await;
        let mut first = notes.writer.begin(false).await.unwrap();
        note(&mut first, "first").await.unwrap();
        let (second, third) = (notes.writer.begin(false), notes.writer.begin(false));
        tokio::pin!(second, third);
        assert!(waits(second.as_mut()).await && waits(third.as_mut()).await);
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        note(&mut second, "second").await.unwrap();
        note(&mut second, "first").await.unwrap_err();
        drop(second);
        first.await.unwrap().unwrap();
        assert_eq!(notes.durable().await, ["first"]);
        let mut third = third.await.unwrap();
        note(&mut third, "third").await.unwrap();
        third.commit().await.unwrap();
        assert_eq!(notes.durable().await, ["first", "third"]);
    }

    #[tokio::test]
    async fn whoever_went_away_while_waiting_holds_nobody_up() {
        let notes = Notes::new().await;
        let first = notes.writer.begin(false).await.unwrap();
        let gone = notes.writer.begin(false);
        {
            tokio::pin!(gone);
            assert!(waits(gone.as_mut()).await);
        }
        drop(first);
        let mut next = notes.writer.begin(false).await.unwrap();
        note(&mut next, "next").await.unwrap();
        next.commit().await.unwrap();
        assert_eq!(notes.durable().await, ["next"]);
    }

    #[tokio::test]
    async fn what_the_database_gave_up_on_is_nobodys_success() {
        let notes = Notes::new().await;
        let mut first = notes.writer.begin(false).await.unwrap();
        note(&mut first, "first").await.unwrap();
        let second = notes.writer.begin(false);
        tokio::pin!(second);
        assert!(waits(second.as_mut()).await);
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        // As a full disk does.
        second.connection().unwrap().execute("ROLLBACK").await.unwrap();
        drop(second);
        assert!(first.await.unwrap().unwrap_err().is_transient(), "whoever did nothing wrong may try again");
        assert_eq!(notes.durable().await, [""; 0]);
        // And where that was not even noticed.
        let mut first = notes.writer.begin(false).await.unwrap();
        note(&mut first, "first").await.unwrap();
        first.connection().unwrap().execute("ROLLBACK").await.unwrap();
        let second = notes.writer.begin(false);
        tokio::pin!(second);
        assert!(waits(second.as_mut()).await);
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        note(&mut second, "second").await.unwrap();
        second.commit().await.unwrap_err();
        first.await.unwrap().unwrap_err();
        assert_eq!(notes.durable().await, [""; 0]);
        notes.writer.begin(false).await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_takes_long_is_waited_for_by_nobody_who_is_done() {
        let notes = Notes::new().await;
        let mut first = notes.writer.begin(false).await.unwrap();
        note(&mut first, "first").await.unwrap();
        let long = notes.writer.begin(true);
        tokio::pin!(long);
        assert!(waits(long.as_mut()).await);
        first.commit().await.unwrap();
        let mut long = long.await.unwrap();
        note(&mut long, "long").await.unwrap();
        assert_eq!(notes.durable().await, ["first"]);
        let next = notes.writer.begin(false);
        tokio::pin!(next);
        assert!(waits(next.as_mut()).await);
        long.commit().await.unwrap();
        assert_eq!(notes.durable().await, ["first", "long"]);
        next.await.unwrap().commit().await.unwrap();
    }
}
