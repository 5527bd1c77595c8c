//! When bytes last came or went.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(super) struct Activity {
    timeout: Duration,
    start: Instant,
    /// In milliseconds since `start`.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, start: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn note(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// When the connection will have been idle for too long, should nothing happen.
    pub(super) fn idle_at(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Relaxed)) + self.timeout
    }
}
