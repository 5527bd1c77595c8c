//! What the engine tells a host.

use crate::tls::{ClientHello, NewSession};
use crate::{Addresses, ConnectionId, Hello, Report};

/// One thing that happened, in order for each connection.
#[derive(Debug)]
pub enum Event {
    /// The handshake is done; plaintext may follow. 0: no server.
    Open {
        /// The connection.
        id: ConnectionId,
        /// The server that it came to; 0 for none.
        server: u32,
    },
    /// The handshake is done and a backend has the plaintext; only [`Event::Closed`] follows. For
    /// those that the host knows.
    Proxied(ConnectionId),
    /// Plaintext: the next `bytes` of the batch's small bytes.
    Data {
        /// The connection.
        id: ConnectionId,
        /// Its length.
        bytes: usize,
    },
    /// Plaintext that was worth a buffer of its own.
    Bulk {
        /// The connection.
        id: ConnectionId,
        /// The plaintext.
        data: Vec<u8>,
    },
    /// The peer ended its side: `close_notify` or FIN.
    End(ConnectionId),
    /// So many write and end operations have reached the kernel, in their order.
    Written {
        /// The connection.
        id: ConnectionId,
        /// How many.
        operations: u32,
    },
    /// An open connection broke; the host still has to destroy it.
    Error {
        /// The connection.
        id: ConnectionId,
        /// Why.
        report: Box<Report>,
    },
    /// The connection is gone and its slot free.
    Closed(ConnectionId),
    /// The handshake failed; the slot, where there was one, is free.
    Failed {
        /// The connection; `None` when the host never heard of it.
        id: Option<ConnectionId>,
        /// Why.
        report: Box<Report>,
    },
    /// A ClientHello came, and its handshake goes on: see [`crate::Host::set_tell_starts`].
    Start(Box<Start>),
    /// A ClientHello waits for [`crate::Host::decide`]; from here on the host knows the connection.
    Hello {
        /// The connection.
        id: ConnectionId,
        /// What it is about.
        hello: Box<Hello>,
    },
    /// A session is to be stored; the handshake waits for [`crate::Host::proceed`].
    NewSession {
        /// The connection.
        id: ConnectionId,
        /// What is to be stored.
        session: Box<NewSession>,
    },
    /// Secrets of a connection, a line in the format of NSS' key log, without its end.
    KeyLog {
        /// The connection.
        id: ConnectionId,
        /// The line.
        line: String,
    },
    /// Ciphertext for a foreign stream to send.
    Ciphertext {
        /// The connection.
        id: ConnectionId,
        /// Bytes to send, to be acknowledged.
        data: Vec<u8>,
    },
    /// The writable side of a foreign stream is to be ended.
    CiphertextEnd(ConnectionId),
    /// The engine has taken so much of the ciphertext that a foreign stream was given: the host may
    /// push more. Keeps the bytes in flight bounded.
    CiphertextTaken {
        /// The connection.
        id: ConnectionId,
        /// How many.
        bytes: usize,
    },
    /// The server stopped listening and its last connection is gone.
    ServerClosed(u32),
    /// A connection was refused as it came, because of the server's `max_connections` or of
    /// [`crate::AdmissionLimits`].
    Dropped {
        /// The server.
        server: u32,
        /// Carries the addresses.
        report: Box<Report>,
    },
    /// Connections were shed: [`crate::Host::take_sheds`] tells which.
    Shed,
    /// Accepting failed; the listener backs off and goes on.
    AcceptError {
        /// The server.
        server: u32,
        /// Why.
        report: Box<Report>,
    },
}

impl Event {
    /// Tells of a connection that the host does not know.
    pub fn is_of_stranger(&self) -> bool {
        matches!(self, Self::Failed { id: None, .. } | Self::Dropped { .. } | Self::Start(_))
    }
}

/// A handshake that begins.
#[derive(Debug)]
pub struct Start {
    /// The server that the connection came to; 0 for none.
    pub server: u32,
    /// The connection's number: see [`Handshaken::number`](crate::Handshaken::number).
    pub connection: u64,
    /// What the client offers.
    pub client: ClientHello,
    /// Both ends, where they are known.
    pub addresses: Addresses,
}

/// Where [`crate::Host::drain`] puts events.
pub trait EventSink {
    /// Plaintext of a connection; returns how much was taken. Less than all ends the drain.
    fn data(&mut self, id: ConnectionId, plaintext: &[u8]) -> usize;
    /// Ciphertext for a foreign stream; same contract.
    fn ciphertext(&mut self, id: ConnectionId, ciphertext: &[u8]) -> usize;
    /// Any other event; gives it back when there is no room, which ends the drain.
    fn event(&mut self, event: Event) -> Result<(), Event>;
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The queue was emptied.
    All,
    /// The sink was full: there is more.
    More,
}
