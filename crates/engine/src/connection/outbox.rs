//! What the host wants sent and the task has not taken yet.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};

use crate::host::Host;
use crate::lock::lock;

#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// A look without the lock: set while `waiting` holds an operation.
    filled: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// The host counts this connection among those with something unsent.
    counted: bool,
    /// Plaintext that is not in the kernel, taken or not, in bytes.
    unsent: usize,
    /// The connection broke: nothing is taken any more.
    closed: bool,
}

/// Operations in their order: all writes, then perhaps the end.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) plaintext: Vec<u8>,
    /// Writes and the end, counted together.
    pub(super) operations: u32,
    pub(super) end: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        !self.filled.load(SeqCst)
    }

    /// True when the task must be woken.
    pub(super) fn write(&self, host: &Host, plaintext: &[u8]) -> bool {
        self.add(host, |batch| batch.plaintext.extend_from_slice(plaintext), plaintext.len())
    }

    /// True when the task must be woken.
    pub(super) fn end(&self, host: &Host) -> bool {
        self.add(host, |batch| batch.end = true, 0)
    }

    /// Notes that so much is unsent which never lay here.
    pub(super) fn count(&self, host: &Host, bytes: usize) {
        let mut waiting = self.lock();
        waiting.count(host);
        waiting.add_unsent(host, bytes);
    }

    /// So much of what was taken or counted is in the kernel.
    pub(super) fn sent(&self, host: &Host, bytes: usize) {
        self.lock().sub_unsent(host, bytes);
    }

    /// What waits; `None` when there is nothing, and then the connection has nothing unsent.
    pub(super) fn take(&self, host: &Host) -> Option<Batch> {
        let mut waiting = self.lock();
        if waiting.batch.operations == 0 {
            waiting.uncount(host);
            return None;
        }
        self.filled.store(false, SeqCst);
        Some(std::mem::take(&mut waiting.batch))
    }

    /// Nothing is sent any more.
    pub(super) fn close(&self, host: &Host) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let unsent = waiting.unsent;
        waiting.sub_unsent(host, unsent);
        waiting.batch = Batch::default();
        waiting.uncount(host);
        self.filled.store(false, SeqCst);
    }

    fn add(&self, host: &Host, fill: impl FnOnce(&mut Batch), bytes: usize) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        fill(&mut waiting.batch);
        waiting.batch.operations += 1;
        waiting.count(host);
        waiting.add_unsent(host, bytes);
        !self.filled.swap(true, SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

impl Waiting {
    fn count(&mut self, host: &Host) {
        if !self.counted && !self.closed {
            self.counted = true;
            host.count_unsent();
        }
    }

    fn uncount(&mut self, host: &Host) {
        if self.counted {
            self.counted = false;
            host.count_sent();
        }
    }

    fn add_unsent(&mut self, host: &Host, bytes: usize) {
        if !self.closed {
            self.unsent += bytes;
            host.engine.counters.sent_bytes_queued.fetch_add(count(bytes), Relaxed);
        }
    }

    fn sub_unsent(&mut self, host: &Host, bytes: usize) {
        let bytes = bytes.min(self.unsent);
        self.unsent -= bytes;
        host.engine.counters.sent_bytes_queued.fetch_sub(count(bytes), Relaxed);
    }
}

fn count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
