use rustls::crypto::cipher::{InboundOpaqueMessage, InboundPlainMessage, MessageDecrypter};
use rustls::{ContentType, Error, InvalidMessage, PeerMisbehaved};

use crate::inbound::message_length;

/// Opens the records of a connection, and finds in them what rustls would answer with another alert
/// than the RFC names.
pub(crate) struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    /// The length of a Finished.
    verify_data: usize,
    /// The header of the handshake message that is on its way.
    header: [u8; 4],
    filled: usize,
    /// How much of that message is to come.
    left: usize,
}

impl Opener {
    pub(crate) fn new(decrypter: Box<dyn MessageDecrypter>, verify_data: usize) -> Self {
        Self { decrypter, verify_data, header: [0; 4], filled: 0, left: 0 }
    }

    /// A Finished of another length is malformed, which is decode_error; rustls takes it for one of
    /// another handshake, which is decrypt_error (RFC 8446 section 6.2).
    fn check_finished(&mut self, mut handshake: &[u8]) -> Result<(), Error> {
        while let Some((&byte, rest)) = handshake.split_first() {
            if self.left > 0 {
                let skipped = self.left.min(handshake.len());
                self.left -= skipped;
                handshake = &handshake[skipped..];
                continue;
            }
            self.header[self.filled] = byte;
            self.filled = (self.filled + 1) % self.header.len();
            handshake = rest;
            if self.filled == 0 {
                let whole = message_length(&self.header).unwrap_or_default();
                self.left = whole.saturating_sub(self.header.len());
                if self.header[0] == FINISHED && self.left != self.verify_data {
                    return Err(InvalidMessage::TrailingData("Finished").into());
                }
            }
        }
        Ok(())
    }
}

impl MessageDecrypter for Opener {
    fn decrypt<'a>(
        &mut self,
        message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let message = self.decrypter.decrypt(message, seq)?;
        match message.typ {
            // RFC 8446 section 5.4, RFC 5246 section 6.2.1.
            ContentType::Handshake | ContentType::Alert if message.payload.is_empty() => {
                return Err(PeerMisbehaved::IllegalTlsInnerPlaintext.into());
            }
            ContentType::Handshake => self.check_finished(message.payload)?,
            _ => {}
        }
        Ok(message)
    }
}

const FINISHED: u8 = 20;
