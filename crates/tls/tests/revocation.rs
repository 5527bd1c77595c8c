//! Revocation lists for clients' certificates.

use offloop_tls::{
    CertificateRevocationListDer, ClientAuth, Code, ContextError, ContextOptions, ServerContext,
};
use rcgen::{
    CertificateRevocationListParams, CertifiedIssuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::certificates::{
    Algorithm, authority, client_with_serial, impostor, other_authority, server,
};
use crate::pair::{Pair, TLS12, TLS13, client_with_certificate, context_with};

const GOOD: u64 = 100;
const REVOKED: u64 = 200;

/// A list of this authority in which one certificate is revoked.
fn list(
    authority: &CertifiedIssuer<'_, KeyPair>,
    next_update: i32,
) -> CertificateRevocationListDer<'static> {
    CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(next_update, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(REVOKED),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(authority)
    .unwrap()
    .der()
    .clone()
}

fn context(
    crls: &[CertificateRevocationListDer<'static>],
    reject_unauthorized: bool,
) -> ServerContext {
    context_with(Algorithm::P256, |options| {
        let roots = vec![authority().der().clone()];
        options.client_auth =
            ClientAuth::Request { roots, partial_chain: false, reject_unauthorized };
        options.crls = crls.to_vec();
    })
}

#[test]
fn a_certificate_is_refused_for_what_the_lists_say() {
    let current = || list(authority(), 2200);
    let expired = || list(authority(), 2022);
    let of_another = || list(&other_authority(), 2200);
    let forged = || list(&impostor(), 2200);
    for (name, crls, serial, expected) in [
        ("good", vec![current()], GOOD, None),
        ("no list", vec![], REVOKED, None),
        ("both lists", vec![of_another(), current()], GOOD, None),
        ("revoked", vec![current()], REVOKED, Some(("CERT_REVOKED", 44))),
        ("list of another", vec![of_another()], GOOD, Some(("UNABLE_TO_GET_CRL", 46))),
        ("forged list", vec![forged()], GOOD, Some(("CRL_SIGNATURE_FAILURE", 46))),
        ("expired list", vec![expired()], GOOD, Some(("CRL_HAS_EXPIRED", 46))),
    ] {
        for versions in [TLS12, TLS13] {
            let config = || client_with_certificate(versions, client_with_serial(serial));
            let strict = Pair::new(config(), context(&crls, true)).run();
            let mut lax = Pair::new(config(), context(&crls, false)).run();
            lax.assert_echo();
            let told = lax.session().authorization_error.map(Code::as_str);
            assert_eq!(told, expected.map(|(code, _)| code), "{name}");
            match expected {
                None => assert!(strict.session().authorized, "{name}"),
                Some((code, alert)) => {
                    assert_eq!(strict.failure().code().as_str(), code, "{name}");
                    assert_eq!(strict.alert_at_client(), Some(alert), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_is_refused() {
    let mut options = ContextOptions::default();
    options.identities = vec![server(Algorithm::P256)];
    let roots = vec![authority().der().clone()];
    options.client_auth =
        ClientAuth::Request { roots, partial_chain: false, reject_unauthorized: true };
    options.crls = vec![vec![1, 2, 3].into()];
    let error = ServerContext::new(options).unwrap_err();
    assert!(matches!(error, ContextError::BadCrl { .. }));
    assert_eq!(error.code().as_str(), "ERR_CRYPTO_OPERATION_FAILED");
}
