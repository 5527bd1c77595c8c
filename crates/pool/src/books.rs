use crate::{
    Lane,
    stats::{LaneStats, PoolStats, Times},
};
use histogram::{AtomicHistogram, Config};
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
    time_queued: TimeBook,
    time_run: TimeBook,
}

impl Books {
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.load(Acquire) == 0
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
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

struct TimeBook {
    /// In nanoseconds.
    histogram: AtomicHistogram,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for TimeBook {
    fn default() -> Self {
        TimeBook {
            histogram: AtomicHistogram::with_config(&SCALE),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl TimeBook {
    fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Can't fail: the value is on the scale.
        let _ = self.histogram.increment(nanos.min(LONGEST));
        self.sum.fetch_add(nanos, Relaxed);
        self.max.fetch_max(nanos, Relaxed);
    }

    fn times(&self) -> Times {
        let sum = self.sum.load(Relaxed);
        let max = self.max.load(Relaxed);
        let snapshot = self.histogram.load();
        let count: u64 = snapshot.as_slice().iter().sum();
        let quantile = |quantile| {
            let bucket = snapshot.quantile_bucket(quantile).ok().flatten();
            Duration::from_nanos(bucket.map_or(0, |bucket| bucket.end().min(max)))
        };
        Times {
            count,
            mean: Duration::from_nanos(sum.checked_div(count).unwrap_or(0)),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: Duration::from_nanos(max),
        }
    }
}

/// Buckets of 1/32 of their value up to 137 s, in 8 KiB.
const SCALE: Config = match Config::new(5, LONGEST_POWER) {
    Ok(scale) => scale,
    Err(_) => panic!("a valid scale"),
};
const LONGEST_POWER: u8 = 37;
const LONGEST: u64 = (1 << LONGEST_POWER) - 1;
