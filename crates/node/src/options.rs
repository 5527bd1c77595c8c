//! Plain data that crosses the border downwards, and its conversion.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use napi_derive::napi;
use offloop_engine::tls::ContextTable;
use offloop_engine::{
    Accept, Addresses, AdmissionLimits, Backends, BoundAddress, ListenPlace, ListenTarget, Offload,
    Rate, ServerOptions, Settings, ShedMode, Tally, TrustedSources,
};

use crate::{Result, coded};

/// Limits of a connection.
#[napi(object)]
pub struct NativeSettings {
    /// Milliseconds from the first byte to the client's Finished.
    pub handshake_timeout: u32,
    /// Milliseconds until the ClientHello is whole; absent: as the handshake.
    pub hello_timeout: Option<u32>,
    /// Bytes of a ClientHello.
    pub client_hello_size: u32,
    /// Milliseconds in the pool's queue above which a handshake is shed under overload.
    pub queue_target: u32,
    /// Milliseconds in the pool's queue above which a handshake is refused.
    pub queue_age: u32,
    /// Bytes of received plaintext that JavaScript has not taken.
    pub buffered_bytes: u32,
    /// Records in a row without data.
    pub empty_records: u32,
    /// Milliseconds without a byte in either direction; absent: for ever.
    pub idle_timeout: Option<u32>,
    /// 'reset' or 'alert'.
    pub shed: String,
    /// 'auto', 'always' or 'never'.
    pub offload: String,
}

impl NativeSettings {
    fn parse(&self) -> Result<Settings> {
        let offload = match self.offload.as_str() {
            "auto" => Offload::Auto,
            "always" => Offload::Always,
            "never" => Offload::Never,
            other => {
                return Err(coded(
                    "ERR_INVALID_ARG_VALUE",
                    format!("offload must be 'auto', 'always' or 'never', got '{other}'"),
                ));
            }
        };
        let shed = match self.shed.as_str() {
            "reset" => ShedMode::Reset,
            "alert" => ShedMode::Alert,
            other => {
                return Err(coded(
                    "ERR_INVALID_ARG_VALUE",
                    format!("shed must be 'reset' or 'alert', got '{other}'"),
                ));
            }
        };
        Ok(Settings {
            timeout: milliseconds(self.handshake_timeout),
            hello_timeout: self.hello_timeout.map(milliseconds),
            client_hello_size: self.client_hello_size as usize,
            queue_target: milliseconds(self.queue_target),
            queue_age: milliseconds(self.queue_age),
            buffered_bytes: self.buffered_bytes as usize,
            empty_records: self.empty_records as usize,
            idle_timeout: self.idle_timeout.map(milliseconds),
            shed,
            offload,
        })
    }
}

fn milliseconds(milliseconds: u32) -> Duration {
    Duration::from_millis(milliseconds.into())
}

/// How many handshakes a server takes on, and how fast they may come.
#[napi(object)]
pub struct NativeAdmission {
    /// Handshakes in flight.
    pub handshakes: u32,
    /// The same of one peer; absent: no bound.
    pub handshakes_per_peer: Option<u32>,
    /// New connections; absent: no bound.
    pub connection_rate: Option<NativeRate>,
    /// The same of one peer; absent: no bound.
    pub connection_rate_per_peer: Option<NativeRate>,
    /// Connections whose ClientHello is not whole.
    pub waiting_for_hello: u32,
}

/// A rate with a burst.
#[napi(object)]
pub struct NativeRate {
    /// At least 1.
    pub per_second: u32,
    /// At least 1.
    pub burst: u32,
}

impl NativeAdmission {
    fn parse(&self) -> AdmissionLimits {
        let rate = |rate: &NativeRate| Rate { per_second: rate.per_second, burst: rate.burst };
        AdmissionLimits {
            handshakes: self.handshakes as usize,
            handshakes_per_peer: self.handshakes_per_peer.map(|most| most as usize),
            connection_rate: self.connection_rate.as_ref().map(rate),
            connection_rate_per_peer: self.connection_rate_per_peer.as_ref().map(rate),
            waiting_for_hello: self.waiting_for_hello as usize,
            ..AdmissionLimits::default()
        }
    }
}

/// What a server is made of, but for its contexts.
#[napi(object)]
pub struct NativeServerOptions {
    /// Limits of each connection.
    pub settings: NativeSettings,
    /// Limits of all.
    pub admission: NativeAdmission,
    /// Nagle's algorithm off on accepted sockets.
    pub no_delay: bool,
    /// TCP keep-alive on accepted sockets.
    pub keep_alive: bool,
    /// Its initial delay in milliseconds; 0: the system's.
    pub keep_alive_initial_delay: u32,
    /// Connections over this are closed as they come; null: no bound.
    pub max_connections: Option<u32>,
    /// Peers whose connections begin with a PROXY header: addresses, networks, 'unix'. Absent: none.
    pub trusted_proxies: Option<Vec<String>>,
}

impl NativeServerOptions {
    pub(crate) fn parse(
        &self,
        contexts: ContextTable,
        tally: Arc<Tally>,
        backends: Option<Arc<Backends>>,
    ) -> Result<ServerOptions> {
        Ok(ServerOptions {
            contexts,
            settings: self.settings.parse()?,
            admission: self.admission.parse(),
            no_delay: self.no_delay,
            keep_alive: self
                .keep_alive
                .then(|| Duration::from_millis(self.keep_alive_initial_delay.into())),
            max_connections: self.max_connections.map(|max| max as usize),
            tally,
            trusted_proxies: self.trusted_proxies.as_deref().map(trusted).transpose()?,
            backends,
        })
    }
}

fn trusted(words: &[String]) -> Result<TrustedSources> {
    TrustedSources::parse(words).map_err(|word| {
        let expected = "an address, a network such as 10.0.0.0/8, or 'unix'";
        coded("ERR_INVALID_ARG_VALUE", format!("a trusted proxy must be {expected}, got '{word}'"))
    })
}

/// How a connection that comes from JavaScript is to be accepted.
#[napi(object)]
pub struct NativeAcceptOptions {
    /// The server that it belongs to; 0: none, then a context is given.
    pub server: u32,
    /// Its limits.
    pub settings: NativeSettings,
    /// Does a `Hello` record ask how its ClientHello is to be answered? Default: false.
    pub ask: Option<bool>,
}

impl NativeAcceptOptions {
    pub(crate) fn parse(&self, contexts: Option<ContextTable>, received: &[u8]) -> Result<Accept> {
        Ok(Accept {
            server: (self.server != 0).then_some(self.server),
            contexts,
            settings: self.settings.parse()?,
            ask: self.ask.unwrap_or(false),
            received: received.to_vec(),
        })
    }
}

/// What to listen on.
#[napi(object)]
pub struct NativeListenTarget {
    /// A bound descriptor, which is duplicated.
    pub descriptor: i32,
    /// Length of the queue for accept(2).
    pub backlog: i32,
    /// No other process has this very socket.
    pub is_ours: bool,
}

impl From<NativeListenTarget> for ListenTarget {
    fn from(target: NativeListenTarget) -> Self {
        Self {
            place: ListenPlace::Descriptor(target.descriptor),
            backlog: target.backlog,
            is_ours: target.is_ours,
            ipv6_only: false,
            reuse_port: false,
        }
    }
}

/// Where a server listens, or why it doesn't.
#[napi(object)]
#[derive(Default)]
pub struct NativeListening {
    /// The system's error, negative as libuv's; absent: it listens.
    pub errno: Option<i32>,
    /// The bound address.
    pub address: Option<String>,
    /// 'IPv4' or 'IPv6'.
    pub family: Option<String>,
    /// The bound port.
    pub port: Option<u16>,
    /// A Unix socket's path.
    pub path: Option<String>,
}

impl From<std::io::Result<BoundAddress>> for NativeListening {
    fn from(bound: std::io::Result<BoundAddress>) -> Self {
        match bound {
            Ok(BoundAddress::Inet(address)) => Self {
                address: Some(address.ip().to_string()),
                family: Some(family(&address)),
                port: Some(address.port()),
                ..Self::default()
            },
            Ok(BoundAddress::Unix(path)) => Self {
                path: path.map(|path| path.to_string_lossy().into_owned()),
                ..Self::default()
            },
            // An error that is not the system's is an argument that it would refuse.
            Err(error) => {
                Self { errno: Some(-error.raw_os_error().unwrap_or(EINVAL)), ..Self::default() }
            }
        }
    }
}

pub(crate) const EINVAL: i32 = 22;

/// A connection's number, or why there is none.
#[napi(object)]
pub struct NativeSlot {
    /// The system's error, negative as libuv's; absent: there is a connection.
    pub errno: Option<i32>,
    /// Index into the host's table.
    pub slot: u32,
    /// How often it had been given back before.
    pub generation: u32,
}

/// Both ends of a connection, where they are known.
#[napi(object)]
pub struct NativeAddresses {
    /// The peer's address.
    pub remote_address: Option<String>,
    /// 'IPv4' or 'IPv6'.
    pub remote_family: Option<String>,
    /// The peer's port.
    pub remote_port: Option<u16>,
    /// Our address.
    pub local_address: Option<String>,
    /// 'IPv4' or 'IPv6'.
    pub local_family: Option<String>,
    /// Our port.
    pub local_port: Option<u16>,
}

impl From<Addresses> for NativeAddresses {
    fn from(Addresses { remote, local }: Addresses) -> Self {
        Self {
            remote_address: remote.map(|address| address.ip().to_string()),
            remote_family: remote.as_ref().map(family),
            remote_port: remote.map(|address| address.port()),
            local_address: local.map(|address| address.ip().to_string()),
            local_family: local.as_ref().map(family),
            local_port: local.map(|address| address.port()),
        }
    }
}

fn family(address: &SocketAddr) -> String {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()
}
