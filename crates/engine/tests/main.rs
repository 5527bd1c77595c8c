//! The tests of this crate, as one binary.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod asking;
mod border;
mod host;
mod shedding;
mod support;
