//! The record layer of an open connection and what it is sending.

use std::io::{self, Write};

use super::outbox::{Batch, Outbox};
use crate::host::Host;
use crate::tls::Records;

pub(super) struct Channel {
    pub(super) records: Records,
    sending: Option<Sending>,
}

/// A batch of which the kernel does not have all yet.
struct Sending {
    batch: Batch,
    sealed: usize,
    close_notify: bool,
}

/// Plaintext sealed before it is sent: one send(2) for so much.
const SEAL_AT_ONCE: usize = 128 * 1024;

impl Channel {
    pub(super) fn new(records: Records) -> Self {
        Self { records, sending: None }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some() || self.records.wants_write()
    }

    /// Seals and sends at once; false when the kernel did not take all. Only while nothing is
    /// being sent.
    pub(super) fn send_now(&mut self, plaintext: &[u8], writer: &mut dyn Write) -> bool {
        self.records.seal(plaintext);
        if self.write_out(writer).is_ok() {
            return true;
        }
        // Blocked or broken: the task will find out which.
        let batch = Batch { operations: 1, ..Batch::default() };
        self.sending = Some(Sending { batch, sealed: 0, close_notify: false });
        false
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
            self.write_out(writer)?;
            let Some(sending) = &mut self.sending else {
                match outbox.take(host) {
                    None => return Ok(()),
                    Some(batch) => {
                        self.sending = Some(Sending { batch, sealed: 0, close_notify: false });
                        continue;
                    }
                }
            };
            let unsealed = &sending.batch.plaintext[sending.sealed..];
            if !unsealed.is_empty() {
                let slice = &unsealed[..unsealed.len().min(SEAL_AT_ONCE)];
                self.records.seal(slice);
                sending.sealed += slice.len();
            } else if sending.batch.end && !sending.close_notify {
                self.records.close_notify();
                sending.close_notify = true;
            } else {
                *written += sending.batch.operations;
                if sending.batch.end {
                    end();
                }
                self.sending = None;
            }
        }
    }

    /// Sends the ciphertext that is there.
    pub(super) fn write_out(&mut self, writer: &mut dyn Write) -> io::Result<()> {
        while self.records.wants_write() {
            match self.records.write_to(writer) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
