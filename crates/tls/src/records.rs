use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{Error, InvalidMessage, ProtocolVersion, ServerConnection};

use crate::inbound::HEADER;
use crate::record_cursor::{RecordCursor, Taken};
use crate::record_header::{MAX_TLS13_PAYLOAD, check_header};
use crate::sealed_alert::send_alert;
use crate::trace::Trace;
use crate::{Alert, Code, Failure, TraceSink};

/// The record layer of an established connection: ciphertext in, plaintext out, and back.
///
/// After [`Established`](crate::Established) there may be bytes to send (TLS 1.3 tickets, the
/// TLS 1.2 Finished) and data that came behind the client's Finished: see
/// [`wants_write`](Self::wants_write) and [`has_early_data`](Self::has_early_data).
pub struct Records {
    connection: Box<ServerConnection>,
    /// What came behind the client's Finished.
    behind_finished: Vec<u8>,
    /// The most that a record may carry.
    max_fragment: u16,
    received: RecordCursor,
    /// How many records without data came since the last one with data.
    empty: u8,
    /// The most of `empty`.
    max_empty: u8,
    trace: Option<Box<Trace>>,
    failure: Option<Box<Failure>>,
}

/// What [`Records::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The peer sent close_notify: no more data will come. What stands behind it was ignored.
    pub close_notify: bool,
}

impl Records {
    pub(crate) fn new(
        connection: Box<ServerConnection>,
        behind_finished: Vec<u8>,
        trace: Option<Box<Trace>>,
    ) -> Self {
        Self {
            connection,
            behind_finished,
            max_fragment: MAX_FRAGMENT,
            received: RecordCursor::default(),
            empty: 0,
            max_empty: MAX_EMPTY,
            trace,
            failure: None,
        }
    }

    /// Whether ciphertext came in the same flight as the client's Finished: then call
    /// `receive(&[], ..)` at once, without waiting for the socket.
    pub fn has_early_data(&self) -> bool {
        !self.behind_finished.is_empty()
    }

    /// Keeps ciphertext that came before anybody wants its data: it is early data from now on.
    pub fn keep(&mut self, ciphertext: &[u8]) {
        self.behind_finished.extend_from_slice(ciphertext);
    }

    /// Decrypts all whole records, appends their data to `plaintext` and keeps a partial record
    /// (at most 18 KiB). Answers to KeyUpdates are queued for [`write_to`](Self::write_to).
    ///
    /// # Errors
    /// The [`Failure`] of the first bad record, and the same one again at later calls. Data of
    /// the records before it is in `plaintext` nonetheless, and the alert is queued.
    pub fn receive(
        &mut self,
        ciphertext: &[u8],
        plaintext: &mut Vec<u8>,
    ) -> Result<Received, Failure> {
        if let Some(failure) = &self.failure {
            return Err((**failure).clone());
        }
        let early = std::mem::take(&mut self.behind_finished);
        let received = self.decrypt(&early, plaintext).and_then(|received| match ciphertext {
            [] => Ok(received),
            _ => self.decrypt(ciphertext, plaintext),
        });
        received.inspect_err(|failure| {
            if let Some(alert) = failure.alert() {
                send_alert(&mut self.connection, alert);
            }
            self.failure = Some(Box::new(failure.clone()));
        })
    }

    /// How many bytes of ciphertext give the data of one record at most, some 16 KiB: the rest of the
    /// one that has begun, or a whole one.
    pub fn one_record(&self) -> usize {
        match self.received.left() {
            0 => HEADER + MAX_TLS13_PAYLOAD,
            left => left,
        }
    }

    /// Encrypts `plaintext` into records of at most 16 KiB, or what
    /// [`set_max_fragment`](Self::set_max_fragment) says, and queues them. There is no limit:
    /// whoever calls bounds what is queued.
    pub fn seal(&mut self, plaintext: &[u8]) {
        for fragment in plaintext.chunks(self.max_fragment.into()) {
            // Into memory, without a limit: fails only after an error, when nothing is sent any
            // more.
            let _ = self.connection.writer().write_all(fragment);
        }
    }

    /// Bounds what each record sealed from now on carries, in bytes: between 512 and 16,384, the
    /// default. Small records reach the peer's application sooner on slow paths, and cost more.
    /// Values outside are brought to the nearer end.
    pub fn set_max_fragment(&mut self, bytes: usize) {
        let bytes = bytes.clamp(MIN_FRAGMENT.into(), MAX_FRAGMENT.into());
        self.max_fragment = u16::try_from(bytes).unwrap_or(MAX_FRAGMENT);
    }

    /// Bounds how many records in a row may carry no data, whatever they are: empty ones, KeyUpdates,
    /// warnings, handshake messages or pieces of them. One more ends the connection. Between 1 and
    /// 32, the default; values outside are brought to the nearer end. More than 32 of one kind
    /// rustls does not take.
    pub fn set_max_empty(&mut self, records: usize) {
        self.max_empty = u8::try_from(records).unwrap_or(MAX_EMPTY).clamp(1, MAX_EMPTY);
    }

    /// Tells `sink` of each record from now on, or nobody. What is queued to be sent goes untold.
    pub fn set_trace(&mut self, sink: Option<Arc<dyn TraceSink>>) {
        let has_part_to_send = self.wants_write();
        let trace = |sink| Box::new(Trace::of_records(sink, self.received, has_part_to_send));
        self.trace = sink.map(trace);
    }

    /// Fills `out` with keying material of this connection alone, the same at both ends
    /// (RFC 5705, RFC 8446 section 7.5). In TLS 1.2 no context and an empty one differ.
    ///
    /// # Errors
    /// [`Code::IllegalExporterLabel`] in TLS 1.2 for the labels that it uses itself;
    /// [`Code::InvalidArgument`] if `out` is empty or longer than 255 hashes (TLS 1.3).
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let is_tls12 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        if is_tls12 && RESERVED_LABELS.contains(&label) {
            let detail = "tls illegal exporter label: TLS itself uses it";
            return Err(Failure::new(Code::IllegalExporterLabel, None, detail));
        }
        match self.connection.export_keying_material(out, label, context) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(Code::InvalidArgument, None, error)),
        }
    }

    /// Queues close_notify (RFC 8446 section 6.1), once. Nothing may be sealed after it.
    pub fn close_notify(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether something is queued for [`write_to`](Self::write_to).
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes queued ciphertext, vectored if `io` can, and gives the number of bytes. One call
    /// writes at most 64 records, so call until [`wants_write`](Self::wants_write) is false.
    ///
    /// # Errors
    /// Those of `io`, with nothing lost.
    pub fn write_to(&mut self, io: &mut dyn Write) -> io::Result<usize> {
        let Some(trace) = &mut self.trace else { return self.connection.write_tls(io) };
        let written = self.connection.write_tls(&mut Traced { io, trace });
        if !self.connection.wants_write() {
            trace.sent_all();
        }
        written
    }

    /// Gives back what buffers an idle connection doesn't need: after large uploads some 16 KiB.
    /// Costs a reallocation, so call it when nothing came for a while, not at every read.
    pub fn shrink(&mut self) {
        // rustls shrinks its buffer before it reads.
        let _ = self.connection.read_tls(&mut NothingYet);
    }

    fn decrypt(&mut self, mut bytes: &[u8], plaintext: &mut Vec<u8>) -> Result<Received, Failure> {
        if let Some(trace) = &mut self.trace {
            trace.received(bytes);
        }
        let in_tls13 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let mut received = self.process(plaintext)?;
        while !received.close_notify && !bytes.is_empty() {
            // One record at a time, which shows whether it carries data.
            let Taken { bytes: mut part, header, is_whole } = self.received.take(&mut bytes);
            if let Some(header) = header {
                check_header(&header, in_tls13).map_err(|error| Failure::from(&error))?;
            }
            let before = plaintext.len();
            while !received.close_notify && !part.is_empty() {
                // Fails when a handshake message is above rustls' limit of 64 KiB.
                if self.connection.read_tls(&mut part).is_err() {
                    let error = Error::from(InvalidMessage::HandshakePayloadTooLarge);
                    return Err(Failure::from(&error));
                }
                received = self.process(plaintext)?;
            }
            if plaintext.len() > before {
                self.empty = 0;
            } else if is_whole && !received.close_notify {
                self.count_empty()?;
            }
        }
        Ok(received)
    }

    fn process(&mut self, plaintext: &mut Vec<u8>) -> Result<Received, Failure> {
        let state = self.connection.process_new_packets();
        drain(&mut self.connection, plaintext);
        match state {
            Ok(state) => Ok(Received { close_notify: state.peer_has_closed() }),
            Err(error) => Err(Failure::from(&error)),
        }
    }

    fn count_empty(&mut self) -> Result<(), Failure> {
        if self.empty == self.max_empty {
            let detail = format!("more than {} records in a row carry no data", self.max_empty);
            return Err(Failure::new(Code::EmptyRecords, Some(Alert::UnexpectedMessage), detail));
        }
        self.empty += 1;
        Ok(())
    }
}

/// Tells a trace what `io` took.
struct Traced<'a> {
    io: &'a mut dyn Write,
    trace: &'a mut Trace,
}

impl Write for Traced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.io.write(bytes)?;
        self.trace.sent(&bytes[..written]);
        Ok(written)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.io.write_vectored(slices)?;
        let mut left = written;
        for slice in slices {
            let part = left.min(slice.len());
            self.trace.sent(&slice[..part]);
            left -= part;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

/// Has no bytes, and no end either.
struct NothingYet;

impl Read for NothingYet {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Moves what rustls decrypted, without filling new memory with zeros first.
fn drain(connection: &mut ServerConnection, plaintext: &mut Vec<u8>) {
    let mut reader = connection.reader();
    // An error is only the end of the data, for one reason or another.
    while let Ok(chunk) = reader.fill_buf() {
        if chunk.is_empty() {
            break;
        }
        plaintext.extend_from_slice(chunk);
        let length = chunk.len();
        reader.consume(length);
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("wants_write", &self.wants_write()).finish_non_exhaustive()
    }
}

/// What RFC 8446 section 5.1 allows.
const MAX_FRAGMENT: u16 = 16_384;
/// What OpenSSL allows.
const MIN_FRAGMENT: u16 = 512;
/// What rustls, OpenSSL and BoringSSL allow of empty records.
const MAX_EMPTY: u8 = 32;

/// RFC 5705 section 4, RFC 7627 section 9. TLS 1.3 derives its own secrets with other prefixes.
const RESERVED_LABELS: [&[u8]; 5] = [
    b"client finished",
    b"server finished",
    b"master secret",
    b"extended master secret",
    b"key expansion",
];
