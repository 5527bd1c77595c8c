//! What carries a connection's ciphertext: a socket, or a byte stream that its host owns.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use socket2::{Socket, TcpKeepalive};
use tokio::io::unix::AsyncFd;

use crate::event::Event;
use crate::host::Host;
use crate::lock::lock;
use crate::slots::ConnectionId;

pub(crate) enum Transport {
    Socket(AsyncFd<Socket>),
    Foreign(Box<Foreign>),
}

impl Transport {
    /// Bytes in `buffer`; 0 is the end.
    pub(crate) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Foreign(foreign) => foreign.poll_receive(context, buffer),
            Self::Socket(socket) => loop {
                let mut ready = ready!(socket.poll_read_ready(context))?;
                match { ready.get_inner() }.read(buffer) {
                    Ok(bytes) => {
                        // A short read has emptied the socket: saves the read that would say so.
                        if bytes > 0 && bytes < buffer.len() {
                            ready.clear_ready();
                        }
                        return Poll::Ready(Ok(bytes));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
        }
    }

    /// Runs `send` as often as the transport can take bytes; `send` says `WouldBlock` when not.
    pub(crate) fn poll_send<T>(
        &self,
        context: &mut Context<'_>,
        mut send: impl FnMut(&mut dyn Write) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match self {
            Self::Foreign(foreign) => {
                foreign.writer.register(context.waker());
                match send(&mut &*self) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    other => Poll::Ready(other),
                }
            }
            Self::Socket(socket) => loop {
                let mut ready = ready!(socket.poll_write_ready(context))?;
                match send(&mut &*self) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    other => return Poll::Ready(other),
                }
            },
        }
    }

    /// Ends the writable side.
    pub(crate) fn shutdown(&self) {
        match self {
            // Fails when the peer has reset the connection: the next read says so.
            Self::Socket(socket) => drop(socket.get_ref().shutdown(Shutdown::Write)),
            Self::Foreign(foreign) => foreign.host.push(Event::CiphertextEnd(foreign.id)),
        }
    }

    /// The coming close sends RST.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Socket(socket) = self {
            // A socket that is already gone needs no RST.
            drop(socket.get_ref().set_linger(Some(Duration::ZERO)));
        }
    }

    pub(crate) fn set_no_delay(&self, on: bool) {
        if let Self::Socket(socket) = self {
            // Unix sockets know no Nagle; as Node, not an error.
            drop(socket.get_ref().set_tcp_nodelay(on));
        }
    }

    pub(crate) fn set_keep_alive(&self, idle: Option<Duration>) {
        if let Self::Socket(socket) = self {
            let socket = socket.get_ref();
            // As above: not every socket has it.
            drop(match idle {
                None => socket.set_keepalive(false),
                Some(idle) if idle.is_zero() => socket.set_keepalive(true),
                Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
            });
        }
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(socket) => Some(socket.get_ref()),
            Self::Foreign(_) => None,
        }
    }

    pub(crate) fn foreign(&self) -> Option<&Foreign> {
        match self {
            Self::Socket(_) => None,
            Self::Foreign(foreign) => Some(foreign),
        }
    }
}

impl Write for &Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            // Node ignores SIGPIPE, other embedders may not.
            Transport::Socket(socket) => match slices {
                [slice] => socket.get_ref().send_with_flags(slice, NO_SIGNAL),
                slices => socket.get_ref().send_vectored_with_flags(slices, NO_SIGNAL),
            },
            Transport::Foreign(foreign) => foreign.send(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "macos")]
const NO_SIGNAL: libc::c_int = 0; // SO_NOSIGPIPE is set on the socket instead.
#[cfg(not(target_os = "macos"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// A byte stream that the host pumps: ciphertext in by calls, out by events, acknowledged.
pub(crate) struct Foreign {
    host: Arc<Host>,
    id: ConnectionId,
    unacknowledged: AtomicUsize,
    inbound: Mutex<Inbound>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

#[derive(Default)]
struct Inbound {
    bytes: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Foreign {
    pub(crate) fn new(host: Arc<Host>, id: ConnectionId) -> Self {
        Self {
            host,
            id,
            unacknowledged: AtomicUsize::new(0),
            inbound: Mutex::default(),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        }
    }

    /// The host received these from the stream.
    pub(crate) fn push(&self, ciphertext: &[u8]) {
        self.inbound().bytes.extend_from_slice(ciphertext);
        self.reader.wake();
    }

    /// The stream has ended.
    pub(crate) fn end(&self) {
        self.inbound().ended = true;
        self.reader.wake();
    }

    /// The stream took so many of the bytes it was given.
    pub(crate) fn acknowledge(&self, bytes: usize) {
        // More than was given would be the host's mistake: clamp instead of wrapping.
        let _ = self.unacknowledged.fetch_update(SeqCst, SeqCst, |unacknowledged| {
            Some(unacknowledged.saturating_sub(bytes))
        });
        self.writer.wake();
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.reader.register(context.waker());
        let mut inbound = self.inbound();
        let waiting = &inbound.bytes[inbound.taken..];
        if waiting.is_empty() {
            return if inbound.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        let bytes = waiting.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&waiting[..bytes]);
        inbound.taken += bytes;
        if inbound.taken == inbound.bytes.len() {
            inbound.bytes = Vec::new();
            inbound.taken = 0;
        }
        drop(inbound);
        self.host.push(Event::CiphertextTaken { id: self.id, bytes });
        Poll::Ready(Ok(bytes))
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.unacknowledged.load(SeqCst) >= self.host.engine.limits.foreign_unacknowledged {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let data = slices.concat_bytes();
        let bytes = data.len();
        self.unacknowledged.fetch_add(bytes, SeqCst);
        self.host.push(Event::Ciphertext { id: self.id, data });
        Ok(bytes)
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        lock(&self.inbound)
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.iter().map(|slice| slice.len()).sum());
        for slice in self {
            all.extend_from_slice(slice);
        }
        all
    }
}
