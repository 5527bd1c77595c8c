//! One connection: what its host may do to it from any thread, and what its task works on.

mod activity;
mod channel;
mod outbox;
mod splice;
mod task;
mod timers;

use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst,
};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use socket2::Socket;
use tokio::sync::OwnedSemaphorePermit;

use self::activity::Activity;
use self::channel::{Channel, Moved};
use self::outbox::Outbox;
use crate::admission::Admitted;
use crate::asking::{Hello, Question};
use crate::backends::Backends;
use crate::event::{Event, Start};
use crate::host::Host;
use crate::lock::lock;
use crate::phases::Phases;
use crate::server::Lease;
use crate::shed::{Shed, ShedMode, ShedReason};
use crate::sinks::KeyLog;
use crate::slots::ConnectionId;
use crate::stats::Gauge;
use crate::tally::{Tally, add};
use crate::tls::{
    ClientHello, ContextTable, Decide, HelloOutline, KeyLogSink, NewSession, Records, Session,
};
use crate::transport::{Foreign, Transport};
use crate::worker::{RECEIVE_BUFFER, Worker};

pub(crate) struct Connection {
    pub(crate) host: Arc<Host>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) transport: Transport,
    /// Wakes the task: the host has set something below.
    pub(crate) attention: AtomicWaker,
    lease: Option<Lease>,
    id: OnceLock<ConnectionId>,
    number: u64,
    /// The host handed it over and awaits how its handshake ends.
    handed_over: bool,
    remote: Option<SocketAddr>,
    /// Both ends as a trusted proxy told them.
    claimed: OnceLock<Box<Addresses>>,
    control: AtomicU8,
    outbox: Outbox,
    /// The record layer and what it is sending; `None` until the handshake is done.
    channel: Mutex<Option<Channel>>,
    handshaken: OnceLock<Box<Handshaken>>,
    /// What it asks or has asked its host; unset where nothing is asked.
    question: OnceLock<Box<Question>>,
    /// When bytes last came or went, where it may not be idle for ever.
    activity: Option<Activity>,
    /// The most of `undrained`.
    buffered_most: usize,
    /// Plaintext that the host has not drained, in bytes.
    undrained: AtomicUsize,
    /// The task stopped reading because of it.
    starved: AtomicBool,
}

/// What a handshake came to. Kept while its connection lives.
#[derive(Debug)]
pub struct Handshaken {
    /// Names the connection in this process: they are counted from 1 as they come.
    pub number: u64,
    /// What was agreed.
    pub session: Session,
    /// Where the time went.
    pub phases: Phases,
    /// What the client offered, in its first ClientHello; `None` where that was too long to be
    /// kept.
    pub hello: Option<HelloOutline>,
}

/// How a connection is accepted.
pub(crate) struct Terms {
    pub(crate) settings: Settings,
    pub(crate) contexts: Option<Arc<ContextTable>>,
    /// The host decides how the ClientHello is answered.
    pub(crate) ask: bool,
    /// Bytes that were already read.
    pub(crate) received: Vec<u8>,
    /// A PROXY header comes first.
    pub(crate) expects_header: bool,
    /// Refused, it is shed as a handshake is.
    pub(crate) admitted: Result<Admitted, ShedReason>,
}

/// The limits of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From the first byte to the client's Finished. Node's default: 120 s.
    pub timeout: Duration,
    /// Until the `ClientHello` is whole. Default: `timeout`.
    pub hello_timeout: Option<Duration>,
    /// A ClientHello's size, in bytes. Default: 32 KiB.
    pub client_hello_size: usize,
    /// A job that has waited for longer in the pool's queue is shed while the pool is overloaded.
    /// Default: 100 ms.
    pub queue_target: Duration,
    /// A job that has waited for longer is refused. Default: 5 s, about when clients give
    /// up.
    pub queue_age: Duration,
    /// Plaintext that the host has not drained, in bytes. Default: 256 KiB.
    pub buffered_bytes: usize,
    /// Records in a row that carry no data; one more ends the connection. Default: 32.
    pub empty_records: usize,
    /// An open connection without a byte in either direction is closed. Default: never.
    pub idle_timeout: Option<Duration>,
    /// How a handshake is shed. Default: by RST.
    pub shed: ShedMode,
    /// Where handshakes are computed. Default: `Auto`.
    pub offload: Offload,
}

/// Where the costly part of a handshake is computed; never on the host's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// In the pool, but for a cheap one (resumed, ECDSA) while nothing else of the worker waits.
    Auto,
    /// In the pool.
    Always,
    /// On the I/O worker.
    Never,
}

/// Both ends, where they are known: Unix sockets and foreign streams have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The peer's.
    pub remote: Option<SocketAddr>,
    /// Ours.
    pub local: Option<SocketAddr>,
}

/// Outcome of an attempt to send on the host's own thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inline {
    /// All is in the kernel.
    Done,
    /// Sealed, and the rest is the task's.
    Blocked,
    /// Not attempted: something is queued or under way.
    No,
}

const PAUSED: u8 = 1;
const DESTROYED: u8 = 2;
const RESET: u8 = 4;
const SHED_BEFORE_HELLO: u8 = 8;
const SHED_SILENT: u8 = 16;
const SPOKEN: u8 = 32;

impl Connection {
    pub(crate) fn new(
        host: &Arc<Host>,
        worker: &Arc<Worker>,
        lease: Option<Lease>,
        transport: Transport,
        remote: Option<SocketAddr>,
        id: Option<ConnectionId>,
        settings: &Settings,
    ) -> Arc<Self> {
        Arc::new(Self {
            host: Arc::clone(host),
            worker: Arc::clone(worker),
            transport,
            attention: AtomicWaker::new(),
            lease,
            handed_over: id.is_some(),
            id: id.map_or_else(OnceLock::new, OnceLock::from),
            number: host.engine.next_connection(),
            remote,
            claimed: OnceLock::new(),
            control: AtomicU8::new(0),
            outbox: Outbox::default(),
            channel: Mutex::new(None),
            handshaken: OnceLock::new(),
            question: OnceLock::new(),
            activity: settings.idle_timeout.map(Activity::new),
            buffered_most: settings.buffered_bytes,
            undrained: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        })
    }

    /// Starts its task on its worker.
    pub(crate) fn start(self: Arc<Self>, terms: Terms) {
        let runtime = self.worker.runtime.clone();
        runtime.spawn(task::run(self, terms));
    }

    /// Asks the host how to answer a ClientHello: it knows the connection from here on.
    pub(crate) fn ask(
        self: &Arc<Self>,
        decide: Decide,
        contexts: Option<Arc<ContextTable>>,
        untold: OwnedSemaphorePermit,
    ) -> &Question {
        let (server, client) = (self.server_id(), decide.hello().clone());
        let hello = Box::new(Hello { server, connection: self.number, client, _untold: untold });
        let question = self.question.get_or_init(|| Box::new(Question::new(decide, contexts)));
        let id = *self.id.get_or_init(|| self.host.insert(self));
        self.host.push(Event::Hello { id, hello });
        question
    }

    /// Asks the host to store a session.
    pub(crate) fn ask_to_store(self: &Arc<Self>, session: NewSession) -> Option<&Question> {
        let (&id, question) = (self.id.get()?, self.question.get()?);
        question.ask_to_store();
        self.host.push(Event::NewSession { id, session: Box::new(session) });
        Some(question)
    }

    /// What the host was asked, if it was.
    pub(crate) fn question(&self) -> Option<&Question> {
        self.question.get().map(|question| &**question)
    }

    pub(crate) fn key_log(self: &Arc<Self>) -> Option<Arc<dyn KeyLogSink>> {
        let &id = self.id.get()?;
        Some(Arc::new(KeyLog { host: Arc::clone(&self.host), id }))
    }

    /// Wakes the task.
    pub(crate) fn attend(&self) {
        self.attention.wake();
    }

    /// Seals and sends on the calling thread, if nothing stands before these bytes.
    pub(crate) fn send_inline(&self, plaintext: &[u8]) -> Inline {
        let mut channel = match self.channel.try_lock() {
            Ok(channel) => channel,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Inline::No,
        };
        let Some(channel) = channel.as_mut() else { return Inline::No };
        if channel.is_sending() || !self.outbox.is_empty() {
            return Inline::No;
        }
        let done = channel.send_now(plaintext, &mut &self.transport);
        self.count_sent(channel);
        if done {
            return Inline::Done;
        }
        self.outbox.count(&self.host, plaintext.len());
        Inline::Blocked
    }

    /// True when the task must be woken.
    pub(crate) fn queue_write(&self, plaintext: &[u8]) -> bool {
        self.outbox.write(&self.host, plaintext)
    }

    /// True when the task must be woken.
    pub(crate) fn queue_end(&self) -> bool {
        self.outbox.end(&self.host)
    }

    /// True: the task must be woken.
    pub(crate) fn destroy(&self, reset: bool) -> bool {
        self.control.fetch_or(if reset { DESTROYED | RESET } else { DESTROYED }, SeqCst);
        true
    }

    pub(crate) fn pause(&self) {
        self.control.fetch_or(PAUSED, SeqCst);
    }

    /// True when the task must be woken.
    pub(crate) fn resume(&self) -> bool {
        self.control.fetch_and(!PAUSED, SeqCst) & PAUSED != 0
    }

    /// The host drained so much plaintext; true when the task must be woken.
    pub(crate) fn drained(&self, bytes: usize) -> bool {
        let before = self.undrained.fetch_sub(bytes, SeqCst);
        before - bytes <= self.buffered_most / 2 && self.starved.swap(false, SeqCst)
    }

    pub(crate) fn foreign(&self, with: impl FnOnce(&Foreign)) {
        if let Some(foreign) = self.transport.foreign() {
            with(foreign);
        }
    }

    pub(crate) fn addresses(&self) -> Addresses {
        if let Some(claimed) = self.claimed.get() {
            return **claimed;
        }
        let now = self.transport.socket().map(Addresses::of).unwrap_or_default();
        Addresses { remote: now.remote.or(self.remote), local: now.local }
    }

    /// A trusted proxy has told its ends.
    pub(crate) fn claim(&self, addresses: Addresses) {
        // There is one header.
        drop(self.claimed.set(Box::new(addresses)));
    }

    /// Where its plaintext goes, if not to the host.
    pub(crate) fn backends(&self) -> Option<Arc<Backends>> {
        self.lease.as_ref()?.server.backends().cloned()
    }

    /// Runs `with` on the record layer, once the handshake is done.
    pub(crate) fn with_records<T>(&self, with: impl FnOnce(&mut Records) -> T) -> Option<T> {
        self.with_channel(|channel| with(&mut channel.records))
    }

    pub(crate) fn handshaken(&self) -> Option<&Handshaken> {
        self.handshaken.get().map(|handshaken| &**handshaken)
    }

    /// The process' numbers and, where it came to one, its server's.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        let own = self.lease.as_ref().map(|lease| &*lease.server.tally);
        std::iter::once(&self.host.engine.tally).chain(own)
    }

    /// Counts one up in each while it is held.
    pub(crate) fn hold(&self, gauge: fn(&Tally) -> &AtomicI64) -> [Option<Gauge<'_>>; 2] {
        let mut gauges = self.tallies().map(|tally| Gauge::hold(gauge(tally)));
        [gauges.next(), gauges.next()]
    }

    pub(crate) fn count(&self, counter: fn(&Tally) -> &AtomicU64, count: usize) {
        self.tallies().for_each(|tally| add(counter(tally), count));
    }

    /// Tells the host of its ClientHello, if it wants to hear of each.
    pub(crate) fn tell_start(&self, client: &ClientHello) {
        if self.host.tells_starts() {
            let start = Start {
                server: self.server_id(),
                connection: self.number,
                client: client.clone(),
                addresses: self.addresses(),
            };
            self.host.push_start(start);
        }
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.control.load(SeqCst) & DESTROYED != 0 || self.host.is_closed()
    }

    /// Resolves when what goes on of its server without the host is to end.
    pub(crate) async fn handshakes_cut(&self) {
        match &self.lease {
            Some(lease) => lease.server.cut().await,
            None => std::future::pending().await,
        }
    }

    /// Resolves when the server's connections are to end whose clients have sent nothing.
    pub(crate) async fn silent_cut(&self) {
        match &self.lease {
            Some(lease) => lease.server.silent_cut().await,
            None => std::future::pending().await,
        }
    }

    /// A byte of the client came.
    pub(crate) fn note_spoken(&self) {
        self.control.fetch_or(SPOKEN, SeqCst);
    }

    pub(crate) fn has_spoken(&self) -> bool {
        self.control.load(SeqCst) & SPOKEN != 0
    }

    /// Too many wait, for their `ClientHello` or for their client, and this one has for longest.
    pub(crate) fn shed(&self, reason: ShedReason) {
        let is_silent = reason == ShedReason::WaitingForClient;
        self.control.fetch_or(if is_silent { SHED_SILENT } else { SHED_BEFORE_HELLO }, SeqCst);
        self.attend();
    }

    pub(crate) fn is_shed(&self) -> Option<ShedReason> {
        match self.control.load(SeqCst) {
            control if control & SHED_BEFORE_HELLO != 0 => Some(ShedReason::WaitingForHello),
            control if control & SHED_SILENT != 0 => Some(ShedReason::WaitingForClient),
            _ => None,
        }
    }

    fn count_shed(&self, reason: ShedReason) {
        self.tallies().for_each(|tally| tally.sheds.count(reason));
        let (server, addresses) = (self.server_id(), || self.addresses());
        self.host.shed(|| Shed { reason, server, addresses: addresses() });
    }

    fn note_activity(&self) {
        if let Some(activity) = &self.activity {
            activity.note();
        }
    }

    fn is_open(&self) -> bool {
        self.handshaken.get().is_some()
    }

    fn is_reset(&self) -> bool {
        self.control.load(SeqCst) & RESET != 0
    }

    /// The host takes no more for now.
    fn must_wait(&self) -> bool {
        if self.control.load(SeqCst) & PAUSED != 0 {
            return true;
        }
        if !self.is_over_limit() {
            return false;
        }
        self.starved.store(true, SeqCst);
        // The host may have drained between the look and the note. If it hasn't, the drain that
        // takes this connection's last byte finds the note.
        if self.is_over_limit() {
            return true;
        }
        self.starved.store(false, SeqCst);
        false
    }

    fn is_over_limit(&self) -> bool {
        let engine = &self.host.engine;
        let own = self.undrained.load(SeqCst);
        own >= self.buffered_most
            || own > 0
                && engine.counters.received_bytes_queued.load(SeqCst)
                    >= engine.limits.buffered_overall
    }

    /// How much the next read may take, in bytes: what is left of the bound over all connections, and
    /// where that is less, one record.
    fn may_read(&self) -> usize {
        let engine = &self.host.engine;
        let queued = engine.counters.received_bytes_queued.load(SeqCst);
        let room = usize::try_from(engine.limits.buffered_overall - queued).unwrap_or(0);
        if room >= RECEIVE_BUFFER {
            return RECEIVE_BUFFER;
        }
        room.max(self.with_records(|records| records.one_record()).unwrap_or(0))
    }

    /// Counts what the channel has sealed and sent since this was last asked.
    fn count_sent(&self, channel: &mut Channel) {
        let Moved { plaintext, wire } = channel.take_moved();
        if wire > 0 {
            self.note_activity();
        }
        if plaintext > 0 || wire > 0 {
            self.count(|tally| &tally.sent.plaintext, plaintext);
            self.count(|tally| &tally.sent.wire, wire);
        }
    }

    fn server_id(&self) -> u32 {
        self.lease.as_ref().map_or(0, |lease| lease.server.id)
    }

    fn with_channel<T>(&self, with: impl FnOnce(&mut Channel) -> T) -> Option<T> {
        let mut channel = lock(&self.channel);
        channel.as_mut().map(with)
    }
}

impl Addresses {
    pub(crate) fn of(socket: &Socket) -> Self {
        Self {
            remote: remote_address(socket),
            local: socket.local_addr().ok().and_then(|address| address.as_socket()),
        }
    }
}

pub(crate) fn remote_address(socket: &Socket) -> Option<SocketAddr> {
    socket.peer_addr().ok()?.as_socket()
}
