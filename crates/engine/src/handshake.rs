//! Drives the steps of a handshake: bytes over the transport, the costly part through the pool.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use offloop_pool::{Lane, Patience};
use tokio::time::{Instant, timeout, timeout_at};

use crate::admission::Admitted;
use crate::asking::{Decision, resolve};
use crate::connection::{Addresses, Connection, Offload, Settings, Terms};
use crate::phases::{Phase, Phases, Stopwatch};
use crate::proxy_header::{self, Front};
use crate::report::Report;
use crate::shed::{ShedMode, ShedReason};
use crate::sinks::Trace;
use crate::stats::Gauge;
use crate::tls::{
    self, Answer, Code, ContextTable, Cost, Decide, Established, HelloOutline, NeedBytes,
    NewSession, Step,
};
use crate::worker::Local;

/// Why there is no open connection.
pub(crate) enum Unopened {
    /// The host destroyed it: it expects `Closed`, no report.
    Destroyed,
    /// It failed.
    Failed(Box<Report>),
}

/// A handshake that succeeded.
pub(crate) struct Finished {
    pub(crate) established: Box<Established>,
    pub(crate) phases: Phases,
    pub(crate) hello: Option<HelloOutline>,
}

/// How long a refused client may take to read its alert before the socket is closed.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what a refused client still sends is read, so that closing does not reset the
/// connection before the client has read its alert.
const LINGER_BYTES: usize = 256 * 1024;

/// How much is read at once, in bytes: one record, since what comes behind the message that is
/// awaited is kept.
const READ: usize = 18 * 1024;

/// What a client may send while the host is asked, in bytes: it has nothing to say before it is
/// answered.
const EARLY_BYTES: usize = 16 * 1024;

/// The largest session that a host is asked to store, in bytes. One with a client's chain of
/// certificates can be larger; that client has a full handshake again.
const SESSION_BYTES: usize = 32 * 1024;

/// Runs the handshake under its deadline and until the host destroys the connection.
pub(crate) async fn handshake(
    connection: &Arc<Connection>,
    terms: Terms,
) -> Result<Finished, Unopened> {
    let Terms { settings, contexts, ask, received, expects_header, admitted } = terms;
    let admitted = admitted.map_err(|reason| Unopened::Failed(reason.report()))?;
    let deadline = Instant::now() + settings.timeout;
    let steps = Steps {
        connection,
        settings,
        deadline,
        contexts,
        ask,
        expects_header,
        server_name: None,
        answered: false,
        early: Vec::new(),
        admitted,
        stopwatch: Stopwatch::start(),
        hello: None,
    };
    let mut steps = pin!(timeout_at(deadline, steps.run(received)));
    let mut cut = pin!(connection.handshakes_cut());
    let mut silent_cut = pin!(connection.silent_cut());
    let outcome = std::future::poll_fn(|context| {
        connection.attention.register(context.waker());
        if connection.is_destroyed() || cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Unopened::Destroyed));
        }
        if let Some(reason) = connection.is_shed() {
            return Poll::Ready(Err(Unopened::Failed(reason.report())));
        }
        Local::turn();
        let outcome = steps.as_mut().poll(context);
        // Behind the look for what it has sent.
        if !connection.has_spoken() && silent_cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Unopened::Destroyed));
        }
        outcome.map(|outcome| match outcome {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(report)) => Err(Unopened::Failed(report)),
            Err(_elapsed) => Err(Unopened::Failed(Report::coded(
                "ERR_TLS_HANDSHAKE_TIMEOUT",
                "TLS handshake timeout",
            ))),
        })
    })
    .await;
    if let (Err(_), Some(question)) = (&outcome, connection.question()) {
        question.close();
    }
    outcome
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
    settings: Settings,
    deadline: Instant,
    contexts: Option<Arc<ContextTable>>,
    /// The host decides how the ClientHello is answered.
    ask: bool,
    /// A PROXY header comes first.
    expects_header: bool,
    server_name: Option<String>,
    /// Something was sent to the client.
    answered: bool,
    /// What came while the host was asked.
    early: Vec<u8>,
    /// Counts while the handshake goes on.
    admitted: Admitted,
    stopwatch: Stopwatch,
    hello: Option<HelloOutline>,
}

impl Steps<'_> {
    async fn run(mut self, received: Vec<u8>) -> Result<Finished, Box<Report>> {
        let mut step = self.hello(received).await?;
        self.stopwatch.lap(Phase::Hello);
        let connection = self.connection;
        loop {
            // From the answer that is sent until the client's is whole, however slowly it comes.
            match step {
                Step::NeedBytes(_) | Step::Send(_) => self.admitted.waits_for_client(connection),
                _ => self.admitted.hears_from_client(),
            }
            step = match step {
                Step::NeedBytes(need) => {
                    let step = self.receive(need).await?;
                    self.stopwatch.lap(Phase::Client);
                    step
                }
                Step::Decide(decide) => {
                    self.hello = HelloOutline::of(decide.hello());
                    self.connection.tell_start(decide.hello());
                    self.server_name = decide.hello().server_name().map(str::to_owned);
                    if self.ask {
                        let step = self.asked(decide).await?;
                        self.stopwatch.lap(Phase::Asked);
                        step
                    } else {
                        match resolve(self.contexts.as_deref(), &decide) {
                            Some(context) => decide.accept(context),
                            None => decide.unserved(),
                        }
                    }
                }
                Step::Job(job) => match self.compute(job).await {
                    Ok(step) => step,
                    Err(report) => return Err(self.refuse(report).await),
                },
                Step::Send(outgoing) => {
                    self.answered = true;
                    self.send(outgoing.bytes()).await.map_err(|e| Report::io(&e, "write"))?;
                    let step = outgoing.sent();
                    self.stopwatch.lap(Phase::Client);
                    step
                }
                Step::Done(mut established) => {
                    established.records.set_max_empty(self.settings.empty_records);
                    if let Some(session) = established.new_session.take() {
                        self.stored(session).await?;
                        self.stopwatch.lap(Phase::Asked);
                        established.records.keep(&self.early);
                    }
                    let (phases, hello) = (self.stopwatch.phases(), self.hello);
                    return Ok(Finished { established, phases, hello });
                }
                Step::Failed(failure) => {
                    // The client may be gone: the failure is reported all the same.
                    drop(self.send(failure.bytes()).await);
                    return Err(Report::tls(&failure));
                }
            }
        }
    }

    /// The step after the `ClientHello`.
    async fn hello(&mut self, received: Vec<u8>) -> Result<Step, Box<Report>> {
        let connection = self.connection;
        let mut before = BeforeHello::of(connection);
        connection.count(|tally| &tally.received.wire, received.len());
        before.came(received.len());
        let latest = self.settings.hello_timeout.map(|patience| Instant::now() + patience);
        let received = if self.expects_header {
            let header = read_header(connection, received, &mut before);
            let waiting = self.admitted.waits(connection);
            let (header, rest) = in_time(latest, header).await?;
            drop(waiting);
            if let Some(addresses) = header {
                connection.claim(addresses);
                let peer = addresses.remote.map(|remote| remote.ip());
                let admitted = peer.map_or(Ok(()), |peer| self.admitted.is_of(peer));
                admitted.map_err(ShedReason::report)?;
            }
            rest
        } else {
            received
        };
        let need =
            tls::handshake(tls::HandshakeLimits { client_hello: self.settings.client_hello_size });
        let mut step =
            if received.is_empty() { Step::NeedBytes(need) } else { need.receive(&received) };
        drop(received);
        if !matches!(step, Step::NeedBytes(_)) {
            return Ok(step);
        }
        let waiting = self.admitted.waits(connection);
        let whole = async {
            while let Step::NeedBytes(need) = step {
                let (next, bytes) = receive_step(connection, need).await?;
                before.came(bytes);
                step = next;
            }
            Ok(step)
        };
        let step = in_time(latest, whole).await;
        drop(waiting);
        step
    }

    /// The step that the host decides on.
    async fn asked(&mut self, decide: Decide) -> Result<Step, Box<Report>> {
        let connection = self.connection;
        let untold = Arc::clone(&connection.host.untold).acquire_owned().await;
        let untold = untold.map_err(|_| Report::internal())?;
        let question = connection.ask(decide, self.contexts.clone(), untold);
        let (decide, decision) = self.answered_by_host(|| question.decision()).await?;
        Ok(self.answer(decide, decision))
    }

    /// What the host answers. Meanwhile what comes is read, so that a client that leaves is
    /// noticed.
    async fn answered_by_host<T>(
        &mut self,
        answer: impl Fn() -> Option<T>,
    ) -> Result<T, Box<Report>> {
        let Self { connection, early, .. } = self;
        std::future::poll_fn(|context| {
            loop {
                // Looked for at each turn: the host's answer wakes this task.
                if let Some(answer) = answer() {
                    return Poll::Ready(Ok(answer));
                }
                if early.len() >= EARLY_BYTES {
                    return Poll::Pending;
                }
                let before = early.len();
                let keep = |bytes: &[u8]| early.extend_from_slice(bytes);
                match ready!(poll_receive(connection, context, keep)) {
                    Ok(()) if early.len() == before => return Poll::Ready(Err(gone())),
                    Ok(()) => {
                        connection.count(|tally| &tally.received.wire, early.len() - before);
                    }
                    Err(error) => return Poll::Ready(Err(Report::io(&error, "read"))),
                }
            }
        })
        .await
    }

    fn answer(&self, decide: Decide, decision: Decision) -> Step {
        let context = decision.context.as_ref();
        let Some(context) = context.or_else(|| resolve(self.contexts.as_deref(), &decide)) else {
            return decide.unserved();
        };
        if decision.reject_alpn {
            return decide.refuse_protocols();
        }
        if let Some(alert) = decision.reject {
            return decide.reject(alert);
        }
        let answer = Answer {
            alpn: decision.alpn,
            ocsp: decision.ocsp,
            session: decision.session,
            store_session: decision.store_session,
            key_log: if decision.key_log { self.connection.key_log() } else { None },
            trace: decision.trace.then(Trace::sink),
        };
        decide.accept_with(context, answer)
    }

    /// Waits until the host has stored a session: the client, which has no Finished until then,
    /// may ask for it in its next breath.
    async fn stored(&mut self, session: NewSession) -> Result<(), Box<Report>> {
        if session.data.len() > SESSION_BYTES {
            return Ok(());
        }
        let Some(question) = self.connection.ask_to_store(session) else { return Ok(()) };
        self.answered_by_host(|| question.is_stored().then_some(())).await
    }

    async fn receive(&mut self, need: NeedBytes) -> Result<Step, Box<Report>> {
        if !self.early.is_empty() {
            return Ok(need.receive(&std::mem::take(&mut self.early)));
        }
        receive_step(self.connection, need).await.map(|(step, _)| step)
    }

    async fn send(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let sent = std::future::poll_fn(|context| {
                self.connection.transport.poll_send(context, |writer| writer.write(bytes))
            })
            .await?;
            self.connection.count(|tally| &tally.sent.wire, sent);
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// The job and its TLS state are gone. Before the first answer nothing is encrypted, so that
    /// the client can still be told (RFC 8446, 6.2: `internal_error`).
    async fn refuse(&self, mut report: Box<Report>) -> Box<Report> {
        let is_reset = report.shed.is_some() && self.settings.shed == ShedMode::Reset;
        if !self.answered && !is_reset {
            let alert = tls::Alert::InternalError;
            report.alert = Some(alert.number());
            // The client may be gone: the failure is reported all the same.
            drop(self.send(&alert.plaintext_record()).await);
        }
        report
    }

    /// The costly part. Handing over costs two thread switches, so under `Auto` a cheap job is
    /// computed here while nothing else of this worker waits.
    async fn compute(&mut self, job: tls::Job) -> Result<Step, Box<Report>> {
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
            let started = std::time::Instant::now();
            (job.run(), started.elapsed())
        };
        if here {
            Local::ring_owed_now();
            self.connection.count(|tally| &tally.jobs_inline, 1);
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            return ran.map(|ran| self.computed(ran)).map_err(|_| Report::internal());
        }
        self.connection.count(|tally| &tally.jobs_offloaded, 1);
        let lane = match cost {
            Cost::Heaviest => Lane::LargeRsa,
            Cost::Heavy => Lane::Rsa,
            Cost::Light => Lane::Other,
        };
        let patience = Patience {
            deadline: Some(self.deadline.into_std()),
            age: Some(self.settings.queue_age),
            target: Some(self.settings.queue_target),
        };
        let ran = engine.pool.run(lane, patience, run).await;
        ran.map(|ran| self.computed(ran)).map_err(|error| Report::pool(&error))
    }

    fn computed(&mut self, (step, time): (Step, Duration)) -> Step {
        self.stopwatch.lap_of_job(time);
        step
    }
}

/// What a connection is counted as until its `ClientHello` is whole.
struct BeforeHello<'a> {
    connection: &'a Connection,
    _waiting: [Option<Gauge<'a>>; 2],
    bytes: Gauge<'a>,
}

impl<'a> BeforeHello<'a> {
    fn of(connection: &'a Connection) -> Self {
        Self {
            connection,
            _waiting: connection.hold(|tally| &tally.waiting),
            bytes: Gauge::empty(&connection.host.engine.counters.hello_bytes),
        }
    }

    fn came(&mut self, bytes: usize) {
        if bytes > 0 {
            self.connection.note_spoken();
        }
        self.bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// What a trusted proxy says of a connection, and what came behind it; `received` came before.
async fn read_header(
    connection: &Connection,
    mut received: Vec<u8>,
    before: &mut BeforeHello<'_>,
) -> Result<(Option<Addresses>, Vec<u8>), Box<Report>> {
    let malformed = |what: &str| {
        let message = format!("the PROXY header of a trusted peer is malformed: {what}");
        Report::coded("ERR_OFFLOOP_PROXY_HEADER", message)
    };
    loop {
        match proxy_header::parse(&received) {
            Front::Whole { length, ends } => {
                let addresses = ends.map(|ends| Addresses {
                    remote: Some(ends.source),
                    local: Some(ends.destination),
                });
                return Ok((addresses, received.split_off(length)));
            }
            Front::Malformed(what) => return Err(malformed(what)),
            Front::Partial => {}
        }
        let known = received.len();
        let came = receive(connection, |bytes| received.extend_from_slice(bytes)).await;
        came.map_err(|error| Report::io(&error, "read"))?;
        match received.len() - known {
            0 if known == 0 => return Err(gone()),
            0 => return Err(malformed("it is cut off")),
            bytes => {
                connection.count(|tally| &tally.received.wire, bytes);
                before.came(bytes);
            }
        }
    }
}

/// Sheds what takes longer.
async fn in_time<T>(
    latest: Option<Instant>,
    waited_for: impl Future<Output = Result<T, Box<Report>>>,
) -> Result<T, Box<Report>> {
    match latest {
        None => waited_for.await,
        Some(latest) => timeout_at(latest, waited_for)
            .await
            .unwrap_or_else(|_elapsed| Err(ShedReason::HelloTimeout.report())),
    }
}

/// The step after the next bytes, which are counted, and how many they were; or after the end.
async fn receive_step(
    connection: &Connection,
    need: NeedBytes,
) -> Result<(Step, usize), Box<Report>> {
    let mut need = Some(need);
    let mut count = 0;
    let received = receive(connection, |bytes| {
        count = bytes.len();
        need.take().map(|need| {
            if bytes.is_empty() { Step::Failed(need.end()) } else { need.receive(bytes) }
        })
    });
    let received = received.await;
    connection.count(|tally| &tally.received.wire, count);
    match received {
        Ok(Some(step)) => Ok((step, count)),
        Ok(None) => Err(Report::internal()),
        Err(error) => Err(Report::io(&error, "read")),
    }
}

/// Receives once into the thread's buffer; `with` gets what came, nothing at the end.
async fn receive<T>(connection: &Connection, with: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
    let mut with = Some(with);
    std::future::poll_fn(|context| {
        poll_receive(connection, context, |bytes| {
            let with = with.take().expect("a future is not polled after it is ready");
            with(bytes)
        })
    })
    .await
}

fn poll_receive<T>(
    connection: &Connection,
    context: &mut Context<'_>,
    with: impl FnOnce(&[u8]) -> T,
) -> Poll<std::io::Result<T>> {
    Local::with_buffer(|buffer| {
        let buffer = &mut buffer[..READ];
        let received = ready!(connection.transport.poll_receive(context, buffer));
        Poll::Ready(received.map(|bytes| with(&buffer[..bytes])))
    })
}

fn gone() -> Box<Report> {
    Report::coded(
        Code::ConnectionReset.as_str(),
        "the client left before the TLS handshake was done",
    )
}

/// Gives every other task of this worker its turn; true when none took it.
async fn nothing_else_waits() -> bool {
    let before = Local::turns();
    tokio::task::yield_now().await;
    // This task's own turn after the yield is the one more.
    Local::turns().wrapping_sub(before) <= 1
}
