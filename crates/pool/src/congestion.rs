use std::time::{Duration, Instant};

/// Tells a burst, which a lane catches up with, from overload, which it never does: after
/// `CoDel` (RFC 8289), whose answer to overload is to drop from the front.
pub(crate) struct Congestion {
    tolerance: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Calm,
    /// The oldest job has been above its target since then.
    Above(Instant),
    /// Until none is above its target.
    Shedding,
}

impl Congestion {
    pub(crate) fn new(tolerance: Duration) -> Congestion {
        Congestion { tolerance, state: State::Calm }
    }

    pub(crate) fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// Whether jobs are shed.
    pub(crate) fn is_shedding(&self) -> bool {
        self.state == State::Shedding
    }

    /// Whether so much `work` waits that its end is not to be waited for.
    pub(crate) fn is_too_much(&self, work: Duration) -> bool {
        work >= self.tolerance
    }

    /// Whether the oldest job is to be shed, which is `above` its target or not, and the first of so
    /// much `work`.
    pub(crate) fn sheds(&mut self, above: bool, work: Duration, now: Instant) -> bool {
        self.state = match self.state {
            _ if !above => State::Calm,
            State::Calm => State::Above(now),
            State::Above(since)
                if now.saturating_duration_since(since) >= self.tolerance
                    && self.is_too_much(work) =>
            {
                State::Shedding
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
        assert!(!lane.sheds(true, MUCH, 999));
        assert!(!lane.sheds(false, MUCH, 1000));
        assert!(!lane.sheds(true, MUCH, 1001));
    }

    #[test]
    fn neither_is_what_will_soon_be_done() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, LITTLE, 0));
        assert!(!lane.sheds(true, LITTLE, 60_000));
    }

    #[test]
    fn what_does_not_end_is_shed_until_none_is_above_its_target() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, MUCH, 0));
        assert!(lane.sheds(true, MUCH, 1000));
        assert!(lane.sheds(true, LITTLE, 1000));
        assert!(!lane.sheds(false, LITTLE, 1000));
        assert!(!lane.sheds(true, MUCH, 1001));
        assert!(lane.sheds(true, MUCH, 2001));
    }

    /// With a clock of the test's, in milliseconds.
    struct Lane {
        congestion: Congestion,
        start: Instant,
    }

    impl Lane {
        fn new() -> Lane {
            Lane { congestion: Congestion::new(Duration::from_secs(1)), start: Instant::now() }
        }

        fn sheds(&mut self, above: bool, work: u64, at: u64) -> bool {
            let now = self.start + Duration::from_millis(at);
            self.congestion.sheds(above, Duration::from_millis(work), now)
        }
    }
}
