//! Which of several identities a client is shown: as from node:tls (Node 20, OpenSSL 3.0).

use offloop_tls::{CipherSuite, ContextOptions, ServerContext, SignatureScheme};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SignatureScheme as Number, SupportedCipherSuite, SupportedProtocolVersion};

use crate::certificates::Algorithm::{self, Ed25519, P256, Rsa2048};
use crate::certificates::server;
use crate::pair::{Pair, TLS12, TLS13, client_of};

const ALL: [Algorithm; 3] = [Rsa2048, P256, Ed25519];

fn context(identities: &[Algorithm], change: impl FnOnce(&mut ContextOptions)) -> ServerContext {
    let mut options = ContextOptions::default();
    options.identities = identities.iter().map(|algorithm| server(*algorithm)).collect();
    change(&mut options);
    ServerContext::new(options).unwrap()
}

/// A client with these suites, schemes and groups, best first; with none: all.
#[derive(Clone, Copy, Default)]
struct Client<'a> {
    suites: &'a [SupportedCipherSuite],
    schemes: &'a [Number],
    groups: &'a [&'static dyn SupportedKxGroup],
}

impl Client<'_> {
    fn provider(self) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        if !self.suites.is_empty() {
            provider.cipher_suites = self.suites.to_vec();
        }
        if !self.groups.is_empty() {
            provider.kx_groups = self.groups.to_vec();
        }
        if !self.schemes.is_empty() {
            let mapping = provider.signature_verification_algorithms.mapping;
            let of = |scheme: &Number| *mapping.iter().find(|(own, _)| own == scheme).unwrap();
            let chosen: Vec<_> = self.schemes.iter().map(of).collect();
            provider.signature_verification_algorithms.mapping = chosen.leak();
        }
        provider
    }

    fn is_shown(
        self,
        versions: &[&'static SupportedProtocolVersion],
        context: ServerContext,
    ) -> Algorithm {
        let pair = Pair::new(client_of(self.provider(), versions, None), context).run();
        let shown = pair.session().own_certificates();
        ALL.into_iter().find(|algorithm| server(*algorithm).chain == shown).unwrap()
    }
}

#[test]
fn in_tls12_the_cipher_suites_decide() {
    let rsa = cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let rsa256 = cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    let ecdsa = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    // With the server's order of suites, and with the client's.
    for (suites, ours, theirs) in [
        (&[ecdsa, rsa][..], Rsa2048, P256),
        (&[rsa, ecdsa], Rsa2048, Rsa2048),
        (&[rsa256, ecdsa], P256, Rsa2048),
        (&[ecdsa], P256, P256),
        (&[rsa256], Rsa2048, Rsa2048),
    ] {
        for identities in [[Rsa2048, P256], [P256, Rsa2048]] {
            let client = Client { suites, ..Client::default() };
            assert_eq!(client.is_shown(TLS12, context(&identities, |_| {})), ours);
            let context = context(&identities, |options| options.honor_cipher_order = false);
            assert_eq!(client.is_shown(TLS12, context), theirs);
        }
    }
    let context = context(&[Rsa2048, P256], |options| {
        use CipherSuite as C;
        let suites = vec![C::EcdheEcdsaAes256GcmSha384, C::EcdheRsaAes128GcmSha256];
        options.cipher_suites = Some(suites);
    });
    assert_eq!(Client::default().is_shown(TLS12, context.clone()), P256);
    assert_eq!(
        Client { suites: &[ecdsa, rsa], ..Client::default() }.is_shown(TLS12, context),
        Rsa2048
    );
}

#[test]
fn a_suite_counts_only_with_a_key_that_the_client_can_check() {
    let rsa = [Number::RSA_PKCS1_SHA256];
    let ecdsa = [Number::ECDSA_NISTP256_SHA256];
    let edwards = [Number::ED25519, Number::RSA_PSS_SHA256, Number::ECDSA_NISTP256_SHA256];
    let (x25519, p256): ([&dyn SupportedKxGroup; 1], [_; 1]) =
        ([kx_group::X25519], [kx_group::SECP256R1]);
    let (none, no_group): (&[Number], &[&dyn SupportedKxGroup]) = (&[], &[]);
    for (schemes, groups, ours, theirs) in [
        (&rsa[..], no_group, Rsa2048, Rsa2048),
        (&ecdsa, no_group, P256, P256),
        (&edwards, no_group, Rsa2048, Ed25519),
        // The curve of a key must be one of the client's groups.
        (none, &x25519, Rsa2048, Ed25519),
        (none, &p256, Rsa2048, P256),
    ] {
        // rustls' client prefers suites of ECDSA.
        let client = Client { schemes, groups, ..Client::default() };
        assert_eq!(client.is_shown(TLS12, context(&ALL, |_| {})), ours);
        let context = context(&ALL, |options| options.honor_cipher_order = false);
        assert_eq!(client.is_shown(TLS12, context), theirs);
    }
}

#[test]
fn in_tls13_the_signature_schemes_decide() {
    let ecdsa = Number::ECDSA_NISTP256_SHA256;
    let x25519: [&dyn SupportedKxGroup; 1] = [kx_group::X25519];
    for (schemes, ours, theirs) in [
        (&[Number::RSA_PSS_SHA512, ecdsa][..], P256, Rsa2048),
        (&[Number::ED25519, Number::RSA_PSS_SHA256, ecdsa], P256, Ed25519),
        (&[Number::RSA_PKCS1_SHA256, Number::RSA_PSS_SHA384, Number::ED25519], Ed25519, Rsa2048),
        (&[Number::RSA_PKCS1_SHA256, ecdsa], P256, P256),
    ] {
        // Groups are for key exchange alone.
        let client = Client { schemes, groups: &x25519, ..Client::default() };
        assert_eq!(client.is_shown(TLS13, context(&ALL, |_| {})), ours);
        let context = context(&ALL, |options| options.honor_cipher_order = false);
        assert_eq!(client.is_shown(TLS13, context), theirs);
    }
    use SignatureScheme as S;
    let context = context(&ALL, |options| {
        options.signature_schemes = Some(vec![S::RsaPssRsaeSha256, S::EcdsaSecp256r1Sha256]);
    });
    assert_eq!(Client::default().is_shown(TLS13, context), Rsa2048);
}
