//! Why and how connections are shed: refused, or ended before their time, so that others are served.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Instant;

use crate::admission::{Rate, TokenBucket};
use crate::lock::lock;
use crate::server::ServerId;
use crate::{Addresses, Report};

/// Why a connection was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// The server had as many connections as it may have.
    MaxConnections,
    /// The server had as many handshakes in flight as it may have.
    Handshakes,
    /// So had the peer.
    HandshakesPerPeer,
    /// Connections came faster than they may.
    ConnectionRate,
    /// So did those of the peer.
    ConnectionRatePerPeer,
    /// It had waited longest of too many connections without a `ClientHello`.
    WaitingForHello,
    /// It had waited longest for its client's answer when a new handshake needed its place.
    WaitingForClient,
    /// Its `ClientHello` was not whole in time.
    HelloTimeout,
    /// Its job had waited above the target while the pool was overloaded.
    QueueTarget,
    /// Its job could not be answered in time.
    QueueAge,
    /// The pool's queue was full.
    QueueFull,
    /// Nothing came or went for too long.
    IdleTimeout,
}

impl ShedReason {
    /// All of them, in the order of [`Tallied::sheds`](crate::Tallied::sheds).
    pub const ALL: [Self; 12] = [
        Self::MaxConnections,
        Self::Handshakes,
        Self::HandshakesPerPeer,
        Self::ConnectionRate,
        Self::ConnectionRatePerPeer,
        Self::WaitingForHello,
        Self::WaitingForClient,
        Self::HelloTimeout,
        Self::QueueTarget,
        Self::QueueAge,
        Self::QueueFull,
        Self::IdleTimeout,
    ];

    /// As users see it: the name of the limit, or of what was waited for.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxConnections => "maxConnections",
            Self::Handshakes => "handshakes",
            Self::HandshakesPerPeer => "handshakesPerPeer",
            Self::ConnectionRate => "connectionRate",
            Self::ConnectionRatePerPeer => "connectionRatePerPeer",
            Self::WaitingForHello => "waitingForHello",
            Self::WaitingForClient => "waitingForClient",
            Self::HelloTimeout => "helloTimeout",
            Self::QueueTarget => "queueTarget",
            Self::QueueAge => "queueAge",
            Self::QueueFull => "queueFull",
            Self::IdleTimeout => "idleTimeout",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::MaxConnections => "the server has as many connections as it may have",
            Self::Handshakes => "the server has as many handshakes in flight as it may have",
            Self::HandshakesPerPeer => "this peer has as many handshakes in flight as it may have",
            Self::ConnectionRate => "connections come faster than they may",
            Self::ConnectionRatePerPeer => "this peer's connections come faster than they may",
            Self::WaitingForHello => "too many connections have sent no ClientHello",
            Self::WaitingForClient => "too many handshakes wait for their clients",
            Self::HelloTimeout => "the ClientHello was not whole in time",
            Self::QueueTarget => "handshakes come faster than they can be computed",
            Self::QueueAge => "the handshake could not be computed in time",
            Self::QueueFull => "too many handshakes wait to be computed",
            Self::IdleTimeout => "nothing came or went for too long",
        }
    }

    pub(crate) fn report(self) -> Box<Report> {
        let code = match self {
            Self::HelloTimeout => "ERR_TLS_HANDSHAKE_TIMEOUT",
            _ => "ERR_OFFLOOP_OVERLOADED",
        };
        let message = format!("{}: the connection was shed by {}", self.cause(), self.name());
        let mut report = Report::coded(code, message);
        report.shed = Some(self);
        report
    }
}

/// How a connection in its handshake is shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedMode {
    /// By RST.
    Reset,
    /// By the alert `internal_error` where a `ClientHello` was read (RFC 8446, 6.2), else by RST.
    Alert,
}

/// One connection that was shed.
#[derive(Clone, Copy, Debug)]
pub struct Shed {
    /// Why.
    pub reason: ShedReason,
    /// The server that it came to; 0 for none.
    pub server: ServerId,
    /// Both ends, where they are known.
    pub addresses: Addresses,
}

/// How often each reason was met, in the order of [`ShedReason::ALL`].
pub type ShedCounts = [u64; ShedReason::ALL.len()];

#[derive(Debug, Default)]
pub(crate) struct ShedCounters([AtomicU64; ShedReason::ALL.len()]);

impl ShedCounters {
    pub(crate) fn count(&self, reason: ShedReason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> ShedCounts {
        std::array::from_fn(|reason| self.0[reason].load(Relaxed))
    }
}

/// What a host hears of connections that are shed: a flood of them must not become a flood of
/// events.
pub(crate) struct ShedNews {
    /// The host wants counts and samples.
    watched: AtomicBool,
    watch: Mutex<ShedWatch>,
    /// Bounds the connections that are told of one by one.
    told: Mutex<TokenBucket>,
}

/// What was shed since the host asked last.
#[derive(Debug, Default)]
pub struct ShedWatch {
    /// How often, by reason.
    pub counts: ShedCounts,
    /// The first of them, at most [`SAMPLES`].
    pub samples: Vec<Shed>,
    announced: bool,
}

/// So many connections are told of with their addresses each time.
const SAMPLES: usize = 64;

/// So many are told of one by one, each second: a socket is made for each that somebody listens to,
/// which takes some 50 us.
const TOLD_A_SECOND: u32 = 100;

impl ShedNews {
    pub(crate) fn new() -> Self {
        let rate = Rate { per_second: TOLD_A_SECOND, burst: TOLD_A_SECOND };
        Self {
            watched: AtomicBool::new(false),
            watch: Mutex::default(),
            told: Mutex::new(TokenBucket::new(rate)),
        }
    }

    pub(crate) fn watch(&self, on: bool) {
        self.watched.store(on, SeqCst);
        if !on {
            *lock(&self.watch) = ShedWatch::default();
        }
    }

    /// True when the host is to be told that there is something to take.
    pub(crate) fn add(&self, shed: impl FnOnce() -> Shed) -> bool {
        if !self.watched.load(SeqCst) {
            return false;
        }
        let shed = shed();
        let mut watch = lock(&self.watch);
        watch.counts[shed.reason as usize] += 1;
        if watch.samples.len() < SAMPLES {
            watch.samples.push(shed);
        }
        !std::mem::replace(&mut watch.announced, true)
    }

    pub(crate) fn take(&self) -> ShedWatch {
        std::mem::take(&mut *lock(&self.watch))
    }

    /// May one more be told of by itself?
    pub(crate) fn may_tell(&self) -> bool {
        lock(&self.told).take(Instant::now())
    }
}
