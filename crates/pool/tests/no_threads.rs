//! A system that has no thread to give. Alone in its file, since it limits the whole process.
#![cfg(target_os = "linux")]

use offloop_pool::{Lane, Pool, PoolOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fs,
    sync::{Arc, Mutex},
    thread,
};

#[tokio::test]
async fn a_pool_says_so_or_makes_do_with_the_threads_that_it_has() {
    let pool =
        Pool::new(PoolOptions { threads: 64, ..PoolOptions::default() }).expect("the pool starts");
    wait_until_started();
    let all_submitted = Arc::new(Mutex::new(()));
    let guard = all_submitted.lock().expect("no panic");

    let unlimited = no_room_for_a_stack();
    let refused = Pool::new(PoolOptions::default());
    let runs: Vec<_> = (0..64)
        .map(|_| {
            wait_until_started();
            let all_submitted = Arc::clone(&all_submitted);
            pool.run(Lane::Rsa, None, move || drop(all_submitted.lock()))
        })
        .collect();
    setrlimit(Resource::As, unlimited).expect("back to what it was");

    refused.expect_err("no thread");
    assert!(pool.stats().rsa.queued > 0);
    drop(guard);
    for run in runs {
        assert_eq!(run.await, Ok(()));
    }
}

/// A thread that starts needs memory too, and without it ends the process.
fn wait_until_started() {
    let is_asleep = |task: &fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.contains("State:\tS")
    };
    loop {
        let tasks = fs::read_dir("/proc/self/task").expect("Linux tells");
        // All but this one.
        if tasks.flatten().filter(|task| !is_asleep(task)).count() <= 1 {
            return;
        }
        thread::yield_now();
    }
}

/// Threads get 2 MiB of stack; gives the limit to go back to.
fn no_room_for_a_stack() -> Rlimit {
    let before = getrlimit(Resource::As);
    let status = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: u64 = status
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .expect("the first number of statm");
    let used = pages * rustix::param::page_size() as u64;
    let tight = Rlimit { current: Some(used + (1 << 20)), maximum: before.maximum };
    setrlimit(Resource::As, tight).expect("lower is allowed");
    before
}
