//! Locking where a panic elsewhere must not spread.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks although a panic has poisoned it: that panic ended one connection, and the data is whole
/// between any two statements of this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
