//! One I/O thread: a current-thread Tokio runtime of its own, so that a connection never changes
//! its thread, its buffers are the thread's, and one wake-up serves a whole submission.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::adopt;
use crate::connection::Connection;
use crate::host::Host;
use crate::lock::lock;

/// A bell rung this late at the latest while the worker stays busy.
const RING_WITHIN: Duration = Duration::from_micros(500);

/// How much one recv(2) takes at most: 16 KiB reads cost a quarter of the bulk throughput.
pub(crate) const RECEIVE_BUFFER: usize = 256 * 1024;

pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    inbox: Mutex<Vec<Arc<Connection>>>,
    mail: Notify,
}

impl Worker {
    pub(crate) fn start(index: usize) -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_park(Local::about_to_park)
            .build()?;
        let worker = Arc::new(Self {
            runtime: runtime.handle().clone(),
            inbox: Mutex::new(Vec::new()),
            mail: Notify::new(),
        });
        let own = Arc::clone(&worker);
        thread::Builder::new().name(format!("offloop-io-{index}")).spawn(move || {
            LOCAL.with(|local| local.is_worker.set(true));
            runtime.block_on(own.deliver());
        })?;
        Ok(worker)
    }

    /// Makes the worker's epoll set watch `socket`, which must not block.
    pub(crate) fn register(&self, socket: Socket) -> io::Result<AsyncFd<Socket>> {
        let _entered = self.runtime.enter();
        adopt::register(socket)
    }

    /// Wakes the tasks of these connections with one wake-up of the thread.
    pub(crate) fn attend(&self, connections: impl IntoIterator<Item = Arc<Connection>>) {
        let mut inbox = lock(&self.inbox);
        let was_empty = inbox.is_empty();
        inbox.extend(connections);
        let now_waiting = !inbox.is_empty();
        drop(inbox);
        if was_empty && now_waiting {
            self.mail.notify_one();
        }
    }

    async fn deliver(&self) {
        let mut mail = Vec::new();
        loop {
            self.mail.notified().await;
            std::mem::swap(&mut mail, &mut *lock(&self.inbox));
            for connection in mail.drain(..) {
                connection.attend();
            }
        }
    }
}

thread_local! {
    static LOCAL: Local = Local::default();
}

/// What belongs to a thread: buffers, and the hosts it still owes a ring. A thread that is no
/// worker (a host's own, for an inline send) has one too.
#[derive(Default)]
pub(crate) struct Local {
    is_worker: Cell<bool>,
    owed: RefCell<Vec<Arc<Host>>>,
    owed_since: Cell<Option<Instant>>,
    turns: Cell<u64>,
    receive: RefCell<Vec<u8>>,
    plaintext: RefCell<Vec<u8>>,
}

impl Local {
    pub(crate) fn is_worker() -> bool {
        LOCAL.with(|local| local.is_worker.get())
    }

    /// Notes that `host` has events and no ring.
    pub(crate) fn owe(host: &Arc<Host>) {
        LOCAL.with(|local| {
            let mut owed = local.owed.borrow_mut();
            if !owed.iter().any(|other| Arc::ptr_eq(other, host)) {
                owed.push(Arc::clone(host));
            }
            if local.owed_since.get().is_none() {
                local.owed_since.set(Some(Instant::now()));
            }
        });
    }

    /// Runs `with` on the thread's receive buffer.
    pub(crate) fn with_buffer<T>(with: impl FnOnce(&mut [u8]) -> T) -> T {
        LOCAL.with(|local| {
            let mut buffer = local.receive.borrow_mut();
            if buffer.is_empty() {
                buffer.resize(RECEIVE_BUFFER, 0);
            }
            with(&mut buffer)
        })
    }

    /// Runs `with` on the thread's receive buffer and its buffer for plaintext.
    pub(crate) fn with_buffers<T>(with: impl FnOnce(&mut [u8], &mut Vec<u8>) -> T) -> T {
        Self::with_buffer(|buffer| {
            LOCAL.with(|local| with(buffer, &mut local.plaintext.borrow_mut()))
        })
    }

    /// Rings where it is owed: a task is about to keep the thread busy.
    pub(crate) fn ring_owed_now() {
        LOCAL.with(Self::ring_owed);
    }

    /// At the start of each turn of a task. Rings when rings have waited too long, and counts the
    /// turns that tasks of this thread have had: a task that sees the count unchanged
    /// over a yield knows that nothing else was waiting.
    pub(crate) fn turn() {
        LOCAL.with(|local| {
            local.turns.set(local.turns.get().wrapping_add(1));
            if local.owed_since.get().is_some_and(|since| since.elapsed() > RING_WITHIN) {
                local.ring_owed();
            }
        });
    }

    pub(crate) fn turns() -> u64 {
        LOCAL.with(|local| local.turns.get())
    }

    fn about_to_park() {
        LOCAL.with(Self::ring_owed);
    }

    fn ring_owed(&self) {
        self.owed_since.set(None);
        let mut owed = self.owed.borrow_mut();
        for host in owed.drain(..) {
            host.ring();
        }
    }
}
