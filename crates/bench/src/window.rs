//! The time in which a run counts: after the warm-up, before the end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::process::cpu_time;
use crate::report::{self, rounded};

/// When a run measures.
#[derive(Args, Clone, Copy)]
pub struct WindowOptions {
    /// Seconds measured.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds of load before.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub warmup: Duration,
}

/// Parses seconds, 0 to 3600, fractions allowed.
///
/// # Errors
/// A text that says what was expected.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=3600.0).contains(&value) => Ok(Duration::from_secs_f64(value)),
        _ => Err("expected seconds from 0 to 3600".to_owned()),
    }
}

/// Tells every connection whether its answers count and whether to go on.
#[derive(Clone, Default)]
pub struct Window(Arc<AtomicU8>);

// 0, the default, is the warm-up.
const MEASURING: u8 = 1;
const OVER: u8 = 2;

impl Window {
    /// Whether an answer of now counts.
    #[must_use]
    pub fn measuring(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURING
    }

    /// Whether to stop.
    #[must_use]
    pub fn over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OVER
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.store(OVER, Ordering::Relaxed);
    }

    /// Warms up, prints `begin`, measures, prints `measured` and ends the connections of
    /// `tasks`, which get two seconds for their last answer.
    ///
    /// # Errors
    /// When stdout is closed.
    pub async fn run(
        &self,
        options: WindowOptions,
        mut tasks: JoinSet<()>,
    ) -> io::Result<Measured> {
        sleep(options.warmup).await;
        report::line(&json!({ "event": "begin" }))?;
        let stopwatch = Stopwatch::start();
        self.0.store(MEASURING, Ordering::Relaxed);
        sleep(options.seconds).await;
        self.end();
        let measured = stopwatch.stop();
        report::line(&json!({ "event": "measured" }))?;
        let _ =
            timeout(Duration::from_secs(2), async { while tasks.join_next().await.is_some() {} })
                .await;
        Ok(measured)
    }
}

/// Wall and CPU time since its start.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }

    /// What passed since the start.
    #[must_use]
    pub fn stop(&self) -> Measured {
        Measured { wall: self.wall.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

/// Wall and CPU time of a window.
pub struct Measured {
    /// Time that passed.
    pub wall: Duration,
    /// CPU time that this process spent in it.
    pub cpu: Duration,
}

impl Measured {
    /// `count` a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn rate(&self, count: u64) -> f64 {
        rounded(count as f64 / self.wall.as_secs_f64())
    }

    /// Seconds, the client's share of a core, and whether that share makes the result the client's.
    #[must_use]
    pub fn client(&self) -> Value {
        let share = self.cpu.as_secs_f64() / self.wall.as_secs_f64();
        json!({
            "seconds": rounded(self.wall.as_secs_f64()),
            "client_cpu": rounded(share),
            "client_saturated": share > 0.9,
        })
    }
}
