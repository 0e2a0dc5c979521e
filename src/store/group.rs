//! Group commit: what waits while one transaction runs goes into the next one together. Knows no SQL; whoever comes alone is
//! begun with at once, and nobody waits for company longer than [`APART_AT_MOST`].

use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The most that go into one transaction.
pub(super) const AT_MOST: usize = 64;
/// Where more than one come at a time, how long after one group the next begins at the earliest: a statement costs what thirty
/// rows in it cost, so fewer of them leave more of the processors to whatever they wait for. Of few rows that is soon: each waits
/// three times on its way.
const APART: Duration = Duration::from_millis(1);
/// How much longer for each row that was in it: the more come, the more of them gain by each statement less.
const APART_BY_ROW: Duration = Duration::from_micros(300);
const APART_AT_MOST: Duration = Duration::from_millis(12);

/// What a request is answered: nothing where it is not for a group and has to be done by itself.
pub(super) type Answer<T, E> = oneshot::Sender<Result<Option<T>, E>>;

/// Requests of one kind on their way into transactions, one transaction at a time.
#[derive(Debug)]
pub(super) struct Group<T>(mpsc::UnboundedSender<T>);

impl<T: Send + 'static> Group<T> {
    /// Runs until nobody has requests any more. `split` says which requests go together and which are for the next transaction,
    /// `run` makes one; whoever asked may be gone by then, and the transaction ends all the same.
    pub(super) fn start<R, F>(split: impl Fn(Vec<T>) -> (Vec<T>, Vec<T>) + Send + 'static, run: R) -> Self
    where
        R: Fn(Vec<T>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut requests = Vec::new();
            let mut last = None;
            loop {
                let is_held_over = !requests.is_empty();
                if !is_held_over && receiver.recv_many(&mut requests, AT_MOST).await == 0 {
                    return;
                }
                if let Some((began, rows)) = last.filter(|_| requests.len() < AT_MOST) {
                    // Whoever was held over has waited already, and more of the same would not go with it.
                    tokio::time::sleep_until(began + if is_held_over { APART } else { apart(rows) }).await;
                }
                while requests.len() < AT_MOST
                    && let Ok(request) = receiver.try_recv()
                {
                    requests.push(request);
                }
                let (group, next) = split(requests);
                last = (group.len() > 1).then(|| (Instant::now(), group.len()));
                // In a task of its own, so that a panic ends this transaction and not all that come after it: whoever is in it
                // hears that nobody answers.
                let _ = tokio::spawn(run(group)).await;
                requests = next;
            }
        });
        Self(sender)
    }

    /// Takes a request; what becomes of it is answered over a channel that it holds.
    pub(super) fn add(&self, request: T) {
        // Where the group has ended with the runtime, so has whoever waits for the answer.
        let _ = self.0.send(request);
    }
}

/// How long after a group of so many rows the next one begins.
fn apart(rows: usize) -> Duration {
    let by_rows = APART_BY_ROW.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
    APART.saturating_add(by_rows).min(APART_AT_MOST)
}

/// What was answered; an error where the transaction ended in a panic.
pub(super) async fn answered<T, E>(
    answer: oneshot::Receiver<Result<Option<T>, E>>,
    ended: impl FnOnce() -> E,
) -> Result<Option<T>, E> {
    answer.await.unwrap_or_else(|_| Err(ended()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_by_itself_is_begun_with_at_once_and_the_more_come_the_more_go_together() {
        let began = Instant::now();
        let (done, mut runs) = mpsc::unbounded_channel();
        let group = Group::start(
            |requests| (requests, Vec::new()),
            move |requests: Vec<usize>| {
                let _ = done.send((requests.len(), began.elapsed()));
                std::future::ready(())
            },
        );
        let mut next = async || runs.recv().await.unwrap();
        group.add(1);
        assert_eq!(next().await, (1, Duration::ZERO));
        group.add(1);
        assert_eq!(next().await, (1, Duration::ZERO));
        (0..10).for_each(|number| group.add(number));
        assert_eq!(next().await, (10, Duration::ZERO));
        group.add(1);
        assert_eq!(next().await, (1, apart(10)));
        // What fills a statement by itself waits for nobody.
        (0..AT_MOST * 2).for_each(|_| group.add(0));
        assert_eq!(next().await, (AT_MOST, apart(10)));
        assert_eq!(next().await, (AT_MOST, apart(10)));
        assert!(apart(2) < apart(10) && apart(10) < apart(AT_MOST));
        assert_eq!(apart(AT_MOST), APART_AT_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_held_over_does_not_wait_for_company() {
        let began = Instant::now();
        let (done, mut runs) = mpsc::unbounded_channel();
        let split = |mut requests: Vec<usize>| {
            let next = requests.split_off(requests.len().min(10));
            (requests, next)
        };
        let group = Group::start(split, move |requests: Vec<usize>| {
            let _ = done.send((requests.len(), began.elapsed()));
            std::future::ready(())
        });
        (0..11).for_each(|number| group.add(number));
        assert_eq!(runs.recv().await.unwrap(), (10, Duration::ZERO));
        assert_eq!(runs.recv().await.unwrap(), (1, APART));
    }
}
