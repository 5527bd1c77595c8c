use std::sync::LazyLock;

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite as suites;

use crate::ProtocolVersion;
use crate::protection::protected;

/// Declares the cipher suites once, in Node's order of preference.
macro_rules! cipher_suites {
    ($($variant:ident = $rustls:ident, $version:ident, $name:literal, $standard:literal;)*) => {
        /// A cipher suite that this end can speak.
        ///
        /// Suites without forward secrecy or AEAD (CBC, static RSA, finite-field DHE) don't exist
        /// here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CipherSuite {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl CipherSuite {
            /// Every suite, most preferred first (the order of Node's default `ciphers`).
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What `getCipher()` tells about the suite.
            pub fn info(self) -> &'static CipherInfo {
                match self {
                    $(Self::$variant => const {
                        &CipherInfo { name: $name, standard_name: $standard, version: $version }
                    },)*
                }
            }

            pub(crate) fn to_rustls(self) -> SupportedCipherSuite {
                match self {
                    $(Self::$variant => {
                        static SUITE: LazyLock<SupportedCipherSuite> =
                            LazyLock::new(|| protected(suites::$rustls));
                        *SUITE
                    })*
                }
            }
        }
    };
}

const TLS13: &str = "TLSv1.3";
// Node prints the version that introduced the suite's construction, which is 1.2 for all of these.
const TLS12: &str = "TLSv1.2";

cipher_suites! {
    Aes256GcmSha384 = TLS13_AES_256_GCM_SHA384, TLS13,
        "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384";
    Chacha20Poly1305Sha256 = TLS13_CHACHA20_POLY1305_SHA256, TLS13,
        "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256";
    Aes128GcmSha256 = TLS13_AES_128_GCM_SHA256, TLS13,
        "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256";
    EcdheRsaAes128GcmSha256 = TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS12,
        "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    EcdheEcdsaAes128GcmSha256 = TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS12,
        "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    EcdheRsaAes256GcmSha384 = TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS12,
        "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    EcdheEcdsaAes256GcmSha384 = TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS12,
        "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    EcdheEcdsaChacha20Poly1305 = TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS12,
        "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    EcdheRsaChacha20Poly1305 = TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS12,
        "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
}

/// What `tlsSocket.getCipher()` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherInfo {
    /// OpenSSL's name, for example `ECDHE-RSA-AES128-GCM-SHA256`.
    pub name: &'static str,
    /// IANA's name, for example `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
    pub standard_name: &'static str,
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
}

impl CipherSuite {
    /// The suite of this name, OpenSSL's or IANA's, as they stand in Node's `ciphers` option.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| {
            let info = suite.info();
            info.name == name || info.standard_name == name
        })
    }

    /// The protocol version that the suite belongs to.
    pub fn version(self) -> ProtocolVersion {
        if self.info().version == TLS13 { ProtocolVersion::Tls13 } else { ProtocolVersion::Tls12 }
    }

    pub(crate) fn from_rustls(suite: SupportedCipherSuite) -> Option<Self> {
        Self::ALL.iter().copied().find(|own| own.to_rustls().suite() == suite.suite())
    }
}
