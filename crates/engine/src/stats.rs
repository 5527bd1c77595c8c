//! Counters of the whole process, read without locks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::shed::{ShedCounters, ShedCounts};

/// Gauges (how many now) and counters (how many since the start).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connection tasks alive. Gauge.
    pub connections: i64,
    /// Of these, still in their handshake. Gauge.
    pub handshaking: i64,
    /// Of these, open. Gauge.
    pub open: i64,
    /// Listening sockets. Gauge.
    pub listeners: i64,
    /// Plaintext received and not yet drained by a host, in bytes, and 64 for each piece. Gauge.
    pub received_bytes_queued: i64,
    /// Plaintext submitted and not yet handed to the kernel, in bytes. Gauge.
    pub sent_bytes_queued: i64,
    /// Connections accepted or handed over. Counter.
    pub accepted: u64,
    /// Handshakes that succeeded. Counter.
    pub handshakes_done: u64,
    /// Of these, resumed sessions. Counter.
    pub handshakes_resumed: u64,
    /// Handshakes that failed or timed out. Counter.
    pub handshakes_failed: u64,
    /// Handshake jobs computed in the pool. Counter.
    pub jobs_offloaded: u64,
    /// Handshake jobs computed on the I/O worker. Counter.
    pub jobs_inline: u64,
    /// Errors of accept(2), such as EMFILE. Counter.
    pub accept_errors: u64,
    /// Connections shed, by reason. Counters, in the order of [`crate::ShedReason::ALL`].
    pub sheds: ShedCounts,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicI64,
    pub(crate) handshaking: AtomicI64,
    pub(crate) open: AtomicI64,
    pub(crate) listeners: AtomicI64,
    pub(crate) received_bytes_queued: AtomicI64,
    pub(crate) sent_bytes_queued: AtomicI64,
    pub(crate) accepted: AtomicU64,
    pub(crate) handshakes_done: AtomicU64,
    pub(crate) handshakes_resumed: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) jobs_offloaded: AtomicU64,
    pub(crate) jobs_inline: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) sheds: ShedCounters,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            connections: self.connections.load(Relaxed),
            handshaking: self.handshaking.load(Relaxed),
            open: self.open.load(Relaxed),
            listeners: self.listeners.load(Relaxed),
            received_bytes_queued: self.received_bytes_queued.load(Relaxed),
            sent_bytes_queued: self.sent_bytes_queued.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            handshakes_done: self.handshakes_done.load(Relaxed),
            handshakes_resumed: self.handshakes_resumed.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            jobs_offloaded: self.jobs_offloaded.load(Relaxed),
            jobs_inline: self.jobs_inline.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
            sheds: self.sheds.snapshot(),
        }
    }
}

/// Counts one up while it lives.
#[derive(Debug)]
pub(crate) struct Gauge<'a>(&'a AtomicI64);

impl<'a> Gauge<'a> {
    pub(crate) fn hold(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
