//! The offload pattern: a closure goes to a pool of threads, its answer comes back as a future.
//!
//! For work that costs 50 us to some 10 ms of CPU and must not hold up an event loop: signatures,
//! key exchanges, password hashes. The threads are Tokio's blocking pool on a runtime of the pool's
//! own; the future may be awaited on any runtime, or none.
//!
//! ```
//! use offloop_pool::{Lane, Pool, PoolError, PoolOptions};
//! use std::time::{Duration, Instant};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::new(PoolOptions { threads: 2, ..PoolOptions::default() })?;
//! let deadline = Instant::now() + Duration::from_secs(10);
//!
//! let answer = pool.run(Lane::Rsa, Some(deadline), || 6 * 7).await;
//! assert_eq!(answer, Ok(42));
//!
//! let answer = pool.run(Lane::Other, None, || panic!("odd key")).await;
//! assert_eq!(answer, Err::<(), _>(PoolError::Panicked("odd key".into())));
//!
//! assert_eq!(pool.shutdown(Duration::from_secs(1)), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Which job is next
//!
//! 1. **Lanes.** Jobs wait in queues by their cost. While several wait, a free thread serves the
//!    lane that has the fewest threads; at a tie the one that had the least thread time since they
//!    wait; at a tie again the cheapest. So the lanes share the threads evenly, with two threads
//!    or more none ever holds all of them while another waits for longer than one running job,
//!    and with a single thread one 5 ms job lets 5 ms of cheap ones pass. A lane that waits alone
//!    gets every thread.
//! 2. **Age.** Oldest first. When the oldest job of the lane is older than
//!    [`PoolOptions::newest_first_after`] and more work waits than [`PoolOptions::burst`], newest
//!    first: the old ones belong to clients that have given up, or will before they could be served.
//! 3. **Overload.** When the oldest job of a lane was above its [target](Patience::target) for
//!    [`PoolOptions::tolerance`], more work waits than [`PoolOptions::burst`] and it becomes no
//!    less, the lane sheds the jobs that are above theirs, oldest first.
//! 4. **Deadlines** are checked as a job is submitted, and by the thread that would start it or
//!    that finds it as the oldest of its lane. A job that can't be answered by its deadline, as far
//!    as the recent ones of its lane tell, does not start; one that runs is never cut short. The pool has no timer: while all threads are busy a late job's future
//!    stays pending, so whoever must give up on time has a timer and drops the future.
//!
//! # Who drops what
//!
//! A closure is dropped where its fate is decided: by the thread that ran it or found it late, on
//! the caller's thread if it is refused or its [`Run`] dropped, on that of [`Pool::shutdown`]. A
//! panic in a closure, in a destructor or in a waker ends there. (The panic hook still hears of it.)
#![forbid(unsafe_code)]

mod backlog;
mod books;
mod congestion;
mod crew;
mod drainer;
mod error;
mod histogram;
mod job;
mod lane;
mod options;
mod patience;
mod pool;
mod priority;
mod queue;
mod run;
mod stats;
mod turns;

pub use error::PoolError;
pub use histogram::{Histogram, Times};
pub use lane::Lane;
pub use options::PoolOptions;
pub use patience::Patience;
pub use pool::Pool;
pub use run::Run;
pub use stats::{LaneStats, PoolStats};
