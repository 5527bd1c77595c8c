//! Drives the steps of a handshake: bytes over the transport, the costly part through the pool.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use offloop_pool::Lane;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::{Connection, Offload, Settings};
use crate::report::Report;
use crate::tls::{self, ContextTable, Cost, Established, NeedBytes, Step};
use crate::worker::Local;

/// Why there is no open connection.
pub(crate) enum Unopened {
    /// The host destroyed it: it expects `Closed`, no report.
    Destroyed,
    /// It failed.
    Failed(Box<Report>),
}

/// How long a refused client may take to read its alert before the socket is closed.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what a refused client still sends is read, so that closing does not reset the
/// connection before the client has read its alert.
const LINGER_BYTES: usize = 256 * 1024;

/// Runs the handshake under its deadline and until the host destroys the connection.
pub(crate) async fn handshake(
    connection: &Arc<Connection>,
    settings: &Settings,
    contexts: Option<Arc<ContextTable>>,
    received: Vec<u8>,
) -> Result<Box<Established>, Unopened> {
    let deadline = Instant::now() + settings.timeout;
    let steps = Steps { connection, settings, deadline, server_name: None, answered: false };
    let mut steps = pin!(timeout_at(deadline, steps.run(contexts, received)));
    std::future::poll_fn(|context| {
        connection.attention.register(context.waker());
        if connection.is_destroyed() {
            return Poll::Ready(Err(Unopened::Destroyed));
        }
        Local::turn();
        steps.as_mut().poll(context).map(|outcome| match outcome {
            Ok(Ok(established)) => Ok(established),
            Ok(Err(report)) => Err(Unopened::Failed(report)),
            Err(_elapsed) => Err(Unopened::Failed(Report::coded(
                "ERR_TLS_HANDSHAKE_TIMEOUT",
                "TLS handshake timeout",
            ))),
        })
    })
    .await
}

/// After a failure: gives the client the chance to read its alert.
pub(crate) async fn linger(connection: &Connection) {
    connection.transport.shutdown();
    if connection.transport.foreign().is_some() {
        // Its host has the alert already and owns the rest.
        return;
    }
    let drain = async {
        let mut left = LINGER_BYTES;
        while left > 0 && !connection.host.is_closed() {
            match receive(connection, <[u8]>::len).await {
                Ok(0) | Err(_) => return,
                Ok(bytes) => left = left.saturating_sub(bytes),
            }
        }
    };
    // Timed out or not, the socket is closed now.
    drop(timeout(LINGER, drain).await);
}

struct Steps<'a> {
    connection: &'a Arc<Connection>,
    settings: &'a Settings,
    deadline: Instant,
    server_name: Option<String>,
    /// Something was sent to the client.
    answered: bool,
}

impl Steps<'_> {
    async fn run(
        mut self,
        contexts: Option<Arc<ContextTable>>,
        received: Vec<u8>,
    ) -> Result<Box<Established>, Box<Report>> {
        let limits = tls::HandshakeLimits { client_hello: self.settings.client_hello_limit };
        let need = tls::handshake(limits);
        let mut step =
            if received.is_empty() { Step::NeedBytes(need) } else { need.receive(&received) };
        drop(received);
        loop {
            step = match step {
                Step::NeedBytes(need) => self.receive(need).await?,
                Step::Decide(decide) => {
                    self.server_name = decide.hello().server_name().map(str::to_owned);
                    match &contexts {
                        Some(contexts) => {
                            let context = contexts.resolve(self.server_name.as_deref()).clone();
                            decide.accept(&context)
                        }
                        None => return Err(Report::internal()),
                    }
                }
                Step::Job(job) => match self.compute(job).await {
                    Ok(step) => step,
                    Err(report) => return Err(self.refuse(report).await),
                },
                Step::Send(outgoing) => {
                    self.answered = true;
                    self.send(outgoing.bytes()).await.map_err(|e| Report::io(&e, "write"))?;
                    outgoing.sent()
                }
                Step::Done(established) => return Ok(established),
                Step::Failed(failure) => {
                    // The client may be gone: the failure is reported all the same.
                    drop(self.send(failure.bytes()).await);
                    return Err(Report::tls(&failure));
                }
            }
        }
    }

    async fn receive(&self, need: NeedBytes) -> Result<Step, Box<Report>> {
        let mut need = Some(need);
        let received = receive(self.connection, |bytes| {
            need.take().map(|need| {
                if bytes.is_empty() { Step::Failed(need.end()) } else { need.receive(bytes) }
            })
        });
        match received.await {
            Ok(Some(step)) => Ok(step),
            Ok(None) => Err(Report::internal()),
            Err(error) => Err(Report::io(&error, "read")),
        }
    }

    async fn send(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let sent = std::future::poll_fn(|context| {
                self.connection.transport.poll_send(context, |writer| writer.write(bytes))
            })
            .await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// The job and its TLS state are gone. Before the first answer nothing is encrypted, so that
    /// the client can still be told (RFC 8446, 6.2: `internal_error`).
    async fn refuse(&self, mut report: Box<Report>) -> Box<Report> {
        if !self.answered {
            let alert = tls::Alert::InternalError;
            report.alert = Some(alert.number());
            // The client may be gone: the failure is reported all the same.
            drop(self.send(&alert.plaintext_record()).await);
        }
        report
    }

    /// The costly part. Handing over costs two thread switches, so under `Auto` a cheap job is
    /// computed here while nothing else of this worker waits.
    async fn compute(&self, job: tls::Job) -> Result<Step, Box<Report>> {
        let engine = &self.connection.host.engine;
        let cost = job.cost();
        let here = match self.settings.offload {
            Offload::Never => true,
            Offload::Always => false,
            Offload::Auto => matches!(cost, Cost::Light) && nothing_else_waits().await,
        };
        let panics = engine.panic_on.is_some() && engine.panic_on == self.server_name;
        let run = move || {
            assert!(!panics, "a test asked for this panic");
            job.run()
        };
        if here {
            Local::ring_owed_now();
            engine.counters.jobs_inline.fetch_add(1, Relaxed);
            return std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
                .map_err(|_| Report::internal());
        }
        engine.counters.jobs_offloaded.fetch_add(1, Relaxed);
        let lane = match cost {
            Cost::Heavy => Lane::Rsa,
            Cost::Light => Lane::Other,
        };
        engine
            .pool
            .run(lane, Some(self.deadline.into_std()), run)
            .await
            .map_err(|error| Report::pool(&error))
    }
}

/// Receives once into the thread's buffer; `with` gets what came, nothing at the end.
async fn receive<T>(connection: &Connection, with: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
    let mut with = Some(with);
    std::future::poll_fn(|context| {
        Local::with_buffer(|buffer| {
            connection.transport.poll_receive(context, buffer).map(|received| {
                let bytes = &buffer[..received?];
                let with = with.take().expect("a future is not polled after it is ready");
                Ok(with(bytes))
            })
        })
    })
    .await
}

/// Gives every other task of this worker its turn; true when none took it.
async fn nothing_else_waits() -> bool {
    let before = Local::turns();
    tokio::task::yield_now().await;
    // This task's own turn after the yield is the one more.
    Local::turns().wrapping_sub(before) <= 1
}
