//! Limits of the queue, deadlines, and which job is next.

use crate::gate::{self, Gate, Log, all};
use offloop_pool::{Lane, Patience, Pool, PoolError, PoolOptions, Run};
use std::{
    io,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

#[tokio::test]
async fn a_full_lane_refuses_and_the_other_does_not() {
    let pool = small_pool(2);
    let gate = Gate::close(&pool, Lane::Rsa);
    let kept = [pool.run(Lane::Rsa, None, || 1), pool.run(Lane::Rsa, None, || 2)];
    let captured = Arc::new(());
    let held = Arc::clone(&captured);
    let refused = pool.run(Lane::Rsa, None, move || drop(held));
    assert_eq!(Arc::strong_count(&captured), 1, "dropped at once");
    assert_eq!(refused.await, Err(PoolError::Overloaded));

    let other = pool.run(Lane::Other, None, || 3);
    gate.open().await;
    assert_eq!(all(kept).await, [Ok(1), Ok(2)]);
    assert_eq!(other.await, Ok(3));
    assert_eq!(pool.stats().rsa.overloaded, 1);
    assert_eq!(pool.stats().rsa.submitted(), 4);
}

#[tokio::test]
async fn cancelled_jobs_do_not_count_against_the_limit() {
    let pool = small_pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    for _ in 0..100 {
        drop(pool.run(Lane::Rsa, None, || 0));
    }
    let kept = pool.run(Lane::Rsa, None, || 1);
    gate.open().await;
    assert_eq!(kept.await, Ok(1));
    assert_eq!(pool.stats().rsa.dropped, 100);
    assert_eq!(pool.stats().rsa.overloaded, 0);
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_refused_without_waiting() {
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let late = pool.run(Lane::Rsa, Some(Instant::now()), || 1);
    assert_eq!(late.await, Err(PoolError::DeadlinePassed));
    assert_eq!(pool.stats().rsa.deadline_passed, 1);
    gate.open().await;
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_keeps_the_job_from_starting() {
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let deadline = Instant::now() + Duration::from_millis(5);
    let late = pool.run(Lane::Rsa, Some(deadline), || 1);
    let in_time = pool.run(Lane::Rsa, Some(deadline + Duration::from_secs(60)), || 2);
    pass(deadline);
    gate.open().await;
    assert_eq!(late.await, Err(PoolError::DeadlinePassed));
    assert_eq!(in_time.await, Ok(2));
}

#[tokio::test]
async fn a_full_lane_gives_up_a_late_job_for_a_new_one() {
    let pool = small_pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let deadline = Instant::now() + Duration::from_millis(5);
    let late = pool.run(Lane::Rsa, Some(deadline), || 1);
    pass(deadline);
    let new = pool.run(Lane::Rsa, None, || 2);
    assert_eq!(late.await, Err(PoolError::DeadlinePassed));
    gate.open().await;
    assert_eq!(new.await, Ok(2));
}

#[tokio::test]
async fn under_overload_the_oldest_jobs_are_shed() {
    let pool = impatient_pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let patient = pool.run(Lane::Rsa, None, || 1);
    let (first, above) = overload(&pool, gate).await;
    assert_eq!(all(above).await, [Err(PoolError::Shed), Err(PoolError::Shed)]);
    assert_eq!(first.await, Ok(()));
    assert_eq!(patient.await, Ok(1));
    assert_eq!(pool.stats().other.shed, 2);
    assert_eq!(pool.stats().other.submitted(), 3);
}

#[tokio::test]
async fn under_overload_one_thread_is_left_to_others() {
    let pool = impatient_pool(2);
    let [one, other] = [(); 2].map(|()| Gate::close(&pool, Lane::Rsa));
    let (_, [shed, waits]) = overload(&pool, one).await;
    assert_eq!(shed.await, Err(PoolError::Shed));
    assert_eq!((pool.stats().other.queued, pool.stats().rsa.running), (1, 1));
    other.open().await;
    assert_eq!(waits.await, Err(PoolError::Shed));
    // The overload is over: both again.
    let gates = [Gate::close(&pool, Lane::Rsa), Gate::close(&pool, Lane::Rsa)];
    for gate in gates {
        gate.open().await;
    }
}

/// Opens `gate` to a job behind which more come than there were before it.
async fn overload(pool: &Pool, gate: Gate) -> (Run<()>, [Run<()>; 2]) {
    let patience = Patience { target: Some(Duration::ZERO), ..Patience::default() };
    let ((starts, started), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
    let first = pool.run(Lane::Other, patience, move || {
        starts.send(()).expect("the test waits");
        gone.recv().expect("the test lets it go");
    });
    // Above their target is what has waited at all.
    pass(Instant::now() + Duration::from_millis(1));
    gate.open().await;
    started.recv().expect("the first one runs");
    let above = [(); 2].map(|()| pool.run(Lane::Other, patience, || ()));
    pass(Instant::now() + Duration::from_millis(1));
    go.send(()).expect("the first one waits");
    (first, above)
}

/// Its patience with what waits is none.
fn impatient_pool(threads: usize) -> Pool {
    let none = Duration::ZERO;
    let options = PoolOptions { threads, tolerance: none, burst: none, ..PoolOptions::default() };
    Pool::new(options).expect("the pool starts")
}

#[tokio::test]
async fn a_job_that_cannot_be_answered_in_time_does_not_even_wait() {
    let pool = gate::pool(1);
    let slow = pool.run(Lane::Rsa, None, || std::thread::sleep(Duration::from_millis(200)));
    slow.await.expect("it ran");
    let hopeless = pool.run(Lane::Rsa, Some(Instant::now() + Duration::from_millis(100)), || 1);
    assert_eq!(hopeless.await, Err(PoolError::DeadlinePassed));
    let in_time = pool.run(Lane::Rsa, Some(Instant::now() + Duration::from_secs(60)), || 2);
    assert_eq!(in_time.await, Ok(2));
}

#[tokio::test]
async fn one_slow_job_does_not_close_its_lane() {
    let pool = gate::pool(1);
    let slow = pool.run(Lane::Rsa, None, || std::thread::sleep(Duration::from_millis(200)));
    slow.await.expect("it ran");
    let soon = || Some(Instant::now() + Duration::from_millis(100));
    for _ in 0..1000 {
        if pool.run(Lane::Rsa, soon(), || 1).await == Ok(1) {
            return;
        }
    }
    panic!("no job was tried again");
}

#[tokio::test]
async fn serves_the_oldest_first() {
    let pool = gate::pool(1);
    let log = Log::new();
    let gate = Gate::close(&pool, Lane::Rsa);
    let runs = ["first", "second", "third"].map(|name| log.run(&pool, Lane::Rsa, name));
    gate.open().await;
    all(runs).await;
    assert_eq!(log.names(), ["first", "second", "third"]);
}

#[tokio::test]
async fn serves_the_newest_first_once_the_oldest_is_too_old() {
    let options = PoolOptions {
        threads: 1,
        newest_first_after: Duration::ZERO,
        tolerance: Duration::ZERO,
        burst: Duration::ZERO,
        ..PoolOptions::default()
    };
    let pool = Pool::new(options).expect("the pool starts");
    let log = Log::new();
    let gate = Gate::close(&pool, Lane::Rsa);
    let runs = ["first", "second", "third"].map(|name| log.run(&pool, Lane::Rsa, name));
    gate.open().await;
    all(runs).await;
    assert_eq!(log.names(), ["third", "second", "first"]);
}

#[tokio::test]
async fn a_cheap_job_passes_the_dear_ones_that_wait() {
    let pool = gate::pool(1);
    let log = Log::new();
    let gate = Gate::close(&pool, Lane::Rsa);
    let dear = ["dear 1", "dear 2"].map(|name| log.run(&pool, Lane::Rsa, name));
    let cheap = log.run(&pool, Lane::Other, "cheap");
    gate.open().await;
    all(dear).await;
    assert_eq!(cheap.await, Ok(()));
    assert_eq!(log.names(), ["cheap", "dear 1", "dear 2"]);
}

#[tokio::test]
async fn a_job_with_a_smaller_rsa_key_passes_those_with_larger_ones() {
    let pool = gate::pool(1);
    let log = Log::new();
    let gate = Gate::close(&pool, Lane::LargeRsa);
    let large = ["large 1", "large 2"].map(|name| log.run(&pool, Lane::LargeRsa, name));
    let small = log.run(&pool, Lane::Rsa, "small");
    let cheap = log.run(&pool, Lane::Other, "cheap");
    gate.open().await;
    all(large).await;
    all([small, cheap]).await;
    assert_eq!(log.names(), ["cheap", "small", "large 1", "large 2"]);
}

#[tokio::test]
async fn a_dear_job_runs_beside_any_number_of_cheap_ones() {
    let pool = gate::pool(2);
    let log = Log::new();
    let cheap_gate = Gate::close(&pool, Lane::Other);
    let gate = Gate::close(&pool, Lane::Other);
    let cheap = ["cheap 1", "cheap 2"].map(|name| log.run(&pool, Lane::Other, name));
    let dear = log.run(&pool, Lane::Rsa, "dear");
    gate.open().await;
    assert_eq!(dear.await, Ok(()));
    all(cheap).await;
    assert_eq!(log.names()[0], "dear");
    cheap_gate.open().await;
}

#[test]
fn refuses_options_out_of_range() {
    let out_of_range = [
        PoolOptions { threads: 0, ..PoolOptions::default() },
        PoolOptions { queue_limit: 0, ..PoolOptions::default() },
        PoolOptions { thread_name: "a\0b".into(), ..PoolOptions::default() },
    ];
    for options in out_of_range {
        let error = Pool::new(options).expect_err("out of range");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

fn small_pool(queue_limit: usize) -> Pool {
    let options = PoolOptions { threads: 1, queue_limit, ..PoolOptions::default() };
    Pool::new(options).expect("the pool starts")
}

fn pass(deadline: Instant) {
    while Instant::now() < deadline {
        std::thread::yield_now();
    }
}
