//! The record layer of an open connection and what it is sending.

use std::io::{self, Write};

use super::outbox::{Batch, Outbox};
use crate::host::Host;
use crate::tls::{Failure, Received, Records};

pub(super) struct Channel {
    pub(super) records: Records,
    sending: Option<Sending>,
    /// What is queued are session tickets that wait for company: sent by themselves they would
    /// make the first answer wait for their acknowledgement (Nagle's algorithm, delayed ACK), and
    /// cost a send(2) of their own.
    holding: bool,
    moved: Moved,
}

/// Bytes sealed and sent.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) plaintext: usize,
    pub(super) wire: usize,
}

/// A batch of which the kernel does not have all yet.
struct Sending {
    batch: Batch,
    sealed: usize,
    close_notify: bool,
    /// The batch's plaintext, or that of a write which was sealed before, in bytes.
    bytes: usize,
}

/// Plaintext sealed before it is sent: one send(2) for so much.
const SEAL_AT_ONCE: usize = 128 * 1024;

impl Channel {
    /// `tickets`: all that is queued in `records` are session tickets.
    pub(super) fn new(records: Records, tickets: bool) -> Self {
        let holding = tickets && records.wants_write();
        Self { records, sending: None, holding, moved: Moved::default() }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some() || self.records.wants_write() && !self.holding
    }

    /// What was sealed and sent since this was last asked.
    pub(super) fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn is_holding(&self) -> bool {
        self.holding
    }

    /// What is held back is sent with the next flush.
    pub(super) fn let_go(&mut self) {
        self.holding = false;
    }

    /// Opens what came; `plaintext` gets what it held.
    pub(super) fn open(
        &mut self,
        ciphertext: &[u8],
        plaintext: &mut Vec<u8>,
    ) -> Result<Received, Failure> {
        let opened = self.records.receive(ciphertext, plaintext);
        if opened.is_err() {
            // An alert keeps no company.
            self.holding = false;
        }
        opened
    }

    /// Seals and sends at once; false when the kernel did not take all. Only while nothing is
    /// being sent.
    pub(super) fn send_now(&mut self, plaintext: &[u8], writer: &mut dyn Write) -> bool {
        self.holding = false;
        self.seal(plaintext);
        if self.write_out(writer).is_ok() {
            return true;
        }
        // Blocked or broken: the task will find out which.
        let batch = Batch { operations: 1, ..Batch::default() };
        let bytes = plaintext.len();
        self.sending = Some(Sending { batch, sealed: 0, close_notify: false, bytes });
        false
    }

    /// Seals, to be sent by [`write_out`](Self::write_out).
    pub(super) fn seal(&mut self, plaintext: &[u8]) {
        self.moved.plaintext += plaintext.len();
        self.records.seal(plaintext);
    }

    /// Sends until the kernel takes no more (`WouldBlock`) or all is sent, and adds the operations
    /// that were completed to `written`. `end` is called when the writable side has ended.
    pub(super) fn flush(
        &mut self,
        host: &Host,
        outbox: &Outbox,
        writer: &mut dyn Write,
        written: &mut u32,
        end: &mut dyn FnMut(),
    ) -> io::Result<()> {
        loop {
            if !std::mem::take(&mut self.holding) {
                self.write_out(writer)?;
            }
            let Some(sending) = &mut self.sending else {
                match outbox.take(host) {
                    None => return Ok(()),
                    Some(batch) => {
                        let bytes = batch.plaintext.len();
                        self.sending =
                            Some(Sending { batch, sealed: 0, close_notify: false, bytes });
                        continue;
                    }
                }
            };
            let unsealed = &sending.batch.plaintext[sending.sealed..];
            if !unsealed.is_empty() {
                let slice = &unsealed[..unsealed.len().min(SEAL_AT_ONCE)];
                self.moved.plaintext += slice.len();
                self.records.seal(slice);
                sending.sealed += slice.len();
            } else if sending.batch.end && !sending.close_notify {
                self.records.close_notify();
                sending.close_notify = true;
            } else {
                *written += sending.batch.operations;
                outbox.sent(host, sending.bytes);
                if sending.batch.end {
                    end();
                }
                self.sending = None;
            }
        }
    }

    /// Says that nothing more will come; false when the peer has not taken what there was before.
    pub(super) fn farewell(&mut self, writer: &mut dyn Write) -> bool {
        if self.is_sending() {
            return false;
        }
        self.records.close_notify();
        self.write_out(writer).is_ok()
    }

    /// Sends the ciphertext that is there.
    pub(super) fn write_out(&mut self, writer: &mut dyn Write) -> io::Result<()> {
        while self.records.wants_write() {
            match self.records.write_to(writer) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.moved.wire += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
