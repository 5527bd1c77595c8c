//! The connections that arrive during a storm.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::link::Link;
use crate::report::{self, rounded};
use crate::tally::Tally;
use crate::target::Target;

#[derive(Clone)]
pub(in crate::mode) struct Newcomers {
    target: Arc<Target>,
    timeout: Duration,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    arrived: u64,
    timed_out: u64,
    /// Those served, with their latencies, and those refused.
    answered: Tally,
}

impl Newcomers {
    pub(in crate::mode) fn new(target: Arc<Target>, timeout: Duration) -> Self {
        Self { target, timeout, counts: Arc::default() }
    }

    /// Sends `rate` connections a second for `length`, then waits until each was served or not.
    pub(in crate::mode) async fn arrive(self, rate: u32, length: Duration) {
        let start = Instant::now();
        let mut on_their_way = JoinSet::new();
        for number in 0_u32.. {
            // The first one at once, the others evenly spaced.
            let due = Duration::from_secs(number.into()).checked_div(rate);
            let Some(due) = due.filter(|due| *due < length) else { break };
            sleep_until(start + due).await;
            self.counts().arrived += 1;
            on_their_way.spawn(self.clone().visit());
            while on_their_way.try_join_next().is_some() {}
        }
        on_their_way.join_all().await;
    }

    /// Keeps `count` connections on their way, closed loop, until the answer is dropped.
    pub(in crate::mode) fn keep(&self, count: u32) -> JoinSet<()> {
        let mut visits = JoinSet::new();
        for _ in 0..count {
            let newcomers = self.clone();
            visits.spawn(async move {
                loop {
                    newcomers.counts().arrived += 1;
                    newcomers.clone().visit().await;
                }
            });
        }
        visits
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(in crate::mode) fn served_per_second(&self, length: Duration) -> f64 {
        self.served() as f64 / length.as_secs_f64()
    }

    pub(in crate::mode) fn served(&self) -> u64 {
        self.counts().answered.done
    }

    /// What a line of each second tells.
    pub(in crate::mode) fn so_far(&self) -> Value {
        let counts = self.counts();
        json!({
            "arrived": counts.arrived,
            "served": counts.answered.done,
            "timed_out": counts.timed_out,
            "refused": counts.answered.failed,
        })
    }

    /// The whole story; `served_in_time` were served before the storm of `length` was over.
    pub(in crate::mode) fn summary(&self, served_in_time: u64, length: Duration) -> Value {
        let so_far = self.so_far();
        let counts = self.counts();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let per_second = served_in_time as f64 / length.as_secs_f64();
        report::merged([
            so_far,
            json!({ "served_per_second": rounded(per_second) }),
            counts.answered.latencies(),
            counts.answered.failures(),
        ])
    }

    async fn visit(self) {
        let start = Instant::now();
        let outcome = timeout(self.timeout, self.handshake_and_echo()).await;
        match outcome {
            Ok(Ok(link)) => {
                self.counts().answered.answered(start.elapsed());
                // It was served; how the server closes is no part of that.
                let _ = link.close().await;
            }
            Ok(Err(error)) => self.counts().answered.failed(&error),
            Err(_) => self.counts().timed_out += 1,
        }
    }

    async fn handshake_and_echo(&self) -> io::Result<Link> {
        let mut link = self.target.dial().await?;
        link.echo(b"one round trip..").await?;
        Ok(link)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
