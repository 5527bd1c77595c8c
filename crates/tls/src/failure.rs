use std::fmt;

use rustls::server::AcceptedAlert;
use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use crate::{Alert, Code, ProtocolVersion};

/// Why a handshake or a connection ended.
///
/// Its `Display` is the message of the JavaScript error, without the code.
#[derive(Clone, Debug)]
pub struct Failure {
    code: Code,
    alert: Option<Alert>,
    detail: String,
    bytes: Vec<u8>,
}

impl Failure {
    /// What users match in `error.code`.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The alert that tells the peer, or `None`: for a peer that speaks no TLS, that sent an
    /// alert itself, or to whom none can be sent any more.
    pub fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// What happened, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Bytes still to be sent before the connection is closed: the alert, and what was queued
    /// before it. Empty for failures of [`Records`](crate::Records), which send their own.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn new(code: Code, alert: Option<Alert>, detail: impl fmt::Display) -> Self {
        Self { code, alert, detail: Detail::of(detail), bytes: Vec::new() }
    }

    /// A failure before anything was encrypted, so that the alert is a plaintext record.
    pub(crate) fn in_the_clear(code: Code, alert: Alert, detail: impl fmt::Display) -> Self {
        Self { bytes: alert.plaintext_record(), ..Self::new(code, Some(alert), detail) }
    }

    /// A failure of the first answer. Where rustls queued no alert, nothing is encrypted yet.
    pub(crate) fn of_hello(
        error: &Error,
        mut queued: AcceptedAlert,
        version: Option<ProtocolVersion>,
    ) -> Self {
        let failure = Self::from(error);
        let failure = match error {
            Error::PeerIncompatible(incompatible) if version == Some(ProtocolVersion::Tls12) => {
                let (code, alert) = of_incompatible_tls12(incompatible);
                Self { code, alert, ..failure }
            }
            _ => failure,
        };
        let mut bytes = Vec::new();
        // Writing to memory doesn't fail.
        let _ = queued.write_all(&mut bytes);
        // While nothing else was sent, the table has the last word: rustls' own alerts are coarser.
        let lone = bytes.is_empty() || Alert::is_plaintext_record(&bytes);
        match failure.alert {
            Some(alert) if lone => failure.with_bytes(alert.plaintext_record()),
            _ => failure.with_bytes(bytes),
        }
    }

    /// The failure with what is to be sent. An alert that can be read there is the one that the
    /// client gets, whatever the table says.
    pub(crate) fn with_bytes(self, bytes: Vec<u8>) -> Self {
        let alert = Alert::in_plaintext_record(&bytes).or(self.alert);
        Self { bytes, alert, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (code, alert) = code_and_alert(error);
        Self::new(code, alert, error)
    }
}

/// The one table from rustls' errors to codes and alerts.
pub(crate) fn code_and_alert(error: &Error) -> (Code, Option<Alert>) {
    match error {
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            (Code::UnexpectedMessage, Some(Alert::UnexpectedMessage))
        }
        Error::InvalidMessage(invalid) => of_invalid_message(*invalid),
        Error::NoCertificatesPresented => {
            (Code::PeerDidNotReturnACertificate, Some(Alert::CertificateRequired))
        }
        Error::DecryptError => (Code::DecryptionFailed, Some(Alert::BadRecordMac)),
        Error::PeerIncompatible(incompatible) => of_incompatible(incompatible),
        Error::PeerMisbehaved(misbehaved) => of_misbehaved(misbehaved),
        Error::AlertReceived(alert) => (Code::AlertReceived(Alert::from(u8::from(*alert))), None),
        Error::InvalidCertificate(invalid) => of_certificate(invalid),
        Error::PeerSentOversizedRecord => (Code::PacketLengthTooLong, Some(Alert::RecordOverflow)),
        Error::NoApplicationProtocol => {
            (Code::NoApplicationProtocol, Some(Alert::NoApplicationProtocol))
        }
        Error::EncryptError => (Code::ProtocolIsShutdown, None),
        _ => (Code::Internal, Some(Alert::InternalError)),
    }
}

fn of_invalid_message(invalid: InvalidMessage) -> (Code, Option<Alert>) {
    use InvalidMessage as I;
    match invalid {
        I::HandshakePayloadTooLarge | I::CertificatePayloadTooLarge => {
            (Code::ExcessiveMessageSize, Some(Alert::DecodeError))
        }
        I::MessageTooLarge => (Code::PacketLengthTooLong, Some(Alert::DecodeError)),
        I::InvalidContentType => (Code::BadRecordType, Some(Alert::UnexpectedMessage)),
        I::UnknownProtocolVersion => (Code::WrongVersionNumber, Some(Alert::DecodeError)),
        I::UnexpectedMessage(_) | I::InvalidCcs => {
            (Code::UnexpectedMessage, Some(Alert::DecodeError))
        }
        // A second name of one type is well-formed, and forbidden (RFC 6066 section 3).
        I::DuplicateExtension(_) | I::PreSharedKeyIsNotFinalExtension | I::InvalidServerName => {
            (Code::BadExtension, Some(Alert::IllegalParameter))
        }
        I::IllegalEmptyList(_) | I::NoSignatureSchemes | I::UnknownCertificateExtension => {
            (Code::BadExtension, Some(Alert::DecodeError))
        }
        _ => (Code::LengthMismatch, Some(Alert::DecodeError)),
    }
}

fn of_incompatible(incompatible: &PeerIncompatible) -> (Code, Option<Alert>) {
    use PeerIncompatible as P;
    match incompatible {
        P::NoCipherSuitesInCommon => (Code::NoSharedCipher, Some(Alert::HandshakeFailure)),
        P::NoKxGroupsInCommon => (Code::NoSuitableKeyShare, Some(Alert::HandshakeFailure)),
        P::KeyShareExtensionRequired | P::NamedGroupsExtensionRequired => {
            (Code::NoSuitableKeyShare, Some(Alert::MissingExtension))
        }
        P::SignatureAlgorithmsExtensionRequired => {
            (Code::MissingSigalgsExtension, Some(Alert::MissingExtension))
        }
        P::NoSignatureSchemesInCommon | P::NoCertificateRequestSignatureSchemesInCommon => {
            (Code::NoSuitableSignatureAlgorithm, Some(Alert::HandshakeFailure))
        }
        P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::SupportedVersionsExtensionRequired
        | P::ServerTlsVersionIsDisabledByOurConfig => {
            (Code::UnsupportedProtocol, Some(Alert::ProtocolVersion))
        }
        P::NullCompressionRequired => (Code::NoCompressionSpecified, Some(Alert::IllegalParameter)),
        P::UncompressedEcPointsRequired
        | P::EcPointsExtensionRequired
        | P::NoEcPointFormatsInCommon => (Code::BadExtension, Some(Alert::IllegalParameter)),
        _ => (Code::BadExtension, Some(Alert::HandshakeFailure)),
    }
}

/// OpenSSL finds no cipher suite of TLS 1.2 usable without a group and a signature algorithm.
fn of_incompatible_tls12(incompatible: &PeerIncompatible) -> (Code, Option<Alert>) {
    match of_incompatible(incompatible) {
        (
            Code::NoSuitableKeyShare
            | Code::NoSuitableSignatureAlgorithm
            | Code::MissingSigalgsExtension,
            _,
        ) => (Code::NoSharedCipher, Some(Alert::HandshakeFailure)),
        other => other,
    }
}

fn of_misbehaved(misbehaved: &PeerMisbehaved) -> (Code, Option<Alert>) {
    use PeerMisbehaved as P;
    match misbehaved {
        P::InvalidKeyShare | P::OfferedDuplicateKeyShares | P::WrongGroupForKeyShare => {
            (Code::BadKeyShare, Some(Alert::IllegalParameter))
        }
        P::IncorrectBinder => (Code::BinderDoesNotVerify, Some(Alert::DecryptError)),
        P::MissingBinderInPskExtension => (Code::BadPsk, Some(Alert::DecodeError)),
        P::PskExtensionWithMismatchedIdsAndBinders | P::PskExtensionMustBeLast => {
            (Code::BadPsk, Some(Alert::IllegalParameter))
        }
        P::MissingPskModesExtension | P::MissingPskExtensionInSecondClientHello => {
            (Code::BadPsk, Some(Alert::MissingExtension))
        }
        P::TooManyKeyUpdateRequests | P::TooManyEmptyFragments => {
            (Code::EmptyRecords, Some(Alert::UnexpectedMessage))
        }
        P::TooManyWarningAlertsReceived => {
            (Code::TooManyWarnAlerts, Some(Alert::UnexpectedMessage))
        }
        P::TooManyRenegotiationRequests => (Code::NoRenegotiation, Some(Alert::UnexpectedMessage)),
        P::IllegalMiddleboxChangeCipherSpec
        | P::MessageInterleavedWithHandshakeMessage
        | P::KeyEpochWithPendingFragment
        | P::IllegalTlsInnerPlaintext => (Code::UnexpectedMessage, Some(Alert::UnexpectedMessage)),
        // It can't be early data, which ends before the first record that can be decrypted.
        P::RejectedEarlyDataInterleavedWithHandshakeMessage => {
            (Code::DecryptionFailed, Some(Alert::BadRecordMac))
        }
        P::SignedKxWithWrongAlgorithm | P::SignedHandshakeWithUnadvertisedSigScheme => {
            (Code::BadSignature, Some(Alert::IllegalParameter))
        }
        _ => (Code::BadExtension, Some(Alert::IllegalParameter)),
    }
}

/// Of the signature that shows that a client has the key of its certificate; whom that authorizes
/// is said by a [`Refusal`](crate::refusal::Refusal).
fn of_certificate(invalid: &CertificateError) -> (Code, Option<Alert>) {
    match invalid {
        CertificateError::BadEncoding => (Code::BadSignature, Some(Alert::BadCertificate)),
        _ => (Code::BadSignature, Some(Alert::DecryptError)),
    }
}

/// What happened, in words: a writer that stops at its limit. A peer can make some of rustls'
/// messages long, such as by a certificate with thousands of purposes.
struct Detail(String);

impl Detail {
    /// With what marks the cut 512 bytes.
    const LIMIT: usize = 512 - Self::CUT.len();
    const CUT: &str = " ...";

    fn of(detail: impl fmt::Display) -> String {
        let mut text = Self(String::new());
        if fmt::write(&mut text, format_args!("{detail}")).is_err() {
            text.0.push_str(Self::CUT);
        }
        text.0
    }
}

impl fmt::Write for Detail {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = Self::LIMIT - self.0.len();
        if piece.len() <= room {
            self.0.push_str(piece);
            return Ok(());
        }
        let cut = (0..=room).rev().find(|&at| piece.is_char_boundary(at)).unwrap_or(0);
        self.0.push_str(&piece[..cut]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No rustls client can be made to send it.
    #[test]
    fn a_record_inside_a_handshake_message_that_opens_with_no_key_is_bad_record_mac() {
        let error = PeerMisbehaved::RejectedEarlyDataInterleavedWithHandshakeMessage.into();
        assert_eq!(Failure::from(&error).alert(), Some(Alert::BadRecordMac));
    }

    #[test]
    fn a_long_detail_is_cut_between_two_characters() {
        let detail = |text: &str| Failure::new(Code::Internal, None, text).detail;
        assert_eq!(detail(&"x".repeat(508)), "x".repeat(508));
        assert_eq!(detail(&"x".repeat(509)), "x".repeat(508) + " ...");
        assert_eq!(detail(&("x".repeat(507) + "\u{e9}")), "x".repeat(507) + " ...");
    }

    #[test]
    fn what_is_behind_the_limit_is_not_even_formatted() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("purpose, ")?;
                }
            }
        }
        assert_eq!(Failure::new(Code::Internal, None, Endless).detail.len(), 512);
    }
}
