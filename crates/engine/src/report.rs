//! What a host is told when something failed.

use std::io;

use crate::connection::Addresses;
use crate::shed::ShedReason;
use crate::tally::FailureKind;

/// One failure, as plain data.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The code that users match, such as `ERR_SSL_NO_SHARED_CIPHER`; `None` for a system error,
    /// which `errno` names.
    pub code: Option<&'static str>,
    /// What happened, in a sentence; empty for a system error.
    pub message: String,
    /// The positive errno of a system error.
    pub errno: Option<i32>,
    /// The call that failed: `read`, `write` or `accept`.
    pub syscall: Option<&'static str>,
    /// The TLS alert that was sent (RFC 8446, 6).
    pub alert: Option<u8>,
    /// The limit for which the connection was shed.
    pub shed: Option<ShedReason>,
    /// The server that the connection came to; 0 for none.
    pub server: u32,
    /// The connection's number: see [`Handshaken::number`](crate::Handshaken::number).
    pub connection: u64,
    /// Both ends, where they are known.
    pub addresses: Addresses,
}

impl Report {
    pub(crate) fn coded(code: &'static str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: Some(code), message: capped(message.into()), ..Self::default() })
    }

    pub(crate) fn io(error: &io::Error, syscall: &'static str) -> Box<Self> {
        match error.raw_os_error() {
            Some(errno) => {
                let (errno, syscall) = (Some(errno), Some(syscall));
                Box::new(Self { errno, syscall, ..Self::default() })
            }
            None => Self::coded("ERR_OFFLOOP_INTERNAL", error.to_string()),
        }
    }

    pub(crate) fn tls(failure: &offloop_tls::Failure) -> Box<Self> {
        Box::new(Self {
            code: Some(failure.code().as_str()),
            message: capped(failure.to_string()),
            alert: failure.alert().map(offloop_tls::Alert::number),
            ..Self::default()
        })
    }

    pub(crate) fn pool(error: &offloop_pool::PoolError) -> Box<Self> {
        use offloop_pool::PoolError;
        let (code, advice) = match error {
            PoolError::PoolClosed => ("ERR_OFFLOOP_POOL_CLOSED", "the process is ending"),
            PoolError::TaskDropped => ("ERR_OFFLOOP_TASK_DROPPED", "please report this"),
            PoolError::Overloaded => return ShedReason::QueueFull.report(),
            PoolError::DeadlinePassed => return ShedReason::QueueAge.report(),
            PoolError::Shed => return ShedReason::QueueTarget.report(),
            PoolError::Panicked(_) => ("ERR_OFFLOOP_INTERNAL", "please report this"),
        };
        Self::coded(code, format!("{error}; {advice}"))
    }

    pub(crate) fn kind(&self) -> FailureKind {
        match self.code {
            Some(code) => FailureKind::Code(code),
            None => FailureKind::System(self.errno.unwrap_or(0)),
        }
    }

    pub(crate) fn internal() -> Box<Self> {
        Self::coded(
            "ERR_OFFLOOP_INTERNAL",
            "a task of this connection panicked; please report this",
        )
    }
}

/// A peer can make some messages long, such as by a certificate with thousands of purposes.
fn capped(mut message: String) -> String {
    const MOST: usize = 512;
    if message.len() > MOST {
        let cut = (0..=MOST).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
        message.truncate(cut);
        message.push_str(" ...");
    }
    message
}
