//! What a hand-over to the pool costs. `cargo bench -p offloop-bench --bench pool`.
//!
//! `spawn_blocking` is the same on Tokio's own blocking pool, for comparison.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use offloop_pool::{Lane, Pool, PoolError, PoolOptions, Run};
use std::{
    hint::black_box,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

criterion_group!(benches, empty_job, batch, overload, cancel, busy);
criterion_main!(benches);

/// One empty job at a time, there and back: two wake-ups of sleeping threads.
fn empty_job(criterion: &mut Criterion) {
    let caller = caller();
    let mut group = criterion.benchmark_group("pool/empty_job");
    let pool = pool(PoolOptions::default());
    group.bench_function("run", |bencher| {
        bencher.iter(|| caller.block_on(pool.run(Lane::Other, None, || black_box(1))));
    });
    group.bench_function("spawn_blocking", |bencher| {
        bencher.iter(|| caller.block_on(caller.spawn_blocking(|| black_box(1))));
    });
    group.finish();
}

/// 64 jobs submitted at once, until the last answer; a time for each job.
fn batch(criterion: &mut Criterion) {
    let caller = caller();
    let mut group = criterion.benchmark_group("pool/batch_of_64");
    group.throughput(Throughput::Elements(64));
    let pool = pool(PoolOptions::default());
    let lanes = [Lane::Rsa, Lane::Other];
    for (name, cost) in [("empty", Duration::ZERO), ("50us", Duration::from_micros(50))] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let runs: Vec<_> = (0..64)
                    .map(|number| pool.run(lanes[number % 2], None, move || spin(cost)))
                    .collect();
                caller.block_on(all(runs));
            });
        });
    }
    group.bench_function("spawn_blocking_empty", |bencher| {
        bencher.iter(|| {
            let runs: Vec<_> = (0..64).map(|_| caller.spawn_blocking(|| black_box(()))).collect();
            caller.block_on(async {
                for run in runs {
                    run.await.expect("it runs");
                }
            });
        });
    });
    group.finish();
}

/// A refusal by a full lane, until its answer.
fn overload(criterion: &mut Criterion) {
    let caller = caller();
    let pool = pool(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (_open, _gate) = close_gate(&pool);
    let _waiting: Vec<_> =
        (0..PoolOptions::default().queue_limit).map(|_| pool.run(Lane::Rsa, None, || ())).collect();
    criterion.bench_function("pool/overload/refusal", |bencher| {
        bencher.iter(|| {
            let answer = caller.block_on(pool.run(Lane::Rsa, None, || ()));
            assert_eq!(answer, Err(PoolError::Overloaded));
        });
    });
}

/// Submitting to a busy pool, and taking the job back, with 1000 others in the queue.
fn cancel(criterion: &mut Criterion) {
    let pool = pool(PoolOptions { threads: 1, ..PoolOptions::default() });
    let (_open, _gate) = close_gate(&pool);
    let _waiting: Vec<_> = (0..1000).map(|_| pool.run(Lane::Rsa, None, || ())).collect();
    criterion.bench_function("pool/busy/submit", |bencher| {
        bencher.iter_batched(
            || (),
            |()| pool.run(Lane::Rsa, None, || ()),
            BatchSize::NumIterations(1000),
        );
    });
    criterion.bench_function("pool/busy/submit_and_cancel", |bencher| {
        bencher.iter(|| drop(pool.run(Lane::Rsa, None, || ())));
    });
}

/// A cheap job now and then, while 2 ms jobs keep each thread busy: it waits for the running one
/// that ends first, not for the 500 in the queue.
fn busy(criterion: &mut Criterion) {
    let caller = caller();
    let pool = pool(PoolOptions::default());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let dear = || pool.run(Lane::Rsa, None, || spin(Duration::from_millis(2)));
                self::caller().block_on(all((0..500).map(|_| dear()).collect()));
            }
        });
        let mut group = criterion.benchmark_group("pool/busy");
        group.sample_size(10).measurement_time(Duration::from_secs(2));
        group.bench_function("cheap_job_behind_dear_ones", |bencher| {
            bencher.iter_custom(|times| {
                let mut total = Duration::ZERO;
                for time in 0..times {
                    // Out of step with the dear jobs.
                    thread::sleep(Duration::from_micros(3000 + time * 370 % 2000));
                    let start = Instant::now();
                    let answer = caller.block_on(pool.run(Lane::Other, None, || black_box(1)));
                    total += start.elapsed();
                    assert_eq!(answer, Ok(1));
                }
                total
            });
        });
        group.finish();
        stop.store(true, Relaxed);
        pool.shutdown(Duration::ZERO);
    });
}

fn pool(options: PoolOptions) -> Pool {
    Pool::new(options).expect("the pool starts")
}

fn caller() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime starts")
}

/// Keeps the pool's only thread busy until the sender is dropped.
fn close_gate(pool: &Pool) -> (mpsc::Sender<()>, Run<()>) {
    let (open, opened) = mpsc::channel::<()>();
    let (running, is_running) = mpsc::channel();
    let gate = pool.run(Lane::Rsa, None, move || {
        let _ = running.send(());
        let _ = opened.recv();
    });
    is_running.recv().expect("the gate's job runs");
    (open, gate)
}

async fn all(runs: Vec<Run<()>>) {
    for run in runs {
        // A closed pool refuses; that is how the busy one ends.
        let _ = run.await;
    }
}

fn spin(cost: Duration) {
    let start = Instant::now();
    while start.elapsed() < cost {
        std::hint::spin_loop();
    }
}
