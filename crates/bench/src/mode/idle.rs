//! Connections that do nothing, to weigh them.

use std::io;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, stdin};

use super::CONNECTIONS;
use super::http::request;
use crate::report;
use crate::target::{Target, TargetOptions};

#[derive(Args)]
pub struct IdleOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Connections held.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    connections: u32,
    /// Say nothing at all: the server does not echo.
    #[arg(long)]
    silent: bool,
    /// Ask once by HTTP/1.1 instead of an echo.
    #[arg(long, conflicts_with = "silent")]
    http: bool,
}

pub(super) async fn run(options: &IdleOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let connections = options.connections as usize;
    let mut links = if options.silent || options.http {
        target.dial_silent(connections).await?
    } else {
        target.dial_echoing(connections).await?
    };
    if options.http {
        let mut response = Vec::new();
        for link in &mut links {
            request(link, &mut response).await?;
        }
    }
    report::line(&json!({ "event": "open", "connections": links.len() }))?;
    while stdin().read(&mut [0; 256]).await? > 0 {}
    report::line(&report::merged([
        json!({ "event": "end", "mode": "idle", "connections": links.len() }),
        links[0].facts(),
    ]))
}
