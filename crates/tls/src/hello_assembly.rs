use rustls::server::{Accepted, Acceptor};

use crate::client_hello::CLIENT_HELLO;
use crate::inbound::{Front, HANDSHAKE, HEADER, Inbound, MAX_RECORDS, message_length};
use crate::{Alert, ClientHello, Code, Failure, HandshakeLimits};

/// A ClientHello as it arrives: in one record or many, in pieces of any size.
pub(crate) struct HelloAssembly {
    limits: HandshakeLimits,
    inbound: Inbound,
    /// The handshake message so far, without record headers.
    message: Vec<u8>,
    /// The records that held it, for rustls.
    records: Vec<u8>,
    record_count: usize,
}

/// What [`HelloAssembly::receive`] gives.
pub(crate) enum Assembled {
    Partial(HelloAssembly),
    Whole(Box<WholeHello>),
}

/// A ClientHello that rustls found well-formed, and what came behind it.
pub(crate) struct WholeHello {
    pub(crate) accepted: Accepted,
    pub(crate) hello: ClientHello,
    pub(crate) inbound: Inbound,
    pub(crate) limits: HandshakeLimits,
}

impl HelloAssembly {
    pub(crate) fn new(limits: HandshakeLimits) -> Self {
        Self {
            limits,
            inbound: Inbound::default(),
            message: Vec::new(),
            records: Vec::new(),
            record_count: 0,
        }
    }

    pub(crate) fn receive(mut self, bytes: &[u8]) -> Result<Assembled, Failure> {
        self.inbound.push(bytes);
        loop {
            match self.inbound.take() {
                Front::Partial => return self.check_limits().map(|()| Assembled::Partial(self)),
                Front::Malformed(bytes) => return Err(malformed(bytes)),
                Front::Record(record) => {
                    let payload = handshake_payload(record)?;
                    self.message.extend_from_slice(payload);
                    self.records.extend_from_slice(record);
                    self.record_count += 1;
                }
            }
            self.check_limits()?;
            if message_length(&self.message).is_some_and(|length| self.message.len() >= length) {
                return self.finish();
            }
        }
    }

    fn check_limits(&self) -> Result<(), Failure> {
        if let Some(&kind) = self.message.first().filter(|kind| **kind != CLIENT_HELLO) {
            return Err(Failure::in_the_clear(
                Code::UnexpectedMessage,
                Alert::UnexpectedMessage,
                format!("expected a ClientHello, got a handshake message of type {kind}"),
            ));
        }
        let limit = self.limits.client_hello;
        if let Some(length) = message_length(&self.message).filter(|length| *length > limit) {
            return Err(Failure::in_the_clear(
                Code::ExcessiveMessageSize,
                Alert::IllegalParameter,
                format!("the ClientHello has {length} bytes, the limit is {limit}"),
            ));
        }
        if self.record_count > MAX_RECORDS {
            return Err(Failure::in_the_clear(
                Code::RecordTooSmall,
                Alert::UnexpectedMessage,
                format!("the ClientHello is spread over more than {MAX_RECORDS} records"),
            ));
        }
        Ok(())
    }

    fn finish(self) -> Result<Assembled, Failure> {
        let Some(accepted) = accept(&self.records)? else {
            return Err(unreadable());
        };
        let length = message_length(&self.message).unwrap_or(0);
        let hello = ClientHello::read(&self.message[..length]).ok_or_else(unreadable)?;
        let (inbound, limits) = (self.inbound, self.limits);
        Ok(Assembled::Whole(Box::new(WholeHello { accepted, hello, inbound, limits })))
    }
}

/// Hands the records to rustls.
fn accept(mut records: &[u8]) -> Result<Option<Accepted>, Failure> {
    let mut acceptor = Acceptor::default();
    while !records.is_empty() {
        if acceptor.read_tls(&mut records).is_err() {
            return Ok(None);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Err((error, alert)) => return Err(Failure::of_hello(&error, alert)),
        }
    }
    Ok(None)
}

fn unreadable() -> Failure {
    Failure::in_the_clear(
        Code::LengthMismatch,
        Alert::DecodeError,
        "the ClientHello's contents don't fit its length",
    )
}

fn handshake_payload(record: &[u8]) -> Result<&[u8], Failure> {
    let (header, payload) = record.split_at(HEADER);
    if header[0] != HANDSHAKE || payload.is_empty() {
        return Err(Failure::in_the_clear(
            Code::UnexpectedMessage,
            Alert::UnexpectedMessage,
            format!(
                "expected a ClientHello, got a record of type {} with {} bytes",
                header[0],
                payload.len()
            ),
        ));
    }
    if payload.len() > MAX_PLAINTEXT {
        return Err(too_long(payload.len()));
    }
    Ok(payload)
}

/// What is no TLS record. OpenSSL answers other protocols with no alert, since nobody who speaks
/// them reads one.
fn malformed(bytes: &[u8]) -> Failure {
    let is_one_of =
        |starts: &[&str]| starts.iter().any(|start| bytes.starts_with(start.as_bytes()));
    match *bytes {
        _ if is_one_of(&["GET ", "POST ", "HEAD ", "PUT "]) => {
            Failure::new(Code::HttpRequest, None, "http request: plain HTTP came to a TLS port")
        }
        _ if is_one_of(&["CONNE"]) => Failure::new(
            Code::HttpsProxyRequest,
            None,
            "https proxy request: a plain CONNECT came to a TLS port",
        ),
        [length, _, CLIENT_HELLO, ..] if length & 0x80 != 0 => Failure::in_the_clear(
            Code::UnknownProtocol,
            Alert::ProtocolVersion,
            "unknown protocol: an SSL 2.0 ClientHello came",
        ),
        [20..=23, 3, _, high, low, ..] => too_long(usize::from(high) * 256 + usize::from(low)),
        _ => Failure::new(
            Code::WrongVersionNumber,
            None,
            "wrong version number: what came is no TLS record",
        ),
    }
}

fn too_long(length: usize) -> Failure {
    Failure::in_the_clear(
        Code::PacketLengthTooLong,
        Alert::RecordOverflow,
        format!("packet length too long: a record of {length} bytes, the limit is {MAX_PLAINTEXT}"),
    )
}

/// The most that an unencrypted record may hold (RFC 8446 section 5.1).
const MAX_PLAINTEXT: usize = 16_384;
