use rustls::crypto::cipher::{
    AeadKey, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter, Tls12AeadAlgorithm,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, SupportedCipherSuite, Tls12CipherSuite,
    Tls13CipherSuite,
};

use crate::opener::Opener;
use crate::sealed_alert::Sealer;

/// The suite with this crate's part in the protection of records: [`Sealer`] and [`Opener`]. Never
/// freed: call it once for each suite.
pub(crate) fn protected(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: Box::leak(Box::new(Protected {
                    aead: suite.aead_alg,
                    verify_data: TLS12_VERIFY_DATA,
                })),
            })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: Box::leak(Box::new(Protected {
                    aead: suite.aead_alg,
                    verify_data: suite.common.hash_provider.output_len(),
                })),
                quic: None,
            })))
        }
    }
}

/// RFC 5246 section 7.4.9; in TLS 1.3 it is as long as the hash (RFC 8446 section 4.4.4).
const TLS12_VERIFY_DATA: usize = 12;

fn common(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: common.confidentiality_limit,
    }
}

struct Protected<T> {
    aead: T,
    /// The length of a Finished.
    verify_data: usize,
}

impl Tls13AeadAlgorithm for Protected<&'static dyn Tls13AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Sealer(self.aead.encrypter(key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Opener::new(self.aead.decrypter(key, iv), self.verify_data))
    }

    fn key_len(&self) -> usize {
        self.aead.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.aead.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.aead.fips()
    }
}

impl Tls12AeadAlgorithm for Protected<&'static dyn Tls12AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Sealer(self.aead.encrypter(key, iv, extra)))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Opener::new(self.aead.decrypter(key, iv), self.verify_data))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.aead.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.aead.extract_keys(key, iv, explicit)
    }

    fn fips(&self) -> bool {
        self.aead.fips()
    }
}
