//! Connections that do nothing, to weigh them.

use std::io;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, stdin};

use super::CONNECTIONS;
use crate::report;
use crate::target::{Target, TargetOptions};

#[derive(Args)]
pub struct IdleOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Connections held.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    connections: u32,
}

pub(super) async fn run(options: &IdleOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_echoing(options.connections as usize).await?;
    report::line(&json!({ "event": "open", "connections": links.len() }))?;
    while stdin().read(&mut [0; 256]).await? > 0 {}
    report::line(&report::merged([
        json!({ "event": "end", "mode": "idle", "connections": links.len() }),
        links[0].facts(),
    ]))
}
