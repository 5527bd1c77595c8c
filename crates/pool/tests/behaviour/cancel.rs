//! Futures that are dropped before their answer.

use crate::gate::{self, Gate};
use offloop_pool::Lane;
use std::{
    sync::{Arc, mpsc},
    task::{Context, Waker},
    thread,
};

#[tokio::test]
async fn a_dropped_future_takes_its_waiting_job_along() {
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let captured = Arc::new(());
    let held = Arc::clone(&captured);
    let mut run = pool.run(Lane::Rsa, None, move || drop(held));
    let mut context = Context::from_waker(Waker::noop());
    assert!(std::pin::Pin::new(&mut run).poll(&mut context).is_pending());
    drop(run);
    assert_eq!(Arc::strong_count(&captured), 1);
    assert_eq!(pool.stats().rsa.queued, 0);
    assert_eq!(pool.stats().rsa.dropped, 1);
    gate.open().await;
    assert!(pool.is_idle());
}

#[tokio::test]
async fn a_job_is_dropped_on_the_thread_that_cancels_it() {
    struct Reports(mpsc::Sender<thread::ThreadId>);
    impl Drop for Reports {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let (report, reported) = mpsc::channel();
    let reports = Reports(report);
    drop(pool.run(Lane::Rsa, None, move || drop(reports)));
    assert_eq!(reported.try_recv(), Ok(thread::current().id()));
    gate.open().await;
}

#[tokio::test]
async fn a_panic_as_a_cancelled_job_is_dropped_is_contained() {
    struct Nasty;
    impl Drop for Nasty {
        fn drop(&mut self) {
            panic!("nasty");
        }
    }
    let pool = gate::pool(1);
    let gate = Gate::close(&pool, Lane::Rsa);
    let nasty = Nasty;
    drop(pool.run(Lane::Rsa, None, move || drop(nasty)));
    gate.open().await;
    assert_eq!(pool.run(Lane::Rsa, None, || 1).await, Ok(1));
}

#[tokio::test]
async fn a_running_job_goes_on_without_its_future() {
    let pool = gate::pool(1);
    let (go, went) = mpsc::channel::<()>();
    let (step, steps) = mpsc::channel();
    let run = pool.run(Lane::Rsa, None, move || {
        step.send("runs").expect("the test waits");
        went.recv().expect("the test sends");
        step.send("ends").expect("the test waits");
    });
    assert_eq!(steps.recv(), Ok("runs"));
    drop(run);
    go.send(()).expect("the job waits");
    assert_eq!(steps.recv(), Ok("ends"));
    assert_eq!(pool.run(Lane::Rsa, None, || 1).await, Ok(1));
    assert_eq!(pool.stats().rsa.unclaimed, 1);
    assert_eq!(pool.stats().rsa.done, 1);
}
