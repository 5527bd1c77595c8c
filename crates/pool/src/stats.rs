use crate::{Lane, Times};

/// What happened in a pool so far. Counters are read one after the other, so that a job that moves
/// on meanwhile may be seen twice or not at all; once the pool is idle they are exact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Of [`Lane::LargeRsa`].
    pub large_rsa: LaneStats,
    /// Of [`Lane::Rsa`].
    pub rsa: LaneStats,
    /// Of [`Lane::Other`].
    pub other: LaneStats,
}

impl PoolStats {
    /// The part of one lane.
    pub fn lane(&self, lane: Lane) -> &LaneStats {
        match lane {
            Lane::LargeRsa => &self.large_rsa,
            Lane::Rsa => &self.rsa,
            Lane::Other => &self.other,
        }
    }
}

/// What happened in one lane. Each submitted job is in exactly one of the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Jobs that wait now.
    pub queued: usize,
    /// Jobs that run now.
    pub running: usize,
    /// Jobs that ran and answered.
    pub done: u64,
    /// Jobs that ran in vain: their future was dropped meanwhile.
    pub unclaimed: u64,
    /// Jobs that were cancelled before they started.
    pub dropped: u64,
    /// Jobs refused with [`Overloaded`](crate::PoolError::Overloaded).
    pub overloaded: u64,
    /// Jobs refused with [`DeadlinePassed`](crate::PoolError::DeadlinePassed).
    pub deadline_passed: u64,
    /// Jobs refused with [`Shed`](crate::PoolError::Shed).
    pub shed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs refused with [`PoolClosed`](crate::PoolError::PoolClosed).
    pub closed: u64,
    /// How long the jobs waited that started.
    pub time_queued: Times,
    /// How long the jobs ran.
    pub time_run: Times,
}

impl LaneStats {
    /// All jobs that were ever submitted.
    pub fn submitted(&self) -> u64 {
        self.queued as u64
            + self.running as u64
            + self.done
            + self.unclaimed
            + self.dropped
            + self.overloaded
            + self.deadline_passed
            + self.shed
            + self.panicked
            + self.closed
    }
}
