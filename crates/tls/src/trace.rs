use std::fmt::{self, Debug, Write};
use std::sync::Arc;

use crate::Alert;
use crate::inbound::{CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};
use crate::record_cursor::{Part, RecordCursor};

/// Gets the text of a trace.
pub trait TraceSink: Send + Sync + Debug {
    /// Some lines, in the format of OpenSSL's `SSL_trace`: each record's header, and what stands in
    /// it as far as it isn't encrypted. Called on the thread that handles the record.
    fn text(&self, text: &str);
}

/// Writes a trace of one connection.
pub(crate) struct Trace {
    sink: Arc<dyn TraceSink>,
    received: Direction,
    sent: Direction,
    /// Whether what is sent first is the rest of something that isn't told.
    sends_rest: bool,
}

impl Trace {
    /// From a connection's first record on.
    pub(crate) fn of_handshake(sink: Arc<dyn TraceSink>, is_tls13: bool) -> Self {
        let cipher = if is_tls13 { Encryption::ByType } else { Encryption::Awaited };
        Self {
            sink,
            received: Direction::new("Received", RecordCursor::default(), cipher),
            sent: Direction::new("Sent", RecordCursor::default(), cipher),
            sends_rest: false,
        }
    }

    /// From somewhere in an encrypted connection on. With `sends_rest` what is sent is told only
    /// after [`sent_all`](Self::sent_all).
    pub(crate) fn of_records(
        sink: Arc<dyn TraceSink>,
        received: RecordCursor,
        sends_rest: bool,
    ) -> Self {
        Self {
            sink,
            received: Direction::new("Received", received, Encryption::On),
            sent: Direction::new("Sent", RecordCursor::default(), Encryption::On),
            sends_rest,
        }
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        Self::tell(&self.sink, &mut self.received, bytes);
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        if !self.sends_rest {
            Self::tell(&self.sink, &mut self.sent, bytes);
        }
    }

    /// Nothing is queued: the next byte that is sent starts a record.
    pub(crate) fn sent_all(&mut self) {
        self.sends_rest = false;
    }

    fn tell(sink: &Arc<dyn TraceSink>, direction: &mut Direction, bytes: &[u8]) {
        let mut text = String::new();
        direction.read(bytes, &mut text);
        if !text.is_empty() {
            sink.text(&text);
        }
    }
}

impl Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

/// What comes from one end.
struct Direction {
    verb: &'static str,
    cursor: RecordCursor,
    encryption: Encryption,
    content_type: u8,
    message: MessageCursor,
    /// The first two bytes of an alert.
    alert: Vec<u8>,
}

/// Whether records can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// TLS 1.2 before the ChangeCipherSpec.
    Awaited,
    /// TLS 1.2 behind it; or anything behind the handshake.
    On,
    /// TLS 1.3: encrypted records have a type of their own.
    ByType,
}

impl Direction {
    fn new(verb: &'static str, cursor: RecordCursor, encryption: Encryption) -> Self {
        Self {
            verb,
            cursor,
            encryption,
            content_type: 0,
            message: MessageCursor::default(),
            alert: Vec::new(),
        }
    }

    fn read(&mut self, mut bytes: &[u8], text: &mut String) {
        while let Some(part) = self.cursor.next(&mut bytes) {
            match part {
                Part::Header(header) => self.header(header, text),
                Part::Payload(payload) if self.encryption != Encryption::On => {
                    self.payload(payload, text);
                }
                Part::Payload(_) => {}
            }
        }
    }

    fn header(&mut self, header: [u8; HEADER], text: &mut String) {
        let [content_type, major, minor, high, low] = header;
        self.content_type = content_type;
        self.alert.clear();
        let version = u16::from_be_bytes([major, minor]);
        let length = u16::from_be_bytes([high, low]);
        print(
            text,
            format_args!(
                "{} Record\nHeader:\n  Version = {} ({version:#x})\n  Content Type = {} \
                 ({content_type})\n  Length = {length}\n",
                self.verb,
                version_name(version),
                content_name(content_type),
            ),
        );
    }

    fn payload(&mut self, payload: &[u8], text: &mut String) {
        match self.content_type {
            HANDSHAKE => self.message.read(payload, text),
            CHANGE_CIPHER_SPEC => {
                print(text, format_args!("    change_cipher_spec ({})\n\n", payload[0]));
                if self.encryption == Encryption::Awaited {
                    self.encryption = Encryption::On;
                }
            }
            ALERT if self.alert.len() < 2 => {
                self.alert.extend(payload.iter().take(2 - self.alert.len()));
                if let [level, number] = *self.alert {
                    let name = Alert::from(number).name().replace('_', " ");
                    let level_name = if level == FATAL { "fatal" } else { "warning" };
                    print(
                        text,
                        format_args!(
                            "    Level={level_name}({level}), description={name}({number})\n\n"
                        ),
                    );
                }
            }
            _ => {}
        }
    }
}

/// Where a stream of handshake messages stands.
#[derive(Default)]
struct MessageCursor {
    header: Vec<u8>,
    left: usize,
}

impl MessageCursor {
    fn read(&mut self, mut payload: &[u8], text: &mut String) {
        while !payload.is_empty() {
            if self.left > 0 {
                let taken = payload.len().min(self.left);
                self.left -= taken;
                payload = &payload[taken..];
                continue;
            }
            let (piece, rest) = payload.split_at(payload.len().min(4 - self.header.len()));
            payload = rest;
            self.header.extend_from_slice(piece);
            if let [kind, high, middle, low] = *self.header {
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.header.clear();
                let name = message_name(kind);
                print(text, format_args!("    {name}, Length={}\n\n", self.left));
            }
        }
    }
}

fn print(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to memory doesn't fail.
    let _ = text.write_fmt(arguments);
}

fn version_name(version: u16) -> &'static str {
    match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        _ => "UNKNOWN",
    }
}

fn content_name(content_type: u8) -> &'static str {
    match content_type {
        CHANGE_CIPHER_SPEC => "ChangeCipherSpec",
        ALERT => "Alert",
        HANDSHAKE => "Handshake",
        crate::inbound::APPLICATION_DATA => "ApplicationData",
        _ => "UNKNOWN",
    }
}

/// The messages that travel without encryption in one version or the other.
fn message_name(kind: u8) -> &'static str {
    match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        4 => "NewSessionTicket",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        22 => "CertificateStatus",
        _ => "UNKNOWN",
    }
}

const ALERT: u8 = 21;
const FATAL: u8 = 2;
