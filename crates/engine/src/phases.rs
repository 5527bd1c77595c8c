//! Where the time of a handshake goes.

use std::time::{Duration, Instant};

/// What a handshake is doing at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the whole ClientHello.
    Hello,
    /// Waiting for what the host decides.
    Asked,
    /// A job on its way to a thread that computes it, or back.
    Queued,
    /// A job computing.
    Computing,
    /// Sending to the client and waiting for it, after its ClientHello.
    Client,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: &[Self] =
        &[Self::Hello, Self::Asked, Self::Queued, Self::Computing, Self::Client];
}

/// How long each phase of one handshake took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Micros; Phase::ALL.len()]);

/// Up to 71 minutes: a connection keeps these while it lives.
type Micros = u32;

impl Phases {
    /// The time of one phase.
    pub fn of(&self, phase: Phase) -> Duration {
        Duration::from_micros(self.0[phase as usize].into())
    }

    /// The time of all of them.
    pub fn total(&self) -> Duration {
        Phase::ALL.iter().map(|phase| self.of(*phase)).sum()
    }

    fn add(&mut self, phase: Phase, time: Duration) {
        let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let sum = &mut self.0[phase as usize];
        *sum = sum.saturating_add(time);
    }
}

/// Gives the time since it was last asked to one phase or another.
pub(crate) struct Stopwatch {
    phases: Phases,
    since: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { phases: Phases::default(), since: Instant::now() }
    }

    /// It was this phase.
    pub(crate) fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        self.phases.add(phase, now - self.since);
        self.since = now;
    }

    /// It was a job, which computed for so long.
    pub(crate) fn lap_of_job(&mut self, computing: Duration) {
        let now = Instant::now();
        self.phases.add(Phase::Computing, computing);
        self.phases.add(Phase::Queued, (now - self.since).saturating_sub(computing));
        self.since = now;
    }

    pub(crate) fn phases(&self) -> Phases {
        self.phases
    }
}
