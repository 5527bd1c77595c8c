//! The backends of a server that proxies: where they are, how they are, and which one a connection
//! gets.

mod backend;
mod dial;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use self::backend::Backend;
pub use self::backend::BackendStats;
use crate::lock::lock;
use crate::proxy_header::ProxyVersion;
use crate::tally::add;
use crate::transport::Transport;
use crate::worker::Worker;

/// Where a backend takes connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendPlace {
    /// A host, by address or by name, and its port. Names are resolved by the system, and again
    /// with each check.
    Host(String, u16),
    /// A Unix socket's path.
    Path(std::path::PathBuf),
}

/// What a set of backends is made of.
#[derive(Clone, Debug)]
pub struct BackendOptions {
    /// At least one.
    pub places: Vec<BackendPlace>,
    /// Until a backend has taken a connection; then another one is tried. Default: 5 s.
    pub connect_timeout: Duration,
    /// How often each backend is connected to, to see whether it is there. Default: each 2 s.
    pub check_interval: Option<Duration>,
    /// Tells backends whose a connection is. Default: none.
    pub header: Option<ProxyVersion>,
}

/// Backends in use, and their figures.
pub struct Backends {
    list: Box<[Backend]>,
    connect_timeout: Duration,
    check_interval: Option<Duration>,
    pub(crate) header: Option<ProxyVersion>,
    /// Where the search for the one with the fewest connections begins.
    next: AtomicUsize,
    unserved: AtomicU64,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    count: usize,
    checks: Vec<AbortHandle>,
}

impl Backends {
    /// None is looked for before a server uses them.
    pub fn new(options: BackendOptions) -> Arc<Self> {
        let BackendOptions { places, connect_timeout, check_interval, header } = options;
        Arc::new(Self {
            list: places.into_iter().map(Backend::new).collect(),
            connect_timeout,
            check_interval,
            header,
            next: AtomicUsize::new(0),
            unserved: AtomicU64::new(0),
            users: Mutex::default(),
        })
    }

    /// Of each, in the order of the options.
    pub fn stats(&self) -> Vec<BackendStats> {
        self.list.iter().map(Backend::stats).collect()
    }

    /// Connections that were closed because no backend took them. Counter.
    pub fn unserved(&self) -> u64 {
        self.unserved.load(Relaxed)
    }

    /// A server uses them from now on.
    pub(crate) fn used(self: Arc<Self>) -> Use {
        lock(&self.users).count += 1;
        Use(self)
    }

    /// Looks after them, if nobody does so already.
    pub(crate) fn watch(self: &Arc<Self>, worker: &Worker) {
        let Some(interval) = self.check_interval else { return };
        let mut users = lock(&self.users);
        if !users.checks.is_empty() {
            return;
        }
        for index in 0..self.list.len() {
            let backends = Arc::downgrade(self);
            let check = async move {
                while let Some(backends) = backends.upgrade() {
                    let backend = &backends.list[index];
                    let found = backend.check(backends.connect_timeout).await;
                    backend.found(found.is_ok(), Duration::MAX);
                    drop(backends);
                    sleep(interval).await;
                }
            };
            users.checks.push(worker.runtime.spawn(check).abort_handle());
        }
    }

    /// Connects to the one with the fewest connections; while that fails, to the next. Those that
    /// are down have their turn when all are.
    pub(crate) async fn connect(self: &Arc<Self>) -> Option<Link> {
        let mut tried = vec![false; self.list.len()];
        let all_down = self.list.iter().all(Backend::is_down);
        while let Some(link) = self.choose(&mut tried, all_down) {
            let backend = link.backend();
            match backend.connect(self.connect_timeout).await {
                Ok(socket) => {
                    backend.found(true, Duration::MAX);
                    return Some(link.with(socket));
                }
                Err(error) => {
                    add(&backend.failures, 1);
                    if !dial::is_our_own(&error) {
                        // Without checks it is tried again after a while.
                        let rest = self.check_interval.map_or(REST, |_| Duration::MAX);
                        backend.found(false, rest);
                    }
                }
            }
        }
        add(&self.unserved, 1);
        None
    }

    fn choose(self: &Arc<Self>, tried: &mut [bool], all_down: bool) -> Option<Unconnected> {
        let count = self.list.len();
        let first = self.next.fetch_add(1, Relaxed);
        let index = (0..count)
            .map(|step| first.wrapping_add(step) % count)
            .filter(|&index| !tried[index] && (all_down || !self.list[index].is_down()))
            .min_by_key(|&index| self.list[index].connections.load(Relaxed))?;
        tried[index] = true;
        self.list[index].connections.fetch_add(1, SeqCst);
        Some(Unconnected(Hold { backends: Arc::clone(self), index }))
    }
}

/// How long one that has failed is left alone, where nothing else tells that it is back.
const REST: Duration = Duration::from_secs(10);

/// Held by a server that uses them: they are checked as long.
pub(crate) struct Use(pub(crate) Arc<Backends>);

impl Drop for Use {
    fn drop(&mut self) {
        let mut users = lock(&self.0.users);
        users.count -= 1;
        if users.count == 0 {
            users.checks.drain(..).for_each(|check| check.abort());
        }
    }
}

/// Counts as a connection of its backend while it lives.
struct Hold {
    backends: Arc<Backends>,
    index: usize,
}

impl Hold {
    fn backend(&self) -> &Backend {
        &self.backends.list[self.index]
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.backend().connections.fetch_sub(1, SeqCst);
    }
}

struct Unconnected(Hold);

impl Unconnected {
    fn backend(&self) -> &Backend {
        self.0.backend()
    }

    fn with(self, socket: AsyncFd<Socket>) -> Link {
        add(&self.backend().opened, 1);
        Link { transport: Transport::Socket(socket), hold: self.0 }
    }
}

/// A connection to a backend.
pub(crate) struct Link {
    pub(crate) transport: Transport,
    hold: Hold,
}

impl Link {
    /// It ended in another way than by its ends.
    pub(crate) fn broke(&self) {
        add(&self.hold.backend().broken, 1);
        self.transport.reset_on_close();
    }
}
