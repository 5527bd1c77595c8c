use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use crate::ProtocolVersion;
use crate::certificate::Certificate;

/// Verifies that the owner of a client's certificate signed the handshake.
///
/// rustls refuses certificates of version 1 or with unknown extensions here already. It is given
/// the key alone, so that their owners can be served where nobody must be authorized.
pub(crate) fn verify(
    version: ProtocolVersion,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?.public_key();
    match version {
        ProtocolVersion::Tls12 => with_key(message, &key, signature, algorithms),
        ProtocolVersion::Tls13 => {
            verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
        }
    }
    .map_err(|error| match error {
        // Scheme and certificate are inconsistent, which is illegal_parameter, as OpenSSL says too.
        Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => wrong_scheme(),
        error => error,
    })
}

fn wrong_scheme() -> Error {
    PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()
}

/// What rustls has for TLS 1.3 alone. In TLS 1.2 the curve isn't part of the scheme.
fn with_key(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let bad_signature = || Error::from(CertificateError::BadSignature);
    let key = RawPublicKeyEntity::try_from(key).map_err(|_| CertificateError::BadEncoding)?;
    let (_, candidates) = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signature.scheme)
        .ok_or_else(bad_signature)?;
    let mut error = wrong_scheme();
    for &algorithm in *candidates {
        match key.verify_signature(algorithm, message, signature.signature()) {
            Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => error = bad_signature(),
        }
    }
    Err(error)
}
