use std::fmt;
use std::time::Duration;

use crate::{Code, Pkcs12Fault, ProtocolVersion};

/// Why a [`ServerContext`](crate::ServerContext) can't be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextError {
    /// A key was given without a certificate.
    NoCertificate,
    /// A PEM text holds no block of the wanted kind.
    PemNoStartLine {
        /// What was looked for.
        expected: &'static str,
    },
    /// A PEM block isn't base64.
    PemBadBase64 {
        /// What was looked for.
        expected: &'static str,
    },
    /// A PEM block starts and doesn't end.
    PemBadEndLine {
        /// What was looked for.
        expected: &'static str,
    },
    /// A certificate can't be read.
    BadCertificate {
        /// Where it stands, for example `certificate 2 of identity` or `root 1`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key is of no supported kind: RSA 2048 to 8192, ECDSA P-256, P-384, P-521 or
    /// Ed25519, as PKCS#8, PKCS#1 or SEC1, without a passphrase.
    UnsupportedKey,
    /// An RSA key below 2048 bits.
    KeyTooSmall {
        /// The length of its modulus.
        bits: usize,
    },
    /// The private key isn't the one of the first certificate.
    KeyMismatch,
    /// The lowest version is above the highest.
    VersionRange {
        /// The lowest version.
        min: ProtocolVersion,
        /// The highest version.
        max: ProtocolVersion,
    },
    /// None of the cipher suites belongs to a version between the lowest and the highest.
    NoCipherSuite,
    /// The list of signature schemes is empty.
    NoSignatureScheme,
    /// A certificate revocation list can't be read.
    BadCrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The list of groups is empty, or holds none that TLS 1.2 can use.
    NoGroup {
        /// The version that is left without a group.
        version: ProtocolVersion,
    },
    /// An ALPN protocol isn't 1 to 255 bytes long.
    BadAlpn {
        /// Its length.
        length: usize,
    },
    /// A lifetime is zero or above 7 days.
    BadLifetime {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: Duration,
    },
    /// A PKCS#12 file can't be used.
    BadPkcs12(Pkcs12Fault),
    /// The system gave no random bytes, or another fault of this end.
    Internal(String),
}

impl ContextError {
    /// What users match in `error.code`.
    pub fn code(&self) -> Code {
        match self {
            Self::PemNoStartLine { .. } => Code::PemNoStartLine,
            Self::PemBadBase64 { .. } => Code::PemBadBase64Decode,
            Self::PemBadEndLine { .. } => Code::PemBadEndLine,
            Self::BadCertificate { .. } => Code::Asn1NotEnoughData,
            Self::UnsupportedKey => Code::KeyUnsupported,
            Self::KeyTooSmall { .. } => Code::KeyTooSmall,
            Self::KeyMismatch => Code::KeyValuesMismatch,
            Self::VersionRange { .. } => Code::InvalidProtocolVersion,
            Self::NoCipherSuite => Code::NoCipherMatch,
            Self::BadPkcs12(Pkcs12Fault::Unsupported) => Code::CryptoUnsupportedOperation,
            Self::BadCrl { .. } | Self::BadPkcs12(_) => Code::CryptoOperationFailed,
            Self::NoCertificate
            | Self::NoSignatureScheme
            | Self::NoGroup { .. }
            | Self::BadAlpn { .. }
            | Self::BadLifetime { .. } => Code::InvalidArgument,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => write!(f, "expected at least one certificate with the key"),
            Self::PemNoStartLine { expected } => {
                write!(f, "expected a PEM block with {expected}, found none")
            }
            Self::PemBadBase64 { expected } => {
                write!(f, "expected base64 in the PEM block with {expected}")
            }
            Self::PemBadEndLine { expected } => {
                write!(f, "expected an END line after the PEM block with {expected}")
            }
            Self::BadCertificate { place, reason } => write!(f, "{place} can't be read: {reason}"),
            Self::UnsupportedKey => write!(
                f,
                "expected an unencrypted RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or \
                 Ed25519 private key as PKCS#8, PKCS#1 or SEC1"
            ),
            Self::KeyTooSmall { bits } => {
                write!(f, "expected an RSA key of at least 2048 bits, got one of {bits}")
            }
            Self::KeyMismatch => {
                write!(f, "the private key doesn't belong to the first certificate")
            }
            Self::VersionRange { min, max } => write!(
                f,
                "the lowest version {} is above the highest {}",
                min.as_str(),
                max.as_str()
            ),
            Self::NoCipherSuite => {
                write!(f, "none of the cipher suites belongs to a version that is spoken")
            }
            Self::NoSignatureScheme => write!(f, "expected at least one signature scheme"),
            Self::BadCrl { reason } => {
                write!(f, "a certificate revocation list can't be read: {reason}")
            }
            Self::NoGroup { version } => {
                write!(f, "none of the groups can be used with {}", version.as_str())
            }
            Self::BadAlpn { length } => {
                write!(f, "expected ALPN protocols of 1 to 255 bytes, got one of {length}")
            }
            Self::BadLifetime { option, value } => {
                write!(f, "expected {option} between 1 s and 7 days, got {value:?}")
            }
            Self::BadPkcs12(fault) => f.write_str(fault.message()),
            Self::Internal(detail) => f.write_str(detail),
        }
    }
}

impl std::error::Error for ContextError {}
