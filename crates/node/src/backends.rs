//! Backends of servers that proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use napi_derive::napi;
use offloop_engine::{BackendOptions, BackendPlace, BackendStats, Backends, ProxyVersion};

use crate::stats::counter;
use crate::{Result, coded};

/// Where connections are passed on to. Servers may share them; they are looked after while one
/// listens or has connections.
#[napi]
pub struct NativeBackends {
    pub(crate) backends: Arc<Backends>,
}

/// What backends are made of.
#[napi(object)]
pub struct NativeBackendOptions {
    /// At least one.
    pub places: Vec<NativeBackendPlace>,
    /// Milliseconds until a backend has taken a connection.
    pub connect_timeout: u32,
    /// Milliseconds between two checks of a backend; absent: none is checked.
    pub check_interval: Option<u32>,
    /// 'v1' or 'v2': the PROXY header that backends get; absent: none.
    pub proxy_protocol: Option<String>,
}

/// Where a backend takes connections: host and port, or a path.
#[napi(object)]
pub struct NativeBackendPlace {
    /// An address or a name.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Of a Unix socket.
    pub path: Option<String>,
}

/// Figures of backends.
#[napi(object)]
pub struct NativeBackendsStats {
    /// Connections closed because no backend took them. Counter.
    pub unserved: f64,
    /// Each backend, in the order of the options.
    pub backends: Vec<NativeBackendStats>,
}

/// Figures of one backend.
#[napi(object)]
pub struct NativeBackendStats {
    /// Its address and port, or its path.
    pub name: String,
    /// Whether it took the last connection that was made to it.
    pub up: bool,
    /// Connections, those that are being made too. Gauge.
    pub connections: f64,
    /// Connections made. Counter.
    pub opened: f64,
    /// Connections that could not be made; another backend was tried then. Counter.
    pub failures: f64,
    /// Connections that broke on either side, or were cut. Counter.
    pub broken: f64,
}

#[napi]
impl NativeBackends {
    /// None is looked for before a server listens.
    #[napi(constructor)]
    pub fn new(options: NativeBackendOptions) -> Result<Self> {
        let NativeBackendOptions { places, connect_timeout, check_interval, proxy_protocol } =
            options;
        let header = match proxy_protocol.as_deref() {
            None => None,
            Some("v1") => Some(ProxyVersion::V1),
            Some("v2") => Some(ProxyVersion::V2),
            Some(other) => {
                let message = format!("the PROXY protocol must be 'v1' or 'v2', got '{other}'");
                return Err(coded("ERR_INVALID_ARG_VALUE", message));
            }
        };
        let backends = Backends::new(BackendOptions {
            places: places.into_iter().map(place).collect::<Result<_>>()?,
            connect_timeout: Duration::from_millis(connect_timeout.into()),
            check_interval: check_interval.map(|millis| Duration::from_millis(millis.into())),
            header,
        });
        Ok(Self { backends })
    }

    /// What happened to them.
    #[napi]
    pub fn stats(&self) -> NativeBackendsStats {
        NativeBackendsStats {
            unserved: counter(self.backends.unserved()),
            backends: self.backends.stats().into_iter().map(Into::into).collect(),
        }
    }
}

impl From<BackendStats> for NativeBackendStats {
    fn from(stats: BackendStats) -> Self {
        Self {
            name: name(&stats.place),
            up: stats.is_up,
            connections: counter(stats.connections as u64),
            opened: counter(stats.opened),
            failures: counter(stats.failures),
            broken: counter(stats.broken),
        }
    }
}

fn place(native: NativeBackendPlace) -> Result<BackendPlace> {
    match native {
        NativeBackendPlace { path: Some(path), host: None, port: None } => {
            Ok(BackendPlace::Path(PathBuf::from(path)))
        }
        NativeBackendPlace { host: Some(host), port: Some(port), path: None } => {
            Ok(BackendPlace::Host(host, port))
        }
        _ => {
            Err(coded("ERR_INVALID_ARG_VALUE", "a backend must have a host and a port, or a path"))
        }
    }
}

fn name(place: &BackendPlace) -> String {
    match place {
        BackendPlace::Host(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        BackendPlace::Host(host, port) => format!("{host}:{port}"),
        BackendPlace::Path(path) => path.to_string_lossy().into_owned(),
    }
}
