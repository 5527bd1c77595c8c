//! The reconnect storm: busy connections, first alone, then while new ones arrive.

pub(super) mod newcomers;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::newcomers::Newcomers;
use super::CONNECTIONS;
use crate::link::Link;
use crate::report;
use crate::tally::{SharedTally, Tally};
use crate::target::{Target, TargetOptions};
use crate::window::{Stopwatch, Window, seconds};

#[derive(Args)]
pub struct StormOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Busy connections: each sends its next message as soon as the last came back.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    clients: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    size: u32,
    /// Milliseconds that a busy connection waits before its next message.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    think_ms: u32,
    /// New connections a second, evenly spaced, whether or not the server keeps up: each one
    /// handshake, one echo, close.
    #[arg(long, default_value_t = 160, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    rate: u32,
    /// Seconds without new connections.
    #[arg(long, default_value = "3", value_parser = seconds)]
    calm_seconds: Duration,
    /// Seconds with new connections.
    #[arg(long, default_value = "8", value_parser = seconds)]
    seconds: Duration,
    /// Seconds of load before anything counts.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    warmup: Duration,
    /// Seconds until a new connection without its echo counts as timed out.
    #[arg(long, default_value = "5", value_parser = seconds)]
    timeout: Duration,
}

pub(super) async fn run(options: StormOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_echoing(options.clients as usize).await?;
    let facts = links[0].facts();
    let window = Window::default();
    let busy = SharedTally::default();
    let mut talks = JoinSet::new();
    for link in links {
        let (window, busy) = (window.clone(), busy.clone());
        let think = Duration::from_millis(options.think_ms.into());
        let message = vec![0x2a; options.size as usize];
        talks.spawn(async move {
            if let Err(error) = talk(link, &message, think, &window, &busy).await {
                busy.lock().failed(&error);
            }
        });
    }
    sleep(options.warmup).await;
    drop(busy.take());

    let newcomers = Newcomers::new(Arc::clone(&target), options.timeout);
    let calm = phase("calm", options.calm_seconds, &busy, &newcomers).await?;
    let arrivals = tokio::spawn(newcomers.clone().arrive(options.rate, options.seconds));
    let storm = phase("storm", options.seconds, &busy, &newcomers).await?;
    let served_in_time = newcomers.served();
    report::line(&json!({ "event": "begin", "phase": "drain" }))?;
    arrivals.await?;
    window.end();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": "storm",
            "calm": calm.fields,
            "storm": storm.fields,
            "newcomers": newcomers.summary(served_in_time, options.seconds),
            "client_saturated": calm.saturated || storm.saturated,
        }),
        facts,
    ]))
}

pub(super) async fn talk(
    mut link: Link,
    message: &[u8],
    think: Duration,
    window: &Window,
    busy: &SharedTally,
) -> io::Result<()> {
    while !window.over() {
        let start = Instant::now();
        link.echo(message).await?;
        busy.lock().answered(start.elapsed());
        if !think.is_zero() {
            sleep(think).await;
        }
    }
    link.close().await
}

pub(super) struct Phase {
    pub(super) fields: Value,
    pub(super) saturated: bool,
}

/// Counts for `length`; prints its begin and a line each second.
pub(super) async fn phase(
    name: &str,
    length: Duration,
    busy: &SharedTally,
    newcomers: &Newcomers,
) -> io::Result<Phase> {
    report::line(&json!({ "event": "begin", "phase": name }))?;
    let whole = Stopwatch::start();
    let mut total = Tally::default();
    while let Some(left) = length.checked_sub(whole.stop().wall)
        && !left.is_zero()
    {
        let tick = Stopwatch::start();
        sleep(left.min(Duration::from_secs(1))).await;
        let (tally, measured) = (busy.take(), tick.stop());
        report::line(&report::merged([
            json!({
                "event": "tick",
                "phase": name,
                "messages_per_second": measured.rate(tally.done),
            }),
            tally.latencies(),
            measured.client(),
            newcomers.so_far(),
        ]))?;
        total.add(tally);
    }
    let measured = whole.stop();
    report::line(&json!({ "event": "measured", "phase": name }))?;
    let client = measured.client();
    Ok(Phase {
        saturated: client["client_saturated"] == true,
        fields: report::merged([
            json!({
                "messages": total.done,
                "messages_per_second": measured.rate(total.done),
            }),
            total.latencies(),
            total.distribution(),
            total.failures(),
            client,
        ]),
    })
}
