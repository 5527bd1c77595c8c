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
    /// Then the last job was shed.
    Shedding(Instant),
}

impl Congestion {
    pub(crate) fn new(tolerance: Duration) -> Congestion {
        Congestion { tolerance, state: State::Calm }
    }

    /// Whether the oldest job is to be shed, which is `above` its target or not.
    pub(crate) fn sheds(&mut self, above: bool, now: Instant) -> bool {
        let is_over = |since| now.saturating_duration_since(since) >= self.tolerance;
        self.state = match (self.state, above) {
            (State::Calm, true) => State::Above(now),
            (State::Above(since), true) if is_over(since) => State::Shedding(now),
            (State::Shedding(_), true) => State::Shedding(now),
            (State::Above(_), false) => State::Calm,
            // Shedding itself keeps the oldest one below its target: that alone is no calm.
            (State::Shedding(last), false) if is_over(last) => State::Calm,
            (state, _) => state,
        };
        above && matches!(self.state, State::Shedding(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_no_overload() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, 0));
        assert!(!lane.sheds(true, 999));
        assert!(!lane.sheds(false, 1000));
        assert!(!lane.sheds(true, 1001));
    }

    #[test]
    fn what_does_not_end_is_overload_until_nothing_had_to_be_shed_for_as_long() {
        let mut lane = Lane::new();
        assert!(!lane.sheds(true, 0));
        assert!(lane.sheds(true, 1000));
        assert!(!lane.sheds(false, 1100));
        assert!(lane.sheds(true, 1500));
        assert!(!lane.sheds(false, 2499));
        assert!(!lane.sheds(false, 2500));
        assert!(!lane.sheds(true, 2501));
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

        fn sheds(&mut self, above: bool, at: u64) -> bool {
            self.congestion.sheds(above, self.start + Duration::from_millis(at))
        }
    }
}
