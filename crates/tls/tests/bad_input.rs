//! Input that is no handshake, or a bad one. Codes and alerts are those of node:tls (Node 20)
//! where a comment doesn't say otherwise.

use offloop_tls::{
    Alert, CipherSuite, Code, Failure, HandshakeLimits, ProtocolVersion, ServerContext, Step,
    handshake,
};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};

use crate::certificates::Algorithm;
use crate::pair::{BOTH, Pair, TLS12, TLS13, client, client_of, context, context_with};

/// What comes of `bytes`, fed whole or one by one.
fn refused(bytes: &[u8]) -> Failure {
    let failure = |step| match step {
        Step::Failed(failure) => failure,
        other => panic!("expected a failure, got {other:?}"),
    };
    let whole = failure(handshake(HandshakeLimits::default()).receive(bytes));
    let mut state = handshake(HandshakeLimits::default());
    for byte in bytes {
        match state.receive(std::slice::from_ref(byte)) {
            Step::NeedBytes(next) => state = next,
            step => {
                let slow = failure(step);
                assert_eq!(slow.code(), whole.code());
                assert_eq!(slow.bytes(), whole.bytes());
                return whole;
            }
        }
    }
    panic!("one by one the bytes were accepted");
}

#[test]
fn what_is_no_client_hello_is_refused_as_node_does() {
    let record = |kind: u8, version: u8, body: &[u8]| {
        let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, version, 1, high, low], body].concat()
    };
    let body = |kind: u8| [&[kind, 0, 0, 40, 3, 3][..], &[0xff; 38]].concat();
    let cases: &[(&str, Vec<u8>, &str, Option<u8>)] = &[
        ("GET", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "ERR_SSL_HTTP_REQUEST", None),
        ("POST", b"POST / HTTP/1.1\r\n".to_vec(), "ERR_SSL_HTTP_REQUEST", None),
        ("CONNECT", b"CONNECT x:443\r\n".to_vec(), "ERR_SSL_HTTPS_PROXY_REQUEST", None),
        ("DELETE", b"DELETE / HTTP/1.1\r\n".to_vec(), "ERR_SSL_WRONG_VERSION_NUMBER", None),
        ("zeros", vec![0; 100], "ERR_SSL_WRONG_VERSION_NUMBER", None),
        ("version", record(22, 4, &body(1)), "ERR_SSL_WRONG_VERSION_NUMBER", None),
        ("ssl2", vec![0x80, 46, 1, 0, 2, 0, 21, 0], "ERR_SSL_UNKNOWN_PROTOCOL", Some(70)),
        ("data", record(23, 3, &[1, 2]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("alert", record(21, 3, &[2, 40]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("ccs", record(20, 3, &[1]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("unknown type", record(99, 3, &[0; 20]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("type 0", record(0, 3, &[0; 20]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("heartbeat", record(24, 3, &[1, 0, 0]), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("long unknown", vec![99, 3, 1, 255, 255], "ERR_SSL_PACKET_LENGTH_TOO_LONG", Some(22)),
        ("server hello", record(22, 3, &body(2)), "ERR_SSL_UNEXPECTED_MESSAGE", Some(10)),
        ("length", record(22, 3, &body(1)), "ERR_SSL_LENGTH_MISMATCH", Some(50)),
        ("empty", record(22, 3, &[1, 0, 0, 0]), "ERR_SSL_LENGTH_TOO_SHORT", Some(50)),
        ("one byte", record(22, 3, &[1, 0, 0, 1, 3]), "ERR_SSL_LENGTH_TOO_SHORT", Some(50)),
        ("a version", record(22, 3, &[1, 0, 0, 2, 3, 3]), "ERR_SSL_LENGTH_MISMATCH", Some(50)),
        ("huge", record(22, 3, &[1, 255, 255, 255]), "ERR_SSL_EXCESSIVE_MESSAGE_SIZE", Some(47)),
        ("long", vec![22, 3, 1, 255, 255, 1], "ERR_SSL_PACKET_LENGTH_TOO_LONG", Some(22)),
        ("too long", record(22, 3, &[0; 16_385]), "ERR_SSL_PACKET_LENGTH_TOO_LONG", Some(22)),
    ];
    for (name, bytes, code, alert) in cases {
        let failure = refused(bytes);
        assert_eq!(failure.code().as_str(), *code, "{name}");
        assert_eq!(failure.alert().map(Alert::number), *alert, "{name}");
        let record = alert.map_or(Vec::new(), |alert| vec![21, 3, 3, 0, 2, 2, alert]);
        assert_eq!(failure.bytes(), record, "{name}");
    }
}

/// A ClientHello in its record; without extensions it lacks their list too.
fn hello(version: u16, suites: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let with_length = |body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&length, body].concat()
    };
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let mut body = [&version.to_be_bytes()[..], &[7; 32], &[0]].concat();
    body.extend(with_length(&suites));
    body.extend([1, 0]);
    if !extensions.is_empty() {
        let extensions = extensions
            .iter()
            .flat_map(|(number, body)| [number.to_be_bytes().to_vec(), with_length(body)].concat());
        body.extend(with_length(&extensions.collect::<Vec<_>>()));
    }
    [&[22, 3, 1][..], &with_length(&[&[1, 0][..], &with_length(&body)].concat())].concat()
}

/// What a server with a key for P-256 says to this.
fn answered(bytes: &[u8]) -> Failure {
    let mut step = handshake(HandshakeLimits::default()).receive(bytes);
    loop {
        step = match step {
            Step::Decide(decide) => decide.accept(&context(Algorithm::P256)),
            Step::Job(job) => job.run(),
            Step::Failed(failure) => break failure,
            other => panic!("{other:?}"),
        };
    }
}

const GROUPS: (u16, &[u8]) = (10, &[0, 2, 0, 29]);
const SIGNATURES: (u16, &[u8]) = (13, &[0, 4, 4, 3, 8, 4]);

#[test]
fn a_client_of_old_versions_only_is_told_so_in_its_own_version() {
    const ECDHE: &[u16] = &[0xc009, 0xc02b];
    let cases: &[(&str, Vec<u8>, u8)] = &[
        ("TLS 1.0", hello(0x0301, ECDHE, &[]), 1),
        ("TLS 1.1", hello(0x0302, ECDHE, &[GROUPS]), 2),
        ("TLS 1.1, as OpenSSL", hello(0x0302, ECDHE, &[GROUPS, SIGNATURES]), 2),
        ("SSL 3.0", hello(0x0300, ECDHE, &[]), 1),
        ("supported_versions", hello(0x0303, ECDHE, &[(43, &[4, 3, 2, 3, 1]), GROUPS]), 3),
        ("GREASE", hello(0x0303, ECDHE, &[(43, &[2, 0x0a, 0x0a]), GROUPS, SIGNATURES]), 3),
    ];
    for (name, bytes, minor) in cases {
        let failure = refused(bytes);
        assert_eq!(failure.code().as_str(), "ERR_SSL_UNSUPPORTED_PROTOCOL", "{name}");
        assert_eq!(failure.alert(), Some(Alert::ProtocolVersion), "{name}");
        assert_eq!(failure.bytes(), [21, 3, *minor, 0, 2, 2, 70], "{name}");
    }
    let failure = refused(&cases[4].1);
    let expected = "unsupported protocol: the client offers [0302, 0301], not 0303 or 0304";
    assert_eq!(failure.detail(), expected);
}

#[test]
fn a_client_of_tls12_that_lacks_what_its_suites_need_shares_no_cipher() {
    const STATIC_RSA: &[u16] = &[0x002f];
    const ECDHE: &[u16] = &[0xc02b];
    let cases: &[(&str, Vec<u8>)] = &[
        ("static RSA", hello(0x0303, STATIC_RSA, &[SIGNATURES])),
        ("static RSA, no extensions", hello(0x0303, STATIC_RSA, &[])),
        ("static RSA with groups", hello(0x0303, STATIC_RSA, &[GROUPS, SIGNATURES])),
        ("no groups", hello(0x0303, ECDHE, &[SIGNATURES])),
        ("another group", hello(0x0303, ECDHE, &[(10, &[0, 2, 0, 25]), SIGNATURES])),
        ("no signature algorithms", hello(0x0303, ECDHE, &[GROUPS])),
    ];
    for (name, bytes) in cases {
        let failure = answered(bytes);
        assert_eq!(failure.code().as_str(), "ERR_SSL_NO_SHARED_CIPHER", "{name}");
        assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 40], "{name}");
    }
}

#[test]
fn what_the_rfcs_forbid_is_answered_with_the_alert_that_they_name() {
    const TLS13: &[u16] = &[0x1301];
    const ECDHE: &[u16] = &[0xc02b];
    const VERSIONS: (u16, &[u8]) = (43, &[2, 3, 4]);
    const MODES: (u16, &[u8]) = (45, &[1, 1]);
    let share = [&[0, 36, 0, 29, 0, 32][..], &[9; 32]].concat();
    let share: (u16, &[u8]) = (51, &share);
    let psk = [&[0, 10, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 33, 32][..], &[5; 32]].concat();
    let psk: (u16, &[u8]) = (41, &psk);
    let short_binder = [&[0, 10, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 32, 31][..], &[5; 31]].concat();
    let short_binder: (u16, &[u8]) = (41, &short_binder);
    let cases: &[(&str, Vec<u8>, &str, u8)] = &[
        (
            "RFC 8446 section 9.2, no groups",
            hello(0x0303, TLS13, &[VERSIONS, SIGNATURES, share]),
            "ERR_SSL_MISSING_SUPPORTED_GROUPS_EXTENSION",
            109,
        ),
        (
            "RFC 8446 section 9.2, no key shares",
            hello(0x0303, TLS13, &[VERSIONS, SIGNATURES, GROUPS]),
            "ERR_SSL_NO_SUITABLE_KEY_SHARE",
            109,
        ),
        (
            "RFC 8446 section 9.2, no signature algorithms",
            hello(0x0303, TLS13, &[VERSIONS, GROUPS, share]),
            "ERR_SSL_MISSING_SIGALGS_EXTENSION",
            109,
        ),
        (
            "RFC 8446 section 4.4.3, PKCS#1 signatures only",
            hello(0x0303, TLS13, &[VERSIONS, GROUPS, (13, &[0, 2, 4, 1]), share]),
            "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM",
            40,
        ),
        (
            "RFC 8446 section 4.2",
            hello(0x0303, TLS13, &[VERSIONS, GROUPS, SIGNATURES, share, GROUPS]),
            "ERR_SSL_BAD_EXTENSION",
            47,
        ),
        (
            "RFC 8446 section 4.2.11",
            hello(0x0303, TLS13, &[psk, MODES, VERSIONS, GROUPS, SIGNATURES, share]),
            "ERR_SSL_BAD_EXTENSION",
            47,
        ),
        (
            "RFC 8446 section 4.2.11, a short binder",
            hello(0x0303, TLS13, &[MODES, VERSIONS, GROUPS, SIGNATURES, share, short_binder]),
            "ERR_SSL_LENGTH_MISMATCH",
            50,
        ),
        (
            "RFC 8446 section 4.2.1, no versions",
            hello(0x0303, TLS13, &[(43, &[0]), GROUPS, SIGNATURES, share]),
            "ERR_SSL_BAD_EXTENSION",
            50,
        ),
        (
            "RFC 8446 section 4.2.8, a share of another group",
            hello(0x0303, TLS13, &[VERSIONS, (10, &[0, 2, 0, 23]), SIGNATURES, share]),
            "ERR_SSL_BAD_KEY_SHARE",
            47,
        ),
        (
            "RFC 6066 section 3",
            hello(0x0303, ECDHE, &[GROUPS, SIGNATURES, (0, &[0, 8, 0, 0, 1, 97, 0, 0, 1, 98])]),
            "ERR_SSL_BAD_EXTENSION",
            47,
        ),
        (
            "RFC 8446 appendix D.5",
            hello(0x0300, TLS13, &[VERSIONS, GROUPS, SIGNATURES, share]),
            "ERR_SSL_UNSUPPORTED_PROTOCOL",
            70,
        ),
        (
            "RFC 7507 section 3",
            hello(0x0303, &[0xc02b, 0x5600], &[GROUPS, SIGNATURES]),
            "ERR_SSL_INAPPROPRIATE_FALLBACK",
            86,
        ),
        (
            "RFC 5746 section 3.6",
            hello(0x0303, ECDHE, &[GROUPS, SIGNATURES, (0xff01, &[2, 1, 2])]),
            "ERR_SSL_RENEGOTIATION_MISMATCH",
            40,
        ),
    ];
    for (name, bytes, code, alert) in cases {
        let failure = answered(bytes);
        assert_eq!(failure.code().as_str(), *code, "{name}");
        assert_eq!(failure.alert().map(Alert::number), Some(*alert), "{name}");
        assert_eq!(failure.bytes()[3..], [0, 2, 2, *alert], "{name}");
    }
}

#[test]
fn a_truncated_hello_is_waited_for() {
    let mut client =
        rustls::ClientConnection::new(client(BOTH).into(), "localhost".try_into().unwrap())
            .unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    for length in 0..bytes.len() {
        let step = handshake(HandshakeLimits::default()).receive(&bytes[..length]);
        let Step::NeedBytes(state) = step else { panic!("{length}: {step:?}") };
        assert!(state.awaits_hello());
        assert_eq!(state.end().code(), Code::ConnectionReset);
    }
}

/// A client and a server that have something not in common; code and alert on both sides.
fn incompatible(client: rustls::ClientConfig, context: ServerContext, code: &str, alert: u8) {
    let pair = Pair::new(client, context).run();
    assert_eq!(pair.failure().code().as_str(), code);
    assert_eq!(pair.failure().alert().map(Alert::number), Some(alert), "{code}");
    assert_eq!(pair.alert_at_client(), Some(alert), "{code}");
}

#[test]
fn ends_with_nothing_in_common_part_with_an_alert() {
    let versions = |min, max| {
        context_with(Algorithm::P256, |options| {
            options.min_version = min;
            options.max_version = max;
        })
    };
    let only12 = || versions(ProtocolVersion::Tls12, ProtocolVersion::Tls12);
    let only13 = || versions(ProtocolVersion::Tls13, ProtocolVersion::Tls13);
    incompatible(client(TLS12), only13(), "ERR_SSL_UNSUPPORTED_PROTOCOL", 70);
    incompatible(client(TLS13), only12(), "ERR_SSL_UNSUPPORTED_PROTOCOL", 70);

    let suites = |suite| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![suite];
        provider
    };
    let tls12 = client_of(suites(cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), TLS12, None);
    incompatible(tls12, context(Algorithm::P256), "ERR_SSL_NO_SHARED_CIPHER", 40);
    let tls13 = client_of(suites(cipher_suite::TLS13_AES_128_GCM_SHA256), TLS13, None);
    let context_with_one_suite = context_with(Algorithm::P256, |options| {
        options.min_version = ProtocolVersion::Tls13;
        options.cipher_suites = Some(vec![CipherSuite::Aes256GcmSha384]);
    });
    incompatible(tls13, context_with_one_suite, "ERR_SSL_NO_SHARED_CIPHER", 40);

    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519];
    let p384 = || {
        context_with(Algorithm::P256, |options| {
            options.groups = Some(vec![offloop_tls::Group::P384]);
        })
    };
    let tls13 = client_of(provider.clone(), TLS13, None);
    incompatible(tls13, p384(), "ERR_SSL_NO_SUITABLE_KEY_SHARE", 40);
    incompatible(client_of(provider, TLS12, None), p384(), "ERR_SSL_NO_SHARED_CIPHER", 40);

    for versions in [TLS12, TLS13] {
        let mut client = client(versions);
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        let h2 = context_with(Algorithm::P256, |options| options.alpn = vec![b"h2".to_vec()]);
        incompatible(client, h2, "ERR_SSL_NO_APPLICATION_PROTOCOL", 120);
    }
}

#[test]
fn a_client_that_cannot_check_the_signature_is_told() {
    let mut provider = aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let mapping: Vec<_> = all
        .mapping
        .iter()
        .copied()
        .filter(|(scheme, _)| format!("{scheme:?}").starts_with("RSA"))
        .collect();
    provider.signature_verification_algorithms.mapping = mapping.leak();
    let tls13 = client_of(provider.clone(), TLS13, None);
    let p256 = || context(Algorithm::P256);
    incompatible(tls13, p256(), "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", 40);
    incompatible(client_of(provider, TLS12, None), p256(), "ERR_SSL_NO_SHARED_CIPHER", 40);
}

#[test]
fn a_client_that_refuses_the_certificate_is_its_alert() {
    for versions in [TLS12, TLS13] {
        let mut config = client(versions);
        config = {
            let roots = rustls::RootCertStore {
                roots: {
                    let mut store = rustls::RootCertStore::empty();
                    store.add(crate::certificates::other_authority().der().clone()).unwrap();
                    store.roots
                },
            };
            let mut other =
                rustls::ClientConfig::builder_with_provider(config.crypto_provider().clone())
                    .with_protocol_versions(versions)
                    .unwrap()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
            other.resumption = rustls::client::Resumption::disabled();
            other
        };
        let pair = Pair::new(config, context(Algorithm::P256)).run();
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
        assert_eq!(pair.failure().alert(), None);
        assert!(pair.failure().bytes().is_empty());
    }
}

#[test]
fn a_rejected_hello_leaves_with_the_callers_alert() {
    let mut client =
        rustls::ClientConnection::new(client(BOTH).into(), "localhost".try_into().unwrap())
            .unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let step = handshake(HandshakeLimits::default()).receive(&bytes);
    let Step::Decide(decide) = step else { panic!("{step:?}") };
    let Step::Failed(failure) = decide.reject(Alert::UnrecognizedName) else { panic!() };
    assert_eq!(failure.code(), Code::Rejected);
    assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 112]);
}

#[test]
fn every_changed_byte_of_the_clients_flight_fails_with_an_alert() {
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::new(client(versions), context(Algorithm::P256));
        let mut hello = Vec::new();
        pair.client.write_tls(&mut hello).unwrap();
        let mut flight = Vec::new();
        pair.deliver(&hello);
        while pair.client.wants_write() {
            pair.client.write_tls(&mut flight).unwrap();
        }
        for position in 0..flight.len() {
            let mut pair = Pair::new(client(versions), context(Algorithm::P256));
            let mut hello = Vec::new();
            pair.client.write_tls(&mut hello).unwrap();
            pair.deliver(&hello);
            let mut flight = Vec::new();
            while pair.client.wants_write() {
                pair.client.write_tls(&mut flight).unwrap();
            }
            if position >= flight.len() {
                continue;
            }
            flight[position] ^= 0x81;
            pair.deliver(&flight);
            match &pair.server {
                // A longer length: the rest is waited for.
                crate::pair::Server::Shaking(_) => {}
                crate::pair::Server::Failed(failure) => {
                    assert!(
                        !failure.bytes().is_empty() || failure.alert().is_none(),
                        "{versions:?} {position} {failure:?}"
                    );
                }
                // The version in a record's header means nothing.
                crate::pair::Server::Open(..) => {}
            }
        }
    }
}
