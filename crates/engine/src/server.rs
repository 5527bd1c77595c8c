//! A server: contexts and limits for the connections that come to it, and their count.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;

use crate::admission::{Admission, AdmissionLimits};
use crate::backends::{Backends, Use};
use crate::connection::Settings;
use crate::host::Host;
use crate::lock::lock;
use crate::tally::{Tally, add};
use crate::tls::ContextTable;
use crate::trusted_sources::TrustedSources;

/// Names a server of one host; greater than 0.
pub type ServerId = u32;

/// What a server is made of.
#[derive(Clone)]
pub struct ServerOptions {
    /// By server name; the ClientHello chooses.
    pub contexts: ContextTable,
    /// Limits of each connection.
    pub settings: Settings,
    /// How many handshakes, and how fast they may come.
    pub admission: AdmissionLimits,
    /// Nagle's algorithm off on accepted sockets. Node's default: false.
    pub no_delay: bool,
    /// TCP keep-alive with this initial delay on accepted sockets. Node's default: none.
    pub keep_alive: Option<Duration>,
    /// More connections than these are closed as they come. Default: no bound.
    pub max_connections: Option<usize>,
    /// Counts what happens to it. Default: one of its own.
    pub tally: Arc<Tally>,
    /// Whose connections begin with a PROXY header, and must. Default: nobody's.
    pub trusted_proxies: Option<TrustedSources>,
    /// Where plaintext goes and comes from, instead of the host. Default: none.
    pub backends: Option<Arc<Backends>>,
}

pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) host: Arc<Host>,
    pub(crate) settings: Settings,
    pub(crate) admission: Arc<Admission>,
    pub(crate) no_delay: bool,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) tally: Arc<Tally>,
    trusted_proxies: Option<TrustedSources>,
    backends: Option<Use>,
    contexts: RwLock<Arc<ContextTable>>,
    /// The host decides how each ClientHello is answered.
    asks: AtomicBool,
    max_connections: AtomicUsize,
    connections: AtomicUsize,
    /// The host's own until it closes the server, the listener's, and one for each connection.
    leases: AtomicUsize,
    own: Mutex<Option<Lease>>,
    listening: Mutex<Option<Listening>>,
    /// Handshakes under way are to end.
    cut: Notify,
    /// So are those whose client has sent nothing.
    cut_silent: Notify,
}

/// How a server stops listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At once: what the kernel has in its queue is reset.
    AtOnce,
    /// What the kernel has in its queue is accepted, and where another socket has the same port
    /// (`SO_REUSEPORT`), what was about to come there too.
    WithoutLoss,
}

pub(crate) struct Listening {
    pub(crate) accepting: AbortHandle,
    /// Tells the accepting task to end without loss.
    pub(crate) ending: Arc<Notify>,
    /// Ending without loss takes a while.
    pub(crate) settles: bool,
    pub(crate) socket: Arc<AsyncFd<Socket>>,
    /// A Unix socket's file, to be unlinked as Node does.
    pub(crate) path: Option<PathBuf>,
}

impl Server {
    pub(crate) fn new(id: ServerId, host: &Arc<Host>, options: ServerOptions) -> Arc<Self> {
        let server = Arc::new(Self {
            id,
            host: Arc::clone(host),
            settings: options.settings,
            admission: Admission::new(&options.admission),
            no_delay: options.no_delay,
            keep_alive: options.keep_alive,
            tally: options.tally,
            trusted_proxies: options.trusted_proxies,
            backends: options.backends.map(Backends::used),
            contexts: RwLock::new(Arc::new(options.contexts)),
            asks: AtomicBool::new(false),
            max_connections: AtomicUsize::new(options.max_connections.unwrap_or(usize::MAX)),
            connections: AtomicUsize::new(0),
            leases: AtomicUsize::new(0),
            own: Mutex::new(None),
            listening: Mutex::new(None),
            cut: Notify::new(),
            cut_silent: Notify::new(),
        });
        *lock(&server.own) = Some(Lease::new(&server, false));
        server
    }

    pub(crate) fn contexts(&self) -> Arc<ContextTable> {
        self.contexts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_contexts(&self, contexts: ContextTable) {
        *self.contexts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contexts);
    }

    pub(crate) fn asks(&self) -> bool {
        self.asks.load(SeqCst)
    }

    pub(crate) fn set_ask(&self, ask: bool) {
        self.asks.store(ask, SeqCst);
    }

    pub(crate) fn set_max_connections(&self, max: Option<usize>) {
        self.max_connections.store(max.unwrap_or(usize::MAX), SeqCst);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.connections() >= self.max_connections.load(SeqCst)
    }

    pub(crate) fn backends(&self) -> Option<&Arc<Backends>> {
        self.backends.as_ref().map(|used| &used.0)
    }

    /// Whether a connection of this peer begins with a PROXY header.
    pub(crate) fn expects_header(&self, peer: Option<SocketAddr>) -> bool {
        let peer = peer.map(|peer| peer.ip());
        self.trusted_proxies.as_ref().is_some_and(|trusted| trusted.contain(peer))
    }

    /// Ends the handshakes that are under way, and what backends have.
    pub(crate) fn cut_handshakes(&self) {
        self.cut.notify_waiters();
    }

    /// Resolves when what goes on now without the host is to end.
    pub(crate) fn cut(&self) -> Notified<'_> {
        self.cut.notified()
    }

    /// Ends the connections whose clients have sent nothing.
    pub(crate) fn cut_silent(&self) {
        self.cut_silent.notify_waiters();
    }

    /// Resolves when connections that are silent until now are to end.
    pub(crate) fn silent_cut(&self) -> Notified<'_> {
        self.cut_silent.notified()
    }

    /// The process' numbers and this server's.
    pub(crate) fn tallies(&self) -> [&Tally; 2] {
        [&self.host.engine.tally, &self.tally]
    }

    pub(crate) fn count(&self, counter: fn(&Tally) -> &AtomicU64) {
        for tally in self.tallies() {
            add(counter(tally), 1);
        }
    }

    /// Held by each connection of the server while it lives.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        Lease::new(self, true)
    }

    /// Held by the listener while it lives.
    pub(crate) fn listener_lease(self: &Arc<Self>) -> Lease {
        Lease::new(self, false)
    }

    pub(crate) fn listens(&self, listening: Listening) {
        *lock(&self.listening) = Some(listening);
    }

    /// Stops listening; open connections live on. Whoever else has the listening socket goes on
    /// accepting.
    pub(crate) fn close(&self, stop: Stop) {
        if let Some(listening) = lock(&self.listening).take() {
            listening.stop(stop);
        }
        // Outside of the lock: the last lease makes the host forget this server.
        let own = lock(&self.own).take();
        drop(own);
    }
}

impl Listening {
    fn stop(self, stop: Stop) {
        match stop {
            Stop::AtOnce => self.accepting.abort(),
            Stop::WithoutLoss => self.ending.notify_one(),
        }
        let goes_on = stop == Stop::WithoutLoss && self.settles;
        let socket = Arc::downgrade(&self.socket);
        drop(self.socket);
        if !goes_on {
            // From here on the kernel refuses, if nobody else has the socket: the task must let go.
            let patience = Instant::now() + LETTING_GO;
            while socket.strong_count() > 0 && Instant::now() < patience {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
        if let Some(path) = self.path {
            // Already unlinked by somebody: that was what we wanted.
            drop(std::fs::remove_file(path));
        }
    }
}

/// How long stopping waits for the accepting task, which is idle or has a burst to admit.
const LETTING_GO: Duration = Duration::from_millis(100);

/// Keeps a server known to its host.
pub(crate) struct Lease {
    pub(crate) server: Arc<Server>,
    is_connection: bool,
}

impl Lease {
    fn new(server: &Arc<Server>, is_connection: bool) -> Self {
        server.leases.fetch_add(1, SeqCst);
        if is_connection {
            server.connections.fetch_add(1, SeqCst);
        }
        Self { server: Arc::clone(server), is_connection }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_connection {
            self.server.connections.fetch_sub(1, SeqCst);
        }
        if self.server.leases.fetch_sub(1, SeqCst) == 1 {
            self.server.host.forget_server(self.server.id);
        }
    }
}
