//! A host: one consumer of plaintext, such as a Node environment. Its events go up through a queue
//! and a bell, its operations come down in one submission a tick.

use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use offloop_pool::{Histogram, Times};
use tokio::sync::Semaphore;

use crate::admission::Admitted;
use crate::asking::{Decision, Question, UNTOLD};
use crate::connection::{
    Addresses, Connection, Handshaken, Inline, Settings, Terms, remote_address,
};
use crate::event::{Drained, Event, EventSink, Start};
use crate::event_queue::{EVENT, EventQueue, Pushed};
use crate::listener::{self, BoundAddress, ListenTarget};
use crate::lock::lock;
use crate::operation::{Operation, Payload};
use crate::server::{Server, ServerId, ServerOptions, Stop};
use crate::shed::{Shed, ShedNews, ShedWatch};
use crate::sinks::Trace;
use crate::slots::{ConnectionId, Slots};
use crate::transport::{Foreign, Transport};
use crate::worker::{Local, Worker};
use crate::{Engine, adopt, tls};

/// Tells the host that there is something to drain. Called from any thread, must not block.
pub trait Doorbell: Send + Sync {
    /// Makes the host call [`Host::drain`] soon.
    fn ring(&self);
}

/// Plaintext of at least this size travels in a buffer of its own instead of being copied together.
const BULK: usize = 16 * 1024;

/// A submission of at most so many operations may be sent by the host's thread itself, and so many
/// bytes between two drains. Waking a worker and being woken by it costs as much as sealing and
/// sending 64 KiB (some 50 us), and other cores' caches make the bytes dearer there: with 16 KiB
/// here 4 downloads reach 0.6 of node:tls, with 256 KiB they equal it.
const INLINE_WRITES: usize = 4;
const INLINE_BYTES: usize = 256 * 1024;

/// How long the end of a connection may wait for company on its way to the host.
const LATE: Duration = Duration::from_millis(1);

/// See the module's head.
pub struct Host {
    pub(crate) engine: Arc<Engine>,
    doorbell: Box<dyn Doorbell>,
    queue: EventQueue,
    /// A ring for what may be late is on its way.
    late: AtomicBool,
    inline_left: AtomicUsize,
    slots: Mutex<Slots<Arc<Connection>>>,
    /// Connections in their handshake, which may have no slot yet.
    arrivals: Mutex<Slots<Arc<Connection>>>,
    servers: Mutex<HashMap<u32, Arc<Server>>>,
    next_server: AtomicU32,
    /// One is held by each [`Event::Hello`] that has not been drained.
    pub(crate) untold: Arc<Semaphore>,
    sheds: ShedNews,
    unsent: AtomicUsize,
    finishing: Mutex<bool>,
    all_sent: Condvar,
    closed: AtomicBool,
    tells_starts: AtomicBool,
    turns: Histogram,
}

/// How a connection that comes from the host is to be accepted.
pub struct Accept {
    /// The server that it belongs to, if any: then its contexts and limits hold.
    pub server: Option<ServerId>,
    /// The contexts, where there is no server.
    pub contexts: Option<tls::ContextTable>,
    /// Limits of the connection.
    pub settings: Settings,
    /// Whether [`Event::Hello`] asks how its ClientHello is to be answered.
    pub ask: bool,
    /// Bytes that were already read.
    pub received: Vec<u8>,
}

impl Host {
    /// A host of `engine` that hears of events by `doorbell`.
    pub fn new(engine: Arc<Engine>, doorbell: Box<dyn Doorbell>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            doorbell,
            queue: EventQueue::default(),
            late: AtomicBool::new(false),
            inline_left: AtomicUsize::new(INLINE_BYTES),
            slots: Mutex::new(Slots::new()),
            arrivals: Mutex::new(Slots::new()),
            servers: Mutex::default(),
            next_server: AtomicU32::new(1),
            untold: Arc::new(Semaphore::new(UNTOLD)),
            sheds: ShedNews::new(),
            unsent: AtomicUsize::new(0),
            finishing: Mutex::new(false),
            all_sent: Condvar::new(),
            closed: AtomicBool::new(false),
            tells_starts: AtomicBool::new(false),
            turns: Histogram::default(),
        })
    }

    /// Hands over what has happened, until there is no more or the sink is full.
    pub fn drain(&self, sink: &mut dyn EventSink) -> Drained {
        self.inline_left.store(INLINE_BYTES, Relaxed);
        let mut waiting = Vec::new();
        let drained = self.queue.drain(sink, &mut |id, bytes| {
            self.engine.counters.received_bytes_queued.fetch_sub(count(bytes), Relaxed);
            if let Some(connection) = lock(&self.slots).get(id)
                && connection.drained(bytes)
            {
                waiting.push(Arc::clone(connection));
            }
        });
        attend_all(waiting);
        drained
    }

    /// Carries out one tick's operations. `done(i)` is called for each `Write` and `End` whose
    /// bytes are in the kernel already; the others are answered by [`Event::Written`].
    pub fn submit<'a>(
        &self,
        operations: impl ExactSizeIterator<Item = Payload<'a>>,
        mut done: impl FnMut(usize),
    ) {
        let few = operations.len() <= INLINE_WRITES;
        let mut waiting: Vec<Arc<Connection>> = Vec::new();
        for (index, Payload { id, operation, bytes }) in operations.enumerate() {
            let Some(connection) = lock(&self.slots).get(id).cloned() else { continue };
            let attend = match operation {
                Operation::Write => {
                    let inline = if few && self.may_inline(bytes.len()) {
                        connection.send_inline(bytes)
                    } else {
                        Inline::No
                    };
                    match inline {
                        Inline::Done => {
                            done(index);
                            false
                        }
                        Inline::Blocked => true,
                        Inline::No => connection.queue_write(bytes),
                    }
                }
                Operation::End => connection.queue_end(),
                Operation::Destroy => connection.destroy(false),
                Operation::Reset => connection.destroy(true),
                Operation::Pause => {
                    connection.pause();
                    false
                }
                Operation::Resume => connection.resume(),
                Operation::Ciphertext => {
                    connection.foreign(|foreign| foreign.push(bytes));
                    false
                }
                Operation::CiphertextEnd => {
                    connection.foreign(Foreign::end);
                    false
                }
                Operation::CiphertextSent(count) => {
                    connection.foreign(|foreign| foreign.acknowledge(count));
                    false
                }
                Operation::NoDelay(on) => {
                    connection.transport.set_no_delay(on);
                    false
                }
                Operation::KeepAlive(idle) => {
                    connection.transport.set_keep_alive(idle);
                    false
                }
            };
            if attend {
                waiting.push(connection);
            }
        }
        attend_all(waiting);
    }

    /// A server of this host, not listening yet.
    pub fn create_server(self: &Arc<Self>, options: ServerOptions) -> ServerId {
        let id = self.next_server.fetch_add(1, Relaxed);
        lock(&self.servers).insert(id, Server::new(id, self, options));
        id
    }

    /// Its contexts from the next ClientHello on.
    pub fn set_contexts(&self, server: ServerId, contexts: tls::ContextTable) {
        if let Some(server) = self.server(server) {
            server.set_contexts(contexts);
        }
    }

    /// Whether [`Event::Hello`] asks how a ClientHello is to be answered, from the next connection
    /// on.
    pub fn set_ask(&self, server: ServerId, ask: bool) {
        if let Some(server) = self.server(server) {
            server.set_ask(ask);
        }
    }

    /// Its bound on connections from the next one on.
    pub fn set_max_connections(&self, server: ServerId, max: Option<usize>) {
        if let Some(server) = self.server(server) {
            server.set_max_connections(max);
        }
    }

    /// Binds and listens.
    pub fn listen(&self, server: ServerId, target: &ListenTarget) -> io::Result<BoundAddress> {
        let server = self.server(server).ok_or(io::ErrorKind::NotFound)?;
        listener::listen(&server, target)
    }

    /// Stops listening. [`Event::ServerClosed`] follows when the last connection is gone; the
    /// server is forgotten then. A descriptor that was listened on goes on listening for whoever
    /// else has it.
    pub fn close_server(&self, server: ServerId, stop: Stop) {
        if let Some(server) = self.server(server) {
            server.close(stop);
        }
    }

    /// Ends the handshakes of a server that are under way, and connections that backends have; none
    /// is told of.
    pub fn cut_handshakes(&self, server: ServerId) {
        if let Some(server) = self.server(server) {
            server.cut_handshakes();
        }
    }

    /// Ends the connections of a server whose clients have sent no byte; none is told of.
    pub fn cut_silent(&self, server: ServerId) {
        if let Some(server) = self.server(server) {
            server.cut_silent();
        }
    }

    /// Connections of a server, handshakes included.
    pub fn connection_count(&self, server: ServerId) -> usize {
        self.server(server).map_or(0, |server| server.connections())
    }

    /// Takes over a connected socket. The descriptor is duplicated; the caller keeps its own.
    /// Errors: the descriptor is no stream socket, or descriptors have run out.
    pub fn adopt(self: &Arc<Self>, descriptor: RawFd, accept: Accept) -> io::Result<ConnectionId> {
        let worker = Arc::clone(self.engine.worker());
        let socket = worker.register(adopt::duplicate(descriptor)?)?;
        self.start(&worker, accept, |_| Transport::Socket(socket))
    }

    /// Takes over a byte stream that the host pumps.
    pub fn attach(self: &Arc<Self>, accept: Accept) -> io::Result<ConnectionId> {
        let worker = Arc::clone(self.engine.worker());
        let host = Arc::clone(self);
        self.start(&worker, accept, |id| Transport::Foreign(Box::new(Foreign::new(host, id))))
    }

    /// Both ends of a connection; `None` when its id is stale.
    pub fn addresses(&self, id: ConnectionId) -> Option<Addresses> {
        Some(self.connection(id)?.addresses())
    }

    /// Runs `with` on what the handshake of an open connection came to.
    pub fn handshaken<T>(
        &self,
        id: ConnectionId,
        with: impl FnOnce(&Handshaken) -> T,
    ) -> Option<T> {
        self.connection(id)?.handshaken().map(with)
    }

    /// Whether [`Event::Start`] tells of each ClientHello, from the next one on.
    pub fn set_tell_starts(&self, tell: bool) {
        self.tells_starts.store(tell, Relaxed);
    }

    /// Runs `with` on the ClientHello that waits for [`decide`](Self::decide); `None` when none
    /// does.
    pub fn client_hello<T>(
        &self,
        id: ConnectionId,
        with: impl FnOnce(&tls::ClientHello) -> T,
    ) -> Option<T> {
        self.connection(id)?.question()?.hello(with)
    }

    /// Slots of its table: as many as connections were known to it at a time.
    pub fn slots(&self) -> usize {
        lock(&self.slots).capacity()
    }

    /// How long its thread was held by each drain and what came of it.
    pub fn held(&self, time: Duration) {
        self.turns.record(time);
    }

    /// What [`held`](Self::held) was told.
    pub fn turns(&self) -> Times {
        self.turns.times()
    }

    /// Answers [`Event::Hello`]; false when the connection is gone or was answered before.
    pub fn decide(&self, id: ConnectionId, decision: Decision) -> bool {
        self.answer(id, |question| question.decide(decision))
    }

    /// Answers [`Event::NewSession`]; false when the connection is gone or was answered before.
    pub fn proceed(&self, id: ConnectionId) -> bool {
        self.answer(id, Question::proceed)
    }

    /// Runs `with` on the chain, the server's own certificate first, that would answer a hello with
    /// `context`, or with the server's context for its name, and [`crate::Decision::session`]. `None`
    /// when nothing would, or only a session that is resumed, or when the hello waits no longer.
    pub fn certificates_for<T>(
        &self,
        id: ConnectionId,
        context: Option<&tls::ServerContext>,
        session: Option<&[u8]>,
        with: impl FnOnce(&[tls::CertificateDer<'static>]) -> T,
    ) -> Option<T> {
        self.connection(id)?.question()?.certificates(context, session, with)
    }

    /// Runs `with` on the record layer of an open connection, which waits meanwhile; `None` when
    /// there is none.
    pub fn records<T>(
        &self,
        id: ConnectionId,
        with: impl FnOnce(&mut tls::Records) -> T,
    ) -> Option<T> {
        self.connection(id)?.with_records(with)
    }

    /// Traces the records of an open connection to standard error, or no longer; false when its id
    /// is stale.
    pub fn set_trace(&self, id: ConnectionId, on: bool) -> bool {
        self.records(id, |records| records.set_trace(on.then(Trace::sink))).is_some()
    }

    /// Whether [`Event::Shed`] tells that connections were shed. Default: it does not.
    pub fn watch_sheds(&self, on: bool) {
        self.sheds.watch(on);
    }

    /// What was shed since it was asked last.
    pub fn take_sheds(&self) -> ShedWatch {
        self.sheds.take()
    }

    /// More plaintext waits to be sent, over all connections of the process, than should: each
    /// connection should be given little at a time.
    pub fn is_congested(&self) -> bool {
        let Engine { counters, limits, .. } = &*self.engine;
        counters.sent_bytes_queued.load(Relaxed) >= limits.buffered_overall
    }

    /// Waits until all that was submitted is in the kernel, at most for `timeout`.
    pub fn finish(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut waiting = lock(&self.finishing);
        *waiting = true;
        while self.unsent.load(SeqCst) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting =
                self.all_sent.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *waiting = false;
    }

    /// Ends everything of this host. Nothing rings after it.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        let servers: Vec<_> = lock(&self.servers).drain().map(|(_, server)| server).collect();
        for server in servers {
            server.close(Stop::AtOnce);
        }
        let connections: Vec<_> = lock(&self.slots).values().cloned().collect();
        for connection in &connections {
            connection.destroy(false);
        }
        attend_all(connections);
        attend_all(lock(&self.arrivals).values().cloned().collect());
        // Nothing is pushed any more: what nobody will drain no longer counts.
        let undrained = self.queue.close();
        self.engine.counters.received_bytes_queued.fetch_sub(count(undrained), Relaxed);
    }

    pub(crate) fn push(self: &Arc<Self>, event: Event) {
        // A host that has closed is told nothing more.
        let _taken: bool = self.push_all(event, &[]);
    }

    pub(crate) fn tells_starts(&self) -> bool {
        self.tells_starts.load(Relaxed)
    }

    pub(crate) fn push_start(self: &Arc<Self>, start: Start) {
        self.push(Event::Start(Box::new(start)));
    }

    /// Plaintext of a connection. Small pieces are copied together; a large one gives its buffer
    /// away and leaves an empty one.
    pub(crate) fn push_data(self: &Arc<Self>, id: ConnectionId, plaintext: &mut Vec<u8>) {
        let bytes = plaintext.len();
        let counted = count(bytes + EVENT);
        self.engine.counters.received_bytes_queued.fetch_add(counted, Relaxed);
        let taken = if bytes >= BULK {
            let data = std::mem::take(plaintext);
            self.push_all(Event::Bulk { id, data }, &[])
        } else {
            let taken = self.push_all(Event::Data { id, bytes }, plaintext);
            plaintext.clear();
            taken
        };
        if !taken {
            self.engine.counters.received_bytes_queued.fetch_sub(counted, Relaxed);
        }
    }

    /// Rings, unless a ring is on its way already.
    pub(crate) fn ring(&self) {
        if !self.is_closed() && self.queue.may_ring() {
            self.doorbell.ring();
        }
    }

    /// Tells the host of a connection that was shed, if it watches.
    pub(crate) fn shed(self: &Arc<Self>, shed: impl FnOnce() -> Shed) {
        if self.sheds.add(shed) {
            self.push(Event::Shed);
        }
    }

    /// May one more connection that was shed be told of by itself?
    pub(crate) fn may_tell_shed(&self) -> bool {
        self.sheds.may_tell()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// A listener's connection becomes known to the host: gives it its slot.
    pub(crate) fn insert(&self, connection: &Arc<Connection>) -> ConnectionId {
        lock(&self.slots).insert_with(|_| Arc::clone(connection))
    }

    /// Lets `close` find a connection while it is in its handshake.
    pub(crate) fn arrives(&self, connection: &Arc<Connection>) -> Arrival<'_> {
        let id = lock(&self.arrivals).insert_with(|_| Arc::clone(connection));
        Arrival { host: self, id }
    }

    /// Pushes `event`, then gives the slot back: whatever takes it next is pushed later.
    pub(crate) fn free(self: &Arc<Self>, id: ConnectionId, event: Event) {
        self.push(event);
        drop(lock(&self.slots).remove(id));
    }

    /// As `free`, with `Closed`, which nobody is in a hurry to hear: it comes along with the next
    /// event, and after [`LATE`] by itself.
    pub(crate) fn free_late(self: &Arc<Self>, id: ConnectionId, worker: &Worker) {
        self.queue.push(Event::Closed(id), &[]);
        drop(lock(&self.slots).remove(id));
        if !self.late.swap(true, SeqCst) {
            let host = Arc::clone(self);
            worker.runtime.spawn(async move {
                tokio::time::sleep(LATE).await;
                host.late.store(false, SeqCst);
                if !host.queue.is_empty() {
                    host.ring();
                }
            });
        }
    }

    pub(crate) fn knows(&self, id: ConnectionId) -> bool {
        lock(&self.slots).get(id).is_some()
    }

    pub(crate) fn forget_server(self: &Arc<Self>, server: ServerId) {
        lock(&self.servers).remove(&server);
        self.push(Event::ServerClosed(server));
    }

    /// A connection has something to send.
    pub(crate) fn count_unsent(&self) {
        self.unsent.fetch_add(1, SeqCst);
    }

    /// It has sent all, or never will.
    pub(crate) fn count_sent(&self) {
        if self.unsent.fetch_sub(1, SeqCst) == 1 {
            // Under the lock, so that a `finish` between its check and its wait hears it.
            if *lock(&self.finishing) {
                self.all_sent.notify_all();
            }
        }
    }

    /// False when the host takes no events any more.
    fn push_all(self: &Arc<Self>, event: Event, bytes: &[u8]) -> bool {
        match self.queue.push(event, bytes) {
            Pushed::Refused => return false,
            Pushed::Announced => {}
            Pushed::Urgent => self.ring(),
            Pushed::CanWait if Local::is_worker() => Local::owe(self),
            Pushed::CanWait => self.ring(),
        }
        true
    }

    /// Takes `bytes` off what the host's thread may still send itself.
    fn may_inline(&self, bytes: usize) -> bool {
        // Only the host's thread submits and drains.
        let left = self.inline_left.load(Relaxed);
        self.inline_left.store(left.saturating_sub(bytes), Relaxed);
        bytes <= left
    }

    fn start(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        accept: Accept,
        transport: impl FnOnce(ConnectionId) -> Transport,
    ) -> io::Result<ConnectionId> {
        let Accept { server, contexts, settings, ask, received } = accept;
        let server = match server {
            Some(id) => Some(self.server(id).ok_or(io::ErrorKind::NotFound)?),
            None => None,
        };
        let mut started = None;
        let id = lock(&self.slots).insert_with(|id| {
            let lease = server.as_ref().map(Server::lease);
            let transport = transport(id);
            let remote = transport.socket().and_then(remote_address);
            let connection =
                Connection::new(self, worker, lease, transport, remote, Some(id), &settings);
            started = Some(Arc::clone(&connection));
            connection
        });
        if let Some(connection) = started {
            let peer = connection.addresses().remote;
            let is_socket = connection.transport.socket().is_some();
            let expects_header =
                is_socket && server.as_ref().is_some_and(|server| server.expects_header(peer));
            let address = peer.map(|peer| peer.ip()).filter(|_| !expects_header);
            let admitted = match &server {
                Some(server) => server.admission.admit(address),
                None => Ok(Admitted::UNLIMITED),
            };
            let contexts = contexts.map(Arc::new).or_else(|| Some(server?.contexts()));
            let terms = Terms { settings, contexts, ask, received, expects_header, admitted };
            connection.start(terms);
        }
        Ok(id)
    }

    fn answer(&self, id: ConnectionId, with: impl FnOnce(&Question) -> bool) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        let answered = connection.question().is_some_and(with);
        if answered {
            attend_all(vec![connection]);
        }
        answered
    }

    fn server(&self, id: ServerId) -> Option<Arc<Server>> {
        lock(&self.servers).get(&id).cloned()
    }

    fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        lock(&self.slots).get(id).cloned()
    }
}

/// While it lives, the host finds a connection in its handshake.
pub(crate) struct Arrival<'a> {
    host: &'a Host,
    id: ConnectionId,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        drop(lock(&self.host.arrivals).remove(self.id));
    }
}

/// Wakes the tasks of these connections, each worker once.
fn attend_all(mut connections: Vec<Arc<Connection>>) {
    while let Some(last) = connections.last() {
        let worker = Arc::clone(&last.worker);
        let (own, others): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| Arc::ptr_eq(&connection.worker, &worker));
        worker.attend(own);
        connections = others;
    }
}

fn count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
