//! requestCert, rejectUnauthorized and ca.

use offloop_tls::{ClientAuth, Cost, Identity, ServerContext, parse_pkcs12};
use rcgen::{BasicConstraints, IsCa};

use crate::certificate_tree::Member;
use crate::certificates::{
    Algorithm, authority, client, client_with_purposes, client_with_server_purpose, expired_client,
    future_client, self_signed_client, stranger, stranger_behind_another, stranger_with_root,
};
use crate::pair::{
    Cut, Pair, TLS12, TLS13, client as client_without, client_with_certificate, context_with,
};

fn asking(reject_unauthorized: bool) -> ServerContext {
    trusting(vec![authority().der().clone()], reject_unauthorized)
}

fn trusting(
    roots: Vec<offloop_tls::CertificateDer<'static>>,
    reject_unauthorized: bool,
) -> ServerContext {
    context_with(Algorithm::P256, |options| {
        options.client_auth =
            ClientAuth::Request { roots, partial_chain: false, reject_unauthorized };
    })
}

/// Every client certificate that is not good: its name, OpenSSL's reason, and the alert when it is
/// refused.
fn bad_clients() -> Vec<(&'static str, Identity, &'static str, u8)> {
    let self_signed = || self_signed_client(IsCa::ExplicitNoCa);
    let self_signed_ca = || self_signed_client(IsCa::Ca(BasicConstraints::Unconstrained));
    let own_root = "SELF_SIGNED_CERT_IN_CHAIN";
    let self_signed_name = "DEPTH_ZERO_SELF_SIGNED_CERT";
    vec![
        ("expired", expired_client(), "CERT_HAS_EXPIRED", 45),
        ("future", future_client(), "CERT_NOT_YET_VALID", 45),
        ("purpose", client_with_server_purpose(), "INVALID_PURPOSE", 43),
        ("stranger", stranger(), "UNABLE_TO_VERIFY_LEAF_SIGNATURE", 48),
        ("its root", stranger_with_root(), own_root, 48),
        ("no root", stranger_behind_another(), "UNABLE_TO_VERIFY_LEAF_SIGNATURE", 48),
        ("self-signed", self_signed(), self_signed_name, 48),
        ("self-signed CA", self_signed_ca(), self_signed_name, 48),
    ]
}

#[test]
fn a_good_certificate_is_authorized_in_a_light_job() {
    for versions in [TLS12, TLS13] {
        for reject in [true, false] {
            let config = client_with_certificate(versions, client());
            let mut pair = Pair::new(config, asking(reject)).run();
            let session = pair.session();
            assert!(session.authorized);
            assert_eq!(session.authorization_error, None);
            assert_eq!(*session.peer_certificates, client().chain);
            assert_eq!(pair.costs, [Cost::Light, Cost::Light]);
            pair.assert_echo();
        }
    }
}

#[test]
fn the_clients_flight_may_be_cut_anywhere() {
    let run = |cut| {
        let config = client_with_certificate(TLS13, client());
        let mut pair = Pair::new(config, asking(true)).cut(cut).run();
        assert!(pair.session().authorized);
        pair.assert_echo();
        pair.from_client.len()
    };
    let length = run(Cut::Bytes);
    for position in (0..length).step_by(7) {
        run(Cut::At(position));
    }
}

#[test]
fn a_bad_certificate_is_refused_with_its_alert() {
    for versions in [TLS12, TLS13] {
        for (name, identity, code, alert) in bad_clients() {
            let pair = Pair::new(client_with_certificate(versions, identity), asking(true)).run();
            assert_eq!(pair.failure().code().as_str(), code, "{name} {versions:?}");
            assert_eq!(pair.failure().alert().unwrap().number(), alert, "{name} {versions:?}");
            assert_eq!(pair.alert_at_client(), Some(alert), "{name} {versions:?}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_refused_before_what_comes_behind_it() {
    let good = client().chain[0].to_vec();
    for chain in [vec![Vec::new()], vec![vec![0x30]], vec![vec![7; 100]], vec![good, Vec::new()]] {
        let chain = chain.into_iter().map(Into::into).collect();
        let identity = Identity { chain, ..client() };
        let mut pair = Pair::new(client_with_certificate(TLS12, identity), asking(false));
        let mut written = Vec::new();
        pair.client.write_tls(&mut written).unwrap();
        pair.deliver(&std::mem::take(&mut written));
        while pair.client.wants_write() {
            pair.client.write_tls(&mut written).unwrap();
        }
        let first = 5 + usize::from(u16::from_be_bytes([written[3], written[4]]));
        pair.deliver(&written[..first]);
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_BAD_SIGNATURE");
        assert_eq!(pair.alert_at_client(), Some(42));
    }
}

#[test]
fn the_alert_says_what_is_wrong_with_a_chain() {
    let nothing = |_: &mut rcgen::CertificateParams| {};
    let root = &Member::root("root", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let below = &root.authority("below", nothing);
    let forged = Member::root("root", nothing).client(nothing).identity(&[]);
    let critical = root.client(|params| {
        let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions = vec![unknown];
    });
    // RFC 8446 section 6.2.
    for (identity, code, alert, words) in [
        (forged, "CERT_SIGNATURE_FAILURE", 42, "certificate signature failure"),
        (
            below.client(nothing).identity(&[below]),
            "PATH_LENGTH_EXCEEDED",
            46,
            "path length constraint exceeded",
        ),
        (critical.identity(&[]), "UNSPECIFIED", 46, "unsupported extension, algorithm or encoding"),
    ] {
        for versions in [TLS12, TLS13] {
            let identity =
                Identity { chain: identity.chain.clone(), key: identity.key.clone_key().into() };
            let context = trusting(vec![root.certificate()], true);
            let pair = Pair::new(client_with_certificate(versions, identity), context).run();
            assert_eq!(pair.failure().code().as_str(), code);
            assert_eq!(pair.failure().alert().unwrap().number(), alert);
            assert_eq!(pair.alert_at_client(), Some(alert));
            let expected = format!("the client certificate is refused: {words}");
            assert_eq!(pair.failure().detail(), expected);
        }
    }
}

#[test]
fn who_lacks_the_key_of_a_certificate_is_refused() {
    for versions in [TLS12, TLS13] {
        for reject in [true, false] {
            let identity = Identity { chain: client().chain, key: stranger().key };
            let pair = Pair::new(client_with_certificate(versions, identity), asking(reject)).run();
            assert_eq!(pair.failure().code().as_str(), "ERR_SSL_BAD_SIGNATURE");
            assert_eq!(pair.failure().alert().unwrap().number(), 51);
            assert_eq!(pair.alert_at_client(), Some(51));
        }
    }
}

#[test]
fn a_certificate_with_thousands_of_purposes_makes_no_long_message() {
    for versions in [TLS12, TLS13] {
        let identity = client_with_purposes(5_000);
        let pair = Pair::new(client_with_certificate(versions, identity), asking(true)).run();
        assert_eq!(pair.failure().code().as_str(), "INVALID_PURPOSE");
        assert_eq!(pair.alert_at_client(), Some(43));
        let expected = "the client certificate is refused: unsuitable certificate purpose";
        assert_eq!(pair.failure().detail(), expected);
    }
}

#[test]
fn a_bad_certificate_is_served_and_told_when_it_is_not_refused() {
    for versions in [TLS12, TLS13] {
        for (name, identity, reason, _) in bad_clients() {
            let chain = identity.chain.clone();
            let config = client_with_certificate(versions, identity);
            let mut pair = Pair::new(config, asking(false)).run();
            pair.assert_echo();
            let session = pair.session();
            assert!(!session.authorized, "{name}");
            let told = session.authorization_error.map(offloop_tls::Code::as_str);
            assert_eq!(told, Some(reason), "{name}");
            assert_eq!(*session.peer_certificates, chain);
        }
    }
}

#[test]
fn a_missing_certificate_is_refused_with_its_alert() {
    for (versions, alert) in [(TLS12, 40), (TLS13, 116)] {
        let pair = Pair::new(client_without(versions), asking(true)).run();
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
        assert_eq!(pair.alert_at_client(), Some(alert));
    }
}

#[test]
fn a_missing_certificate_is_told_as_node_does() {
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::new(client_without(versions), asking(false)).run();
        pair.assert_echo();
        let session = pair.session();
        assert!(!session.authorized);
        let told = session.authorization_error.map(offloop_tls::Code::as_str);
        assert_eq!(told, Some("UNABLE_TO_GET_ISSUER_CERT"));
    }
}

#[test]
fn a_self_signed_certificate_among_the_roots_is_trusted() {
    for is_ca in [IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let identity = self_signed_client(is_ca);
        let context = trusting(identity.chain.clone(), true);
        let pair = Pair::new(client_with_certificate(TLS13, identity), context).run();
        assert!(pair.session().authorized);
    }
}

#[test]
fn without_roots_nobody_is_trusted() {
    let config = client_with_certificate(TLS13, client());
    let pair = Pair::new(config, trusting(Vec::new(), false)).run();
    assert!(!pair.session().authorized);
    let config = client_with_certificate(TLS13, client());
    let pair = Pair::new(config, trusting(Vec::new(), true)).run();
    assert_eq!(pair.alert_at_client(), Some(48));
}

#[test]
fn an_owner_of_an_old_certificate_is_served_where_nobody_must_be_authorized() {
    for versions in [TLS12, TLS13] {
        // Of version 1, and of an authority that nobody trusts.
        let old = || -> Identity {
            parse_pkcs12(include_bytes!("pkcs12/modern.p12"), Some("secret")).unwrap().into()
        };
        let chain = old().chain;
        let mut pair = Pair::new(client_with_certificate(versions, old()), asking(false)).run();
        pair.assert_echo();
        assert!(!pair.session().authorized);
        assert!(pair.session().client_certificate_requested);
        assert_eq!(*pair.session().peer_certificates, chain);
        let pair = Pair::new(client_with_certificate(versions, old()), asking(true)).run();
        assert!(pair.failure().alert().is_some());
    }
}
