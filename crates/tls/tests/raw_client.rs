//! A client whose records are the test's, sealed with its own keys.

use std::io::Write;

use rustls::crypto::aws_lc_rs;
use rustls::crypto::cipher::{
    AeadKey, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter, OutboundOpaqueMessage,
    OutboundPlainMessage, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    CipherSuiteCommon, ClientConfig, ConnectionTrafficSecrets, ContentType, Error,
    SupportedCipherSuite, SupportedProtocolVersion, Tls12CipherSuite, Tls13CipherSuite,
};

use crate::pair::{Pair, client_of};

/// What becomes of a handshake message.
pub(crate) type Change = fn(&mut Vec<u8>);

/// A client that sends what [`record`] gives it, and a Finished that the test has changed.
pub(crate) fn raw_client(
    versions: &[&'static SupportedProtocolVersion],
    finished: Change,
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![tls13(finished), tls12(finished)];
    client_of(provider, versions, None)
}

/// Has the client seal one record, once its handshake is done.
pub(crate) fn record(pair: &mut Pair, content_type: ContentType, content: &[u8]) {
    pair.client.writer().write_all(&[&[content_type.into()], content].concat()).unwrap();
}

fn tls13(finished: Change) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) =
        aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256
    else {
        unreachable!()
    };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: common(&suite.common),
        hkdf_provider: suite.hkdf_provider,
        aead_alg: Box::leak(Box::new(Raw { aead: suite.aead_alg, finished })),
        quic: None,
    })))
}

fn tls12(finished: Change) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls12(suite) =
        aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    else {
        unreachable!()
    };
    SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
        common: common(&suite.common),
        prf_provider: suite.prf_provider,
        kx: suite.kx,
        sign: suite.sign,
        aead_alg: Box::leak(Box::new(Raw { aead: suite.aead_alg, finished })),
    })))
}

fn common(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: common.confidentiality_limit,
    }
}

struct Raw<T> {
    aead: T,
    finished: Change,
}

impl MessageEncrypter for Raw<Box<dyn MessageEncrypter>> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let mut content = message.payload.to_vec();
        let mut typ = message.typ;
        match typ {
            ContentType::ApplicationData => typ = content.remove(0).into(),
            ContentType::Handshake if content[0] == FINISHED => (self.finished)(&mut content),
            _ => {}
        }
        let payload = content.as_slice().into();
        self.aead.encrypt(OutboundPlainMessage { typ, payload, ..message }, seq)
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.aead.encrypted_payload_len(payload_len)
    }
}

const FINISHED: u8 = 20;

impl Tls13AeadAlgorithm for Raw<&'static dyn Tls13AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Raw { aead: self.aead.encrypter(key, iv), finished: self.finished })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.aead.decrypter(key, iv)
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
}

impl Tls12AeadAlgorithm for Raw<&'static dyn Tls12AeadAlgorithm> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Raw { aead: self.aead.encrypter(key, iv, extra), finished: self.finished })
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        self.aead.decrypter(key, iv)
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
}
