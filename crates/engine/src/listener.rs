//! Binding, listening, accepting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::adopt;
use crate::connection::{Addresses, Connection, Terms};
use crate::event::Event;
use crate::report::Report;
use crate::server::{Lease, Server};
use crate::stats::Gauge;
use crate::transport::Transport;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct ListenTarget {
    /// An address, a path or a descriptor.
    pub place: ListenPlace,
    /// Length of the queue of connections that wait for accept(2). Node's default: 511.
    pub backlog: i32,
    /// With `::`, no IPv4. Node's default: false.
    pub ipv6_only: bool,
    /// `SO_REUSEPORT`: several processes share the port. Node's default: false.
    pub reuse_port: bool,
}

/// The place itself.
#[derive(Clone, Debug)]
pub enum ListenPlace {
    /// Any address: `::`, or `0.0.0.0` where there is no IPv6, as Node does.
    AnyAddress {
        /// 0: the system chooses.
        port: u16,
    },
    /// This address.
    Address(SocketAddr),
    /// A Unix socket's path.
    Path(PathBuf),
    /// A bound descriptor of the host's, which is duplicated.
    Descriptor(RawFd),
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum BoundAddress {
    /// TCP.
    Inet(SocketAddr),
    /// A Unix socket; no path where it is unnamed.
    Unix(Option<PathBuf>),
}

/// Accepts in a row before other tasks have their turn.
const BURST: usize = 64;

/// Waits after accept(2) failed for want of a resource.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MOST: Duration = Duration::from_secs(1);

pub(crate) fn listen(server: &Arc<Server>, target: &ListenTarget) -> io::Result<BoundAddress> {
    let socket = bind(target)?;
    socket.listen(target.backlog)?;
    let address = bound_address(&socket)?;
    let path = match &target.place {
        ListenPlace::Path(path) => Some(path.clone()),
        _ => None,
    };
    let worker = Arc::clone(server.host.engine.worker());
    let socket = Arc::new(worker.register(socket)?);
    let lease = server.listener_lease();
    let accepting = worker.runtime.spawn(accept_all(Arc::clone(&socket), lease)).abort_handle();
    server.listens(accepting, socket, path);
    Ok(address)
}

async fn accept_all(socket: Arc<AsyncFd<Socket>>, lease: Lease) {
    let server = &lease.server;
    let engine = &server.host.engine;
    let _listening = Gauge::hold(&engine.counters.listeners);
    let mut wait = BACK_OFF;
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        for _ in 0..BURST {
            match ready.try_io(|socket| accept(socket.get_ref())) {
                Err(_would_block) => break,
                Ok(Ok(accepted)) => {
                    wait = BACK_OFF;
                    admit(server, accepted);
                }
                // Shut down: the server was closed a moment ago, or whoever shares the socket did it.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => return,
                Ok(Err(error)) => {
                    engine.counters.accept_errors.fetch_add(1, Relaxed);
                    if !is_of_one_client(&error) {
                        let mut report = Report::io(&error, "accept");
                        report.server = server.id;
                        server.host.push(Event::AcceptError { server: server.id, report });
                        sleep(wait).await;
                        wait = (wait * 2).min(BACK_OFF_MOST);
                        break;
                    }
                    // The client is gone already, or a signal came: the next one.
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

fn admit(server: &Arc<Server>, socket: Socket) {
    let host = &server.host;
    let counters = &host.engine.counters;
    if server.is_full() {
        counters.dropped.fetch_add(1, Relaxed);
        let report =
            Report { server: server.id, addresses: Addresses::of(&socket), ..Report::default() };
        host.push(Event::Dropped { server: server.id, report: Box::new(report) });
        return;
    }
    let worker = host.engine.worker();
    // Registration fails only for want of memory in the kernel: the connection is closed.
    let Ok(socket) = worker.register(socket) else {
        counters.accept_errors.fetch_add(1, Relaxed);
        return;
    };
    let transport = Transport::Socket(socket);
    if server.no_delay {
        transport.set_no_delay(true);
    }
    if server.keep_alive.is_some() {
        transport.set_keep_alive(server.keep_alive);
    }
    Connection::new(host, worker, Some(server.lease()), transport, None).start(Terms {
        settings: server.settings.clone(),
        contexts: Some(server.contexts()),
        ask: server.asks(),
        received: Vec::new(),
    });
}

#[cfg(target_os = "linux")]
fn accept(socket: &Socket) -> io::Result<Socket> {
    Ok(socket.accept4(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?.0)
}

#[cfg(not(target_os = "linux"))]
fn accept(socket: &Socket) -> io::Result<Socket> {
    let (socket, _) = socket.accept()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Errors that say something of the connection, not of the listener (accept(2), NOTES). Any other
/// would only be repeated by trying again at once.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
        )
    )
}

fn bind(target: &ListenTarget) -> io::Result<Socket> {
    match &target.place {
        ListenPlace::Descriptor(descriptor) => adopt::duplicate(*descriptor),
        ListenPlace::Path(path) => bind_path(path),
        ListenPlace::Address(address) => bind_address(*address, target),
        ListenPlace::AnyAddress { port } => {
            match bind_address((Ipv6Addr::UNSPECIFIED, *port).into(), target) {
                Err(error) if no_ipv6(&error) => {
                    bind_address((Ipv4Addr::UNSPECIFIED, *port).into(), target)
                }
                bound => bound,
            }
        }
    }
}

fn bind_address(address: SocketAddr, target: &ListenTarget) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if target.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(target.ipv6_only)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_path(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn bound_address(socket: &Socket) -> io::Result<BoundAddress> {
    let address = socket.local_addr()?;
    Ok(match address.as_socket() {
        Some(address) => BoundAddress::Inet(address),
        None => BoundAddress::Unix(address.as_pathname().map(Path::to_path_buf)),
    })
}
