//! The end of a pool.

use crate::gate::{self, Gate};
use offloop_pool::{Lane, PoolError};
use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn ends_queued_jobs_and_waits_for_running_ones() {
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let queued = [pool.run(Lane::Rsa, None, || 1), pool.run(Lane::Other, None, || 2)];
    let closing = {
        let pool = pool.clone();
        std::thread::spawn(move || pool.shutdown(LONG))
    };
    for answer in gate::all(queued).await {
        assert_eq!(answer, Err(PoolError::PoolClosed));
    }
    assert!(!closing.is_finished());
    gate.open().await;
    assert_eq!(closing.join().expect("no panic"), 0);
    let stats = pool.stats();
    assert_eq!((stats.rsa.closed, stats.other.closed), (1, 1));
    assert!(pool.is_idle());
}

#[tokio::test]
async fn waits_no_longer_than_it_may() {
    let pool = gate::pool(2);
    let gate = Gate::close(&pool, Lane::Rsa);
    let start = Instant::now();
    assert_eq!(pool.shutdown(Duration::from_millis(10)), 1);
    assert!(start.elapsed() >= Duration::from_millis(10));
    assert_eq!(pool.shutdown(Duration::ZERO), 1);
    // Its answer still comes.
    gate.open().await;
    assert_eq!(pool.shutdown(LONG), 0);
}

#[tokio::test]
async fn a_closed_pool_refuses() {
    let pool = gate::pool(1);
    assert_eq!(pool.shutdown(LONG), 0);
    let refused = pool.run(Lane::Rsa, None, || 1).await;
    assert_eq!(refused, Err(PoolError::PoolClosed));
    assert_eq!(pool.stats().rsa.closed, 1);
}

#[tokio::test]
async fn the_last_handle_may_go_in_an_async_context() {
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let queued = pool.run(Lane::Rsa, None, || 1);
    let other_handle = pool.clone();
    drop(pool);
    assert!(!other_handle.is_idle());
    drop(other_handle);
    assert_eq!(queued.await, Err(PoolError::PoolClosed));
    gate.open().await;
}

#[tokio::test]
async fn the_last_handle_may_go_in_a_job_of_the_pool() {
    let pool = gate::pool(1);
    let (give, given) = mpsc::channel();
    let run = pool.run(Lane::Rsa, None, move || drop(given.recv().ok()));
    give.send(pool).expect("the job waits");
    assert_eq!(run.await, Ok(()));
}

#[tokio::test]
async fn jobs_may_submit_jobs() {
    let pool = gate::pool(1);
    let inner = pool.clone();
    let outer = pool.run(Lane::Rsa, None, move || inner.run(Lane::Other, None, || 1));
    assert_eq!(outer.await.expect("it ran").await, Ok(1));
}
