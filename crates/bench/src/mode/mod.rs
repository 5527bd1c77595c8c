//! The kinds of load, one file each.

mod answer;
mod bulk;
mod echo;
mod handshakes;
mod http;
mod idle;
mod overload;
mod storm;

use std::io;

use clap::Subcommand;

use crate::certificate::{self, CertificateOptions};

/// What to do.
#[derive(Subcommand)]
pub enum Mode {
    /// New connections, closed loop: handshake, one echo unless told otherwise, close.
    Handshakes(handshakes::HandshakeOptions),
    /// Messages that come back, closed loop on established connections.
    Echo(echo::EchoOptions),
    /// HTTP/1.1 keep-alive requests, closed loop.
    Http(http::HttpOptions),
    /// The server sends: 8 bytes of count (big-endian) go up, that many bytes come down.
    Download(bulk::BulkOptions),
    /// The client sends: 8 bytes of count (big-endian), that many bytes, then 8 bytes come back.
    Upload(bulk::BulkOptions),
    /// Connections that exchanged one message and are then held until stdin ends.
    Idle(idle::IdleOptions),
    /// Busy connections while new ones arrive at a fixed rate.
    Storm(storm::StormOptions),
    /// Busy connections while more new ones arrive than the server can do.
    Overload(overload::OverloadOptions),
    /// Answers HTTP/1.1 requests, as a backend of proxies that are measured.
    Answer(answer::AnswerOptions),
    /// Makes certificates for a run.
    Cert(CertificateOptions),
}

impl Mode {
    /// Makes the load and prints its result.
    ///
    /// # Errors
    /// When the server can't be reached or the result can't be printed.
    pub async fn run(self) -> io::Result<()> {
        match self {
            Self::Handshakes(options) => handshakes::run(options).await,
            Self::Echo(options) => echo::run(options).await,
            Self::Http(options) => http::run(options).await,
            Self::Download(options) => bulk::download(options).await,
            Self::Upload(options) => bulk::upload(options).await,
            Self::Idle(options) => idle::run(&options).await,
            Self::Storm(options) => storm::run(options).await,
            Self::Overload(options) => overload::run(options).await,
            Self::Answer(options) => answer::run(&options).await,
            Self::Cert(options) => certificate::make(&options),
        }
    }
}

/// How many connections a run may open.
const CONNECTIONS: std::ops::RangeInclusive<i64> = 1..=60_000;
