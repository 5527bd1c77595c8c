use crate::{
    Patience, PoolError, PoolOptions,
    congestion::{Congestion, Waits},
};
use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

/// The jobs that wait in one lane, oldest first.
pub(crate) struct Queue<J> {
    /// A map, so that a cancelled job leaves no gap that counts or stays.
    waiting: BTreeMap<Ticket, Waiting<J>>,
    limit: usize,
    threads: usize,
    newest_first_after: Duration,
    congestion: Congestion,
}

/// A job's number, ascending with time.
pub(crate) type Ticket = u64;

pub(crate) struct Waiting<J> {
    pub(crate) since: Instant,
    pub(crate) patience: Patience,
    pub(crate) job: J,
}

/// What a free thread has to do next.
pub(crate) enum Next<J> {
    Start(Waiting<J>),
    /// It can't be answered by its deadline.
    Late(Waiting<J>),
    /// It is above its target, and the lane overloaded.
    Shed(Waiting<J>),
}

/// The queue was full, and this job isn't in it.
pub(crate) struct Full<J>(pub(crate) J);

impl<J> Queue<J> {
    pub(crate) fn new(options: &PoolOptions) -> Queue<J> {
        Queue {
            waiting: BTreeMap::new(),
            limit: options.queue_limit,
            threads: options.threads,
            newest_first_after: options.newest_first_after,
            congestion: Congestion::new(options),
        }
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        // What was true of the last that waited says nothing of the next.
        self.congestion.is_shedding() && !self.waiting.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a job. In a full queue it takes the place of the oldest one if that is past its
    /// deadline or above its target, which is given back with the reason.
    pub(crate) fn push(
        &mut self,
        ticket: Ticket,
        waiting: Waiting<J>,
    ) -> Result<Option<(Waiting<J>, PoolError)>, Full<J>> {
        let mut out = None;
        if self.waiting.len() >= self.limit {
            let now = waiting.since;
            let late = self.pop_oldest_if(|oldest| oldest.is_late(now, Duration::ZERO));
            out = match late {
                Some(late) => Some((late, PoolError::DeadlinePassed)),
                None => self
                    .pop_oldest_if(|oldest| oldest.is_above_target(now))
                    .map(|above| (above, PoolError::Shed)),
            };
            if out.is_none() {
                return Err(Full(waiting.job));
            }
        }
        self.waiting.insert(ticket, waiting);
        Ok(out)
    }

    /// `typical`: how long a job takes, which a deadline must leave time for.
    pub(crate) fn next(&mut self, now: Instant, typical: Duration) -> Option<Next<J>> {
        // Serving the newest first would otherwise leave the late ones in the queue.
        if let Some(late) = self.pop_oldest_if(|oldest| oldest.is_late(now, typical)) {
            return Some(Next::Late(late));
        }
        let oldest = self.waiting.first_key_value();
        let above = oldest.is_some_and(|(_, oldest)| oldest.is_above_target(now));
        let work = self.work(typical);
        if self.congestion.sheds(Waits { jobs: self.waiting.len(), work, above }, now) {
            return self.waiting.pop_first().map(|(_, oldest)| Next::Shed(oldest));
        }
        let (_, oldest) = self.waiting.first_key_value()?;
        let age = now.saturating_duration_since(oldest.since);
        let newest_first = age > self.newest_first_after && self.congestion.is_too_much(work);
        let (_, next) =
            if newest_first { self.waiting.pop_last()? } else { self.waiting.pop_first()? };
        Some(if next.is_late(now, typical) { Next::Late(next) } else { Next::Start(next) })
    }

    /// How long a job may wait for older ones.
    pub(crate) fn longest_in_order(&self) -> Duration {
        self.newest_first_after.max(self.congestion.burst())
    }

    /// How long all threads will be busy with what waits.
    pub(crate) fn work(&self, typical: Duration) -> Duration {
        let jobs = u32::try_from(self.waiting.len() / self.threads).unwrap_or(u32::MAX);
        typical.saturating_mul(jobs)
    }

    /// Takes a job out, if it still waits.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiting<J>> {
        self.waiting.remove(&ticket)
    }

    /// Takes all jobs out, oldest first.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Waiting<J>> + use<J> {
        mem::take(&mut self.waiting).into_values()
    }

    fn pop_oldest_if(&mut self, condition: impl Fn(&Waiting<J>) -> bool) -> Option<Waiting<J>> {
        let oldest = self.waiting.first_entry()?;
        condition(oldest.get()).then(|| oldest.remove())
    }
}

impl<J> Waiting<J> {
    fn is_late(&self, now: Instant, typical: Duration) -> bool {
        let Patience { deadline, age, .. } = self.patience;
        deadline.is_some_and(|deadline| deadline <= now + typical)
            || age.is_some_and(|age| now.saturating_duration_since(self.since) > age)
    }

    fn is_above_target(&self, now: Instant) -> bool {
        self.patience
            .target
            .is_some_and(|target| now.saturating_duration_since(self.since) > target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_the_oldest_first_while_it_is_young() {
        let mut lane = Lane::new(10);
        lane.push_at(0, None);
        lane.push_at(1, None);
        assert_eq!(lane.next_at(100), Some(("start", 0)));
        assert_eq!(lane.next_at(100), Some(("start", 1)));
        assert_eq!(lane.next_at(100), None);
    }

    #[test]
    fn serves_the_newest_first_while_the_oldest_is_too_old() {
        let mut lane = Lane::new(10);
        for at in [0, 50, 60] {
            lane.push_at(at, None);
        }
        assert_eq!(lane.next_at(101), Some(("start", 60)));
        lane.push_at(102, None);
        assert_eq!(lane.next_at(103), Some(("start", 102)));
        assert_eq!(lane.next_at(103), Some(("start", 50)));
        assert_eq!(lane.next_at(103), Some(("start", 0)));
        lane.push_at(104, None);
        lane.push_at(105, None);
        assert_eq!(lane.next_at(110), Some(("start", 104)));
    }

    #[test]
    fn serves_the_oldest_first_while_all_will_soon_be_done() {
        let burst = Duration::from_secs(1);
        let options = PoolOptions { threads: 1, burst, ..PoolOptions::default() };
        let mut lane = Lane::new(10);
        lane.queue = Queue::new(&options);
        lane.typical = Duration::from_millis(400);
        for at in 0..4 {
            lane.push_at(at, None);
        }
        assert_eq!(lane.next_at(500), Some(("start", 3)), "1.6 s of work is too much");
        lane.push_at(500, None);
        assert!(lane.queue.remove(500).is_some() && lane.queue.remove(2).is_some());
        assert_eq!(lane.next_at(500), Some(("start", 0)));
    }

    #[test]
    fn refuses_late_jobs_wherever_they_stand() {
        let mut lane = Lane::new(10);
        lane.push_at(0, Some(150));
        lane.push_at(1, None);
        lane.push_at(2, Some(150));
        assert_eq!(lane.next_at(150), Some(("late", 0)));
        assert_eq!(lane.next_at(150), Some(("late", 2)));
        assert_eq!(lane.next_at(150), Some(("start", 1)));
    }

    #[test]
    fn a_full_queue_makes_room_only_by_a_late_job() {
        let mut lane = Lane::new(2);
        assert_eq!(lane.push_at(0, Some(10)), Push::Kept);
        assert_eq!(lane.push_at(1, None), Push::Kept);
        assert_eq!(lane.push_at(9, None), Push::Refused);
        assert_eq!(lane.push_at(10, None), Push::InPlaceOf(0));
        assert_eq!(lane.push_at(11, None), Push::Refused);
    }

    #[test]
    fn a_full_queue_makes_room_by_a_job_above_its_target() {
        let mut lane = Lane::new(1);
        lane.push(0, Patience { target: Some(Duration::from_millis(50)), ..Patience::default() });
        assert_eq!(lane.push_at(50, None), Push::Refused);
        assert_eq!(lane.push_at(51, None), Push::InPlaceOf(0));
    }

    #[test]
    fn a_removed_job_makes_room() {
        let mut lane = Lane::new(1);
        assert_eq!(lane.push_at(0, None), Push::Kept);
        assert!(lane.queue.remove(0).is_some());
        assert!(lane.queue.remove(0).is_none());
        assert_eq!(lane.push_at(1, None), Push::Kept);
    }

    #[test]
    fn a_deadline_leaves_time_for_the_job_itself() {
        let mut lane = Lane::new(10);
        lane.typical = Duration::from_millis(5);
        lane.push_at(0, Some(100));
        lane.push_at(1, Some(106));
        assert_eq!(lane.next_at(95), Some(("late", 0)));
        assert_eq!(lane.next_at(95), Some(("start", 1)));
    }

    #[test]
    fn a_job_that_has_waited_for_too_long_is_refused() {
        let mut lane = Lane::new(10);
        lane.typical = Duration::from_millis(50);
        let age = Some(Duration::from_millis(20));
        lane.push(0, Patience { age, ..Patience::default() });
        lane.push(1, Patience { age, ..Patience::default() });
        assert_eq!(lane.next_at(21), Some(("late", 0)));
        assert_eq!(lane.next_at(21), Some(("start", 1)), "however long it takes");
    }

    #[test]
    fn overload_sheds_what_is_above_its_target() {
        let mut lane = Lane::new(10);
        let patience = Patience { target: Some(Duration::from_millis(50)), ..Patience::default() };
        for at in [0, 1, 2] {
            lane.push(at, patience);
        }
        assert_eq!(lane.next_at(52), Some(("start", 0)), "it may be a burst");
        lane.push(53, patience);
        assert_eq!(lane.next_at(53), Some(("shed", 1)));
        assert_eq!(lane.next_at(53), Some(("shed", 2)));
        assert_eq!(lane.next_at(53), Some(("start", 53)));
    }

    #[derive(Debug, PartialEq)]
    enum Push {
        Kept,
        InPlaceOf(u64),
        Refused,
    }

    /// A queue whose clock is the test's; jobs are named by their millisecond.
    struct Lane {
        queue: Queue<u64>,
        start: Instant,
        typical: Duration,
    }

    impl Lane {
        fn new(limit: usize) -> Lane {
            let options = PoolOptions {
                threads: 1,
                queue_limit: limit,
                newest_first_after: Duration::from_millis(100),
                tolerance: Duration::ZERO,
                burst: Duration::ZERO,
                ..PoolOptions::default()
            };
            Lane { queue: Queue::new(&options), start: Instant::now(), typical: Duration::ZERO }
        }

        fn push_at(&mut self, at: u64, deadline: Option<u64>) -> Push {
            self.push(at, deadline.map(|at| self.time(at)).into())
        }

        fn push(&mut self, at: u64, patience: Patience) -> Push {
            let waiting = Waiting { since: self.time(at), patience, job: at };
            match self.queue.push(at, waiting) {
                Ok(None) => Push::Kept,
                Ok(Some((out, _))) => Push::InPlaceOf(out.job),
                Err(Full(_)) => Push::Refused,
            }
        }

        fn next_at(&mut self, at: u64) -> Option<(&'static str, u64)> {
            let now = self.time(at);
            self.queue.next(now, self.typical).map(|next| match next {
                Next::Start(waiting) => ("start", waiting.job),
                Next::Late(waiting) => ("late", waiting.job),
                Next::Shed(waiting) => ("shed", waiting.job),
            })
        }

        fn time(&self, at: u64) -> Instant {
            self.start + Duration::from_millis(at)
        }
    }
}
