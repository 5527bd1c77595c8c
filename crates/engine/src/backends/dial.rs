use std::io;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::adopt;

/// Between two tries of a Unix socket whose queue is full, of which nothing else tells.
const AGAIN: Duration = Duration::from_millis(5);

/// Connects, on a worker.
pub(super) async fn dial(address: &SockAddr) -> io::Result<AsyncFd<Socket>> {
    loop {
        let socket = unblocking(address.domain())?;
        if address.domain() != Domain::UNIX {
            // What a client sends is not held back for company.
            socket.set_tcp_nodelay(true)?;
        }
        match socket.connect(address) {
            Ok(()) => return adopt::register(socket),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                let socket = adopt::register(socket)?;
                let ready = socket.writable().await?;
                drop(ready);
                return match socket.get_ref().take_error()? {
                    None => Ok(socket),
                    Some(error) => Err(error),
                };
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => sleep(AGAIN).await,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
fn unblocking(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), None)
}

#[cfg(not(target_os = "linux"))]
fn unblocking(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether it says nothing of the backend: this machine has no more descriptors, memory or ports.
pub(super) fn is_our_own(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::EADDRNOTAVAIL
                | libc::EAGAIN
        )
    )
}
