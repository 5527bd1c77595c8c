use crate::{PoolOptions, job::panic_message, priority::Priority};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// The threads: Tokio's blocking pool, on a runtime that has nothing else.
pub(crate) struct Crew {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl Crew {
    pub(crate) fn new(options: PoolOptions) -> io::Result<Crew> {
        let priority = Priority::below_this_thread(options.niceness);
        // A current-thread runtime that nobody blocks on has no threads but the blocking ones.
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(options.threads)
            .thread_name(options.thread_name)
            .thread_keep_alive(FOREVER)
            .on_thread_start(move || priority.apply())
            .build()?;
        Ok(Crew { handle: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// Runs `work` on a free thread, or once one is free; never after [`dismiss`](Crew::dismiss).
    /// On `Err` no thread could be had now; Tokio may still run `work` much later.
    pub(crate) fn send(&self, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        // Tokio panics where the system refuses the first thread.
        catch_unwind(AssertUnwindSafe(|| self.handle.spawn_blocking(work)))
            .map(drop)
            .map_err(panic_message)
    }

    /// Lets the threads go as they become free.
    pub(crate) fn dismiss(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // A plain drop blocks, and so panics in async contexts.
            runtime.shutdown_background();
        }
    }
}

/// Not `Duration::MAX`: some platforms add it to the time of day.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
