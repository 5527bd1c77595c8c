use crate::{
    Lane, Patience, PoolOptions, PoolStats, Run, backlog::Backlog, crew::Crew, drainer, job::Task,
};
use std::{fmt, io, sync::Arc, time::Duration};

/// A handle to the pool; clones share it. With the last of them the pool ends like by
/// [`shutdown`](Pool::shutdown) without waiting, wherever that happens, also inside an async
/// context or a job of its own.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    backlog: Arc<Backlog>,
    crew: Crew,
}

impl Pool {
    /// Makes the pool and starts its first thread.
    ///
    /// # Errors
    /// `InvalidInput` if an option is out of its range, else what the system says when it has no
    /// thread to give.
    pub fn new(options: PoolOptions) -> io::Result<Pool> {
        options.check()?;
        let backlog = Arc::new(Backlog::new(&options));
        let crew = Crew::new(options)?;
        let pool = Pool(Arc::new(Inner { backlog, crew }));
        // Without a first thread Tokio panics at a job when the system has none left; with one it
        // lets the job wait for it.
        pool.0.backlog.expect_drainer();
        pool.send_drainer()
            .map_err(|refusal| io::Error::new(io::ErrorKind::WouldBlock, refusal))?;
        Ok(pool)
    }

    /// Queues `job` at once; the returned future gives its answer. Dropping the future cancels a
    /// job that has not started: it leaves the queue and is dropped before `drop` returns.
    ///
    /// `patience`: how long it may wait, or just its deadline.
    ///
    /// The job must not wait for sockets, locks held for long, or other jobs of this pool: it holds
    /// one of few threads. It must not spawn Tokio tasks: the pool's runtime doesn't drive any.
    ///
    /// # Errors
    /// From the future: see [`PoolError`](crate::PoolError).
    pub fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        patience: impl Into<Patience>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Run<T> {
        let (task, answer) = Task::new(job);
        let submitted = self.0.backlog.submit(lane, patience.into(), Box::new(task));
        if submitted.needs_drainer && self.send_drainer().is_err() {
            self.0.backlog.no_drainer_came();
        }
        Run::new(answer, &self.0.backlog, lane, submitted.ticket)
    }

    /// What happened so far, and what goes on. Takes no lock; allocates some 40 KiB for a moment.
    pub fn stats(&self) -> PoolStats {
        self.0.backlog.books().stats()
    }

    /// Whether nothing is queued or running. One atomic read.
    pub fn is_idle(&self) -> bool {
        self.0.backlog.books().is_idle()
    }

    /// Closes the pool: queued jobs end with [`PoolError::PoolClosed`](crate::PoolError::PoolClosed), as do later ones. Blocks
    /// until the running ones ended and answered, for `wait` at most; gives the number that still
    /// run. Those end in their own time and are answered too. Calling it again just waits again.
    ///
    /// In a job of this pool it would wait for itself: pass zero there.
    pub fn shutdown(&self, wait: Duration) -> usize {
        self.0.backlog.close();
        let still_running = self.0.backlog.wait_until_left(wait);
        self.0.crew.dismiss();
        still_running
    }

    fn send_drainer(&self) -> Result<(), String> {
        let backlog = Arc::clone(&self.0.backlog);
        self.0.crew.send(move || drainer::drain(&backlog))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.backlog.close();
        self.crew.dismiss();
    }
}
