//! Messages that come back, on established connections.

use std::io;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use super::CONNECTIONS;
use crate::link::Link;
use crate::report;
use crate::tally::SharedTally;
use crate::target::{Target, TargetOptions};
use crate::window::{Window, WindowOptions};

#[derive(Args)]
pub struct EchoOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    window: WindowOptions,
    /// Established connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    connections: u32,
    /// Bytes of a message.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    size: u32,
    /// Messages on their way on each connection; they go out together and are timed together.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    messages_in_flight: u32,
}

pub(super) async fn run(options: EchoOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_echoing(options.connections as usize).await?;
    let facts = links[0].facts();
    let window = Window::default();
    let tally = SharedTally::default();
    let mut talks = JoinSet::new();
    for link in links {
        let (window, tally) = (window.clone(), tally.clone());
        let (size, batch) = (options.size as usize, options.messages_in_flight);
        talks.spawn(async move {
            if let Err(error) = talk(link, size, batch, &window, &tally).await {
                tally.lock().failed(&error);
            }
        });
    }
    let measured = window.run(options.window, talks).await?;
    let tally = tally.take();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": "echo",
            "messages": tally.done,
            "messages_per_second": measured.rate(tally.done),
        }),
        tally.latencies(),
        tally.distribution(),
        tally.failures(),
        facts,
        measured.client(),
    ]))
}

async fn talk(
    mut link: Link,
    size: usize,
    batch: u32,
    window: &Window,
    tally: &SharedTally,
) -> io::Result<()> {
    let message = vec![0x2a; size];
    while !window.over() {
        let start = Instant::now();
        for _ in 0..batch {
            link.send(&message).await?;
        }
        link.receive_exactly(size * batch as usize).await?;
        if window.measuring() {
            let latency = start.elapsed();
            let mut tally = tally.lock();
            for _ in 0..batch {
                tally.answered(latency);
            }
        }
    }
    link.close().await
}
