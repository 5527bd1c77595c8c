//! Descriptors from elsewhere become sockets of our own. The one module of this crate with
//! `unsafe`: the type system can't know that a number names a descriptor.
#![expect(unsafe_code, reason = "turning a raw descriptor into an owned one")]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use socket2::{Socket, Type};
use tokio::io::unix::AsyncFd;

/// Duplicates `descriptor` (`F_DUPFD_CLOEXEC`), which must be an open stream socket, and makes it
/// non-blocking. The caller keeps its own.
pub fn duplicate(descriptor: RawFd) -> io::Result<Socket> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the borrow ends within this function, and the host hands over the descriptor of a
    // live handle on the thread that owns it, so that nobody closes it meanwhile. Should the number
    // name nothing after all, fcntl(2) says EBADF. Test: acceptTls on a destroyed socket.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let socket = Socket::from(borrowed.try_clone_to_owned()?);
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::from_raw_os_error(libc::EPROTOTYPE));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Gives `socket`, which must not block, to the reactor of the runtime that is entered.
pub(crate) fn register(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a `Socket` owns its open descriptor and always names the same one, and nothing here
    // takes it out of the `AsyncFd` again. Test: every connection of `__test__`.
    Ok(unsafe { AsyncFd::register(socket) }?)
}
