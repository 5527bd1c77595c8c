//! The threads: number, name, priority.

use crate::gate::{self, Gate};
use offloop_pool::{Lane, Pool, PoolOptions};
use std::{
    sync::{Arc, Barrier},
    thread,
};

#[tokio::test]
async fn runs_as_many_jobs_at_once_as_it_has_threads() {
    let pool = gate::pool(3);
    let meet = Arc::new(Barrier::new(3));
    let runs = [Lane::Rsa, Lane::Other, Lane::Rsa].map(|lane| {
        let meet = Arc::clone(&meet);
        pool.run(lane, None, move || {
            meet.wait();
        })
    });
    for answer in gate::all(runs).await {
        assert_eq!(answer, Ok(()));
    }
}

#[tokio::test]
async fn runs_no_more_than_that() {
    let pool = gate::pool(2);
    let gates = [Gate::close(&pool, Lane::Rsa), Gate::close(&pool, Lane::Rsa)];
    let waits = pool.run(Lane::Other, None, || 1);
    assert_eq!(pool.stats().other.queued, 1);
    for gate in gates {
        gate.open().await;
    }
    assert_eq!(waits.await, Ok(1));
}

#[tokio::test]
async fn names_its_threads() {
    let options = PoolOptions { thread_name: "signer".into(), ..PoolOptions::default() };
    let pool = Pool::new(options).expect("the pool starts");
    let name = pool.run(Lane::Rsa, None, || thread::current().name().map(str::to_owned));
    assert_eq!(name.await, Ok(Some("signer".to_owned())));
}

#[cfg(target_os = "linux")]
mod niceness {
    use super::*;
    use rustix::{process::getpriority_process, thread::gettid};

    #[tokio::test]
    async fn is_added_to_that_of_the_thread_that_makes_the_pool() {
        let own = nice();
        for by in [0, 3] {
            assert_eq!(nice_of_pool(Some(by)).await, own + by);
        }
        assert_eq!(nice_of_pool(Some(100)).await, 19);
        assert_eq!(nice_of_pool(None).await, own);
        assert_eq!(nice(), own, "the caller's stays");
    }

    async fn nice_of_pool(niceness: Option<i32>) -> i32 {
        let options = PoolOptions { niceness, threads: 1, ..PoolOptions::default() };
        let pool = Pool::new(options).expect("the pool starts");
        pool.run(Lane::Rsa, None, nice).await.expect("it ran")
    }

    fn nice() -> i32 {
        getpriority_process(Some(gettid())).expect("Linux tells")
    }
}
