//! New connections, one after the other on each of several strands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::CONNECTIONS;
use super::http::request;
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
    /// One HTTP/1.1 request instead of the echo.
    #[arg(long, conflicts_with = "no_echo")]
    http: bool,
}

/// What is said on a connection.
#[derive(Clone, Copy)]
enum Talk {
    Nothing,
    Echo,
    Request,
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
            match options {
                HandshakeOptions { no_echo: true, .. } => Talk::Nothing,
                HandshakeOptions { http: true, .. } => Talk::Request,
                _ => Talk::Echo,
            },
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
    talk: Talk,
) {
    while !window.over() {
        let start = Instant::now();
        let outcome: io::Result<()> = async {
            let mut link = target.dial().await?;
            if link.resumed() && window.measuring() {
                resumed.fetch_add(1, Ordering::Relaxed);
            }
            match talk {
                Talk::Nothing => {}
                Talk::Echo => link.echo(b"one round trip..").await?,
                Talk::Request => request(&mut link, &mut Vec::new()).await?,
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
