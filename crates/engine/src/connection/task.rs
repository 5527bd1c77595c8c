//! The task of a connection: handshake, then both directions, then the end.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};

use super::channel::Channel;
use super::splice::splice;
use super::timers::Timers;
use super::{Connection, Handshaken, Terms};
use crate::event::Event;
use crate::event_queue::EVENT;
use crate::handshake::{Finished, Unopened, handshake, linger};
use crate::lock::lock;
use crate::report::Report;
use crate::shed::ShedReason;
use crate::tls::{Established, ProtocolVersion};
use crate::worker::Local;

/// Reads in one turn, before the other connections have theirs.
pub(super) const READS_IN_A_TURN: usize = 4;

pub(super) async fn run(connection: Arc<Connection>, terms: Terms) {
    let guard = EndGuard { connection: &connection };
    connection.count(|tally| &tally.accepted, 1);
    let _alive = connection.hold(|tally| &tally.connections);
    // Boxed: its memory goes when the connection opens.
    let handshaking = Box::pin(async {
        let _handshaking = connection.hold(|tally| &tally.handshaking);
        let _arrival = connection.host.arrives(&connection);
        handshake(&connection, terms).await
    });
    match handshaking.await {
        Ok(finished) => {
            let _open = connection.hold(|tally| &tally.open);
            if let Some(backends) = connection.backends() {
                splice(&connection, finished, backends).await;
                return;
            }
            connection.open(finished);
            let mut flow = Flow::new(&connection);
            match std::future::poll_fn(|context| flow.poll(context)).await {
                Ended::Destroyed => {}
                Ended::Idle => connection.close_idle(),
                Ended::Broken(report) => {
                    let alerted = report.alert.is_some();
                    connection.broke(report);
                    connection.until_destroyed().await;
                    if alerted {
                        connection.release();
                        linger(&connection).await;
                    }
                }
            }
        }
        Err(Unopened::Destroyed) => connection.count(|tally| &tally.abandoned, 1),
        Err(Unopened::Failed(report)) => {
            let is_silent = report.shed.is_some() && report.alert.is_none();
            connection.failed(report);
            if is_silent {
                connection.transport.reset_on_close();
            } else {
                linger(&connection).await;
            }
        }
    }
    drop(guard);
}

/// Runs at the end of the task, also when it panicked.
struct EndGuard<'a> {
    connection: &'a Arc<Connection>,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let connection = self.connection;
        connection.outbox.close(&connection.host);
        if connection.is_reset() {
            connection.transport.reset_on_close();
        }
        if std::thread::panicking() {
            match connection.id.get() {
                Some(&id) if connection.is_open() => {
                    connection.host.push(Event::Error { id, report: Report::internal() });
                }
                _ => connection.failed(Report::internal()),
            }
        }
        connection.release();
    }
}

impl Connection {
    fn open(self: &Arc<Self>, finished: Finished) {
        let (handshaken, channel) = self.settle(finished);
        // The task opens once.
        drop(self.handshaken.set(Box::new(handshaken)));
        *lock(&self.channel) = Some(channel);
        let id = *self.id.get_or_init(|| self.host.insert(self));
        self.host.push(Event::Open { id, server: self.server_id() });
    }

    /// What the handshake came to, which is counted, and the records that follow.
    pub(super) fn settle(&self, finished: Finished) -> (Handshaken, Channel) {
        let Finished { established, phases, hello } = finished;
        let Established { session, records, .. } = *established;
        self.tallies().for_each(|tally| tally.succeeded(&session, &phases));
        let tickets = session.protocol == ProtocolVersion::Tls13;
        let handshaken = Handshaken { number: self.number, session, phases, hello };
        (handshaken, Channel::new(records, tickets))
    }

    fn failed(self: &Arc<Self>, mut report: Box<Report>) {
        self.tallies().for_each(|tally| tally.failed(&report));
        report.server = self.server_id();
        report.connection = self.number;
        report.addresses = self.addresses();
        if let Some(reason) = report.shed {
            self.count_shed(reason);
        }
        let is_told = report.shed.is_none() || self.handed_over || self.host.may_tell_shed();
        match self.id.get() {
            Some(&id) if is_told => self.host.free(id, Event::Failed { id: Some(id), report }),
            // The host knows it by its hello, and lets go of it without a word.
            Some(&id) => self.host.free_late(id, &self.worker),
            None if is_told => self.host.push(Event::Failed { id: None, report }),
            None => {}
        }
    }

    /// Ends an open connection that was idle for too long. What the peer did not take is lost: then
    /// it must not look like an orderly end.
    pub(super) fn close_idle(&self) {
        self.count_shed(ShedReason::IdleTimeout);
        let is_clean = self.outbox.is_empty()
            && self.with_channel(|channel| channel.farewell(&mut &self.transport)) == Some(true);
        if is_clean {
            self.transport.shutdown();
        } else {
            self.transport.reset_on_close();
        }
    }

    fn broke(&self, report: Box<Report>) {
        self.outbox.close(&self.host);
        if let Some(&id) = self.id.get() {
            self.host.push(Event::Error { id, report });
        }
    }

    /// Gives the slot back, unless a failure has done so already.
    fn release(&self) {
        if let Some(&id) = self.id.get()
            && self.host.knows(id)
        {
            self.host.free_late(id, &self.worker);
        }
    }

    async fn until_destroyed(&self) {
        std::future::poll_fn(|context| {
            self.attention.register(context.waker());
            if self.is_destroyed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Both directions of an open connection.
struct Flow<'a> {
    connection: &'a Arc<Connection>,
    /// The peer sends no more.
    ended: bool,
    /// What came behind the client's Finished has not been looked at.
    fresh: bool,
    timers: Timers<'a>,
}

/// How the flow of an open connection ends.
enum Ended {
    /// The host destroyed it.
    Destroyed,
    /// Nothing came or went for too long.
    Idle,
    Broken(Box<Report>),
}

impl<'a> Flow<'a> {
    fn new(connection: &'a Arc<Connection>) -> Self {
        Self { connection, ended: false, fresh: true, timers: Timers::new(connection) }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        Local::turn();
        self.connection.attention.register(context.waker());
        if self.connection.is_destroyed() {
            return Poll::Ready(Ended::Destroyed);
        }
        self.timers.poll_hold(context);
        if let Err(report) = self.flush(context) {
            return Poll::Ready(Ended::Broken(report));
        }
        if let Poll::Ready(report) = self.receive_all(context) {
            // The alert, when there is one; the peer may be gone.
            drop(self.flush(context));
            return Poll::Ready(Ended::Broken(report));
        }
        self.timers.poll_idle(context).map(|()| Ended::Idle)
    }

    fn flush(&self, context: &mut Context<'_>) -> Result<(), Box<Report>> {
        let connection = self.connection;
        let (mut written, mut ended) = (0, false);
        let flushed = connection.with_channel(|channel| {
            if !channel.is_sending() && connection.outbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            connection.transport.poll_send(context, |writer| {
                let end = &mut || ended = true;
                let flushed =
                    channel.flush(&connection.host, &connection.outbox, writer, &mut written, end);
                connection.count_sent(channel);
                flushed
            })
        });
        if ended {
            connection.transport.shutdown();
        }
        if let (Some(&id), 1..) = (connection.id.get(), written) {
            connection.host.push(Event::Written { id, operations: written });
        }
        match flushed {
            Some(Poll::Ready(Err(error))) => Err(Report::io(&error, "write")),
            _ => Ok(()),
        }
    }

    /// Ready with what broke the connection.
    fn receive_all(&mut self, context: &mut Context<'_>) -> Poll<Box<Report>> {
        for _ in 0..READS_IN_A_TURN {
            if self.ended || self.connection.must_wait() {
                return Poll::Pending;
            }
            if let Err(report) = ready!(self.receive(context)) {
                return Poll::Ready(report);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Box<Report>>> {
        let connection = self.connection;
        Local::with_buffers(|ciphertext, plaintext| {
            let ciphertext = if std::mem::take(&mut self.fresh) {
                &[]
            } else {
                let ciphertext = &mut ciphertext[..connection.may_read()];
                match ready!(connection.transport.poll_receive(context, ciphertext)) {
                    Err(error) => return Poll::Ready(Err(Report::io(&error, "read"))),
                    Ok(0) => {
                        self.end();
                        return Poll::Ready(Ok(()));
                    }
                    Ok(bytes) => {
                        connection.note_activity();
                        &ciphertext[..bytes]
                    }
                }
            };
            plaintext.clear();
            let opened = connection.with_channel(|channel| {
                let opened = channel.open(ciphertext, plaintext);
                (opened, channel.is_sending())
            });
            let Some((opened, must_answer)) = opened else { return Poll::Pending };
            connection.count(|tally| &tally.received.wire, ciphertext.len());
            connection.count(|tally| &tally.received.plaintext, plaintext.len());
            if let (Some(&id), false) = (connection.id.get(), plaintext.is_empty()) {
                connection.undrained.fetch_add(plaintext.len() + EVENT, SeqCst);
                connection.host.push_data(id, plaintext);
            }
            match opened {
                Err(failure) => return Poll::Ready(Err(Report::tls(&failure))),
                Ok(received) if received.close_notify => self.end(),
                Ok(_) => {}
            }
            Poll::Ready(if must_answer { self.flush(context) } else { Ok(()) })
        })
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(&id) = self.connection.id.get() {
            self.connection.host.push(Event::End(id));
        }
    }
}
