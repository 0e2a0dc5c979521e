//! Group commit: what waits while one transaction runs goes into the next one together. Knows no SQL.
//!
//! Nobody waits for company where there is a turn to be had: only for the transaction of their own kind, and for a turn no longer
//! than [`AT_MOST_FOR`]. Some stand back while others are at work, for [`STAND_BACK_FOR`] at most.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, oneshot};

/// The most that go into one transaction.
pub(super) const AT_MOST: usize = 64;
/// How many transactions have a turn, whatever their kinds. A statement costs what thirty rows in it cost, so what waits for a turn is
/// not lost: it goes with others. The more run at once, the fewer rows each has, the more often one waits for the other's commit,
/// and the more processor time goes into changing between them. One alone would leave the processors idle while it commits.
const AT_ONCE: usize = 2;
/// For so long a turn lasts, and for so long one waits for it: whatever takes longer waits for a lock or for the network, which is
/// nobody else's business, and runs on beside others.
const AT_MOST_FOR: Duration = Duration::from_millis(25);
/// Fewer than these let others go first, where they may.
const FEW: usize = 16;
/// For so long they do; then they wait as others do.
const STAND_BACK_FOR: Duration = Duration::from_millis(10);

/// Which requests go first, where more kinds want a turn than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A verdict waits for them.
    Now,
    /// None does any more: a few wait until nobody else is at work, as each has more company then. For one kind of requests, as
    /// `Turns` wakes one of those that stand back.
    Soon,
}

/// Turns that the kinds of requests take with their transactions.
#[derive(Debug)]
pub(super) struct Turns {
    free: Semaphore,
    /// A turn is over.
    over: Notify,
}

/// A turn, until it is dropped.
#[derive(Debug)]
struct Turn<'t> {
    turns: &'t Turns,
    permit: Option<SemaphorePermit<'t>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Given back before anybody hears of it.
        drop(self.permit.take());
        self.turns.over.notify_one();
    }
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { free: Semaphore::const_new(AT_ONCE), over: Notify::const_new() }
    }

    /// A turn; none where it does not come.
    async fn take(&self, urgency: Urgency, are_few: impl Fn() -> bool) -> Option<Turn<'_>> {
        if urgency == Urgency::Soon
            && let Ok(turn) = tokio::time::timeout(STAND_BACK_FOR, self.left_over(are_few)).await
        {
            return turn;
        }
        let permit = tokio::time::timeout(AT_MOST_FOR, self.free.acquire()).await;
        Some(self.of(permit.ok()?.ok()?))
    }

    const fn of<'t>(&'t self, permit: SemaphorePermit<'t>) -> Turn<'t> {
        Turn { turns: self, permit: Some(permit) }
    }

    /// A turn while nobody else has one, and so nobody waits for one; or any if there is more than a little to do with it.
    async fn left_over(&self, are_few: impl Fn() -> bool) -> Option<Turn<'_>> {
        loop {
            if !are_few() {
                return self.free.acquire().await.ok().map(|permit| self.of(permit));
            }
            if self.free.available_permits() == AT_ONCE
                && let Ok(permit) = self.free.try_acquire()
            {
                return Some(self.of(permit));
            }
            self.over.notified().await;
        }
    }
}

/// What a request is answered: nothing where it is not for a group and has to be done by itself.
pub(super) type Answer<T, E> = oneshot::Sender<Result<Option<T>, E>>;

/// Requests of one kind on their way into transactions, one transaction at a time.
#[derive(Debug)]
pub(super) struct Group<T>(mpsc::UnboundedSender<T>);

impl<T: Send + 'static> Group<T> {
    /// Runs until nobody has requests any more, each transaction in its turn. `split` says which requests go together and which
    /// are for the next transaction, `run` makes one; whoever asked may be gone by then, and the transaction ends all the same.
    pub(super) fn start<R, F>(
        turns: &Arc<Turns>,
        urgency: Urgency,
        split: impl Fn(Vec<T>) -> (Vec<T>, Vec<T>) + Send + 'static,
        run: R,
    ) -> Self
    where
        R: Fn(Vec<T>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let turns = Arc::clone(turns);
        tokio::spawn(async move {
            let mut requests = Vec::new();
            loop {
                if requests.is_empty() && receiver.recv_many(&mut requests, AT_MOST).await == 0 {
                    return;
                }
                let held = requests.len();
                let turn = turns.take(urgency, || held.saturating_add(receiver.len()) < FEW).await;
                while requests.len() < AT_MOST
                    && let Ok(request) = receiver.try_recv()
                {
                    requests.push(request);
                }
                let (group, next) = split(requests);
                // In a task of its own, so that a panic ends this transaction and not all that come after it: whoever is in it
                // hears that nobody answers.
                let mut running = tokio::spawn(run(group));
                if tokio::time::timeout(AT_MOST_FOR, &mut running).await.is_err() {
                    drop(turn);
                    let _ = running.await;
                }
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
    use tokio::time::Instant;

    /// Transactions that end when they are told to, or in a panic; how many requests are in each is said when it begins.
    struct Held {
        began: mpsc::UnboundedReceiver<usize>,
        end: mpsc::UnboundedSender<bool>,
        group: Group<usize>,
    }

    fn held(turns: &Arc<Turns>, at_most: usize) -> Held {
        held_with(turns, Urgency::Now, at_most)
    }

    fn held_with(turns: &Arc<Turns>, urgency: Urgency, at_most: usize) -> Held {
        let (says, began) = mpsc::unbounded_channel();
        let (end, ends) = mpsc::unbounded_channel();
        let ends = Arc::new(tokio::sync::Mutex::new(ends));
        let split = move |mut requests: Vec<usize>| {
            let next = requests.split_off(requests.len().min(at_most));
            (requests, next)
        };
        let group = Group::start(turns, urgency, split, move |requests: Vec<usize>| {
            let _ = says.send(requests.len());
            let ends = Arc::clone(&ends);
            async move {
                let is_well = ends.lock().await.recv().await;
                assert!(is_well.unwrap_or(true), "a panic that is meant");
            }
        });
        Held { began, end, group }
    }

    #[tokio::test(start_paused = true)]
    async fn one_by_itself_is_begun_with_at_once_and_what_comes_meanwhile_goes_together() {
        let began = Instant::now();
        let mut kind = held(&Arc::new(Turns::new()), AT_MOST);
        kind.group.add(1);
        assert_eq!(kind.began.recv().await, Some(1));
        (0..10).for_each(|number| kind.group.add(number));
        kind.end.send(true).unwrap();
        assert_eq!(kind.began.recv().await, Some(10));
        (0..=AT_MOST).for_each(|number| kind.group.add(number));
        kind.end.send(true).unwrap();
        assert_eq!(kind.began.recv().await, Some(AT_MOST));
        kind.end.send(true).unwrap();
        assert_eq!(kind.began.recv().await, Some(1));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_go_with_the_others_goes_next() {
        let began = Instant::now();
        let mut kind = held(&Arc::new(Turns::new()), 10);
        (0..11).for_each(|number| kind.group.add(number));
        assert_eq!(kind.began.recv().await, Some(10));
        kind.end.send(true).unwrap();
        assert_eq!(kind.began.recv().await, Some(1));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_third_kind_begins_when_one_of_two_ends_and_be_it_in_a_panic() {
        for is_well in [true, false] {
            let began = Instant::now();
            let turns = Arc::new(Turns::new());
            let mut kinds: [Held; 3] = std::array::from_fn(|_| held(&turns, AT_MOST));
            kinds.iter().for_each(|kind| kind.group.add(1));
            assert_eq!(kinds[0].began.recv().await, Some(1));
            assert_eq!(kinds[1].began.recv().await, Some(1));
            assert!(kinds[2].began.try_recv().is_err());
            kinds[2].group.add(2);
            kinds[0].end.send(is_well).unwrap();
            assert_eq!(kinds[2].began.recv().await, Some(2));
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_up_holds_others_up_once_and_not_for_long() {
        let began = Instant::now();
        let turns = Arc::new(Turns::new());
        let mut kinds: [Held; 3] = std::array::from_fn(|_| held(&turns, AT_MOST));
        kinds.iter().for_each(|kind| kind.group.add(1));
        assert_eq!(kinds[2].began.recv().await, Some(1));
        assert_eq!(began.elapsed(), AT_MOST_FOR);
        // The first two go on for as long as they like, and the third has a turn each time.
        for _ in 0..3 {
            kinds[2].group.add(1);
            kinds[2].end.send(true).unwrap();
            assert_eq!(kinds[2].began.recv().await, Some(1));
        }
        assert_eq!(began.elapsed(), AT_MOST_FOR);
    }

    /// Both turns are had by somebody, then some soon want one, and then somebody now.
    async fn some_soon(count: usize) -> (Vec<Held>, Held) {
        let turns = Arc::new(Turns::new());
        let mut now: Vec<Held> = (0..3).map(|_| held(&turns, AT_MOST)).collect();
        let soon = held_with(&turns, Urgency::Soon, AT_MOST);
        for kind in now.iter_mut().take(2) {
            kind.group.add(1);
            assert_eq!(kind.began.recv().await, Some(1));
        }
        (0..count).for_each(|number| soon.group.add(number));
        tokio::task::yield_now().await;
        now[2].group.add(1);
        tokio::task::yield_now().await;
        (now, soon)
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_that_stand_in_nobodys_way_let_others_go_first_and_begin_when_nobody_else_is_at_work() {
        let began = Instant::now();
        let (mut now, mut soon) = some_soon(FEW - 1).await;
        now[0].end.send(true).unwrap();
        assert_eq!(now[2].began.recv().await, Some(1));
        now[1].end.send(true).unwrap();
        tokio::task::yield_now().await;
        assert!(soon.began.try_recv().is_err(), "there is a turn, and somebody at work");
        now[2].end.send(true).unwrap();
        assert_eq!(soon.began.recv().await, Some(FEW - 1));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_at_work_a_few_begin_at_once() {
        let began = Instant::now();
        let mut soon = held_with(&Arc::new(Turns::new()), Urgency::Soon, AT_MOST);
        for _ in 0..3 {
            soon.group.add(1);
            assert_eq!(soon.began.recv().await, Some(1));
            soon.end.send(true).unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn many_of_them_have_the_turn_that_they_waited_for() {
        let (mut now, mut soon) = some_soon(FEW).await;
        now[0].end.send(true).unwrap();
        assert_eq!(soon.began.recv().await, Some(FEW));
        assert!(now[2].began.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_many_once_enough_have_come_while_they_wait() {
        let (mut now, mut soon) = some_soon(1).await;
        (1..FEW).for_each(|number| soon.group.add(number));
        now[0].end.send(true).unwrap();
        assert_eq!(now[2].began.recv().await, Some(1), "it was in line before they were many");
        now[1].end.send(true).unwrap();
        assert_eq!(soon.began.recv().await, Some(FEW));
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_for_long_is_not_waited_for() {
        let began = Instant::now();
        let (_now, mut soon) = some_soon(1).await;
        assert_eq!(soon.began.recv().await, Some(1));
        assert!(began.elapsed() >= STAND_BACK_FOR && began.elapsed() <= STAND_BACK_FOR + AT_MOST_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_lets_others_go_first_for_long() {
        let began = Instant::now();
        let (mut now, mut soon) = some_soon(1).await;
        for round in 0.. {
            // Whoever has a turn gives it up after a millisecond, and wants the next.
            tokio::time::advance(Duration::from_millis(1)).await;
            let kind = &mut now[round % 3];
            kind.group.add(1);
            kind.end.send(true).unwrap();
            tokio::time::advance(Duration::from_micros(1)).await;
            if soon.began.try_recv().is_ok() {
                break;
            }
            assert!(began.elapsed() < STAND_BACK_FOR * 2, "they wait for ever");
        }
        assert!(began.elapsed() >= STAND_BACK_FOR, "they did not let others go first: {:?}", began.elapsed());
    }
}
