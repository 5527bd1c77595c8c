use crate::Lane;
use std::{cmp::Reverse, time::Duration};

/// Whose turn it is: an even share of threads and of thread time for each lane that waits.
#[derive(Default)]
pub(crate) struct Turns {
    running: [usize; Lane::ALL.len()],
    /// Thread time, as far as it counts against another lane.
    spent: [Duration; Lane::ALL.len()],
    /// What a job of the lane took lately; zero before the first.
    typical: [Duration; Lane::ALL.len()],
    /// How many jobs tell that, up to `MEMORY`.
    known: [u32; Lane::ALL.len()],
}

/// How many jobs a lane's typical time is the mean of: enough that one whose thread lost its core
/// for a while is no sign of overload.
const MEMORY: u32 = 64;

impl Turns {
    /// The lane that a free thread should serve.
    pub(crate) fn pick(&self, waits: impl Fn(Lane) -> bool) -> Option<Lane> {
        Lane::ALL.into_iter().filter(|lane| waits(*lane)).min_by_key(|lane| {
            let index = lane.index();
            (self.running[index], self.spent[index], Reverse(index))
        })
    }

    /// A job came into `lane` where none waited. Time that it left unused is no credit, or it would
    /// hold up the others for as long as it was away.
    pub(crate) fn came_back(&mut self, lane: Lane) {
        let most = self.spent.into_iter().max().unwrap_or_default();
        self.spent[lane.index()] = most;
    }

    pub(crate) fn started(&mut self, lane: Lane) {
        self.running[lane.index()] += 1;
    }

    pub(crate) fn ended(&mut self, lane: Lane, ran: Duration) {
        self.running[lane.index()] -= 1;
        self.spent[lane.index()] += ran;
        let typical = &mut self.typical[lane.index()];
        let known = &mut self.known[lane.index()];
        *typical = (*typical * *known + ran) / (*known + 1);
        *known = (*known + 1).min(MEMORY - 1);
    }

    /// A job was refused because of what its lane took lately. Each makes that a little less sure:
    /// one slow job must not close the lane for ever.
    pub(crate) fn doubt(&mut self, lane: Lane) {
        let typical = &mut self.typical[lane.index()];
        *typical -= *typical / 8;
    }

    /// How long a job of `lane` takes, to go by the recent ones.
    pub(crate) fn typical(&self, lane: Lane) -> Duration {
        self.typical[lane.index()]
    }

    pub(crate) fn running(&self) -> usize {
        self.running.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: fn(Lane) -> bool = |_| true;
    const BOTH: fn(Lane) -> bool = |lane| lane != Lane::LargeRsa;

    #[test]
    fn a_lane_that_waits_alone_gets_every_thread() {
        let mut turns = Turns::default();
        for _ in 0..4 {
            assert_eq!(turns.pick(|lane| lane == Lane::Rsa), Some(Lane::Rsa));
            turns.started(Lane::Rsa);
        }
        assert_eq!(turns.pick(|_| false), None);
    }

    #[test]
    fn while_both_wait_they_share_the_threads() {
        let mut turns = Turns::default();
        turns.started(Lane::Rsa);
        assert_eq!(turns.pick(BOTH), Some(Lane::Other));
        turns.started(Lane::Other);
        turns.started(Lane::Other);
        assert_eq!(turns.pick(BOTH), Some(Lane::Rsa));
    }

    #[test]
    fn on_one_thread_they_share_its_time() {
        let mut turns = Turns::default();
        let mut cheap_jobs = 0;
        for _ in 0..510 {
            let lane = turns.pick(BOTH).expect("both wait");
            turns.started(lane);
            if lane == Lane::Rsa {
                turns.ended(lane, Duration::from_micros(5000));
            } else {
                turns.ended(lane, Duration::from_micros(100));
                cheap_jobs += 1;
            }
        }
        assert_eq!(cheap_jobs, 500);
    }

    #[test]
    fn on_one_thread_each_of_three_has_its_third() {
        let mut turns = Turns::default();
        let mut jobs = [0; Lane::ALL.len()];
        for _ in 0..(10 + 60 + 300) {
            let lane = turns.pick(ALL).expect("all wait");
            let costs = [3000, 500, 100].map(Duration::from_micros);
            turns.started(lane);
            turns.ended(lane, costs[lane.index()]);
            jobs[lane.index()] += 1;
        }
        assert_eq!(jobs, [10, 60, 300]);
    }

    #[test]
    fn a_lane_that_was_away_has_no_credit() {
        let mut turns = Turns::default();
        turns.started(Lane::Other);
        turns.ended(Lane::Other, Duration::from_secs(60));
        turns.came_back(Lane::Rsa);
        assert_eq!(turns.pick(BOTH), Some(Lane::Other));
        turns.started(Lane::Other);
        turns.ended(Lane::Other, Duration::from_micros(100));
        assert_eq!(turns.pick(BOTH), Some(Lane::Rsa));
        turns.started(Lane::Rsa);
        turns.ended(Lane::Rsa, Duration::from_millis(5));
        assert_eq!(turns.pick(BOTH), Some(Lane::Other));
    }
}
