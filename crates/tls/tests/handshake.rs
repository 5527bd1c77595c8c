//! Handshakes that succeed, in every kind and cut at every position.

use std::io::Write;

use offloop_tls::{
    CipherSuite, Code, ContextOptions, ContextTable, Cost, Group, ProtocolVersion, ServerContext,
};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};

use crate::certificates::{Algorithm, server};
use crate::pair::{BOTH, Cut, Pair, TLS12, TLS13, client, client_of, context, context_with};

#[test]
fn every_key_serves_both_versions_and_costs_what_its_size_says() {
    for algorithm in Algorithm::ALL {
        let cost = match algorithm {
            Algorithm::Rsa3072 | Algorithm::Rsa4096 => Cost::Heaviest,
            Algorithm::Rsa2048 => Cost::Heavy,
            _ => Cost::Light,
        };
        for versions in [TLS12, TLS13] {
            let mut pair = Pair::new(client(versions), context(algorithm)).run();
            pair.assert_echo();
            assert_eq!(pair.costs, [cost], "{algorithm:?} {versions:?}");
            assert_eq!(context(algorithm).has_rsa_key(), cost != Cost::Light);
        }
    }
}

#[test]
fn the_session_tells_what_was_agreed() {
    let context = context_with(Algorithm::P256, |options| options.alpn = vec![b"h2".to_vec()]);
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    let mut config = client_of(provider, BOTH, None);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let pair = Pair::new(config, context).run();
    let session = pair.session();
    assert_eq!(session.protocol, ProtocolVersion::Tls13);
    assert_eq!(session.cipher.name, "TLS_AES_256_GCM_SHA384");
    assert_eq!(session.cipher.version, "TLSv1.3");
    assert_eq!(session.alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(session.server_name.as_deref(), Some("localhost"));
    assert_eq!(session.group, Some("X25519MLKEM768"));
    assert!(!session.resumed);
    assert!(session.peer_certificates.is_empty());
    assert!(!session.authorized);
    assert_eq!(session.authorization_error, None);
}

#[test]
fn tls12_chooses_by_the_servers_order_as_node_does() {
    let pair = Pair::new(client(TLS12), context(Algorithm::P256)).run();
    let cipher = pair.session().cipher;
    assert_eq!(cipher.name, "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_eq!(cipher.standard_name, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(cipher.version, "TLSv1.2");
}

#[test]
fn the_clients_order_decides_when_the_servers_does_not() {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites =
        vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_AES_256_GCM_SHA384];
    let context = context_with(Algorithm::P256, |options| options.honor_cipher_order = false);
    let pair = Pair::new(client_of(provider, TLS13, None), context).run();
    assert_eq!(pair.session().cipher.name, "TLS_AES_128_GCM_SHA256");
}

#[test]
fn every_cipher_suite_can_be_the_only_one() {
    for &suite in CipherSuite::ALL {
        let algorithm =
            if suite.info().name.contains("RSA") { Algorithm::Rsa2048 } else { Algorithm::P256 };
        let context = context_with(algorithm, |options| {
            options.cipher_suites = Some(vec![suite]);
            options.min_version = suite.version();
            options.max_version = suite.version();
        });
        let mut pair = Pair::new(client(BOTH), context).run();
        assert_eq!(pair.session().cipher, suite.info());
        pair.assert_echo();
    }
}

#[test]
fn every_group_can_be_the_only_one() {
    for &group in Group::ALL {
        let context = context_with(Algorithm::P256, |options| {
            options.groups = Some(vec![group]);
            options.min_version = ProtocolVersion::Tls13;
        });
        let pair = Pair::new(client(TLS13), context).run();
        assert_eq!(pair.session().group, Some(group.name()));
    }
}

#[test]
fn the_identity_is_the_first_that_the_client_can_check() {
    let context = || {
        let mut options = ContextOptions::default();
        options.identities = vec![server(Algorithm::P256), server(Algorithm::Rsa2048)];
        ServerContext::new(options).unwrap()
    };
    let pair = Pair::new(client(BOTH), context()).run();
    assert_eq!(pair.costs, [Cost::Light]);

    // A TLS 1.2 client that offers ECDSA signatures, but no cipher suite for them.
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let pair = Pair::new(client_of(provider, TLS12, None), context()).run();
    assert_eq!(pair.session().cipher.name, "ECDHE-RSA-AES128-GCM-SHA256");
    assert_eq!(pair.costs, [Cost::Heavy]);
}

#[test]
fn a_handshake_survives_a_cut_at_every_position() {
    for versions in [TLS12, TLS13] {
        let run = |cut| {
            let mut pair = Pair::new(client(versions), context(Algorithm::P256)).cut(cut).run();
            pair.assert_echo();
            pair.from_client.len()
        };
        let length = run(Cut::Bytes);
        for position in 0..length {
            run(Cut::At(position));
        }
    }
}

#[test]
fn a_hello_retry_request_is_a_second_job_cut_wherever() {
    let context = context_with(Algorithm::Rsa2048, |options| {
        options.groups = Some(vec![Group::P384]);
    });
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP384R1];
    let run = |cut| {
        let client = client_of(provider.clone(), TLS13, None);
        let mut pair = Pair::new(client, context.clone()).cut(cut).run();
        pair.assert_echo();
        assert_eq!(pair.session().group, Some("secp384r1"));
        assert_eq!(pair.costs, [Cost::Heavy, Cost::Heavy]);
        pair.from_client.len()
    };
    let length = run(Cut::Bytes);
    for position in (0..length).step_by(3) {
        run(Cut::At(position));
    }
}

#[test]
fn data_behind_the_clients_finished_is_delivered() {
    for versions in [TLS12, TLS13] {
        for cut in [Cut::Whole, Cut::Bytes] {
            let mut pair = Pair::new(client(versions), context(Algorithm::P256)).cut(cut);
            // rustls' client holds it back until its Finished, then sends both in one flight.
            pair.client.writer().write_all(b"first words").unwrap();
            pair.pump();
            assert_eq!(pair.received, b"first words", "{versions:?} {cut:?}");
            pair.assert_echo();
        }
    }
}

#[test]
fn large_data_behind_the_clients_finished_is_delivered_in_order() {
    let mut pair = Pair::new(client(TLS13), context(Algorithm::P256));
    let data: Vec<u8> = (0..60_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    pair.client.set_buffer_limit(None);
    pair.client.writer().write_all(&data).unwrap();
    pair.pump();
    assert!(pair.received == data);
}

#[test]
fn a_close_notify_behind_the_clients_finished_is_seen() {
    let mut pair = Pair::new(client(TLS13), context(Algorithm::P256));
    let mut hello = Vec::new();
    pair.client.write_tls(&mut hello).unwrap();
    pair.deliver(&hello);
    pair.client.writer().write_all(b"and good bye").unwrap();
    pair.client.send_close_notify();
    pair.pump();
    assert_eq!(pair.received, b"and good bye");
    let received = pair.records().receive(&[], &mut Vec::new()).unwrap();
    assert!(received.close_notify);
}

#[test]
fn the_hello_tells_its_facts_before_the_decision() {
    let mut config = client(BOTH);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client =
        rustls::ClientConnection::new(config.into(), "LocalHost.Example".try_into().unwrap())
            .unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let state = offloop_tls::handshake(Default::default());
    assert!(state.awaits_hello());
    let offloop_tls::Step::Decide(decide) = state.receive(&bytes) else { panic!() };
    let hello = decide.hello();
    assert_eq!(hello.server_name().map(str::to_lowercase).as_deref(), Some("localhost.example"));
    assert_eq!(hello.alpn(), [b"h2"]);
    assert_eq!(hello.supported_versions(), [0x0304, 0x0303]);
    assert_eq!(hello.groups(), [0x001d, 0x0017, 0x0018, 0x11ec]);
    assert_eq!(hello.key_shares(), [0x001d]);
    assert!(hello.cipher_suites().contains(&0x1302));
    assert!(hello.signature_schemes().contains(&0x0403));
    assert!(hello.extensions().contains(&51));
    assert!(!hello.offers_ticket());
    assert_eq!(hello.legacy_version(), 0x0303);
}

#[test]
fn a_server_name_chooses_the_context() {
    let named = context_with(Algorithm::Ed25519, |options| options.alpn = vec![b"x".to_vec()]);
    let table = ContextTable::new(context(Algorithm::P256)).with("ONE.example", named);
    let mut config = client(BOTH);
    config.alpn_protocols = vec![b"x".to_vec()];
    let one = Pair::for_name("one.example", config.clone(), table.clone()).run();
    assert_eq!(one.session().alpn.as_deref(), Some(&b"x"[..]));
    let two = Pair::for_name("two.example", config, table).run();
    assert_eq!(two.session().alpn, None);
}

#[test]
fn a_client_that_leaves_is_a_reset_connection() {
    let state = offloop_tls::handshake(Default::default());
    let failure = state.end();
    assert_eq!(failure.code(), Code::ConnectionReset);
    assert_eq!(failure.code().as_str(), "ECONNRESET");
    assert!(failure.bytes().is_empty());
}
