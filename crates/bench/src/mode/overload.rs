//! More new connections than the server can do: busy connections alone, then beside as many
//! newcomers as the server serves, then beside several times as many, then alone again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::CONNECTIONS;
use super::storm::newcomers::Newcomers;
use super::storm::{phase, talk};
use crate::report::{self, rounded};
use crate::tally::SharedTally;
use crate::target::{Target, TargetOptions};
use crate::window::{Stopwatch, Window, seconds};

#[derive(Args)]
pub struct OverloadOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Busy connections: each sends a message, waits for it to come back, thinks, and so on.
    #[arg(long, default_value_t = 650, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    clients: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    size: u32,
    /// Milliseconds that a busy connection waits before its next message.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    think_ms: u32,
    /// Newcomers on their way while it is measured how many the server serves.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    in_flight: u32,
    /// How many times that many arrive in the overload.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    factor: u32,
    /// Seconds of each calm phase.
    #[arg(long, default_value = "3", value_parser = seconds)]
    calm_seconds: Duration,
    /// Seconds of overload.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Seconds until a newcomer without its echo counts as timed out.
    #[arg(long, default_value = "5", value_parser = seconds)]
    timeout: Duration,
}

/// The busy connections are themselves again when so much of their calm traffic is back.
const RECOVERED: f64 = 0.9;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_MOST: u32 = 100;

pub(super) async fn run(options: OverloadOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_echoing(options.clients as usize).await?;
    let facts = links[0].facts();
    let window = Window::default();
    let busy = SharedTally::default();
    let mut talks = JoinSet::new();
    let think = Duration::from_millis(options.think_ms.into());
    for link in links {
        let (window, busy) = (window.clone(), busy.clone());
        let message = vec![0x2a; options.size as usize];
        talks.spawn(async move {
            if let Err(error) = talk(link, &message, think, &window, &busy).await {
                busy.lock().failed(&error);
            }
        });
    }
    sleep(Duration::from_millis(500)).await;
    drop(busy.take());

    let nobody = Newcomers::new(Arc::clone(&target), options.timeout);
    let calm = phase("calm", options.calm_seconds, &busy, &nobody).await?;

    let few = Newcomers::new(Arc::clone(&target), options.timeout);
    let visits = few.keep(options.in_flight);
    let capacity = phase("capacity", options.calm_seconds, &busy, &few).await?;
    let served = rounded(few.served_per_second(options.calm_seconds));
    drop(visits);

    let many = Newcomers::new(Arc::clone(&target), options.timeout);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small rate")]
    let rate = (served * f64::from(options.factor)).clamp(1.0, 50_000.0) as u32;
    let arrivals = tokio::spawn(many.clone().arrive(rate, options.seconds));
    let overload = phase("overload", options.seconds, &busy, &many).await?;
    let served_in_time = many.served();

    // From the last arrival on.
    let over = Instant::now();
    drop(busy.take());
    let calm_rate = calm.fields["messages_per_second"].as_f64().unwrap_or_default();
    let mut recovery = None;
    for _ in 0..LOOK_MOST {
        let look = Stopwatch::start();
        sleep(LOOK_EVERY).await;
        let tally = busy.take();
        if look.stop().rate(tally.done) >= RECOVERED * calm_rate {
            recovery = Some(over.elapsed() - LOOK_EVERY);
            break;
        }
    }
    arrivals.await?;
    window.end();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": "overload",
            "calm": calm.fields,
            "capacity": capacity.fields,
            "capacity_per_second": served,
            "overload": overload.fields,
            "attempted_per_second": rate,
            "newcomers": many.summary(served_in_time, options.seconds),
            "recovery_ms": recovery.map(|recovery| recovery.as_millis()),
            "client_saturated": overload.saturated,
        }),
        facts,
    ]))
}
