//! What was shed, for JavaScript.

use napi_derive::napi;
use offloop_engine::{Shed, ShedCounts, ShedReason, ShedWatch};

use crate::options::NativeAddresses;

/// How many connections were shed, by the limit that did it.
#[napi(object)]
#[derive(Default)]
pub struct NativeShedCounts {
    /// `maxConnections` of the server.
    pub max_connections: f64,
    /// `limits.handshakes`.
    pub handshakes: f64,
    /// `limits.handshakesPerPeer`.
    pub handshakes_per_peer: f64,
    /// `limits.connectionRate`.
    pub connection_rate: f64,
    /// `limits.connectionRatePerPeer`.
    pub connection_rate_per_peer: f64,
    /// `limits.waitingForHello`.
    pub waiting_for_hello: f64,
    /// They had waited longest for their clients when `limits.handshakes` was reached and new ones
    /// came.
    pub waiting_for_client: f64,
    /// `limits.helloTimeout`.
    pub hello_timeout: f64,
    /// `limits.queueTarget`.
    pub queue_target: f64,
    /// `limits.queueAge`, or the handshake's deadline.
    pub queue_age: f64,
    /// The pool's queue had no place left.
    pub queue_full: f64,
    /// `limits.idleTimeout`.
    pub idle_timeout: f64,
}

impl From<ShedCounts> for NativeShedCounts {
    fn from(counts: ShedCounts) -> Self {
        let mut native = Self::default();
        for (reason, count) in ShedReason::ALL.into_iter().zip(counts) {
            let field = match reason {
                ShedReason::MaxConnections => &mut native.max_connections,
                ShedReason::Handshakes => &mut native.handshakes,
                ShedReason::HandshakesPerPeer => &mut native.handshakes_per_peer,
                ShedReason::ConnectionRate => &mut native.connection_rate,
                ShedReason::ConnectionRatePerPeer => &mut native.connection_rate_per_peer,
                ShedReason::WaitingForHello => &mut native.waiting_for_hello,
                ShedReason::WaitingForClient => &mut native.waiting_for_client,
                ShedReason::HelloTimeout => &mut native.hello_timeout,
                ShedReason::QueueTarget => &mut native.queue_target,
                ShedReason::QueueAge => &mut native.queue_age,
                ShedReason::QueueFull => &mut native.queue_full,
                ShedReason::IdleTimeout => &mut native.idle_timeout,
            };
            *field = crate::stats::counter(count);
        }
        native
    }
}

/// One connection that was shed.
#[napi(object)]
pub struct NativeShed {
    /// The field of the counts.
    pub reason: String,
    /// The server that it came to; 0 for none.
    pub server: u32,
    /// Both ends, where they are known.
    pub addresses: NativeAddresses,
}

impl From<Shed> for NativeShed {
    fn from(Shed { reason, server, addresses }: Shed) -> Self {
        Self { reason: reason.name().to_owned(), server, addresses: addresses.into() }
    }
}

/// What was shed since it was asked last.
#[napi(object)]
pub struct NativeSheds {
    /// How many.
    pub counts: NativeShedCounts,
    /// The first of them, 64 at most.
    pub samples: Vec<NativeShed>,
}

impl From<ShedWatch> for NativeSheds {
    fn from(watch: ShedWatch) -> Self {
        let samples = watch.samples.into_iter().map(Into::into).collect();
        Self { counts: watch.counts.into(), samples }
    }
}
