//! Binding, listening, accepting.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::adopt;
use crate::connection::{Addresses, Connection, Terms};
use crate::event::Event;
use crate::report::Report;
use crate::server::{Lease, Listening, Server};
use crate::shed::{Shed, ShedReason};
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
    /// No other process has this very socket.
    pub is_ours: bool,
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
    if let Some(backends) = server.backends() {
        backends.watch(&worker);
    }
    let socket = Arc::new(worker.register(socket)?);
    let lease = server.listener_lease();
    let ending = Arc::new(Notify::new());
    // Another socket of this port has the clients that come next.
    let settles = target.is_ours && socket.get_ref().reuse_port().unwrap_or(false);
    let task = accept_all(Arc::clone(&socket), lease, Arc::clone(&ending), settles);
    let accepting = worker.runtime.spawn(task).abort_handle();
    server.listens(Listening { accepting, ending, settles, socket, path });
    Ok(address)
}

async fn accept_all(
    socket: Arc<AsyncFd<Socket>>,
    lease: Lease,
    ending: Arc<Notify>,
    settles: bool,
) {
    let server = &lease.server;
    let _listening = server.tallies().map(|tally| Gauge::hold(&tally.listeners));
    let mut ended = pin!(ending.notified());
    let mut wait = BACK_OFF;
    loop {
        let next = poll_fn(|context| match ended.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => socket.poll_read_ready(context).map(Some),
        });
        let mut ready = match next.await {
            Some(Ok(ready)) => ready,
            Some(Err(_)) => return,
            None => break,
        };
        match accept_burst(server, &mut ready) {
            Burst::Done => wait = BACK_OFF,
            Burst::Closed => return,
            Burst::NoResource => {
                if timeout(wait, ended.as_mut()).await.is_ok() {
                    break;
                }
                wait = (wait * 2).min(BACK_OFF_MOST);
            }
        }
        tokio::task::yield_now().await;
    }
    accept_rest(&socket, server, settles).await;
}

/// Accepts what would be lost by closing the socket: connections in the kernel's queue, and, where
/// another socket of this port is there to have the new ones, those whose handshake with the kernel
/// has begun.
async fn accept_rest(socket: &AsyncFd<Socket>, server: &Arc<Server>, settles: bool) {
    let settles = settles && refuse_new(socket.get_ref());
    let end = Instant::now() + if settles { SETTLING } else { Duration::ZERO };
    while Instant::now() < end {
        let Ok(Ok(mut ready)) = timeout_at(end, socket.readable()).await else { break };
        if !matches!(accept_burst(server, &mut ready), Burst::Done) {
            return;
        }
    }
    // Whatever readiness was known.
    for _ in 0..BACKLOG_MOST {
        match accept(socket.get_ref()) {
            Ok((accepted, peer)) => admit(server, accepted, peer),
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => return,
        }
    }
}

/// How long connections may take to be made that a client has asked for: one round trip, of a far
/// client. Others ask again after a second (RFC 6298, 2.1), and get another listener.
const SETTLING: Duration = Duration::from_millis(250);

/// More than Linux keeps in the queue of a listening socket by default, 4096.
const BACKLOG_MOST: usize = 65_536;

/// Makes the kernel drop requests for new connections: the client's next try reaches who else listens
/// on the port. A closed socket would reset those that are half made.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn refuse_new(socket: &Socket) -> bool {
    use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
    use socket2::SockFilter;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let code = |code: u32| u16::try_from(code).unwrap_or_default();
    let filter = [
        SockFilter::new(code(BPF_LD | BPF_B | BPF_ABS), 0, 0, FLAGS),
        SockFilter::new(code(BPF_ALU | BPF_AND | BPF_K), 0, 0, SYN | ACK),
        SockFilter::new(code(BPF_JMP | BPF_JEQ | BPF_K), 0, 1, SYN),
        SockFilter::new(code(BPF_RET | BPF_K), 0, 0, 0),
        SockFilter::new(code(BPF_RET | BPF_K), 0, 0, u32::MAX),
    ];
    socket.attach_filter(&filter).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn refuse_new(_: &Socket) -> bool {
    false
}

enum Burst {
    /// Accepted what there was, or as much as is one task's share.
    Done,
    /// The system has no more descriptors or memory, which was told.
    NoResource,
    /// The socket accepts no more.
    Closed,
}

fn accept_burst(server: &Arc<Server>, ready: &mut AsyncFdReadyGuard<'_, Socket>) -> Burst {
    for _ in 0..BURST {
        match ready.try_io(|socket| accept(socket.get_ref())) {
            Err(_would_block) => break,
            Ok(Ok((accepted, peer))) => admit(server, accepted, peer),
            // Shut down: the server was closed a moment ago, or whoever shares the socket did it.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => return Burst::Closed,
            Ok(Err(error)) => {
                server.count(|tally| &tally.accept_errors);
                if !is_of_one_client(&error) {
                    let mut report = Report::io(&error, "accept");
                    report.server = server.id;
                    server.host.push(Event::AcceptError { server: server.id, report });
                    return Burst::NoResource;
                }
                // The client is gone already, or a signal came: the next one.
            }
        }
    }
    Burst::Done
}

fn admit(server: &Arc<Server>, socket: Socket, peer: Option<SocketAddr>) {
    let host = &server.host;
    if server.is_full() {
        return drop_at_once(server, &socket, ShedReason::MaxConnections);
    }
    let expects_header = server.expects_header(peer);
    // Of a proxy's connection the header tells whose it is.
    let address = peer.map(|peer| peer.ip()).filter(|_| !expects_header);
    let admitted = match server.admission.admit(address) {
        Ok(admitted) => admitted,
        Err(reason) => {
            // A client that is gone needs no RST.
            drop(socket.set_linger(Some(Duration::ZERO)));
            return drop_at_once(server, &socket, reason);
        }
    };
    let worker = host.engine.worker();
    // Registration fails only for want of memory in the kernel: the connection is closed.
    let Ok(socket) = worker.register(socket) else {
        server.count(|tally| &tally.accept_errors);
        return;
    };
    let transport = Transport::Socket(socket);
    if server.no_delay {
        transport.set_no_delay(true);
    }
    if server.keep_alive.is_some() {
        transport.set_keep_alive(server.keep_alive);
    }
    let lease = Some(server.lease());
    let settings = server.settings.clone();
    Connection::new(host, worker, lease, transport, peer, None, &settings).start(Terms {
        settings,
        contexts: Some(server.contexts()),
        ask: server.asks(),
        received: Vec::new(),
        expects_header,
        admitted: Ok(admitted),
    });
}

/// Refuses a connection of which nothing was read.
fn drop_at_once(server: &Server, socket: &Socket, reason: ShedReason) {
    let host = &server.host;
    let addresses = || Addresses::of(socket);
    server.tallies().iter().for_each(|tally| tally.sheds.count(reason));
    host.shed(|| Shed { reason, server: server.id, addresses: addresses() });
    // As Node, each one over the bound; what limits refuse may be a flood.
    if reason == ShedReason::MaxConnections || host.may_tell_shed() {
        let report = Report {
            shed: Some(reason),
            server: server.id,
            addresses: addresses(),
            ..Report::default()
        };
        host.push(Event::Dropped { server: server.id, report: Box::new(report) });
    }
}

#[cfg(target_os = "linux")]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (socket, peer) = socket.accept4(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
    Ok((socket, peer.as_socket()))
}

#[cfg(not(target_os = "linux"))]
fn accept(socket: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (socket, peer) = socket.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer.as_socket()))
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
