//! What the queue of events is built of. The models of `tests/models.rs` put loom's in its place.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};

pub(crate) use crate::lock::lock;
