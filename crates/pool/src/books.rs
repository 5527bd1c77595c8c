use crate::{
    Histogram, Lane,
    stats::{LaneStats, PoolStats},
};
use std::{
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

/// The statistics as they are kept: atomics only, so that recording never waits or allocates.
#[derive(Default)]
pub(crate) struct Books {
    /// Jobs queued or running.
    pending: AtomicUsize,
    lanes: [LaneBooks; Lane::ALL.len()],
}

/// How a job ended. Each submitted job ends in exactly one of these ways.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Done,
    Unclaimed,
    Dropped,
    Overloaded,
    DeadlinePassed,
    Shed,
    Panicked,
    Closed,
}

#[derive(Default)]
struct LaneBooks {
    queued: AtomicUsize,
    running: AtomicUsize,
    outcomes: [AtomicU64; Outcome::Closed as usize + 1],
    time_queued: Histogram,
    time_run: Histogram,
}

impl Books {
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.load(Acquire) == 0
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            large_rsa: self.lanes[Lane::LargeRsa.index()].stats(),
            rsa: self.lanes[Lane::Rsa.index()].stats(),
            other: self.lanes[Lane::Other.index()].stats(),
        }
    }

    pub(crate) fn turned_away(&self, lane: Lane, outcome: Outcome) {
        self.lanes[lane.index()].count(outcome);
    }

    /// Must be booked before another thread can take the job.
    pub(crate) fn queued(&self, lane: Lane) {
        self.pending.fetch_add(1, Relaxed);
        self.lanes[lane.index()].queued.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self, lane: Lane, outcome: Outcome) {
        let lane = &self.lanes[lane.index()];
        lane.count(outcome);
        lane.queued.fetch_sub(1, Relaxed);
        self.pending.fetch_sub(1, Release);
    }

    pub(crate) fn started(&self, lane: Lane, waited: Duration) {
        let lane = &self.lanes[lane.index()];
        lane.running.fetch_add(1, Relaxed);
        lane.queued.fetch_sub(1, Relaxed);
        lane.time_queued.record(waited);
    }

    pub(crate) fn ended(&self, lane: Lane, outcome: Outcome, ran: Duration) {
        let lane = &self.lanes[lane.index()];
        lane.time_run.record(ran);
        lane.count(outcome);
        lane.running.fetch_sub(1, Relaxed);
        self.pending.fetch_sub(1, Release);
    }
}

impl LaneBooks {
    fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
    }

    fn stats(&self) -> LaneStats {
        let count = |outcome| self.outcomes[outcome as usize].load(Relaxed);
        LaneStats {
            queued: self.queued.load(Relaxed),
            running: self.running.load(Relaxed),
            done: count(Outcome::Done),
            unclaimed: count(Outcome::Unclaimed),
            dropped: count(Outcome::Dropped),
            overloaded: count(Outcome::Overloaded),
            deadline_passed: count(Outcome::DeadlinePassed),
            shed: count(Outcome::Shed),
            panicked: count(Outcome::Panicked),
            closed: count(Outcome::Closed),
            time_queued: self.time_queued.times(),
            time_run: self.time_run.times(),
        }
    }
}
