use rustls::server::{Accepted, Acceptor};

use crate::client_hello::CLIENT_HELLO;
use std::borrow::Cow;

use crate::inbound::{Front, HANDSHAKE, HEADER, Inbound, MAX_RECORDS, front, message_length};
use crate::{Alert, ClientHello, Code, Failure, HandshakeLimits, ProtocolVersion};

/// A ClientHello as it arrives: in one record or many, in pieces of any size. Anybody can make this
/// wait for the rest, so what came is held once.
pub(crate) struct HelloAssembly {
    limits: HandshakeLimits,
    bytes: Vec<u8>,
    /// How much of `bytes` are whole records with pieces of the message.
    checked: usize,
    record_count: usize,
    /// The start of the message, up to its length.
    start: Vec<u8>,
    /// Of the message so far, without record headers.
    length: usize,
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
            bytes: Vec::new(),
            checked: 0,
            record_count: 0,
            start: Vec::new(),
            length: 0,
        }
    }

    pub(crate) fn receive(mut self, bytes: &[u8]) -> Result<Assembled, Failure> {
        self.push(bytes);
        loop {
            match front(&self.bytes[self.checked..]) {
                Front::Partial => return self.check_limits().map(|()| Assembled::Partial(self)),
                Front::Malformed(bytes) => return Err(malformed(bytes)),
                Front::Record(record) => {
                    let payload = handshake_payload(record)?;
                    self.start.extend(payload.iter().take(4 - self.start.len()));
                    self.length += payload.len();
                    self.checked += record.len();
                    self.record_count += 1;
                }
            }
            self.check_limits()?;
            if message_length(&self.start).is_some_and(|length| self.length >= length) {
                return self.finish();
            }
        }
    }

    /// A vector's own growth would hold up to twice what came.
    fn push(&mut self, bytes: &[u8]) {
        let length = self.bytes.len() + bytes.len();
        if length > self.bytes.capacity() {
            self.bytes.reserve_exact(length.next_multiple_of(GROWTH) - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn check_limits(&self) -> Result<(), Failure> {
        if let Some(&kind) = self.start.first().filter(|kind| **kind != CLIENT_HELLO) {
            return Err(Failure::in_the_clear(
                Code::UnexpectedMessage,
                Alert::UnexpectedMessage,
                format!("expected a ClientHello, got a handshake message of type {kind}"),
            ));
        }
        let limit = self.limits.client_hello;
        if let Some(length) = message_length(&self.start).filter(|length| *length > limit) {
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
        let Self { limits, bytes: mut records, checked, start, .. } = self;
        let length = message_length(&start).unwrap_or(0);
        if length < MINIMUM {
            return Err(too_short(length));
        }
        let inbound = Inbound::from(records.split_off(checked));
        records.shrink_to_fit();
        let message = message(&records);
        let hello = ClientHello::read(&message[..length]);
        drop(message);
        // Before rustls sees the message: it asks for signature algorithms first, which old
        // clients don't know.
        let version = hello.as_ref().map(highest_version).transpose()?;
        let accepted = accept(&records, version)?.ok_or_else(unreadable)?;
        let hello = hello.ok_or_else(unreadable)?;
        Ok(Assembled::Whole(Box::new(WholeHello { accepted, hello, records, inbound, limits })))
    }
}

/// What these records carry.
fn message(records: &[u8]) -> Cow<'_, [u8]> {
    let Front::Record(first) = front(records) else { return Cow::default() };
    let mut message = Cow::Borrowed(&first[HEADER..]);
    let mut rest = &records[first.len()..];
    while let Front::Record(record) = front(rest) {
        message.to_mut().extend_from_slice(&record[HEADER..]);
        rest = &rest[record.len()..];
    }
    message
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

/// What is held grows by so many bytes: a client that sends one at a time costs a few dozen
/// reallocations.
const GROWTH: usize = 1024;

/// In the version field it must be refused, whatever `supported_versions` says (RFC 8446 appendix
/// D.5).
const SSL3: u16 = 0x0300;

/// The header of a handshake message and a version.
const MINIMUM: usize = 4 + 2;

/// The most that an unencrypted record may hold (RFC 8446 section 5.1).
const MAX_PLAINTEXT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_held_once() {
        let length: usize = 32 * 1024;
        let mut message = vec![0; length];
        message[0] = CLIENT_HELLO;
        message[1..4].copy_from_slice(&(length as u32 - 4).to_be_bytes()[1..]);
        let records: Vec<u8> = message
            .chunks(MAX_PLAINTEXT)
            .flat_map(|chunk| {
                let length = u16::try_from(chunk.len()).unwrap().to_be_bytes();
                [&[HANDSHAKE, 3, 1][..], &length, chunk].concat()
            })
            .collect();
        let unfinished = &records[..records.len() - 1];
        for size in [1, 100, 5000, unfinished.len()] {
            let mut assembly = HelloAssembly::new(HandshakeLimits::default());
            let mut came = 0;
            for piece in unfinished.chunks(size) {
                came += piece.len();
                assembly = match assembly.receive(piece) {
                    Ok(Assembled::Partial(assembly)) => assembly,
                    _ => panic!("{came} bytes are no whole hello"),
                };
                let held = assembly.bytes.capacity() + assembly.start.capacity();
                assert!(held <= came + GROWTH + 8, "{held} bytes for {came} in pieces of {size}");
            }
        }
    }
}
