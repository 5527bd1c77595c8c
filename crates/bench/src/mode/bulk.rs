//! Many bytes in one direction.

use std::io;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use super::CONNECTIONS;
use crate::link::Link;
use crate::report::{self, rounded};
use crate::tally::SharedTally;
use crate::target::{Target, TargetOptions};
use crate::window::{Window, WindowOptions};

#[derive(Args)]
pub struct BulkOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    window: WindowOptions,
    /// Established connections.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    connections: u32,
    /// Bytes of one transfer; the next begins when it is done.
    #[arg(long, default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    bytes: u64,
}

/// Bytes read or written at a time.
const PIECE: usize = 256 << 10;

pub(super) async fn download(options: BulkOptions) -> io::Result<()> {
    run(options, Direction::Down).await
}

pub(super) async fn upload(options: BulkOptions) -> io::Result<()> {
    run(options, Direction::Up).await
}

#[derive(Clone, Copy)]
enum Direction {
    Down,
    Up,
}

async fn run(options: BulkOptions, direction: Direction) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_silent(options.connections as usize).await?;
    let facts = links[0].facts();
    let window = Window::default();
    let tally = SharedTally::default();
    let mut transfers = JoinSet::new();
    for mut link in links {
        link.enlarge(PIECE);
        let (window, tally, bytes) = (window.clone(), tally.clone(), options.bytes);
        transfers.spawn(async move {
            let result = match direction {
                Direction::Down => download_on(link, bytes, &window, &tally).await,
                Direction::Up => upload_on(link, bytes, &window, &tally).await,
            };
            if let Err(error) = result {
                tally.lock().failed(&error);
            }
        });
    }
    let measured = window.run(options.window, transfers).await?;
    let tally = tally.take();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": match direction { Direction::Down => "download", Direction::Up => "upload" },
            "bytes": tally.bytes,
            "megabytes_per_second": rounded(measured.rate(tally.bytes) / 1e6),
        }),
        tally.failures(),
        facts,
        measured.client(),
    ]))
}

async fn download_on(
    mut link: Link,
    bytes: u64,
    window: &Window,
    tally: &SharedTally,
) -> io::Result<()> {
    while !window.over() {
        link.send(&bytes.to_be_bytes()).await?;
        let mut missing = bytes;
        while missing > 0 && !window.over() {
            let received = link.receive(|_| {}).await? as u64;
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing = missing
                .checked_sub(received)
                .ok_or_else(|| io::Error::other("the server sent more than was asked for"))?;
            if window.measuring() {
                tally.lock().bytes += received;
            }
        }
    }
    Ok(())
}

async fn upload_on(
    mut link: Link,
    bytes: u64,
    window: &Window,
    tally: &SharedTally,
) -> io::Result<()> {
    let piece = vec![0x2a; PIECE];
    loop {
        link.send(&bytes.to_be_bytes()).await?;
        let mut missing = bytes;
        while missing > 0 {
            let next = &piece[..usize::try_from(missing).unwrap_or(PIECE).min(PIECE)];
            link.send(next).await?;
            missing -= next.len() as u64;
            if window.over() {
                return Ok(());
            }
            if window.measuring() {
                tally.lock().bytes += next.len() as u64;
            }
        }
        let mut answer = Vec::new();
        while answer.len() < 8 {
            if link.receive(|piece| answer.extend_from_slice(piece)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if answer != bytes.to_be_bytes() {
            return Err(io::Error::other("the server counted other bytes than were sent"));
        }
    }
}
