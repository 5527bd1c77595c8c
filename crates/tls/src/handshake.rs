use std::fmt;

use crate::choice::Choice;
use crate::flight::ClientFlight;
use crate::hello_assembly::{Assembled, HelloAssembly, WholeHello};
use crate::{Alert, ClientHello, Code, Cost, Failure, Records, ServerContext, Session};

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
    /// A connection before its ClientHello holds at most twice this and one record of 18 KiB.
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

    /// Answers with this context.
    pub fn accept(self, context: &ServerContext) -> Step {
        let choice = Choice::new(&self.0.hello, context);
        let cost = choice.cost();
        let work = Work::Hello { hello: self.0, choice, context: context.clone() };
        Step::Job(Job { cost, work })
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
    Hello { hello: Box<WholeHello>, choice: Choice, context: ServerContext },
    Flight(Box<ClientFlight>),
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
            Work::Hello { hello, choice, context } => ClientFlight::start(*hello, choice, context),
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
