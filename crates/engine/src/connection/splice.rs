//! The task of a connection whose plaintext goes to a backend and comes from there: the host has no
//! part in it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::Connection;
use super::task::READS_IN_A_TURN;
use super::timers::Timers;
use crate::backends::{Backends, Link};
use crate::event::Event;
use crate::handshake::{Finished, linger};
use crate::lock::lock;
use crate::proxy_header::{self, Ends};
use crate::worker::Local;

/// What is taken from a backend at a time: as much as is sealed for one send(2).
const TAKEN_AT_ONCE: usize = 128 * 1024;

/// How long a client may be silent whose backend has said its last.
const PARTING: Duration = Duration::from_secs(60);

/// Runs until both have ended, or one of them broke.
pub(super) async fn splice(connection: &Arc<Connection>, finished: Finished, to: Arc<Backends>) {
    // The host must find it at its own end.
    let _arrival = connection.host.arrives(connection);
    let header = connection.begin(finished, &to);
    let mut cut = pin!(connection.handshakes_cut());
    let mut is_cut = |context: &mut Context<'_>| {
        connection.attention.register(context.waker());
        connection.is_destroyed() || cut.as_mut().poll(context).is_ready()
    };
    // Boxed: its memory goes when the backend is there.
    let mut connecting = Box::pin(to.connect());
    let connected = std::future::poll_fn(|context| {
        Local::turn();
        if is_cut(context) {
            Poll::Ready(None)
        } else {
            connecting.as_mut().poll(context).map(Some)
        }
    })
    .await;
    drop(connecting);
    drop(to);
    let link = match connected {
        Some(Some(link)) => link,
        Some(None) => {
            connection.farewell();
            return linger(connection).await;
        }
        None => return,
    };
    let mut splice = Splice::new(connection, &link, header);
    let ended = std::future::poll_fn(|context| {
        if is_cut(context) { Poll::Ready(Ended::Cut) } else { splice.poll(context) }
    })
    .await;
    match ended {
        Ended::Orderly => {}
        Ended::Idle => {
            link.broke();
            connection.close_idle();
        }
        // Whoever is left must see that it was no orderly end.
        Ended::Cut | Ended::Broken => {
            link.broke();
            connection.transport.reset_on_close();
        }
        Ended::Alerted => {
            link.broke();
            linger(connection).await;
        }
    }
}

impl Connection {
    /// The handshake is done; gives the header that the backend gets. What the handshake came to is
    /// counted; who may ask for it is told.
    fn begin(self: &Arc<Self>, finished: Finished, to: &Backends) -> Vec<u8> {
        let (handshaken, channel) = self.settle(finished);
        *lock(&self.channel) = Some(channel);
        let header = to.header.map_or_else(Vec::new, |version| {
            let addresses = self.addresses();
            let ends = addresses.remote.zip(addresses.local);
            let ends = ends.map(|(source, destination)| Ends { source, destination });
            proxy_header::write(version, ends, &handshaken.session)
        });
        if let Some(&id) = self.id.get() {
            // It opens once.
            drop(self.handshaken.set(Box::new(handshaken)));
            self.host.push(Event::Proxied(id));
        }
        header
    }

    /// Says to the client that nothing will come.
    fn farewell(&self) {
        // What it does not take now it will not miss.
        self.with_channel(|channel| {
            channel.let_go();
            channel.farewell(&mut &self.transport)
        });
    }
}

enum Ended {
    /// Both sides have said their last, and all of it is in the kernel.
    Orderly,
    /// Nothing came or went for too long.
    Idle,
    /// The host destroyed it, or cut what goes on.
    Cut,
    /// One side broke.
    Broken,
    /// The client sent what is no TLS, and was told so.
    Alerted,
}

/// Both directions.
struct Splice<'a> {
    connection: &'a Arc<Connection>,
    link: &'a Link,
    /// What the backend has not taken, and how much of it it has.
    pending: Vec<u8>,
    taken: usize,
    /// What came behind the client's Finished has not been looked at.
    fresh: bool,
    upward: Stage,
    downward: Stage,
    timers: Timers<'a>,
    /// Until then the client may be silent.
    parts: Option<Pin<Box<Sleep>>>,
}

/// Of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// Its source has said its last.
    Ended,
    /// So was said to its destination, which has all.
    Shut,
    /// Its destination takes no more: what comes is lost.
    Lost,
}

impl<'a> Splice<'a> {
    fn new(connection: &'a Arc<Connection>, link: &'a Link, header: Vec<u8>) -> Self {
        Self {
            connection,
            link,
            pending: header,
            taken: 0,
            fresh: true,
            upward: Stage::Open,
            downward: Stage::Open,
            timers: Timers::new(connection),
            parts: None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        Local::turn();
        self.timers.poll_hold(context);
        if let Poll::Ready(ended) = self.upward(context) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.downward(context) {
            return Poll::Ready(ended);
        }
        if self.downward == Stage::Shut && self.upward == Stage::Shut {
            return Poll::Ready(Ended::Orderly);
        }
        if let Some(parts) = &mut self.parts
            && parts.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Ended::Orderly);
        }
        self.timers.poll_idle(context).map(|()| Ended::Idle)
    }

    /// From the client to the backend, until one of them makes it wait. Ready when that is the end.
    fn upward(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..READS_IN_A_TURN {
            ready!(self.feed(context));
            match self.upward {
                Stage::Ended => {
                    self.link.transport.shutdown();
                    self.upward = Stage::Shut;
                    return Poll::Pending;
                }
                Stage::Shut => return Poll::Pending,
                Stage::Open | Stage::Lost => {}
            }
            if let Some(ended) = ready!(self.receive(context)) {
                return Poll::Ready(ended);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Gives the backend what it has not taken. Ready when it has.
    fn feed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.taken < self.pending.len() {
            let rest = &self.pending[self.taken..];
            match ready!(self.link.transport.poll_send(context, |writer| writer.write(rest))) {
                Ok(bytes) => self.taken += bytes,
                Err(_) => self.lose(),
            }
        }
        if !self.pending.is_empty() {
            // An idle connection keeps no memory for it.
            self.pending = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(())
    }

    /// The backend takes no more. What it still says is passed on, and how it ends.
    fn lose(&mut self) {
        self.pending = Vec::new();
        self.taken = 0;
        self.upward = Stage::Lost;
    }

    /// Once from the client. Ready with `Some` when that is the end.
    fn receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        let connection = self.connection;
        Local::with_buffers(|ciphertext, plaintext| {
            let most = ciphertext.len().min(connection.buffered_most);
            let ciphertext = if std::mem::take(&mut self.fresh) {
                &[]
            } else {
                let buffer = &mut ciphertext[..most];
                match ready!(connection.transport.poll_receive(context, buffer)) {
                    // It has all, and closed without a look at the end.
                    Err(_) if self.downward == Stage::Shut => {
                        return Poll::Ready(self.client_ended());
                    }
                    Err(_) => return Poll::Ready(Some(Ended::Broken)),
                    Ok(0) => return Poll::Ready(self.client_ended()),
                    Ok(bytes) => {
                        connection.note_activity();
                        if let (Some(parts), Stage::Open) = (&mut self.parts, self.upward) {
                            parts.as_mut().reset(Instant::now() + PARTING);
                        }
                        &ciphertext[..bytes]
                    }
                }
            };
            plaintext.clear();
            let opened = connection.with_channel(|channel| channel.open(ciphertext, plaintext));
            let Some(opened) = opened else { return Poll::Ready(Some(Ended::Broken)) };
            connection.count(|tally| &tally.received.wire, ciphertext.len());
            connection.count(|tally| &tally.received.plaintext, plaintext.len());
            self.pass_on(plaintext, context);
            match opened {
                Err(failure) => {
                    // The client may be gone.
                    let _ = self.flush(context);
                    let alerted = failure.alert().is_some();
                    Poll::Ready(Some(if alerted { Ended::Alerted } else { Ended::Broken }))
                }
                Ok(received) if received.close_notify => Poll::Ready(self.client_ended()),
                Ok(_) => Poll::Ready(None),
            }
        })
    }

    fn client_ended(&mut self) -> Option<Ended> {
        self.upward = if self.upward == Stage::Lost { Stage::Shut } else { Stage::Ended };
        None
    }

    /// As much as the backend takes at once, of which most times is all; the rest is kept.
    fn pass_on(&mut self, plaintext: &[u8], context: &mut Context<'_>) {
        if self.upward == Stage::Lost {
            return;
        }
        let mut rest = plaintext;
        while !rest.is_empty() {
            match self.link.transport.poll_send(context, |writer| writer.write(rest)) {
                Poll::Ready(Ok(bytes)) => rest = &rest[bytes..],
                Poll::Ready(Err(_)) => return self.lose(),
                Poll::Pending => {
                    self.pending.extend_from_slice(rest);
                    return;
                }
            }
        }
    }

    /// From the backend to the client, until one of them makes it wait. Ready when that is the end.
    fn downward(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..READS_IN_A_TURN {
            match ready!(self.flush(context)) {
                Ok(()) => {}
                Err(()) => return Poll::Ready(Ended::Broken),
            }
            match self.downward {
                Stage::Open => {}
                Stage::Ended => {
                    self.downward = Stage::Shut;
                    // Where the client has ended too, closing says so.
                    if self.upward != Stage::Shut {
                        self.connection.transport.shutdown();
                        self.parts = Some(Box::pin(sleep(PARTING)));
                    }
                    return Poll::Pending;
                }
                Stage::Shut | Stage::Lost => return Poll::Pending,
            }
            if let Some(ended) = ready!(self.fetch(context)) {
                return Poll::Ready(ended);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what is sealed. Ready when the client has it.
    fn flush(&self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let connection = self.connection;
        let flushed = connection.with_channel(|channel| {
            if !channel.is_sending() {
                return Poll::Ready(Ok(()));
            }
            let flushed = connection.transport.poll_send(context, |writer| {
                let flushed = channel.write_out(writer);
                connection.count_sent(channel);
                flushed
            });
            flushed.map_err(drop)
        });
        flushed.unwrap_or(Poll::Ready(Err(())))
    }

    /// Once from the backend. Ready with `Some` when that is the end.
    fn fetch(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        let connection = self.connection;
        Local::with_buffer(|buffer| {
            let most = TAKEN_AT_ONCE.min(connection.buffered_most).min(buffer.len());
            let received = self.link.transport.poll_receive(context, &mut buffer[..most]);
            let plaintext = match ready!(received) {
                Err(_) => return Poll::Ready(Some(Ended::Broken)),
                Ok(bytes) => &buffer[..bytes],
            };
            connection.note_activity();
            let sent = connection.with_channel(|channel| {
                channel.let_go();
                if plaintext.is_empty() {
                    channel.records.close_notify();
                } else {
                    channel.seal(plaintext);
                }
                let sent =
                    connection.transport.poll_send(context, |writer| channel.write_out(writer));
                connection.count_sent(channel);
                sent
            });
            if plaintext.is_empty() {
                self.downward = Stage::Ended;
            }
            Poll::Ready(match sent {
                Some(Poll::Ready(Err(_))) | None => Some(Ended::Broken),
                // What is left is sent before anything else is fetched.
                Some(Poll::Pending | Poll::Ready(Ok(()))) => None,
            })
        })
    }
}
