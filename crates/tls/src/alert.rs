use std::fmt;

/// Declares the alerts once: variant, number and OpenSSL's name.
macro_rules! alerts {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// A TLS alert (RFC 8446 section 6, RFC 5246 section 7.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Alert {
            $(#[doc = concat!("`", $name, "`, ", stringify!($number), ".")] $variant,)*
            /// A number without a name in the specifications.
            Unknown(u8),
        }

        impl Alert {
            /// The number on the wire.
            pub fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }

            /// The name in the specifications, for example `unknown_ca`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(_) => "unknown",
                }
            }
        }

        impl From<u8> for Alert {
            fn from(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }
        }
    };
}

alerts! {
    CloseNotify = 0, "close_notify";
    UnexpectedMessage = 10, "unexpected_message";
    BadRecordMac = 20, "bad_record_mac";
    DecryptionFailed = 21, "decryption_failed";
    RecordOverflow = 22, "record_overflow";
    DecompressionFailure = 30, "decompression_failure";
    HandshakeFailure = 40, "handshake_failure";
    NoCertificate = 41, "no_certificate";
    BadCertificate = 42, "bad_certificate";
    UnsupportedCertificate = 43, "unsupported_certificate";
    CertificateRevoked = 44, "certificate_revoked";
    CertificateExpired = 45, "certificate_expired";
    CertificateUnknown = 46, "certificate_unknown";
    IllegalParameter = 47, "illegal_parameter";
    UnknownCa = 48, "unknown_ca";
    AccessDenied = 49, "access_denied";
    DecodeError = 50, "decode_error";
    DecryptError = 51, "decrypt_error";
    ProtocolVersion = 70, "protocol_version";
    InsufficientSecurity = 71, "insufficient_security";
    InternalError = 80, "internal_error";
    InappropriateFallback = 86, "inappropriate_fallback";
    UserCanceled = 90, "user_canceled";
    NoRenegotiation = 100, "no_renegotiation";
    MissingExtension = 109, "missing_extension";
    UnsupportedExtension = 110, "unsupported_extension";
    UnrecognizedName = 112, "unrecognized_name";
    BadCertificateStatusResponse = 113, "bad_certificate_status_response";
    UnknownPskIdentity = 115, "unknown_psk_identity";
    CertificateRequired = 116, "certificate_required";
    NoApplicationProtocol = 120, "no_application_protocol";
}

impl Alert {
    /// The alert as a fatal record without encryption: right only while this end hasn't sent
    /// anything encrypted.
    pub fn plaintext_record(self) -> Vec<u8> {
        vec![ALERT, 3, 3, 0, 2, FATAL, self.number()]
    }

    /// Whether this is a plaintext record of a fatal alert, and nothing else.
    pub(crate) fn is_plaintext_record(bytes: &[u8]) -> bool {
        bytes.len() == 7 && Self::in_plaintext_record(bytes).is_some()
    }

    /// The alert in the plaintext record that ends `bytes`.
    pub(crate) fn in_plaintext_record(bytes: &[u8]) -> Option<Self> {
        match bytes.last_chunk()? {
            [ALERT, 3, _, 0, 2, FATAL, number] => Some(Self::from(*number)),
            _ => None,
        }
    }
}

const ALERT: u8 = 21;
pub(crate) const FATAL: u8 = 2;

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_round_trip() {
        for number in 0..=u8::MAX {
            assert_eq!(Alert::from(number).number(), number);
        }
    }
}
