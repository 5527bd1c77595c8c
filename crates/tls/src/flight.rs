use std::sync::Arc;

use rustls::{Error, HandshakeKind, InvalidMessage, PeerMisbehaved, ServerConnection};

use crate::choice::{ChosenConfig, Signature};
use crate::client_certificates::take_refusal;
use crate::client_hello::extension;
use crate::handshake::Hello;
use crate::hello_assembly::WholeHello;
use crate::identity::OwnChain;
use crate::inbound::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, Front, HANDSHAKE, HEADER, Inbound, MAX_RECORDS,
};
use crate::record_header::check_header;
use crate::sealed_alert::send_alert;
use crate::stored_sessions::StoredSessions;
use crate::trace::Trace;
use crate::{
    Alert, ClientHello, Code, Cost, Established, Failure, HandshakeLimits, Job, NeedBytes,
    NewSession, Outgoing, ProtocolVersion, Records, ServerContext, Session, Step,
};

/// A handshake after the server's first answer: what the client sends goes to rustls one record
/// at a time, so that data behind its Finished is left for whoever owns the record layer.
pub(crate) struct ClientFlight {
    connection: Box<ServerConnection>,
    context: ServerContext,
    server_name: Option<Box<str>>,
    own: OwnChain,
    shared_schemes: Box<[u16]>,
    signature: Option<Signature>,
    sessions: Option<Arc<StoredSessions>>,
    trace: Option<Box<Trace>>,
    inbound: Inbound,
    limits: HandshakeLimits,
    retry_cost: Cost,
    /// Bytes of handshake records since the server's last answer.
    received: usize,
}

/// What the next record of the client will make this end do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Key exchange and signature, after a HelloRetryRequest.
    SecondHello,
    /// Checking certificates, those of a resumed session too.
    Certificate,
    /// TLS 1.2's key exchange (tens of microseconds, less than a hand-over to a pool) and Finished.
    Finished,
    /// Nothing: it is done.
    Over,
}

impl ClientFlight {
    /// Key exchange and signature: the costly part of a handshake.
    pub(crate) fn start(hello: Hello) -> Step {
        let Hello { hello, mut choice, context, mut answer } = hello;
        let WholeHello { accepted, hello, records, inbound, limits } = *hello;
        let version = choice.version();
        let is_tls13 = version == Some(ProtocolVersion::Tls13);
        let mut trace =
            answer.trace.take().map(|sink| Box::new(Trace::of_handshake(sink, is_tls13)));
        if let Some(trace) = &mut trace {
            trace.received(&records);
        }
        let (own, retry_cost) = (choice.own_chain(), choice.retry_cost());
        let (shared_schemes, signature) = (choice.take_shared_schemes(), choice.signature());
        let ChosenConfig { config, stored } = choice.into_config(&context);
        let catches = answer.store_session && stores_session(&hello, version, &context);
        let sessions =
            (stored.is_some() || catches).then(|| Arc::new(StoredSessions::new(stored, catches)));
        let config = answer.configure(config, &own, sessions.clone());
        match accepted.into_connection(config) {
            Ok(mut connection) => {
                // What is queued is the caller's to bound, and it can't if some of it is dropped.
                connection.set_buffer_limit(None);
                let flight = Self {
                    connection: Box::new(connection),
                    context,
                    server_name: hello.server_name().map(Box::from),
                    own,
                    shared_schemes,
                    signature,
                    sessions,
                    trace,
                    inbound,
                    limits,
                    retry_cost,
                    received: 0,
                };
                Box::new(flight).advance()
            }
            Err((error, alert)) => {
                let failure = Failure::of_hello(&error, alert, version);
                if let Some(trace) = &mut trace {
                    trace.sent(failure.bytes());
                }
                Step::Failed(failure)
            }
        }
    }

    pub(crate) fn receive(mut self: Box<Self>, bytes: &[u8]) -> Step {
        self.inbound.push(bytes);
        match self.check_limits() {
            Ok(()) => self.advance(),
            Err(failure) => Step::Failed(failure),
        }
    }

    /// Goes on as far as possible on a thread that has other things to do.
    pub(crate) fn advance(mut self: Box<Self>) -> Step {
        loop {
            let phase = self.phase();
            if phase == Phase::Over {
                return self.establish();
            }
            if self.connection.wants_write() {
                return self.send();
            }
            if let Some(cost) = self.job_cost(phase) {
                return Step::Job(Job::of_flight(cost, self));
            }
            match self.may_take_inline(phase).then(|| self.take_record()) {
                Some(Ok(true)) => {}
                Some(Err(failure)) => return Step::Failed(failure),
                Some(Ok(false)) | None => {
                    self.inbound.shrink();
                    return Step::NeedBytes(NeedBytes::of_flight(self));
                }
            }
        }
    }

    /// Does the costly work: all records that are there, up to the next answer or the end.
    pub(crate) fn run(mut self: Box<Self>) -> Step {
        while self.phase() != Phase::Over && !self.connection.wants_write() {
            match self.take_record() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => return Step::Failed(failure),
            }
        }
        self.advance()
    }

    /// The cost of the job that what is there asks for, if it does. Alerts and ChangeCipherSpecs
    /// ask for none.
    fn job_cost(&self, phase: Phase) -> Option<Cost> {
        match (phase, self.inbound.front_type()?) {
            (Phase::SecondHello, HANDSHAKE) => {
                self.inbound.holds_message().then_some(self.retry_cost)
            }
            (Phase::Certificate, HANDSHAKE | APPLICATION_DATA) => Some(Cost::Light),
            _ => None,
        }
    }

    /// Whether the front may go to rustls without a job. A second hello waits until it is whole:
    /// otherwise each small piece of it would be a job.
    fn may_take_inline(&self, phase: Phase) -> bool {
        phase != Phase::SecondHello || self.inbound.front_type() != Some(HANDSHAKE)
    }

    fn phase(&self) -> Phase {
        if !self.connection.is_handshaking() {
            Phase::Over
        } else if self.is_tls13() && self.connection.negotiated_key_exchange_group().is_none() {
            Phase::SecondHello
        } else if self.context.requests_client_certificate() {
            Phase::Certificate
        } else {
            Phase::Finished
        }
    }

    fn send(mut self: Box<Self>) -> Step {
        self.received = 0;
        let bytes = queued(&mut self.connection);
        if let Some(trace) = &mut self.trace {
            trace.sent(&bytes);
        }
        Step::Send(Outgoing::new(bytes, self))
    }

    fn establish(self) -> Step {
        let Self {
            connection,
            context,
            server_name,
            own,
            shared_schemes,
            signature,
            sessions,
            trace,
            inbound,
            ..
        } = self;
        match Session::new(&connection, &context, server_name, own, shared_schemes, signature) {
            Ok(session) => {
                let caught = sessions.and_then(|sessions| sessions.take_caught());
                let new_session = caught.and_then(|caught| {
                    let data = context.session_seal().seal(&caught.session)?;
                    Some(NewSession { id: caught.id, data })
                });
                let records = Records::new(connection, inbound.into_rest(), trace);
                Step::Done(Box::new(Established { session, records, new_session }))
            }
            Err(failure) => Step::Failed(failure),
        }
    }

    /// Gives one record to rustls; `false` if no whole one is there.
    fn take_record(&mut self) -> Result<bool, Failure> {
        let in_tls13 = self.is_tls13() && self.phase() != Phase::SecondHello;
        let result = match self.inbound.take() {
            Front::Partial => return Ok(false),
            Front::Record(record) => {
                self.received += record.len();
                if let Some(trace) = &mut self.trace {
                    trace.received(record);
                }
                check_front(record, in_tls13).and_then(|()| feed(&mut self.connection, record))
            }
            // What our check lets pass is a version that rustls refuses.
            Front::Malformed(bytes) => check_front(bytes, in_tls13)
                .and_then(|()| feed(&mut self.connection, &bytes[..HEADER]))
                .and(Err(InvalidMessage::UnknownProtocolVersion.into())),
        };
        result.map_err(|error| self.failure(&error))?;
        Ok(true)
    }

    /// A second ClientHello has the limit of the first; for everything else rustls' limit of
    /// 64 KiB for a message holds.
    fn check_limits(&self) -> Result<(), Failure> {
        let limit = self.limits.client_hello + MAX_RECORDS * HEADER;
        let received = self.received + self.inbound.rest().len();
        if self.phase() == Phase::SecondHello && received > limit {
            return Err(Failure::in_the_clear(
                Code::ExcessiveMessageSize,
                Alert::IllegalParameter,
                format!("the second ClientHello has more than {limit} bytes"),
            ));
        }
        Ok(())
    }

    /// The failure with the alert that rustls queued, or with one of this crate's own making
    /// where rustls queues none.
    fn failure(&mut self, error: &Error) -> Failure {
        let failure = self.failure_with_alert(error);
        if let Some(trace) = &mut self.trace {
            trace.sent(failure.bytes());
        }
        failure
    }

    fn failure_with_alert(&mut self, error: &Error) -> Failure {
        let failure = match take_refusal(error) {
            Some(refusal) => Failure::new(refusal.0, Some(refusal.alert()), refusal),
            None => Failure::from(error),
        };
        let bytes = queued(&mut self.connection);
        if *error == Error::NoCertificatesPresented && !self.is_tls13() {
            // rustls sends certificate_required, which TLS 1.2 doesn't know (RFC 5246 section
            // 7.4.6).
            return failure.with_bytes(Alert::HandshakeFailure.plaintext_record());
        }
        match failure.alert() {
            Some(alert) if bytes.is_empty() && self.speaks_in_the_clear() => {
                failure.with_bytes(alert.plaintext_record())
            }
            Some(alert) if bytes.is_empty() => {
                send_alert(&mut self.connection, alert);
                failure.with_bytes(queued(&mut self.connection))
            }
            _ => failure.with_bytes(bytes),
        }
    }

    fn speaks_in_the_clear(&self) -> bool {
        let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        self.phase() == Phase::SecondHello || (!self.is_tls13() && !is_resumed)
    }

    fn is_tls13(&self) -> bool {
        self.connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3)
    }
}

/// Whether the handshake can make a session that is stored: one of TLS 1.2 that no ticket holds.
fn stores_session(
    hello: &ClientHello,
    version: Option<ProtocolVersion>,
    context: &ServerContext,
) -> bool {
    let gets_ticket =
        context.tickets().is_some() && hello.offers_extension(extension::SESSION_TICKET);
    version == Some(ProtocolVersion::Tls12) && !gets_ticket
}

/// Checks what rustls would answer with another alert than the RFC, or in TLS 1.2 OpenSSL, names.
fn check_front(record: &[u8], in_tls13: bool) -> Result<(), Error> {
    let Some((header, payload)) = record.split_first_chunk() else { return Ok(()) };
    check_header(header, in_tls13)?;
    match header[0] == CHANGE_CIPHER_SPEC && payload != [1] {
        true => Err(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into()),
        false => Ok(()),
    }
}

/// rustls reads 4 KiB at a time; a record is processed once it is whole.
fn feed(connection: &mut ServerConnection, mut record: &[u8]) -> Result<(), Error> {
    while !record.is_empty() {
        // Fails when a handshake message is above rustls' limit of 64 KiB.
        if connection.read_tls(&mut record).is_err() {
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
    }
    connection.process_new_packets().map(|_| ())
}

fn queued(connection: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory doesn't fail.
    while connection.write_tls(&mut bytes).is_ok_and(|written| written > 0) {}
    bytes
}
