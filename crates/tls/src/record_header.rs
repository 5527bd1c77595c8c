use rustls::{ContentType, Error, InvalidMessage};

use crate::inbound::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, MAX_PAYLOAD};

/// Checks what a header alone shows to be wrong, before rustls sees the record: rustls would
/// find it later, or answer with another alert. The version is left to rustls.
///
/// `in_tls13` means behind the ServerHello of TLS 1.3, where all but a client's alert at the very
/// start and ChangeCipherSpec is encrypted.
pub(crate) fn check_header(header: &[u8; HEADER], in_tls13: bool) -> Result<(), Error> {
    let [kind, _, _, length @ ..] = *header;
    // RFC 8446 sections 5 and 5.2, RFC 5246 section 7.2.2.
    let most = if in_tls13 { MAX_TLS13_PAYLOAD } else { MAX_PAYLOAD };
    if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) {
        Err(InvalidMessage::InvalidContentType.into())
    } else if usize::from(u16::from_be_bytes(length)) > most {
        Err(Error::PeerSentOversizedRecord)
    } else if in_tls13 && kind == HANDSHAKE {
        Err(Error::InappropriateMessage {
            expect_types: vec![ContentType::ApplicationData],
            got_type: ContentType::Handshake,
        })
    } else {
        Ok(())
    }
}

/// The most that TLS 1.3 allows in an encrypted record.
pub(crate) const MAX_TLS13_PAYLOAD: usize = 16_384 + 256;
