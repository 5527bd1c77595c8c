//! New connections, one after the other on each of several strands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::CONNECTIONS;
use crate::report;
use crate::tally::SharedTally;
use crate::target::{Target, TargetOptions};
use crate::window::{Window, WindowOptions};

#[derive(Args)]
pub struct HandshakeOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    window: WindowOptions,
    /// Connections on their way at any time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    in_flight: u32,
    /// Closes right after the handshake, without an echo.
    #[arg(long)]
    no_echo: bool,
}

pub(super) async fn run(options: HandshakeOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let facts = target.dial().await?.facts();
    let window = Window::default();
    let tally = SharedTally::default();
    let resumed = Arc::new(AtomicU64::new(0));
    let mut strands = JoinSet::new();
    for _ in 0..options.in_flight {
        strands.spawn(strand(
            Arc::clone(&target),
            window.clone(),
            tally.clone(),
            Arc::clone(&resumed),
            !options.no_echo,
        ));
    }
    let measured = window.run(options.window, strands).await?;
    let tally = tally.take();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": "handshakes",
            "connections": tally.done,
            "connections_per_second": measured.rate(tally.done),
            "resumed_connections": resumed.load(Ordering::Relaxed),
        }),
        tally.latencies(),
        tally.failures(),
        facts_of_a_full_handshake(facts),
        measured.client(),
    ]))
}

async fn strand(
    target: Arc<Target>,
    window: Window,
    tally: SharedTally,
    resumed: Arc<AtomicU64>,
    echo: bool,
) {
    while !window.over() {
        let start = Instant::now();
        let outcome: io::Result<()> = async {
            let mut link = target.dial().await?;
            if link.resumed() && window.measuring() {
                resumed.fetch_add(1, Ordering::Relaxed);
            }
            if echo {
                link.echo(b"one round trip..").await?;
            }
            let latency = start.elapsed();
            link.close().await?;
            if window.measuring() {
                tally.lock().answered(latency);
            }
            Ok(())
        }
        .await;
        if let Err(error) = outcome
            && window.measuring()
        {
            tally.lock().failed(&error);
        }
    }
}

/// The first connection can't resume: what it says of that would mislead.
fn facts_of_a_full_handshake(mut facts: Value) -> Value {
    if let Some(facts) = facts.as_object_mut() {
        facts.remove("resumed");
    }
    facts
}
