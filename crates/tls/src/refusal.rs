use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

use crate::{Alert, Code};

/// Why a client's certificate is not authorized, as OpenSSL names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal(pub(crate) Code);

impl Refusal {
    /// What tells the client (RFC 8446 section 6.2).
    pub(crate) fn alert(self) -> Alert {
        self.facts().0
    }

    /// The error that makes rustls send the alert.
    pub(crate) fn to_rustls(self) -> Error {
        match self.alert() {
            Alert::BadCertificate => CertificateError::BadEncoding.into(),
            Alert::UnsupportedCertificate => CertificateError::InvalidPurpose.into(),
            Alert::CertificateRevoked => CertificateError::Revoked.into(),
            Alert::CertificateExpired => CertificateError::Expired.into(),
            Alert::UnknownCa => CertificateError::UnknownIssuer.into(),
            _ => CertificateError::Other(OtherError(Arc::new(self))).into(),
        }
    }

    /// The one table of them, with OpenSSL's words.
    fn facts(self) -> (Alert, &'static str) {
        use Alert as A;
        match self.0 {
            Code::CertHasExpired => (A::CertificateExpired, "certificate has expired"),
            Code::CertNotYetValid => (A::CertificateExpired, "certificate is not yet valid"),
            Code::CertRevoked => (A::CertificateRevoked, "certificate revoked"),
            Code::CertSignatureFailure => (A::BadCertificate, "certificate signature failure"),
            Code::InvalidPurpose => (A::UnsupportedCertificate, "unsuitable certificate purpose"),
            Code::DepthZeroSelfSignedCert => (A::UnknownCa, "self-signed certificate"),
            Code::SelfSignedCertInChain => {
                (A::UnknownCa, "self-signed certificate in certificate chain")
            }
            Code::UnableToGetIssuerCert => (A::UnknownCa, "unable to get issuer certificate"),
            Code::UnableToGetIssuerCertLocally => {
                (A::UnknownCa, "unable to get local issuer certificate")
            }
            Code::UnableToVerifyLeafSignature => {
                (A::UnknownCa, "unable to verify the first certificate")
            }
            Code::UnableToGetCrl => (A::CertificateUnknown, "unable to get certificate CRL"),
            Code::CrlHasExpired => (A::CertificateUnknown, "CRL has expired"),
            Code::CrlSignatureFailure => (A::CertificateUnknown, "CRL signature failure"),
            Code::PathLengthExceeded => (A::CertificateUnknown, "path length constraint exceeded"),
            _ => (A::CertificateUnknown, "unsupported extension, algorithm or encoding"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client certificate is refused: {}", self.facts().1)
    }
}

impl std::error::Error for Refusal {}
