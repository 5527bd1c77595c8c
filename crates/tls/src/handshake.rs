use std::fmt;

use rustls_pki_types::CertificateDer;

use crate::choice::{self, Choice};
use crate::flight::ClientFlight;
use crate::hello_assembly::{Assembled, HelloAssembly, WholeHello};
use crate::trace::Trace;
use crate::{
    Alert, Answer, ClientHello, Code, Cost, Failure, NewSession, Records, ServerContext, Session,
};

/// Starts the server's side of a handshake.
pub fn handshake(limits: HandshakeLimits) -> NeedBytes {
    NeedBytes(Awaits::Hello(HelloAssembly::new(limits)))
}

/// What a client may make the server keep during a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// The longest ClientHello, in bytes of the handshake message. Default: 32 KiB, many times
    /// what browsers send with post-quantum key shares. Above 65,535 rustls' own limit holds.
    ///
    /// A connection before its ClientHello holds at most this, one record of 18 KiB, and what it was
    /// given at once.
    pub client_hello: usize,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { client_hello: 32 * 1024 }
    }
}

/// Where a handshake stands. Each state consumes itself and gives the next one.
#[derive(Debug)]
pub enum Step {
    /// Bytes of the client are needed.
    NeedBytes(NeedBytes),
    /// A ClientHello is there: a context must be chosen.
    Decide(Decide),
    /// Costly work is to be done, on whatever thread.
    Job(Job),
    /// Bytes must go to the client.
    Send(Outgoing),
    /// The handshake is done.
    Done(Box<Established>),
    /// The handshake failed: send [`Failure::bytes`], then close.
    Failed(Failure),
}

/// The state that waits for bytes of the client.
pub struct NeedBytes(Awaits);

enum Awaits {
    Hello(HelloAssembly),
    Flight(Box<ClientFlight>),
}

impl NeedBytes {
    /// Takes all of `bytes`, in pieces of any size; what can't be used yet is kept.
    pub fn receive(self, bytes: &[u8]) -> Step {
        match self.0 {
            Awaits::Hello(assembly) => match assembly.receive(bytes) {
                Ok(Assembled::Partial(assembly)) => Step::NeedBytes(Self(Awaits::Hello(assembly))),
                Ok(Assembled::Whole(whole)) => Step::Decide(Decide(whole)),
                Err(failure) => Step::Failed(failure),
            },
            Awaits::Flight(flight) => flight.receive(bytes),
        }
    }

    /// The step after the client's end of stream: always a failure with `ECONNRESET`, since the
    /// handshake isn't done.
    pub fn end(self) -> Failure {
        Failure::new(
            Code::ConnectionReset,
            None,
            "the client left before the TLS handshake was done",
        )
    }

    pub(crate) fn of_flight(flight: Box<ClientFlight>) -> Self {
        Self(Awaits::Flight(flight))
    }

    /// Whether the ClientHello isn't there yet: until then the connection has cost next to
    /// nothing, and may be dropped without regret.
    pub fn awaits_hello(&self) -> bool {
        matches!(self.0, Awaits::Hello(_))
    }
}

/// The state that waits for a decision about a ClientHello.
pub struct Decide(Box<WholeHello>);

impl Decide {
    /// What the client offers.
    pub fn hello(&self) -> &ClientHello {
        &self.0.hello
    }

    /// The chain, the server's own certificate first, that [`accept_with`](Self::accept_with) would
    /// answer with, given [`Answer::session`]; `None` if the context has none, or if the client's
    /// session will be resumed, which shows no certificate.
    pub fn certificates_for<'a>(
        &self,
        context: &'a ServerContext,
        session: Option<&[u8]>,
    ) -> Option<&'a [CertificateDer<'static>]> {
        choice::certificates_for(&self.0.hello, context, session)
    }

    /// Answers with this context.
    pub fn accept(self, context: &ServerContext) -> Step {
        self.accept_with(context, Answer::default())
    }

    /// Answers with this context and what was decided for this connection alone.
    pub fn accept_with(self, context: &ServerContext, answer: Answer) -> Step {
        match Choice::new(&self.0.hello, context, &answer) {
            Ok(choice) => {
                let cost = choice.cost();
                let context = context.clone();
                let work = Work::Hello(Box::new(Hello { hello: self.0, choice, context, answer }));
                Step::Job(Job { cost, work })
            }
            Err(failure) => {
                if let Some(sink) = answer.trace {
                    let mut trace = Trace::of_handshake(sink, false);
                    trace.received(&self.0.records);
                    trace.sent(failure.bytes());
                }
                Step::Failed(failure)
            }
        }
    }

    /// Refuses the client because none of its ALPN protocols is spoken.
    pub fn refuse_protocols(self) -> Step {
        Step::Failed(choice::no_protocol())
    }

    /// Refuses the client because there is no certificate for the name that it wants.
    pub fn unserved(self) -> Step {
        Step::Failed(choice::unserved(&self.0.hello, |_| true))
    }

    /// Refuses the client with this alert, for example [`Alert::UnrecognizedName`].
    pub fn reject(self, alert: Alert) -> Step {
        Step::Failed(Failure::in_the_clear(
            Code::Rejected,
            alert,
            format!("the ClientHello was refused with the alert {alert}"),
        ))
    }
}

/// The costly part of a step: key exchange and signature, the answer to a second ClientHello, or
/// checking a client's certificates.
///
/// Runs to its end without waiting for anything.
pub struct Job {
    cost: Cost,
    work: Work,
}

enum Work {
    Hello(Box<Hello>),
    Flight(Box<ClientFlight>),
}

/// A ClientHello and how it is answered.
pub(crate) struct Hello {
    pub(crate) hello: Box<WholeHello>,
    pub(crate) choice: Choice,
    pub(crate) context: ServerContext,
    pub(crate) answer: Answer,
}

impl Job {
    pub(crate) fn of_flight(cost: Cost, flight: Box<ClientFlight>) -> Self {
        Self { cost, work: Work::Flight(flight) }
    }

    /// What running it will cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Does the work.
    pub fn run(self) -> Step {
        match self.work {
            Work::Hello(hello) => ClientFlight::start(*hello),
            Work::Flight(flight) => flight.run(),
        }
    }
}

/// The state that waits until bytes are sent.
pub struct Outgoing {
    bytes: Vec<u8>,
    flight: Box<ClientFlight>,
}

impl Outgoing {
    pub(crate) fn new(bytes: Vec<u8>, flight: Box<ClientFlight>) -> Self {
        Self { bytes, flight }
    }

    /// What the client must get, all of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The step after the bytes went out.
    pub fn sent(self) -> Step {
        self.flight.advance()
    }
}

/// A finished handshake.
#[derive(Debug)]
pub struct Established {
    /// What was agreed.
    pub session: Session,
    /// The record layer. There may be bytes to send and data to read at once: see [`Records`].
    pub records: Records,
    /// The session that the client will name by its id, if [`Answer::store_session`] asked for
    /// it. To be stored before anything is sent: a client may come back at once.
    pub new_session: Option<NewSession>,
}

impl fmt::Debug for NeedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeedBytes").field("awaits_hello", &self.awaits_hello()).finish()
    }
}

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decide").field("hello", self.hello()).finish()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
