//! How many private keys are in memory: what was replaced is to be gone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Private keys that this process can sign with now. A key is wiped from memory when the last
/// context, job and connection that was made with it is dropped.
pub fn live_keys() -> usize {
    LIVE.load(Relaxed)
}

/// Counts while it lives: part of what owns a key.
#[derive(Debug)]
pub(crate) struct LiveKey(());

impl LiveKey {
    pub(crate) fn new() -> Self {
        LIVE.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for LiveKey {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Relaxed);
    }
}
