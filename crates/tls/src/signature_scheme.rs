use std::sync::Arc;

use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme as Number};
use rustls_pki_types::SubjectPublicKeyInfoDer;

use crate::live_keys::LiveKey;

/// Declares the schemes once, in OpenSSL's order of preference.
macro_rules! signature_schemes {
    ($($variant:ident = $number:literal, $name:literal, $openssl:literal;)*) => {
        /// A signature scheme (RFC 8446 section 4.2.3) that this end can make and verify.
        ///
        /// SHA-1, SHA-224, DSA, Ed448 and RSA-PSS with keys that allow nothing else don't exist
        /// here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SignatureScheme {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl SignatureScheme {
            /// Every scheme, most preferred first (OpenSSL's order).
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the specification, for example `ecdsa_secp256r1_sha256`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What `getSharedSigalgs()` calls it, for example `ECDSA+SHA256`.
            pub fn openssl_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $openssl,)*
                }
            }

            /// The number on the wire.
            pub fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }
        }
    };
}

signature_schemes! {
    EcdsaSecp256r1Sha256 = 0x0403, "ecdsa_secp256r1_sha256", "ECDSA+SHA256";
    EcdsaSecp384r1Sha384 = 0x0503, "ecdsa_secp384r1_sha384", "ECDSA+SHA384";
    EcdsaSecp521r1Sha512 = 0x0603, "ecdsa_secp521r1_sha512", "ECDSA+SHA512";
    Ed25519 = 0x0807, "ed25519", "Ed25519+UNDEF";
    RsaPssRsaeSha256 = 0x0804, "rsa_pss_rsae_sha256", "RSA-PSS+SHA256";
    RsaPssRsaeSha384 = 0x0805, "rsa_pss_rsae_sha384", "RSA-PSS+SHA384";
    RsaPssRsaeSha512 = 0x0806, "rsa_pss_rsae_sha512", "RSA-PSS+SHA512";
    RsaPkcs1Sha256 = 0x0401, "rsa_pkcs1_sha256", "RSA+SHA256";
    RsaPkcs1Sha384 = 0x0501, "rsa_pkcs1_sha384", "RSA+SHA384";
    RsaPkcs1Sha512 = 0x0601, "rsa_pkcs1_sha512", "RSA+SHA512";
}

impl SignatureScheme {
    /// The scheme of this name in the specification.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == name)
    }

    pub(crate) fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.number() == number)
    }

    pub(crate) fn to_rustls(self) -> Number {
        self.number().into()
    }
}

/// The schemes of `ours` that the client offers. As in OpenSSL the order is that of whoever
/// decides about cipher suites.
pub(crate) fn shared_schemes(
    ours: &[SignatureScheme],
    theirs: &[u16],
    ours_first: bool,
) -> Box<[u16]> {
    let numbers = ours.iter().map(|scheme| scheme.number());
    if ours_first {
        numbers.filter(|number| theirs.contains(number)).collect()
    } else {
        let numbers: Vec<_> = numbers.collect();
        theirs.iter().copied().filter(|number| numbers.contains(number)).collect()
    }
}

/// A key that signs with the schemes of a list only, the first one that fits.
#[derive(Debug)]
pub(crate) struct PreferringKey {
    key: Arc<dyn SigningKey>,
    schemes: Arc<[SignatureScheme]>,
    _live: LiveKey,
}

impl PreferringKey {
    pub(crate) fn new(key: Arc<dyn SigningKey>, schemes: Arc<[SignatureScheme]>) -> Self {
        Self { key, schemes, _live: LiveKey::new() }
    }
}

impl SigningKey for PreferringKey {
    fn choose_scheme(&self, offered: &[Number]) -> Option<Box<dyn Signer>> {
        let schemes = self.schemes.iter().map(|scheme| scheme.to_rustls());
        schemes
            .filter(|scheme| offered.contains(scheme))
            .find_map(|scheme| self.key.choose_scheme(&[scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}
