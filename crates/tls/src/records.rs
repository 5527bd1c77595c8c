use std::fmt;
use std::io::{self, BufRead, Read, Write};

use rustls::ServerConnection;

use crate::Failure;

/// The record layer of an established connection: ciphertext in, plaintext out, and back.
///
/// After [`Established`](crate::Established) there may be bytes to send (TLS 1.3 tickets, the
/// TLS 1.2 Finished) and data that came behind the client's Finished: see
/// [`wants_write`](Self::wants_write) and [`has_early_data`](Self::has_early_data).
pub struct Records {
    connection: Box<ServerConnection>,
    /// What came behind the client's Finished.
    behind_finished: Vec<u8>,
}

/// What [`Records::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The peer sent close_notify: no more data will come. What stands behind it was ignored.
    pub close_notify: bool,
}

impl Records {
    pub(crate) fn new(connection: Box<ServerConnection>, behind_finished: Vec<u8>) -> Self {
        Self { connection, behind_finished }
    }

    /// Whether ciphertext came in the same flight as the client's Finished: then call
    /// `receive(&[], ..)` at once, without waiting for the socket.
    pub fn has_early_data(&self) -> bool {
        !self.behind_finished.is_empty()
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
        let early = std::mem::take(&mut self.behind_finished);
        let mut received = self.decrypt(&early, plaintext)?;
        if !ciphertext.is_empty() {
            received = self.decrypt(ciphertext, plaintext)?;
        }
        Ok(received)
    }

    /// Encrypts `plaintext` into records of at most 16 KiB and queues them. There is no limit:
    /// whoever calls bounds what is queued.
    pub fn seal(&mut self, plaintext: &[u8]) {
        // Into memory, without a limit: fails only after an error, when nothing is sent any more.
        let _ = self.connection.writer().write_all(plaintext);
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
        self.connection.write_tls(io)
    }

    /// Gives back what buffers an idle connection doesn't need: after large uploads some 16 KiB.
    /// Costs a reallocation, so call it when nothing came for a while, not at every read.
    pub fn shrink(&mut self) {
        // rustls shrinks its buffer before it reads.
        let _ = self.connection.read_tls(&mut NothingYet);
    }

    fn decrypt(&mut self, mut bytes: &[u8], plaintext: &mut Vec<u8>) -> Result<Received, Failure> {
        loop {
            let state = self.connection.process_new_packets();
            drain(&mut self.connection, plaintext);
            let state = state.map_err(|error| Failure::from(&error))?;
            if state.peer_has_closed() || bytes.is_empty() {
                return Ok(Received { close_notify: state.peer_has_closed() });
            }
            if let Err(error) = self.connection.read_tls(&mut bytes) {
                return Err(Failure::new(
                    crate::Code::PacketLengthTooLong,
                    None,
                    format!("more than one record without an end: {error}"),
                ));
            }
        }
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
