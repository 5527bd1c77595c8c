use std::fmt;

use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::identity::{fits, load_key};
use crate::{ContextError, Identity};

/// What a PKCS#12 file holds (RFC 7292): the `pfx` option of `tls.createSecureContext`.
pub struct Pkcs12 {
    /// The first private key as PKCS#8. Wiped from memory when it is dropped.
    pub key: Zeroizing<PrivateKeyDer<'static>>,
    /// The key's certificate, then all others in the order of the file.
    pub chain: Vec<CertificateDer<'static>>,
    /// All certificates but the key's own. `node:tls` trusts them to sign those of clients.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl From<Pkcs12> for Identity {
    fn from(Pkcs12 { key, chain, .. }: Pkcs12) -> Self {
        Self { chain, key }
    }
}

impl fmt::Debug for Pkcs12 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs12").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Why a PKCS#12 file can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pkcs12Fault {
    /// It was made with another passphrase, or was changed.
    WrongPassphrase,
    /// It is no DER of a PKCS#12 file.
    Malformed,
    /// It is encrypted in another way than PBES2, or SHA-1 with RC2-40 or 3DES.
    Unsupported,
    /// It has no private key.
    NoKey,
    /// It has no certificate for its private key.
    NoCertificate,
}

impl Pkcs12Fault {
    /// The message of `tls.createSecureContext`.
    pub fn message(self) -> &'static str {
        match self {
            Self::WrongPassphrase => "mac verify failure",
            Self::Malformed => "not enough data",
            Self::Unsupported => "Unsupported PKCS12 PFX data",
            Self::NoKey => "Unable to load private key from PFX data",
            Self::NoCertificate => "Unable to load certificate from PFX data",
        }
    }
}

/// Opens a PKCS#12 file. Without a passphrase an empty one is tried.
///
/// Deriving the keys takes from a millisecond to seconds, as many iterations as the file asks for.
///
/// # Errors
/// [`ContextError::BadPkcs12`].
pub fn parse_pkcs12(data: &[u8], passphrase: Option<&str>) -> Result<Pkcs12, ContextError> {
    let archive = Pkcs12Archive::from_pkcs12(data, passphrase.unwrap_or_default())
        .map_err(|error| fault(&error))?;
    let key_bag = archive.keys.first().ok_or(Pkcs12Fault::NoKey)?;
    let key = Zeroizing::new(PrivateKeyDer::Pkcs8(key_bag.key.as_der().to_vec().into()));
    let own = own_certificate(&archive.certs, key_bag, &key).ok_or(Pkcs12Fault::NoCertificate)?;

    let mut authorities: Vec<_> = archive.certs.iter().map(der).collect();
    let leaf = authorities.remove(own);
    let chain = std::iter::once(leaf).chain(authorities.iter().cloned()).collect();
    Ok(Pkcs12 { key, chain, authorities })
}

/// The certificate that the file itself gives to the key, or else the first one that fits it.
fn own_certificate(
    certificates: &[CertificateBag],
    key_bag: &PrivateKeyBag,
    key: &PrivateKeyDer<'static>,
) -> Option<usize> {
    let is_named = |bag: &CertificateBag| {
        let id = key_bag.local_key_id.as_ref().map(|id| &id.0);
        id.is_some() && bag.local_key_id.as_ref() == id
    };
    certificates.iter().position(is_named).or_else(|| {
        let key = load_key(key.clone_key(), &aws_lc_rs::default_provider()).ok()?;
        certificates.iter().position(|bag| fits(&der(bag), &*key))
    })
}

fn der(bag: &CertificateBag) -> CertificateDer<'static> {
    bag.cert.as_der().to_vec().into()
}

fn fault(error: &Error) -> Pkcs12Fault {
    match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            Pkcs12Fault::WrongPassphrase
        }
        Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm => Pkcs12Fault::Unsupported,
        _ => Pkcs12Fault::Malformed,
    }
}

impl From<Pkcs12Fault> for ContextError {
    fn from(fault: Pkcs12Fault) -> Self {
        Self::BadPkcs12(fault)
    }
}
