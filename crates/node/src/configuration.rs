//! The engine of this process, and the environment variables that size it.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use offloop_engine::{Engine, EngineOptions};

use crate::{Result, coded};

static ENGINE: Mutex<Option<Arc<Engine>>> = Mutex::new(None);

/// Starts the engine on first use. One for all Node environments of the process: its threads
/// outlive each of them.
pub(crate) fn engine() -> Result<Arc<Engine>> {
    let mut engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(engine) = &*engine {
        return Ok(Arc::clone(engine));
    }
    let started = Engine::start(options()?).map_err(|error| {
        coded("ERR_OFFLOOP_INTERNAL", format!("offloop's threads could not be started: {error}"))
    })?;
    *engine = Some(Arc::clone(&started));
    Ok(started)
}

fn options() -> Result<EngineOptions> {
    let mut options = EngineOptions::default();
    if std::env::var(IO_THREADS).is_ok_and(|value| value == "cores") {
        options.io_threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    } else if let Some(threads) = number(IO_THREADS, THREADS)? {
        options.io_threads = threads;
    }
    if let Some(threads) = number("OFFLOOP_POOL_THREADS", THREADS)? {
        options.pool_threads = threads;
    }
    if let Some(bytes) = number("OFFLOOP_BUFFERED_BYTES", BUFFERED_BYTES)? {
        options.buffered_overall = bytes;
    }
    options.panic_on = std::env::var("OFFLOOP_TEST_PANIC_ON").ok();
    Ok(options)
}

/// `cores`: as many as this process may use, where no event loop competes with them.
const IO_THREADS: &str = "OFFLOOP_IO_THREADS";
const THREADS: RangeInclusive<usize> = 1..=1024;
const BUFFERED_BYTES: RangeInclusive<usize> = 1 << 20..=1 << 40;

fn number(name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
    let bad = |value: &str| {
        let (least, most) = (range.start(), range.end());
        coded(
            "ERR_INVALID_ARG_VALUE",
            format!(
                "The environment variable {name} must be a number from {least} to {most}, got '{value}'"
            ),
        )
    };
    match std::env::var(name) {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(value) => match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(bad(&value)),
        },
        Err(std::env::VarError::NotUnicode(value)) => Err(bad(&value.to_string_lossy())),
    }
}
