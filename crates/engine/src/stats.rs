//! What of the process belongs to no server, read without locks; for all else see `tally`.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Gauges: how many now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Plaintext received and not yet drained by a host, in bytes, and 64 for each piece. Gauge.
    pub received_bytes_queued: i64,
    /// Plaintext submitted and not yet handed to the kernel, in bytes. Gauge.
    pub sent_bytes_queued: i64,
    /// Received of ClientHellos that are not whole yet, in bytes. Gauge.
    pub hello_bytes: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received_bytes_queued: AtomicI64,
    pub(crate) sent_bytes_queued: AtomicI64,
    pub(crate) hello_bytes: AtomicI64,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            received_bytes_queued: self.received_bytes_queued.load(Relaxed),
            sent_bytes_queued: self.sent_bytes_queued.load(Relaxed),
            hello_bytes: self.hello_bytes.load(Relaxed),
        }
    }
}

/// Counts so many up while it lives.
#[derive(Debug)]
pub(crate) struct Gauge<'a> {
    gauge: &'a AtomicI64,
    held: i64,
}

impl<'a> Gauge<'a> {
    pub(crate) fn hold(gauge: &'a AtomicI64) -> Self {
        let mut holding = Self { gauge, held: 0 };
        holding.add(1);
        holding
    }

    pub(crate) fn empty(gauge: &'a AtomicI64) -> Self {
        Self { gauge, held: 0 }
    }

    pub(crate) fn add(&mut self, count: i64) {
        self.held += count;
        self.gauge.fetch_add(count, Relaxed);
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.held, Relaxed);
    }
}
