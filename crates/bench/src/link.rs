//! One connection, with TLS or without.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls_link::TlsLink;

/// A connection whose handshake is done.
pub enum Link {
    /// Plain TCP.
    Plain(PlainLink),
    /// TLS over TCP.
    Tls(Box<TlsLink>),
}

/// How long a closing client waits for the server to close too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl Link {
    /// Plain TCP over `stream`.
    #[must_use]
    pub fn plain(stream: TcpStream) -> Self {
        Self::Plain(PlainLink { stream, inbound: vec![0; 4096] })
    }

    /// Room for bulk: reads and writes of up to `bytes` at a time. 4 KiB before.
    pub fn enlarge(&mut self, bytes: usize) {
        match self {
            Self::Plain(link) => link.inbound.resize(bytes, 0),
            Self::Tls(link) => link.enlarge(bytes),
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(link) => link.stream.write_all(bytes).await,
            Self::Tls(link) => link.send(bytes).await,
        }
    }

    /// Waits for plaintext and hands it to `sink` in pieces; the number of bytes, 0 at the end.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn receive(&mut self, mut sink: impl FnMut(&[u8])) -> io::Result<usize> {
        match self {
            Self::Plain(link) => {
                let count = link.stream.read(&mut link.inbound).await?;
                sink(&link.inbound[..count]);
                Ok(count)
            }
            Self::Tls(link) => link.receive(sink).await,
        }
    }

    /// Sends `message` and waits for as many bytes to come back.
    ///
    /// # Errors
    /// When the connection broke or ended early.
    pub async fn echo(&mut self, message: &[u8]) -> io::Result<()> {
        self.send(message).await?;
        self.receive_exactly(message.len()).await
    }

    /// Waits for `count` bytes and drops them.
    ///
    /// # Errors
    /// When the connection broke, ended early or brought more.
    pub async fn receive_exactly(&mut self, count: usize) -> io::Result<()> {
        let mut missing = count;
        while missing > 0 {
            let received = self.receive(|_| {}).await?;
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing = missing
                .checked_sub(received)
                .ok_or_else(|| io::Error::other("the server sent more than was asked for"))?;
        }
        Ok(())
    }

    /// Ends this side and waits for the server to end its own, so that its work for the connection
    /// is inside the measurement.
    ///
    /// # Errors
    /// When the connection broke or the server held it open.
    pub async fn close(mut self) -> io::Result<()> {
        let stream = match &mut self {
            Self::Plain(link) => &mut link.stream,
            Self::Tls(link) => {
                link.send_close_notify().await?;
                link.stream()
            }
        };
        stream.shutdown().await?;
        let mut rest = [0; 2048];
        timeout(CLOSE_TIMEOUT, async {
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        })
        .await?
    }

    /// What was negotiated: `protocol`, `suite`, `group`, `resumed`; `tcp` for plain.
    #[must_use]
    pub fn facts(&self) -> Value {
        match self {
            Self::Plain(_) => json!({ "protocol": "tcp" }),
            Self::Tls(link) => link.facts(),
        }
    }

    /// Whether the handshake resumed a session.
    #[must_use]
    pub fn resumed(&self) -> bool {
        matches!(self, Self::Tls(link) if link.resumed())
    }
}

/// Plain TCP.
pub struct PlainLink {
    stream: TcpStream,
    inbound: Vec<u8>,
}
