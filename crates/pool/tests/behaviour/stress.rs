//! Races between submitting, running, cancelling and closing. Each case must leave the books
//! balanced: every job ended exactly once, every closure was dropped, nothing is queued or running.

use crate::gate;
use offloop_pool::{Lane, Pool, PoolError, PoolOptions, Run};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

const CALLERS: u64 = 4;
const JOBS: u64 = 5_000;

#[test]
fn cancelling_races_with_running() {
    let pool = pool(64);
    let seen = Seen::default();
    on_callers(|caller| {
        let mut dice = Dice(caller + 1);
        let mut kept = Vec::new();
        for _ in 0..JOBS {
            let run = submit(&pool, &seen, &mut dice);
            match dice.roll(4) {
                0 => drop(run),
                1 => {
                    poll_once(run);
                }
                _ => kept.push(run),
            }
            if kept.len() > 32 {
                let run = kept.swap_remove(dice.roll(32));
                if dice.roll(2) == 0 {
                    seen.await_answer(run);
                }
            }
        }
        kept.into_iter().for_each(|run| seen.await_answer(run));
    });
    assert_eq!(pool.shutdown(Duration::from_secs(60)), 0);
    check(&pool, &seen);
}

#[test]
fn closing_races_with_everything() {
    for round in 0..200 {
        let pool = pool(16);
        let seen = Seen::default();
        on_callers(|caller| {
            let mut dice = Dice(round * CALLERS + caller + 1);
            let close_at = dice.roll(50);
            for job in 0..50 {
                let run = submit(&pool, &seen, &mut dice);
                if dice.roll(2) == 0 {
                    drop(run);
                } else {
                    seen.await_answer(run);
                }
                if caller == 0 && job == close_at {
                    pool.shutdown(Duration::ZERO);
                }
            }
        });
        assert_eq!(pool.shutdown(Duration::from_secs(60)), 0);
        check(&pool, &seen);
    }
}

#[test]
fn dropping_the_pool_races_with_its_jobs() {
    for round in 0..500 {
        let pool = pool(16);
        let seen = Seen::default();
        let mut dice = Dice(round + 1);
        let runs: Vec<_> = (0..8).map(|_| submit(&pool, &seen, &mut dice)).collect();
        drop(pool);
        runs.into_iter().for_each(|run| seen.await_answer(run));
    }
}

fn pool(queue_limit: usize) -> Pool {
    let options = PoolOptions {
        threads: 2,
        queue_limit,
        newest_first_after: Duration::from_micros(100),
        ..PoolOptions::default()
    };
    Pool::new(options).expect("the pool starts")
}

fn on_callers(call: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let call = &call;
            scope.spawn(move || call(caller));
        }
    });
}

/// What callers and closures saw, to hold against the pool's own books.
#[derive(Default)]
struct Seen {
    submitted: AtomicU64,
    heard_done: AtomicU64,
    live_closures: Arc<AtomicU64>,
    ran: Arc<AtomicU64>,
}

impl Seen {
    fn await_answer(&self, run: Run<()>) {
        match gate::block_on(run) {
            Ok(()) => {
                self.heard_done.fetch_add(1, Relaxed);
            }
            Err(PoolError::Panicked(message)) => assert_eq!(message, "stress"),
            Err(PoolError::TaskDropped) => panic!("a job was lost"),
            Err(
                PoolError::Overloaded
                | PoolError::DeadlinePassed
                | PoolError::Shed
                | PoolError::PoolClosed,
            ) => {}
        }
    }
}

/// Counts a closure for as long as it lives.
struct Live(Arc<AtomicU64>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn submit(pool: &Pool, seen: &Seen, dice: &mut Dice) -> Run<()> {
    seen.submitted.fetch_add(1, Relaxed);
    seen.live_closures.fetch_add(1, Relaxed);
    let live = Live(Arc::clone(&seen.live_closures));
    let ran = Arc::clone(&seen.ran);
    let lane = Lane::ALL[dice.roll(3)];
    let deadline = match dice.roll(4) {
        0 => Some(Instant::now() + Duration::from_micros(dice.roll(200) as u64)),
        _ => None,
    };
    let spins = dice.roll(400);
    let panics = dice.roll(500) == 0;
    pool.run(lane, deadline, move || {
        let _live = live;
        ran.fetch_add(1, Relaxed);
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        if panics {
            // Without the hook, whose text would bury the test's.
            std::panic::resume_unwind(Box::new("stress"));
        }
    })
}

fn poll_once(mut run: Run<()>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(&mut run).poll(&mut context).is_ready()
}

fn check(pool: &Pool, seen: &Seen) {
    let stats = pool.stats();
    assert!(pool.is_idle());
    let mut submitted = 0;
    let mut ran = 0;
    for lane in Lane::ALL {
        let lane = stats.lane(lane);
        assert_eq!((lane.queued, lane.running), (0, 0));
        assert_eq!(lane.time_run.count, lane.time_queued.count);
        submitted += lane.submitted();
        ran += lane.done + lane.unclaimed + lane.panicked;
    }
    assert_eq!(submitted, seen.submitted.load(Relaxed));
    assert_eq!(ran, seen.ran.load(Relaxed));
    let done: u64 = Lane::ALL.map(|lane| stats.lane(lane).done).iter().sum();
    assert!(done >= seen.heard_done.load(Relaxed));
    assert_eq!(seen.live_closures.load(Relaxed), 0);
}

/// Repeatable numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}
