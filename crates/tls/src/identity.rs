use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::choice::Signature;
use crate::rsa_key::modulus_bits;
use crate::signature_scheme::PreferringKey;
use crate::{ContextError, KeyType, SignatureScheme as OwnScheme};

/// A certificate chain and the private key of its first certificate.
pub struct Identity {
    /// The chain: the server's own certificate first, then each one's issuer. The root may be
    /// left out.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key: PKCS#8, PKCS#1 or SEC1. Wiped from memory when it is dropped.
    pub key: Zeroizing<PrivateKeyDer<'static>>,
}

impl Identity {
    /// Reads the PEM texts of a chain and of an unencrypted key.
    ///
    /// # Errors
    /// [`ContextError`] with the codes of `tls.createSecureContext`. Whether the key fits the
    /// certificate is checked by [`ServerContext::new`](crate::ServerContext::new).
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, ContextError> {
        Ok(Self { chain: certificates_from_pem(cert)?, key: key_from_pem(key)?.into() })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What a key costs to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// Above 2048 bits.
    LargeRsa,
    Rsa,
    Other,
}

/// An identity whose key can sign and belongs to its certificate.
pub(crate) struct CheckedIdentity {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) kind: KeyKind,
    /// SHA-256 of the server's certificate.
    pub(crate) digest: aws_lc_rs::digest::Digest,
}

impl CheckedIdentity {
    /// It signs with the first of `schemes` that the client takes.
    pub(crate) fn new(
        identity: Identity,
        provider: &CryptoProvider,
        schemes: &Arc<[OwnScheme]>,
    ) -> Result<Self, ContextError> {
        let Identity { chain, key } = identity;
        check_chain(&chain)?;
        let bits = checked_size(&key)?;
        // rustls wipes its copy too.
        let key = load_key(key.clone_key(), provider)?;
        if !fits(&chain[0], &*key) {
            return Err(ContextError::KeyMismatch);
        }
        let key = Arc::new(PreferringKey::new(key, Arc::clone(schemes)));
        let certified = CertifiedKey::new(chain, key);
        let kind = match certified.key.algorithm() {
            SignatureAlgorithm::RSA if bits.is_some_and(|bits| bits > 2048) => KeyKind::LargeRsa,
            SignatureAlgorithm::RSA => KeyKind::Rsa,
            _ => KeyKind::Other,
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certified.cert[0]);
        Ok(Self { key: Arc::new(certified), kind, digest })
    }

    pub(crate) fn signs_one_of(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    /// What it will sign with for a client that takes `schemes`.
    pub(crate) fn signature(&self, schemes: &[SignatureScheme]) -> Option<Signature> {
        let number = self.key.key.choose_scheme(schemes)?.scheme().into();
        let scheme = OwnScheme::from_number(number)?;
        Some(Signature { key_type: KeyType::from_rustls(self.algorithm())?, scheme })
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }
}

/// Answers with one identity: the choice was made before rustls asks.
#[derive(Debug)]
pub(crate) struct TheOnlyIdentity(pub(crate) Arc<CertifiedKey>);

impl ResolvesServerCert for TheOnlyIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Every certificate of a PEM text.
///
/// # Errors
/// [`ContextError`] with the codes of `tls.createSecureContext`, also when there is none.
fn certificates_from_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, ContextError> {
    const EXPECTED: &str = "a certificate";
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(&error, EXPECTED))?;
    if certificates.is_empty() {
        return Err(ContextError::PemNoStartLine { expected: EXPECTED });
    }
    Ok(certificates)
}

fn key_from_pem(text: &[u8]) -> Result<PrivateKeyDer<'static>, ContextError> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        // OpenSSL doesn't tell a missing key from one it can't read.
        Err(pem::Error::NoItemsFound) => Err(ContextError::UnsupportedKey),
        Err(error) => Err(pem_error(&error, "a private key")),
    }
}

fn pem_error(error: &pem::Error, expected: &'static str) -> ContextError {
    match error {
        pem::Error::MissingSectionEnd { .. } => ContextError::PemBadEndLine { expected },
        pem::Error::Base64Decode(_) => ContextError::PemBadBase64 { expected },
        _ => ContextError::PemNoStartLine { expected },
    }
}

fn check_chain(chain: &[CertificateDer<'static>]) -> Result<(), ContextError> {
    if chain.is_empty() {
        return Err(ContextError::NoCertificate);
    }
    for (index, certificate) in chain.iter().enumerate() {
        // webpki reads version 3 only; self-signed certificates of version 1 still exist.
        match webpki::EndEntityCert::try_from(certificate) {
            Ok(_) | Err(webpki::Error::UnsupportedCertVersion) => {}
            Err(error) => {
                return Err(ContextError::BadCertificate {
                    place: format!("certificate {} of the chain", index + 1),
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// The length of an RSA key, if it is one and long enough: rustls tries one algorithm after the
/// other, and its last error says nothing of the first.
fn checked_size(key: &PrivateKeyDer<'_>) -> Result<Option<usize>, ContextError> {
    match modulus_bits(key) {
        Some(bits) if bits < 2048 => Err(ContextError::KeyTooSmall { bits }),
        bits => Ok(bits),
    }
}

pub(crate) fn load_key(
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, ContextError> {
    provider.key_provider.load_private_key(key).map_err(|_| ContextError::UnsupportedKey)
}

/// Whether a certificate is for this key.
pub(crate) fn fits(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    Certificate::read(certificate)
        .is_some_and(|certificate| key.public_key() == Some(certificate.public_key()))
}

/// The chain that a client is shown, shared with the context.
#[derive(Clone)]
pub(crate) struct OwnChain(Arc<CertifiedKey>);

impl OwnChain {
    pub(crate) fn of(identity: &CheckedIdentity) -> Self {
        Self(Arc::clone(&identity.key))
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// A resolver that staples this OCSP response.
    pub(crate) fn with_ocsp(&self, response: Vec<u8>) -> TheOnlyIdentity {
        TheOnlyIdentity(Arc::new(CertifiedKey { ocsp: Some(response), ..(*self.0).clone() }))
    }
}

impl fmt::Debug for OwnChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnChain").field(&self.certificates().len()).finish()
    }
}
