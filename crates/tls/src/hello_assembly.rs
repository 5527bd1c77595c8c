use rustls::server::{Accepted, Acceptor};

use crate::client_hello::CLIENT_HELLO;
use crate::inbound::{Front, HANDSHAKE, HEADER, Inbound, MAX_RECORDS, message_length};
use crate::{Alert, ClientHello, Code, Failure, HandshakeLimits, ProtocolVersion};

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
    /// The records that held it, for a trace.
    pub(crate) records: Vec<u8>,
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
        let length = message_length(&self.message).unwrap_or(0);
        if length < MINIMUM {
            return Err(too_short(length));
        }
        let hello = ClientHello::read(&self.message[..length]);
        // Before rustls sees the message: it asks for signature algorithms first, which old
        // clients don't know.
        let version = hello.as_ref().map(highest_version).transpose()?;
        let accepted = accept(&self.records, version)?.ok_or_else(unreadable)?;
        let hello = hello.ok_or_else(unreadable)?;
        let Self { records, inbound, limits, .. } = self;
        Ok(Assembled::Whole(Box::new(WholeHello { accepted, hello, records, inbound, limits })))
    }
}

/// The highest version that the client and this crate can speak.
fn highest_version(hello: &ClientHello) -> Result<ProtocolVersion, Failure> {
    [ProtocolVersion::Tls13, ProtocolVersion::Tls12]
        .into_iter()
        .find(|&version| hello.legacy_version() > SSL3 && hello.offers_version(version))
        .ok_or_else(|| unsupported_version(hello))
}

fn unsupported_version(hello: &ClientHello) -> Failure {
    let alert = Alert::ProtocolVersion;
    let mut bytes = alert.plaintext_record();
    // Some old clients read no record of a version that they don't speak.
    bytes[1..3].copy_from_slice(&hello.legacy_version().clamp(0x0301, 0x0303).to_be_bytes());
    let offered = match hello.supported_versions() {
        versions if !versions.is_empty() && hello.legacy_version() > SSL3 => versions,
        _ => &[hello.legacy_version()],
    };
    let detail =
        format!("unsupported protocol: the client offers {offered:04x?}, not 0303 or 0304");
    Failure::new(Code::UnsupportedProtocol, Some(alert), detail).with_bytes(bytes)
}

/// Hands the records to rustls.
fn accept(
    mut records: &[u8],
    version: Option<ProtocolVersion>,
) -> Result<Option<Accepted>, Failure> {
    let mut acceptor = Acceptor::default();
    while !records.is_empty() {
        if acceptor.read_tls(&mut records).is_err() {
            return Ok(None);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Err((error, alert)) => return Err(Failure::of_hello(&error, alert, version)),
        }
    }
    Ok(None)
}

fn too_short(length: usize) -> Failure {
    Failure::in_the_clear(
        Code::LengthTooShort,
        Alert::DecodeError,
        format!("length too short: a ClientHello of {length} bytes ends before its version"),
    )
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
        return Err(unexpected_record(header[0], payload.len()));
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
        [kind, 3, _, high, low, ..] => match u16::from_be_bytes([high, low]).into() {
            length if length > MAX_PLAINTEXT => too_long(length),
            length => unexpected_record(kind, length),
        },
        _ => Failure::new(
            Code::WrongVersionNumber,
            None,
            "wrong version number: what came is no TLS record",
        ),
    }
}

fn unexpected_record(kind: u8, length: usize) -> Failure {
    Failure::in_the_clear(
        Code::UnexpectedMessage,
        Alert::UnexpectedMessage,
        format!("expected a ClientHello, got a record of type {kind} with {length} bytes"),
    )
}

fn too_long(length: usize) -> Failure {
    Failure::in_the_clear(
        Code::PacketLengthTooLong,
        Alert::RecordOverflow,
        format!("packet length too long: a record of {length} bytes, the limit is {MAX_PLAINTEXT}"),
    )
}

/// In the version field it must be refused, whatever `supported_versions` says (RFC 8446 appendix
/// D.5).
const SSL3: u16 = 0x0300;

/// The header of a handshake message and a version.
const MINIMUM: usize = 4 + 2;

/// The most that an unencrypted record may hold (RFC 8446 section 5.1).
const MAX_PLAINTEXT: usize = 16_384;
