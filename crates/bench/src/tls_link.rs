//! TLS over TCP with few copies and system calls: rustls' unbuffered interface, on buffers of ours.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError};
use rustls::{ClientConfig, HandshakeKind};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A TLS connection of the client.
pub struct TlsLink {
    stream: TcpStream,
    session: UnbufferedClientConnection,
    inbound: Vec<u8>,
    /// Where ciphertext in `inbound` waits to be processed.
    waiting: Range<usize>,
    outbound: Outbound,
    /// Plaintext that came while something was being sent.
    early: Vec<u8>,
}

impl TlsLink {
    /// Does the handshake over `stream`.
    ///
    /// # Errors
    /// When the server fails it or is not who it should be.
    pub async fn handshake(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let session = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut link = Self {
            stream,
            session,
            inbound: vec![0; 4096],
            waiting: 0..0,
            outbound: Outbound::default(),
            early: Vec::new(),
        };
        link.write(Wish::Nothing).await?;
        Ok(link)
    }

    /// As [`Link::enlarge`](crate::link::Link::enlarge).
    pub fn enlarge(&mut self, bytes: usize) {
        self.inbound.resize(bytes.max(self.inbound.len()), 0);
    }

    /// As [`Link::send`](crate::link::Link::send).
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn send(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.write(Wish::Plaintext(plaintext)).await
    }

    /// Says that no more will be sent.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn send_close_notify(&mut self) -> io::Result<()> {
        self.write(Wish::CloseNotify).await
    }

    /// As [`Link::receive`](crate::link::Link::receive).
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn receive(&mut self, mut sink: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut received = self.early.len();
        if received > 0 {
            sink(&self.early);
            self.early.clear();
        }
        loop {
            let step = self.step(Wish::Nothing, |piece| {
                received += piece.len();
                sink(piece);
            })?;
            match step {
                Step::Continue => {}
                Step::Flush => self.flush().await?,
                Step::Ended => return Ok(received),
                Step::Ready | Step::Read if received > 0 => return Ok(received),
                Step::Ready | Step::Read => {
                    if self.fill().await? == 0 {
                        return Ok(0);
                    }
                }
            }
        }
    }

    /// The socket, once this side has sent its close_notify.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Whether the handshake resumed a session.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// As [`Link::facts`](crate::link::Link::facts).
    #[must_use]
    pub fn facts(&self) -> Value {
        let named = |fact: Option<String>| fact.unwrap_or_default();
        json!({
            "protocol": named(self.session.protocol_version().map(|version| format!("{version:?}"))),
            "suite": named(
                self.session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())),
            ),
            "group": named(
                self.session
                    .negotiated_key_exchange_group()
                    .map(|group| format!("{:?}", group.name())),
            ),
            "resumed": self.resumed(),
        })
    }

    /// Goes on until the session takes application data, then sends what was wished for.
    async fn write(&mut self, wish: Wish<'_>) -> io::Result<()> {
        loop {
            let mut early = std::mem::take(&mut self.early);
            let step = self.step(wish, |piece| early.extend_from_slice(piece));
            self.early = early;
            match step? {
                // The peer's end is no reason not to write.
                Step::Continue | Step::Ended => {}
                Step::Flush => self.flush().await?,
                Step::Ready => return self.flush().await,
                Step::Read => {
                    if self.fill().await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }

    fn step(&mut self, wish: Wish<'_>, mut sink: impl FnMut(&[u8])) -> io::Result<Step> {
        let status = self.session.process_tls_records(&mut self.inbound[self.waiting.clone()]);
        let mut discard = status.discard;
        let step = match status.state.map_err(io::Error::other)? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(io::Error::other)?;
                    discard += record.discard;
                    sink(record.payload);
                }
                Step::Continue
            }
            ConnectionState::EncodeTlsData(mut data) => {
                self.outbound.append(|room| Ok(data.encode(room)?))?;
                Step::Continue
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                Step::Flush
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                match wish {
                    Wish::Nothing => {}
                    Wish::Plaintext(bytes) => {
                        self.outbound.append(|room| Ok(traffic.encrypt(bytes, room)?))?;
                    }
                    Wish::CloseNotify => {
                        self.outbound.append(|room| Ok(traffic.queue_close_notify(room)?))?;
                    }
                }
                Step::Ready
            }
            ConnectionState::BlockedHandshake => Step::Read,
            ConnectionState::PeerClosed | ConnectionState::Closed => Step::Ended,
            _ => return Err(io::Error::other("rustls is in a state that no client can be in")),
        };
        self.waiting.start += discard;
        Ok(step)
    }

    async fn flush(&mut self) -> io::Result<()> {
        let result = self.stream.write_all(&self.outbound.bytes[..self.outbound.used]).await;
        self.outbound.used = 0;
        result
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.waiting.start > 0 {
            self.inbound.copy_within(self.waiting.clone(), 0);
            self.waiting = 0..self.waiting.len();
        }
        if self.waiting.end == self.inbound.len() {
            self.inbound.resize(2 * self.inbound.len(), 0);
        }
        let count = self.stream.read(&mut self.inbound[self.waiting.end..]).await?;
        self.waiting.end += count;
        Ok(count)
    }
}

/// What to send as soon as the session takes application data.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Nothing,
    Plaintext(&'a [u8]),
    CloseNotify,
}

/// What the session wants next.
enum Step {
    Continue,
    Flush,
    Read,
    Ready,
    Ended,
}

/// Ciphertext to be sent, in a buffer that only grows: clearing it each time would cost bulk dearly.
#[derive(Default)]
struct Outbound {
    bytes: Vec<u8>,
    used: usize,
}

impl Outbound {
    fn append(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Refusal>,
    ) -> io::Result<()> {
        loop {
            match write(&mut self.bytes[self.used..]) {
                Ok(count) => {
                    self.used += count;
                    return Ok(());
                }
                Err(Refusal::Room(size)) => self.bytes.resize(self.used + size, 0),
                Err(Refusal::Other(error)) => return Err(error),
            }
        }
    }
}

enum Refusal {
    Room(usize),
    Other(io::Error),
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Room(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Other(io::Error::other(error)),
        }
    }
}

impl From<EncryptError> for Refusal {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Room(required_size)
            }
            EncryptError::EncryptExhausted => Self::Other(io::Error::other(error)),
        }
    }
}
