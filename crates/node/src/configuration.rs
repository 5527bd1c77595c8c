//! The engine of this process, and the environment variables that size it.

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
    if let Some(threads) = threads("OFFLOOP_IO_THREADS")? {
        options.io_threads = threads;
    }
    if let Some(threads) = threads("OFFLOOP_POOL_THREADS")? {
        options.pool_threads = threads;
    }
    options.panic_on = std::env::var("OFFLOOP_TEST_PANIC_ON").ok();
    Ok(options)
}

fn threads(name: &str) -> Result<Option<usize>> {
    match std::env::var(name) {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(value) => match value.parse() {
            Ok(threads @ 1..=1024) => Ok(Some(threads)),
            _ => Err(bad_threads(name, &value)),
        },
        Err(std::env::VarError::NotUnicode(value)) => {
            Err(bad_threads(name, &value.to_string_lossy()))
        }
    }
}

fn bad_threads(name: &str, value: &str) -> napi::Error<String> {
    coded(
        "ERR_INVALID_ARG_VALUE",
        format!("The environment variable {name} must be a number from 1 to 1024, got '{value}'"),
    )
}
