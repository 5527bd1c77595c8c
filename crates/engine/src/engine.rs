//! The process-wide part: I/O workers and the handshake pool.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use offloop_pool::{Pool, PoolOptions, PoolStats};

use crate::stats::{Counters, Stats};
use crate::tally::{Tallied, Tally};
use crate::worker::Worker;

/// I/O workers and the pool. Made once per process and never torn down: its threads end with it.
pub struct Engine {
    workers: Vec<Arc<Worker>>,
    next_worker: AtomicUsize,
    pub(crate) pool: Pool,
    pool_threads: usize,
    pub(crate) counters: Counters,
    pub(crate) tally: Tally,
    next_connection: AtomicU64,
    pub(crate) limits: Limits,
    pub(crate) panic_on: Option<String>,
}

/// How the engine is sized.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that own sockets and records. Default: half the cores, at least one. On two cores
    /// one worker beats two, which would compete with the event loop.
    pub io_threads: usize,
    /// Threads of the pool, at lower priority, for handshakes that no I/O thread computes itself.
    /// Default: the number of cores.
    pub pool_threads: usize,
    /// Plaintext held for all connections together, in bytes, in each direction. Received and not
    /// drained: above it only connections with nothing queued may read, one record each, so that it
    /// is exceeded by some 16 KiB for each connection at most, and by one read of each other I/O
    /// thread. Written and not sent: above
    /// it [`Host::is_congested`](crate::Host::is_congested). Default: 64 MiB.
    pub buffered_overall: usize,
    /// Test hook: a handshake job for this server name panics. Default: none.
    pub panic_on: Option<String>,
}

impl Default for EngineOptions {
    /// Counts the cores that this process may use (cgroup quotas and affinity included).
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            io_threads: (cores / 2).max(1),
            pool_threads: cores,
            buffered_overall: 64 * 1024 * 1024,
            panic_on: None,
        }
    }
}

/// Bounds on memory that peers could fill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Plaintext of all connections, in bytes, in each direction.
    pub(crate) buffered_overall: i64,
    /// Ciphertext of one foreign stream that it has not acknowledged, in bytes.
    pub(crate) foreign_unacknowledged: usize,
}

impl Engine {
    /// Starts the threads. Errors: the system refused a thread or a descriptor.
    pub fn start(options: EngineOptions) -> io::Result<Arc<Self>> {
        let pool = Pool::new(PoolOptions { threads: options.pool_threads, ..Default::default() })?;
        let workers =
            (0..options.io_threads.max(1)).map(Worker::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Arc::new(Self {
            workers,
            next_worker: AtomicUsize::new(0),
            pool,
            pool_threads: options.pool_threads,
            counters: Counters::default(),
            tally: Tally::default(),
            next_connection: AtomicU64::new(1),
            limits: Limits {
                buffered_overall: i64::try_from(options.buffered_overall).unwrap_or(i64::MAX),
                foreign_unacknowledged: 256 * 1024,
            },
            panic_on: options.panic_on,
        }))
    }

    /// What happened in the whole process.
    pub fn tally(&self) -> Tallied {
        self.tally.read()
    }

    /// What the process holds beyond its connections.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Counters of the handshake pool.
    pub fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Threads that own sockets.
    pub fn io_threads(&self) -> usize {
        self.workers.len()
    }

    /// Threads that compute handshakes.
    pub fn pool_threads(&self) -> usize {
        self.pool_threads
    }

    /// Numbers connections from 1 on.
    pub(crate) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Relaxed)
    }

    /// Round robin: a connection stays with its worker.
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.workers[self.next_worker.fetch_add(1, Relaxed) % self.workers.len()]
    }
}
