use crate::{
    Lane, Patience, PoolError, PoolOptions,
    books::{Books, Outcome},
    job::Job,
    queue::{Full, Next, Queue, Ticket, Waiting},
    turns::Turns,
};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The queued jobs, shared by callers, their futures and the drainers. Foreign code (closures,
/// destructors, wakers) never runs under its lock.
pub(crate) struct Backlog {
    state: Mutex<State>,
    all_left: Condvar,
    books: Books,
    threads: usize,
}

struct State {
    lanes: [Queue<Box<dyn Job>>; Lane::ALL.len()],
    turns: Turns,
    next_ticket: Ticket,
    /// Drainers that were sent for. A number and not their names, since one that Tokio refused
    /// loudly may come in the end, in the place of another.
    expected: usize,
    /// Drainers that look for jobs or do one.
    present: usize,
    closed: bool,
}

/// What became of a submitted job.
pub(crate) struct Submitted {
    /// Where it waits; `None` if it was refused.
    pub(crate) ticket: Option<Ticket>,
    /// Whether the caller must send a drainer, or tell that none came.
    pub(crate) needs_drainer: bool,
}

impl Backlog {
    pub(crate) fn new(options: &PoolOptions) -> Backlog {
        let queue = |_| Queue::new(options);
        Backlog {
            state: Mutex::new(State {
                lanes: Lane::ALL.map(queue),
                turns: Turns::default(),
                next_ticket: 0,
                expected: 0,
                present: 0,
                closed: false,
            }),
            all_left: Condvar::new(),
            books: Books::default(),
            threads: options.threads,
        }
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    pub(crate) fn submit(&self, lane: Lane, patience: Patience, job: Box<dyn Job>) -> Submitted {
        let since = Instant::now();
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return self.turn_away(lane, job, PoolError::PoolClosed);
        }
        let answer = since + state.time_to_answer(lane);
        if patience.deadline.is_some_and(|deadline| deadline <= answer) {
            state.turns.doubt(lane);
            drop(state);
            return self.turn_away(lane, job, PoolError::DeadlinePassed);
        }
        let ticket = state.next_ticket;
        let queue = &mut state.lanes[lane.index()];
        let was_empty = queue.is_empty();
        let waiting = Waiting { since, patience, job };
        let out = match queue.push(ticket, waiting) {
            Ok(out) => out,
            Err(Full(job)) => {
                drop(state);
                return self.turn_away(lane, job, PoolError::Overloaded);
            }
        };
        self.books.queued(lane);
        state.next_ticket += 1;
        if was_empty {
            state.turns.came_back(lane);
        }
        let needs_drainer = state.needs_drainer(self.threads);
        if needs_drainer {
            state.expected += 1;
        }
        drop(state);
        if let Some((out, error)) = out {
            self.refuse(lane, out, error);
        }
        Submitted { ticket: Some(ticket), needs_drainer }
    }

    /// Takes a job out whose future is being dropped, if it still waits.
    pub(crate) fn cancel(&self, lane: Lane, ticket: Ticket) {
        let waiting = self.lock().lanes[lane.index()].remove(ticket);
        if let Some(waiting) = waiting {
            self.books.left(lane, Outcome::Dropped);
            waiting.job.cancel();
        }
    }

    /// A drainer is about to be sent though no job waits.
    pub(crate) fn expect_drainer(&self) {
        self.lock().expected += 1;
    }

    /// The drainer that was to be sent will not come in time.
    pub(crate) fn no_drainer_came(&self) {
        let mut state = self.lock();
        state.expected = state.expected.saturating_sub(1);
        if state.expected + state.present == 0 {
            let waiting = state.clear();
            drop(state);
            self.refuse_all(waiting, &PoolError::Overloaded);
        }
    }

    /// A drainer begins; `false` if it is one too many.
    pub(crate) fn drainer_came(&self) -> bool {
        let mut state = self.lock();
        if state.expected == 0 {
            return false;
        }
        state.expected -= 1;
        state.present += 1;
        true
    }

    /// The next job of a drainer. On `None` it must leave.
    pub(crate) fn next(&self) -> Option<(Lane, Box<dyn Job>)> {
        loop {
            let mut state = self.lock();
            let now = Instant::now();
            if state.present > state.drainers_most(self.threads) {
                self.left(&mut state);
                return None;
            }
            let State { lanes, turns, .. } = &mut *state;
            let next = turns
                .pick(|lane| !lanes[lane.index()].is_empty())
                .and_then(|lane| Some((lane, lanes[lane.index()].next(now, turns.typical(lane))?)));
            match next {
                Some((lane, Next::Start(waiting))) => {
                    turns.started(lane);
                    drop(state);
                    self.books.started(lane, now.saturating_duration_since(waiting.since));
                    return Some((lane, waiting.job));
                }
                Some((lane, Next::Late(waiting))) => {
                    state.turns.doubt(lane);
                    drop(state);
                    self.refuse(lane, waiting, PoolError::DeadlinePassed);
                }
                Some((lane, Next::Shed(waiting))) => {
                    drop(state);
                    self.refuse(lane, waiting, PoolError::Shed);
                }
                None => {
                    self.left(&mut state);
                    return None;
                }
            }
        }
    }

    fn left(&self, state: &mut State) {
        state.present -= 1;
        if state.closed && state.present == 0 {
            self.all_left.notify_all();
        }
    }

    /// A job that [`next`](Backlog::next) gave has run for `ran`; its answer is not yet out.
    pub(crate) fn ended(&self, lane: Lane, outcome: Outcome, ran: Duration) {
        self.lock().turns.ended(lane, ran);
        self.books.ended(lane, outcome, ran);
    }

    /// Refuses the queued jobs, and all that come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = state.clear();
        drop(state);
        self.refuse_all(waiting, &PoolError::PoolClosed);
    }

    /// Waits until no drainer is at work, for `wait` at most; gives the number of running jobs.
    pub(crate) fn wait_until_left(&self, wait: Duration) -> usize {
        let (state, _) = self
            .all_left
            .wait_timeout_while(self.lock(), wait, |state| state.present > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.turns.running()
    }

    fn turn_away(&self, lane: Lane, job: Box<dyn Job>, error: PoolError) -> Submitted {
        self.books.turned_away(lane, outcome_of(&error));
        job.refuse(error);
        Submitted { ticket: None, needs_drainer: false }
    }

    fn refuse(&self, lane: Lane, waiting: Waiting<Box<dyn Job>>, error: PoolError) {
        self.books.left(lane, outcome_of(&error));
        waiting.job.refuse(error);
    }

    fn refuse_all(
        &self,
        waiting: [Vec<Waiting<Box<dyn Job>>>; Lane::ALL.len()],
        error: &PoolError,
    ) {
        for (lane, waiting) in Lane::ALL.into_iter().zip(waiting) {
            for waiting in waiting {
                self.refuse(lane, waiting, error.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is a job for one more drainer: those that are expected or between two jobs
    /// take one each.
    fn needs_drainer(&self, threads: usize) -> bool {
        let drainers = self.expected + self.present;
        let queued: usize = self.lanes.iter().map(Queue::len).sum();
        drainers < self.drainers_most(threads) && queued + self.turns.running() > drainers
    }

    /// Under overload one thread fewer, so that a core is left to whoever else has work.
    fn drainers_most(&self, threads: usize) -> usize {
        let is_overloaded = self.lanes.iter().any(Queue::is_overloaded);
        if is_overloaded { threads.saturating_sub(1).max(1) } else { threads }
    }

    /// How long a job that comes now will take, its wait included.
    fn time_to_answer(&self, lane: Lane) -> Duration {
        let typical = self.turns.typical(lane);
        let queue = &self.lanes[lane.index()];
        // Where more waits than will be done, the newest are first.
        queue.work(typical).min(queue.longest_in_order()) + typical
    }

    fn clear(&mut self) -> [Vec<Waiting<Box<dyn Job>>>; Lane::ALL.len()] {
        self.lanes.each_mut().map(|queue| queue.clear().collect())
    }
}

fn outcome_of(error: &PoolError) -> Outcome {
    match error {
        PoolError::PoolClosed => Outcome::Closed,
        PoolError::TaskDropped => Outcome::Dropped,
        PoolError::Overloaded => Outcome::Overloaded,
        PoolError::DeadlinePassed => Outcome::DeadlinePassed,
        PoolError::Shed => Outcome::Shed,
        PoolError::Panicked(_) => Outcome::Panicked,
    }
}
