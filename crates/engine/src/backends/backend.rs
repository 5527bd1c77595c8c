use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};
use tokio::io::unix::AsyncFd;
use tokio::net::lookup_host;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::BackendPlace;
use super::dial::dial;
use crate::lock::lock;

/// One backend.
pub(super) struct Backend {
    place: BackendPlace,
    /// What its name was last resolved to.
    resolved: Mutex<Vec<SocketAddr>>,
    health: Mutex<Health>,
    /// Those that are being made too.
    pub(super) connections: AtomicUsize,
    pub(super) opened: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) broken: AtomicU64,
}

enum Health {
    Up,
    /// Until then; `None`: until it is found again.
    Down(Option<Instant>),
}

/// The figures of one backend.
#[derive(Clone, Debug)]
pub struct BackendStats {
    /// Where it is.
    pub place: BackendPlace,
    /// Whether it took the last connection. Gauge.
    pub is_up: bool,
    /// Connections, those that are being made too. Gauge.
    pub connections: usize,
    /// Connections made. Counter.
    pub opened: u64,
    /// Connections that could not be made. Counter.
    pub failures: u64,
    /// Connections that broke, on either side, or were cut. Counter.
    pub broken: u64,
}

impl Backend {
    pub(super) fn new(place: BackendPlace) -> Self {
        Self {
            place,
            resolved: Mutex::default(),
            health: Mutex::new(Health::Up),
            connections: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> BackendStats {
        BackendStats {
            place: self.place.clone(),
            is_up: matches!(*lock(&self.health), Health::Up),
            connections: self.connections.load(Relaxed),
            opened: self.opened.load(Relaxed),
            failures: self.failures.load(Relaxed),
            broken: self.broken.load(Relaxed),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        match *lock(&self.health) {
            Health::Up => false,
            Health::Down(until) => until.is_none_or(|until| Instant::now() < until),
        }
    }

    /// It took a connection, or did not and is left alone for so long.
    pub(super) fn found(&self, up: bool, rest: Duration) {
        *lock(&self.health) =
            if up { Health::Up } else { Health::Down(Instant::now().checked_add(rest)) };
    }

    /// Whether it takes a connection, found by making one; its name is resolved anew.
    pub(super) async fn check(&self, patience: Duration) -> io::Result<()> {
        if let BackendPlace::Host(..) = self.place {
            lock(&self.resolved).clear();
        }
        self.connect(patience).await.map(drop)
    }

    pub(super) async fn connect(&self, patience: Duration) -> io::Result<AsyncFd<Socket>> {
        let mut made = pin!(self.connect_patiently());
        // One on this machine is there in the next turn, which saves a timer: setting one costs a
        // write(2) to the worker's own eventfd.
        if let Poll::Ready(made) = poll_fn(|context| Poll::Ready(made.as_mut().poll(context))).await
        {
            return made;
        }
        yield_now().await;
        timeout(patience, made).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect_patiently(&self) -> io::Result<AsyncFd<Socket>> {
        let (host, port) = match &self.place {
            BackendPlace::Path(path) => return dial(&unix(path)?).await,
            BackendPlace::Host(host, port) => (host, *port),
        };
        let known = lock(&self.resolved).clone();
        let addresses = if known.is_empty() { self.resolve(host, port).await? } else { known };
        let mut failure = io::ErrorKind::NotFound.into();
        for address in addresses {
            match dial(&address.into()).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failure = error,
            }
        }
        lock(&self.resolved).clear();
        Err(failure)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<_> = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => lookup_host((host, port)).await?.collect(),
        };
        lock(&self.resolved).clone_from(&addresses);
        Ok(addresses)
    }
}

fn unix(path: &Path) -> io::Result<SockAddr> {
    SockAddr::unix(path)
}
