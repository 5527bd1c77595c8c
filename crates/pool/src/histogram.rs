use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A distribution of times as it is kept: atomics only, so that recording never waits or allocates.
/// It takes 1.3 KiB.
pub struct Histogram {
    /// By the first of [`BOUNDS`] that is not below the time; the last counts what is above all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// In nanoseconds.
    sum: AtomicU64,
    max: AtomicU64,
}

/// A distribution of times. Percentiles are up to 1/7 too high, and at most the longest time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many times were recorded.
    pub count: u64,
    /// All together.
    pub sum: Duration,
    /// Zero if none was recorded, like the others.
    pub mean: Duration,
    /// Half of them are at most this.
    pub p50: Duration,
    /// 90 % of them are at most this.
    pub p90: Duration,
    /// 99 % of them are at most this.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// How many were at most as long as each of [`Times::BOUNDS`].
    pub cumulative: [u64; Times::BOUNDS.len()],
}

impl Times {
    /// Upper bounds for metric systems that know no percentiles, from 10 us to 10 s.
    pub const BOUNDS: [Duration; 19] = [
        Duration::from_micros(10),
        Duration::from_micros(25),
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(5),
        Duration::from_secs(10),
    ];
}

impl Histogram {
    /// Counts one more.
    pub fn record(&self, time: Duration) {
        let nanos = nanos(time);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(nanos, Relaxed);
        self.max.fetch_max(nanos, Relaxed);
    }

    /// What was recorded so far.
    pub fn times(&self) -> Times {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let (sum, max) = (self.sum.load(Relaxed), self.max.load(Relaxed));
        let count: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let rank = (count * percent).div_ceil(100);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            let bound = bucket.and_then(|bucket| BOUNDS.get(bucket));
            Duration::from_nanos(bound.copied().unwrap_or(max).min(max))
        };
        let cumulative = Times::BOUNDS.map(|bound| {
            let below = BOUNDS.partition_point(|finer| *finer <= nanos(bound));
            counts[..below].iter().sum()
        });
        Times {
            count,
            sum: Duration::from_nanos(sum),
            mean: Duration::from_nanos(sum.checked_div(count).unwrap_or(0)),
            p50: quantile(50),
            p90: quantile(90),
            p99: quantile(99),
            max: Duration::from_nanos(max),
            cumulative,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1],
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Twenty in each decade, in hundredths (Renard's series): each bound is at most 1/7 above the one
/// before, and those of [`Times::BOUNDS`] are among them.
const STEPS: [u64; 20] = [
    100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800,
    900,
];

/// From 1 us to 100 s, in nanoseconds.
const BOUNDS: [u64; 8 * STEPS.len() + 1] = {
    let mut bounds = [0; 8 * STEPS.len() + 1];
    // A hundredth of a microsecond.
    let mut unit = 10;
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = STEPS[at % STEPS.len()] * unit;
        at += 1;
        if at % STEPS.len() == 0 {
            unit *= 10;
        }
    }
    bounds
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_that_are_told_are_bounds_that_are_kept() {
        assert!(BOUNDS.is_sorted());
        assert_eq!(BOUNDS.last(), Some(&nanos(Duration::from_secs(100))));
        for bound in Times::BOUNDS {
            assert!(BOUNDS.contains(&nanos(bound)), "{bound:?}");
        }
    }

    #[test]
    fn a_distribution_tells_what_was_recorded() {
        let histogram = Histogram::default();
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        histogram.record(Duration::from_secs(500));
        let times = histogram.times();
        assert_eq!(times.count, 101);
        assert_eq!(times.sum, Duration::from_millis(5_050) + Duration::from_secs(500));
        assert_eq!(times.max, Duration::from_secs(500));
        for (told, exact) in [(times.p50, 51), (times.p90, 91), (times.p99, 100)] {
            let exact = Duration::from_millis(exact);
            assert!(told >= exact && told <= exact * 8 / 7, "{told:?} for {exact:?}");
        }
        let at = |bound| Times::BOUNDS.iter().position(|each| *each == bound).unwrap_or(0);
        assert_eq!(times.cumulative[at(Duration::from_micros(500))], 0);
        assert_eq!(times.cumulative[at(Duration::from_millis(1))], 1);
        assert_eq!(times.cumulative[at(Duration::from_millis(25))], 25);
        assert_eq!(times.cumulative[at(Duration::from_secs(10))], 100);
    }

    #[test]
    fn nothing_recorded_is_nothing_told() {
        assert_eq!(Histogram::default().times(), Times::default());
    }
}
