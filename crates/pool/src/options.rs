use std::{io, num::NonZeroUsize, thread, time::Duration};

/// How a [`Pool`](crate::Pool) is made.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// How many jobs run at the same time, each on a thread of its own. The first thread starts
    /// with the pool, the others as they are first needed; all stay until the pool ends.
    ///
    /// Default: the number of cores. At least 1.
    pub threads: usize,
    /// How many jobs may wait in each lane; one more is refused with
    /// [`PoolError::Overloaded`](crate::PoolError::Overloaded). Running and cancelled jobs don't
    /// count. Worst-case memory: about 300 bytes a job and what its closure holds.
    ///
    /// Default: 16384, so that `burst` decides for all but the cheapest jobs. At least 1.
    pub queue_limit: usize,
    /// The age of a lane's oldest job beyond which that lane serves its newest job first, if more
    /// work waits than `burst`. [`Duration::MAX`] keeps it first come, first served.
    ///
    /// Default: 100 ms, longer than a burst takes that the pool can catch up with.
    pub newest_first_after: Duration,
    /// How long the oldest job of a lane may be above its [target](crate::Patience::target), while
    /// more work waits than `burst` and it becomes no less, before jobs above theirs are shed.
    ///
    /// Default: 1 s.
    pub tolerance: Duration,
    /// How long all threads may be busy with what waits in a lane before it counts as overload. Less
    /// is a burst, served in order, and nothing of it shed.
    ///
    /// Default: 2.5 s, a reconnect storm of thousands. On a machine whose other threads take half of
    /// the time it takes 5 s, as long as clients wait.
    pub burst: Duration,
    /// How much nicer the threads are than the thread that makes the pool, in the unit of
    /// `nice(2)`, at most up to 19; `None` leaves them alone. On Linux and Android only, elsewhere
    /// it has no effect. Failure to change it is not an error. A negative value needs a privilege.
    ///
    /// Default: 5, with which a pool thread still gets a quarter of a core that it contends for
    /// with an event loop.
    pub niceness: Option<i32>,
    /// The name of each thread. Linux shows the first 15 bytes.
    ///
    /// Default: `offloop-pool`. Without NUL.
    pub thread_name: String,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            queue_limit: 16_384,
            newest_first_after: Duration::from_millis(100),
            tolerance: Duration::from_secs(1),
            burst: Duration::from_millis(2500),
            niceness: Some(5),
            thread_name: "offloop-pool".to_owned(),
        }
    }
}

impl PoolOptions {
    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if self.threads == 0 {
            return invalid("threads: expected at least 1, got 0");
        }
        if self.queue_limit == 0 {
            return invalid("queue_limit: expected at least 1, got 0");
        }
        if self.thread_name.contains('\0') {
            return invalid("thread_name: expected a name without NUL");
        }
        Ok(())
    }
}
