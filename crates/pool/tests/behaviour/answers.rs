//! What the caller hears of a job that ran.

use crate::gate;
use offloop_pool::{Lane, PoolError};
use std::thread;

#[tokio::test]
async fn gives_what_the_job_returned() {
    let pool = gate::pool(2);
    assert_eq!(pool.run(Lane::Rsa, None, || "dear").await, Ok("dear"));
    assert_eq!(pool.run(Lane::Other, None, || "cheap").await, Ok("cheap"));
}

#[tokio::test]
async fn gives_the_message_of_a_panic_and_goes_on() {
    let pool = gate::pool(1);
    let text = pool.run(Lane::Other, None, || panic!("plain")).await;
    assert_eq!(text, Err::<(), _>(PoolError::Panicked("plain".into())));

    let number = 7;
    let formatted = pool.run(Lane::Other, None, move || panic!("{number}")).await;
    assert_eq!(formatted, Err::<(), _>(PoolError::Panicked("7".into())));

    let odd = pool.run(Lane::Other, None, || std::panic::panic_any(7_u8)).await;
    let without_text = PoolError::Panicked("a panic without text".into());
    assert_eq!(odd, Err::<(), _>(without_text.clone()));

    let nasty = pool.run(Lane::Other, None, || std::panic::panic_any(Nasty)).await;
    assert_eq!(nasty, Err::<(), _>(without_text));

    assert_eq!(pool.run(Lane::Other, None, || 1).await, Ok(1));
    assert_eq!(pool.stats().other.panicked, 4);
    assert_eq!(pool.stats().other.done, 1);
}

#[tokio::test]
async fn a_destructor_that_panics_in_the_job_is_a_panic_of_the_job() {
    let pool = gate::pool(1);
    let nasty = Nasty;
    let answer = pool.run(Lane::Other, None, move || drop(nasty)).await;
    assert_eq!(answer, Err(PoolError::Panicked("nasty".into())));
}

#[tokio::test]
async fn an_answer_that_nobody_wants_may_panic_as_it_is_dropped() {
    let pool = gate::pool(1);
    let (go, went) = std::sync::mpsc::channel::<()>();
    let (running, is_running) = std::sync::mpsc::channel();
    let run = pool.run(Lane::Other, None, move || {
        running.send(()).expect("the test waits");
        went.recv().expect("the test sends");
        Nasty
    });
    is_running.recv().expect("the job runs");
    drop(run);
    go.send(()).expect("the job waits");

    assert_eq!(pool.run(Lane::Other, None, || 1).await, Ok(1));
    assert_eq!(pool.stats().other.unclaimed, 1);
}

#[test]
fn needs_no_runtime_around_it() {
    let pool = gate::pool(1);
    assert_eq!(gate::block_on(pool.run(Lane::Other, None, || 1)), Ok(1));
}

#[tokio::test]
async fn the_books_are_complete_once_the_answer_is_out() {
    let pool = gate::pool(2);
    for done in 1..=100 {
        assert_eq!(pool.run(Lane::Rsa, None, || 1).await, Ok(1));
        let stats = pool.stats();
        assert_eq!(stats.rsa.done, done);
        assert_eq!(stats.rsa.submitted(), done);
        assert_eq!(stats.rsa.time_run.count, done);
        assert_eq!(stats.rsa.time_queued.count, done);
        assert!(pool.is_idle());
    }
    let times = pool.stats().rsa.time_queued;
    assert!(times.p50 <= times.p90 && times.p90 <= times.p99 && times.p99 <= times.max);
    assert!(times.mean <= times.max && !times.max.is_zero());
}

#[tokio::test]
async fn counts_what_waits_and_runs() {
    let pool = gate::pool(1);
    assert!(pool.is_idle());
    let gate = gate::Gate::close(&pool, Lane::Rsa);
    let waits = pool.run(Lane::Other, None, || 1);
    let stats = pool.stats();
    assert_eq!((stats.rsa.queued, stats.rsa.running), (0, 1));
    assert_eq!((stats.other.queued, stats.other.running), (1, 0));
    assert!(!pool.is_idle());
    gate.open().await;
    assert_eq!(waits.await, Ok(1));
    assert!(pool.is_idle());
}

struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("nasty");
        }
    }
}
