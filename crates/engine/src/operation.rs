//! What a host wants of its connections.

use std::time::Duration;

use crate::ConnectionId;

/// What the host wants of one connection.
#[derive(Debug)]
pub enum Operation {
    /// Send plaintext; counts as one in [`crate::Event::Written`].
    Write,
    /// After all writes: `close_notify` and FIN; counts as one in [`crate::Event::Written`].
    End,
    /// At once; [`crate::Event::Closed`] follows.
    Destroy,
    /// Destroy with RST.
    Reset,
    /// Stop reading; what is under way still arrives.
    Pause,
    /// Go on reading.
    Resume,
    /// Ciphertext received by a foreign stream.
    Ciphertext,
    /// The foreign stream ended.
    CiphertextEnd,
    /// The foreign stream took so many bytes.
    CiphertextSent(usize),
    /// Nagle's algorithm off or on.
    NoDelay(bool),
    /// TCP keep-alive with this initial delay, or off.
    KeepAlive(Option<Duration>),
}

/// An operation with its connection and, for `Write` and `Ciphertext`, its bytes.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The connection; a stale id is ignored.
    pub id: ConnectionId,
    /// What to do.
    pub operation: Operation,
    /// Its bytes.
    pub bytes: &'a [u8],
}
