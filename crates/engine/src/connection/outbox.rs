//! What the host wants sent and the task has not taken yet.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::host::Host;

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

    /// Notes that something is unsent which never lay here.
    pub(super) fn count(&self, host: &Host) {
        self.lock().count(host);
    }

    /// What waits; `None` when there is nothing, and then the connection has nothing unsent.
    pub(super) fn take(&self, host: &Host) -> Option<Batch> {
        let mut waiting = self.lock();
        if waiting.batch.operations == 0 {
            waiting.uncount(host);
            return None;
        }
        self.filled.store(false, SeqCst);
        let batch = std::mem::take(&mut waiting.batch);
        sub_queued(host, batch.plaintext.len());
        Some(batch)
    }

    /// Nothing is sent any more.
    pub(super) fn close(&self, host: &Host) {
        let mut waiting = self.lock();
        waiting.closed = true;
        sub_queued(host, waiting.batch.plaintext.len());
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
        let queued = i64::try_from(bytes).unwrap_or(i64::MAX);
        host.engine.counters.sent_bytes_queued.fetch_add(queued, Relaxed);
        !self.filled.swap(true, SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
}

fn sub_queued(host: &Host, bytes: usize) {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    host.engine.counters.sent_bytes_queued.fetch_sub(bytes, Relaxed);
}
