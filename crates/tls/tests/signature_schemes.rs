//! Signature schemes: what this end signs with, and what it takes from clients.

use std::sync::Arc;

use offloop_tls::{ClientAuth, ContextOptions, Identity, ServerContext, SignatureScheme};
use rustls::SignatureScheme as Number;
use rustls::crypto::aws_lc_rs;

use crate::certificates::{Algorithm, authority, client as client_identity, server};
use crate::pair::{Pair, TLS12, TLS13, client, client_of, client_with_certificate, context_with};
use crate::seen_server::SeenServer;

fn with(schemes: &[SignatureScheme], algorithm: Algorithm) -> ServerContext {
    context_with(algorithm, |options| options.signature_schemes = Some(schemes.to_vec()))
}

#[test]
fn every_scheme_is_found_by_its_name() {
    for &scheme in SignatureScheme::ALL {
        assert_eq!(SignatureScheme::from_name(scheme.name()), Some(scheme));
    }
    assert_eq!(SignatureScheme::from_name("rsa_pkcs1_sha1"), None);
}

#[test]
fn a_server_signs_with_its_first_scheme_that_the_client_offers() {
    use SignatureScheme as S;
    for (schemes, algorithm, expected) in [
        (&[S::RsaPssRsaeSha256, S::RsaPssRsaeSha512][..], Algorithm::Rsa2048, 0x0804),
        (&[S::RsaPssRsaeSha512, S::RsaPssRsaeSha256], Algorithm::Rsa2048, 0x0806),
        (&[S::RsaPkcs1Sha384, S::RsaPssRsaeSha384], Algorithm::Rsa2048, 0x0501),
        (&[S::Ed25519, S::EcdsaSecp384r1Sha384], Algorithm::P384, 0x0503),
    ] {
        let seen = Arc::new(SeenServer::default());
        // TLS 1.3 has no PKCS#1 signatures.
        let mut config = client(TLS12);
        config.dangerous().set_certificate_verifier(Arc::clone(&seen) as _);
        Pair::new(config, with(schemes, algorithm)).run().assert_echo();
        assert_eq!(*seen.scheme.lock().unwrap(), Some(Number::from(expected)));
    }
}

#[test]
fn a_server_without_a_scheme_for_the_client_refuses_it() {
    for (versions, code) in
        [(TLS12, "ERR_SSL_NO_SHARED_CIPHER"), (TLS13, "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM")]
    {
        let context = with(&[SignatureScheme::Ed25519], Algorithm::P256);
        let pair = Pair::new(client(versions), context).run();
        assert_eq!(pair.failure().code().as_str(), code);
        assert_eq!(pair.alert_at_client(), Some(40));
    }
}

#[test]
fn a_client_that_shares_no_scheme_is_refused() {
    for versions in [TLS12, TLS13] {
        let mut provider = aws_lc_rs::default_provider();
        let verification = &mut provider.signature_verification_algorithms;
        let of_p521 = |(scheme, _): &&_| *scheme == Number::ECDSA_NISTP521_SHA512;
        let all = verification.mapping.iter();
        verification.mapping = std::slice::from_ref(all.clone().find(of_p521).unwrap());
        let context = with(&[SignatureScheme::EcdsaSecp256r1Sha256], Algorithm::P256);
        let pair = Pair::new(client_of(provider, versions, None), context).run();
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS");
        assert_eq!(pair.alert_at_client(), Some(40));
    }
}

#[test]
fn a_clients_certificate_must_sign_with_one_of_them() {
    for versions in [TLS12, TLS13] {
        let asking = |scheme| {
            context_with(Algorithm::Ed25519, |options| {
                options.signature_schemes = Some(vec![SignatureScheme::Ed25519, scheme]);
                let roots = vec![authority().der().clone()];
                options.client_auth =
                    ClientAuth::Request { roots, partial_chain: false, reject_unauthorized: true };
            })
        };
        let config = || client_with_certificate(versions, client_identity());
        let good = asking(SignatureScheme::EcdsaSecp256r1Sha256);
        assert!(Pair::new(config(), good).run().session().authorized);
        // The client finds that it can't sign, and sends no certificate.
        let pair = Pair::new(config(), asking(SignatureScheme::RsaPssRsaeSha256)).run();
        let code = pair.failure().code().as_str();
        assert_eq!(code, "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    }
}

#[test]
fn a_scheme_that_is_none_of_the_certificates_key_is_an_illegal_parameter() {
    for versions in [TLS12, TLS13] {
        let signing = |algorithm| {
            let context = context_with(Algorithm::P256, |options| {
                let roots = vec![authority().der().clone()];
                options.client_auth =
                    ClientAuth::Request { roots, partial_chain: false, reject_unauthorized: true };
            });
            let identity = Identity { key: server(algorithm).key, ..client_identity() };
            Pair::new(client_with_certificate(versions, identity), context).run()
        };
        let pair = signing(Algorithm::Ed25519);
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_BAD_SIGNATURE");
        assert_eq!(pair.alert_at_client(), Some(47));
        assert_eq!(signing(Algorithm::P256).alert_at_client(), Some(51), "another key of its kind");
    }
}

#[test]
fn the_shared_schemes_are_told_in_the_order_of_who_decides() {
    use SignatureScheme as S;
    let schemes = [S::RsaPkcs1Sha512, S::Ed25519, S::EcdsaSecp256r1Sha256, S::RsaPssRsaeSha256];
    for versions in [TLS12, TLS13] {
        let shared = |change: &dyn Fn(&mut ContextOptions)| {
            let context = context_with(Algorithm::P256, |options| {
                options.signature_schemes = Some(schemes.to_vec());
                change(options);
            });
            Pair::new(client(versions), context).run().session().shared_signature_schemes()
        };
        let expected = ["RSA+SHA512", "Ed25519+UNDEF", "ECDSA+SHA256", "RSA-PSS+SHA256"];
        assert_eq!(shared(&|_| {}), expected);
        let theirs = shared(&|options| options.honor_cipher_order = false);
        assert_ne!(theirs, expected);
        assert_eq!(theirs.len(), 4);
    }
    let pair = Pair::new(client(TLS13), context_with(Algorithm::P256, |_| {})).run();
    assert_eq!(pair.session().shared_signature_schemes().len(), SignatureScheme::ALL.len());
}
