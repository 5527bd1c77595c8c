use crate::PoolOptions;
use std::time::{Duration, Instant};

/// Tells a burst, which a lane catches up with, from overload, which it never does: after
/// `CoDel` (RFC 8289), whose answer to overload is to drop from the front.
pub(crate) struct Congestion {
    tolerance: Duration,
    burst: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Calm,
    /// The oldest job has been above its target since then.
    Above {
        since: Instant,
        /// How many waited when that was last looked at.
        looked: Instant,
        waited: usize,
    },
    /// Until none is above its target.
    Shedding,
}

/// What waits in a lane.
#[derive(Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) jobs: usize,
    /// How long all threads will be busy with them.
    pub(crate) work: Duration,
    /// Whether the oldest is above its target.
    pub(crate) above: bool,
}

impl Congestion {
    pub(crate) fn new(options: &PoolOptions) -> Congestion {
        let PoolOptions { tolerance, burst, .. } = *options;
        Congestion { tolerance, burst, state: State::Calm }
    }

    pub(crate) fn burst(&self) -> Duration {
        self.burst
    }

    /// Whether jobs are shed.
    pub(crate) fn is_shedding(&self) -> bool {
        self.state == State::Shedding
    }

    /// Whether so much `work` waits that its end is not to be waited for.
    pub(crate) fn is_too_much(&self, work: Duration) -> bool {
        work >= self.burst
    }

    /// Whether the oldest job is to be shed.
    pub(crate) fn sheds(&mut self, waits: Waits, now: Instant) -> bool {
        self.state = match self.state {
            _ if !waits.above => State::Calm,
            State::Calm => State::Above { since: now, looked: now, waited: waits.jobs },
            State::Above { since, looked, waited }
                if now.saturating_duration_since(looked) >= self.tolerance / 2 =>
            {
                let long = now.saturating_duration_since(since) >= self.tolerance;
                // What gets less will be done, however much it is.
                if long && self.is_too_much(waits.work) && waits.jobs >= waited {
                    State::Shedding
                } else {
                    State::Above { since, looked: now, waited: waits.jobs }
                }
            }
            state => state,
        };
        self.is_shedding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUCH: u64 = 1000;
    const LITTLE: u64 = 999;

    #[test]
    fn a_burst_is_no_overload() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, MUCH, 0));
        assert!(!lane.sheds(true, MUCH, 500));
        assert!(!lane.sheds(true, MUCH, 999));
        assert!(!lane.sheds(false, MUCH, 1000));
        assert!(!lane.sheds(true, MUCH, 1001));
    }

    #[test]
    fn neither_is_what_will_soon_be_done() {
        let mut lane = Lane::new();
        for at in (0..60_000).step_by(500) {
            assert!(!lane.sheds(true, LITTLE, at));
        }
    }

    #[test]
    fn nor_what_becomes_less() {
        let mut lane = Lane::new();
        for (at, work) in (0..20_000).step_by(500).zip((0..80_000).rev()) {
            assert!(!lane.sheds(true, work, at));
        }
    }

    #[test]
    fn what_does_not_end_is_shed_until_none_is_above_its_target() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, MUCH, 0));
        assert!(!lane.sheds(true, MUCH, 500));
        assert!(lane.sheds(true, MUCH, 1000));
        assert!(lane.sheds(true, LITTLE, 1000));
        assert!(!lane.sheds(false, LITTLE, 1000));
        assert!(!lane.sheds(true, MUCH, 1001));
        assert!(!lane.sheds(true, MUCH, 1501));
        assert!(lane.sheds(true, MUCH, 2001));
    }

    #[test]
    fn what_comes_again_and_again_is_shed_too() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, 5000, 0));
        assert!(!lane.sheds(true, 6000, 500));
        assert!(!lane.sheds(true, 5000, 1000));
        assert!(lane.sheds(true, 7000, 1500));
    }

    /// With a clock of the test's, in milliseconds; each job takes one.
    struct Lane {
        congestion: Congestion,
        start: Instant,
    }

    impl Lane {
        fn new() -> Lane {
            let second = Duration::from_secs(1);
            let options =
                PoolOptions { tolerance: second, burst: second, ..PoolOptions::default() };
            Lane { congestion: Congestion::new(&options), start: Instant::now() }
        }

        fn sheds(&mut self, above: bool, work: u64, at: u64) -> bool {
            let now = self.start + Duration::from_millis(at);
            let jobs = usize::try_from(work).expect("a test's number");
            self.congestion.sheds(Waits { jobs, work: Duration::from_millis(work), above }, now)
        }
    }
}
