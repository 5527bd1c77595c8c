//! What was counted while a window was measuring.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::report::rounded;

/// A tally that all connections of a run add to.
#[derive(Clone, Default)]
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    /// Locks it; one client thread makes that free.
    pub fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was counted and starts from zero.
    #[must_use]
    pub fn take(&self) -> Tally {
        std::mem::take(&mut self.lock())
    }
}

/// Counts and latencies.
pub struct Tally {
    /// Answers, requests or connections, as the mode says.
    pub done: u64,
    /// Plaintext bytes.
    pub bytes: u64,
    /// Connections that ended with an error.
    pub failed: u64,
    /// The first of those errors.
    pub first_error: Option<String>,
    latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { done: 0, bytes: 0, failed: 0, first_error: None, latency: histogram() }
    }
}

impl Tally {
    /// One more answer, `latency` after its question.
    pub fn answered(&mut self, latency: Duration) {
        self.done += 1;
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanoseconds.max(1));
    }

    /// One more connection that ended with an error.
    pub fn failed(&mut self, error: &impl Display) {
        self.failed += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: Self) {
        self.done += other.done;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.first_error = self.first_error.take().or(other.first_error);
        // Both have the same bounds, so it can't fail.
        let _ = self.latency.add(other.latency);
    }

    /// Latencies in microseconds; absent (null) while nothing was answered.
    #[must_use]
    pub fn latencies(&self) -> Value {
        let at = |quantile| {
            (!self.latency.is_empty())
                .then(|| microseconds(self.latency.value_at_quantile(quantile)))
        };
        json!({
            "p50_us": at(0.5),
            "p90_us": at(0.9),
            "p99_us": at(0.99),
            "max_us": at(1.0),
        })
    }

    /// How latencies are distributed: pairs of a share of the answers and the microseconds within
    /// which they came.
    #[must_use]
    pub fn distribution(&self) -> Value {
        let pairs: Vec<(f64, f64)> = SHARES
            .iter()
            .filter(|_| !self.latency.is_empty())
            .map(|&share| (share, microseconds(self.latency.value_at_quantile(share))))
            .collect();
        json!({ "distribution_us": pairs })
    }

    /// Failures: their number and the first one's text.
    #[must_use]
    pub fn failures(&self) -> Value {
        json!({ "failed": self.failed, "first_error": self.first_error })
    }
}

/// Of a distribution: finer where a plot of the slowest looks.
const SHARES: [f64; 14] =
    [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0];

fn microseconds(nanoseconds: u64) -> f64 {
    rounded(Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6)
}

/// 1 ns to 100 s in three digits. The bounds are constants that the crate accepts.
fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "constant bounds, covered by every run")]
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("bounds are valid")
}
