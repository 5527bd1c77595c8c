//! Tickets: who may resume, and what it costs.

use std::sync::Arc;

use offloop_tls::{
    ClientAuth, ContextOptions, ContextTable, Cost, Group, HandshakeLimits, ServerContext,
    SharedTicketKeys, Step, Tickets, handshake,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::{ClientConfig, ClientConnection};

use crate::certificates::{Algorithm, authority, client as client_identity};
use crate::pair::{
    Pair, TLS12, TLS13, client, client_of, client_with_certificate, context, context_with,
};

fn resuming(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::in_memory_sessions(8);
    config.into()
}

fn connect(client: &Arc<ClientConfig>, context: &ServerContext) -> Pair {
    let table = ContextTable::new(context.clone());
    let mut pair = Pair::for_name("localhost", Arc::clone(client), table).run();
    pair.assert_echo();
    pair
}

fn asking(reject_unauthorized: bool) -> ClientAuth {
    ClientAuth::Request {
        roots: vec![authority().der().clone()],
        partial_chain: false,
        reject_unauthorized,
    }
}

#[test]
fn a_session_is_resumed_and_rsa_becomes_light() {
    for versions in [TLS12, TLS13] {
        let context = context(Algorithm::Rsa2048);
        let client = resuming(client(versions));
        let first = connect(&client, &context);
        assert!(!first.session().resumed);
        assert_eq!(first.costs, [Cost::Heavy]);
        for _ in 0..2 {
            let again = connect(&client, &context);
            assert!(again.session().resumed, "{versions:?}");
            assert_eq!(again.costs, [Cost::Light]);
            assert_eq!(again.session().cipher, first.session().cipher);
        }
    }
}

#[test]
fn two_tickets_come_with_a_full_handshake_of_tls13() {
    let context = context(Algorithm::P256);
    let client = resuming(client(TLS13));
    connect(&client, &context);
    // Each is used once. Two connections that stay open at the same time can both resume.
    let table = ContextTable::new(context);
    let one = Pair::for_name("localhost", Arc::clone(&client), table.clone());
    let two = Pair::for_name("localhost", Arc::clone(&client), table.clone());
    assert!(one.run().session().resumed);
    assert!(two.run().session().resumed);
    // Resuming gives no more, so that a session does not live for ever.
    assert!(!Pair::for_name("localhost", client, table).run().session().resumed);
}

#[test]
fn a_ticket_of_tls12_stays_when_it_is_used() {
    let keys = SharedTicketKeys::from_bytes(&[1; 48]).unwrap();
    let context = context_with(Algorithm::P256, |options| {
        options.tickets = Tickets::Shared(keys.clone());
    });
    let client = resuming(client(TLS12));
    connect(&client, &context);
    let ticket = || {
        let name = "localhost".try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        let at = hello.windows(16).position(|name| name == [1; 16]).unwrap();
        hello[at..at + 100].to_vec()
    };
    let before = ticket();
    assert!(connect(&client, &context).session().resumed);
    assert_eq!(ticket(), before);
}

#[test]
fn no_certificate_is_told_for_a_hello_whose_session_is_resumed() {
    for versions in [TLS12, TLS13] {
        let context = context(Algorithm::P256);
        let client = resuming(client(versions));
        let tells = |context: &ServerContext| {
            let name = "localhost".try_into().unwrap();
            let mut connection = ClientConnection::new(Arc::clone(&client), name).unwrap();
            let mut hello = Vec::new();
            connection.write_tls(&mut hello).unwrap();
            match handshake(HandshakeLimits::default()).receive(&hello) {
                Step::Decide(decide) => decide.certificates_for(context, None).is_some(),
                step => panic!("expected a decision, not {step:?}"),
            }
        };
        assert!(tells(&context));
        connect(&client, &context);
        assert!(!tells(&context));
        connect(&client, &context);
        assert!(tells(&crate::pair::context(Algorithm::P256)), "it is another's");
    }
}

#[test]
fn without_tickets_nothing_is_resumed() {
    for versions in [TLS12, TLS13] {
        let context = context_with(Algorithm::P256, |options| options.tickets = Tickets::Off);
        let client = resuming(client(versions));
        connect(&client, &context);
        assert!(!connect(&client, &context).session().resumed);
    }
}

#[test]
fn a_ticket_that_does_not_decrypt_stays_heavy() {
    for versions in [TLS12, TLS13] {
        let client = resuming(client(versions));
        connect(&client, &context(Algorithm::Rsa2048));
        let other = connect(&client, &context(Algorithm::Rsa2048));
        assert!(!other.session().resumed);
        assert_eq!(other.costs, [Cost::Heavy]);
    }
}

#[test]
fn a_real_ticket_beside_another_cipher_suite_stays_heavy() {
    for (versions, suite) in [
        (TLS12, cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
        (TLS13, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ] {
        let context = context(Algorithm::Rsa2048);
        let all = resuming(client(versions));
        connect(&all, &context);
        // The same tickets, but one suite only. rustls' client offers a TLS 1.3 session only
        // with its own hash, so some runs have no ticket at all; none may be light.
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![suite];
        let mut one = client_of(provider, versions, None);
        one.resumption = all.resumption.clone();
        let pair = connect(&one.into(), &context);
        assert!(!pair.session().resumed);
        assert_eq!(pair.costs, [Cost::Heavy]);
    }
}

#[test]
fn a_ticket_of_another_name_is_not_resumed() {
    let context = context(Algorithm::P256);
    let client = resuming(client(TLS13));
    let table = ContextTable::new(context);
    Pair::for_name("one.example", Arc::clone(&client), table.clone()).run();
    assert!(!Pair::for_name("two.example", client, table).run().session().resumed);
}

#[test]
fn a_session_survives_a_hello_retry_request() {
    let context = context_with(Algorithm::Rsa2048, |options| {
        options.groups = Some(vec![Group::P384]);
    });
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP384R1];
    let client = resuming(client_of(provider, TLS13, None));
    connect(&client, &context);
    assert!(connect(&client, &context).session().resumed);
}

#[test]
fn an_authorized_client_stays_so_when_it_resumes() {
    for versions in [TLS12, TLS13] {
        for reject in [true, false] {
            let context =
                context_with(Algorithm::P256, |options| options.client_auth = asking(reject));
            let client = resuming(client_with_certificate(versions, client_identity()));
            let first = connect(&client, &context);
            assert!(first.session().authorized);
            let again = connect(&client, &context);
            assert!(again.session().resumed);
            assert!(again.session().authorized);
            assert_eq!(again.session().peer_certificates, first.session().peer_certificates);
        }
    }
}

#[test]
fn a_session_of_a_name_without_client_certificates_does_not_open_one_with_them() {
    for versions in [TLS12, TLS13] {
        let client = resuming(client(versions));
        let open = context(Algorithm::P256);
        connect(&client, &open);
        let closed = context_with(Algorithm::P256, |options| options.client_auth = asking(true));
        let table = ContextTable::new(closed);
        let pair = Pair::for_name("localhost", Arc::clone(&client), table).run();
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    }
}

#[test]
fn contexts_with_shared_keys_open_each_others_tickets() {
    for versions in [TLS12, TLS13] {
        let sharing = |keys: SharedTicketKeys| {
            context_with(Algorithm::P256, |options| options.tickets = Tickets::Shared(keys))
        };
        let keys = SharedTicketKeys::new().unwrap();
        let client = resuming(client(versions));
        connect(&client, &sharing(keys.clone()));
        assert!(connect(&client, &sharing(keys.clone())).session().resumed);
        // Another process.
        let others = SharedTicketKeys::from_bytes(&keys.get()).unwrap();
        assert!(connect(&client, &sharing(others.clone())).session().resumed);
        // A new key, while the one before still opens.
        let client = resuming(crate::pair::client(versions));
        connect(&client, &sharing(keys.clone()));
        others.set(&[7; 48]).unwrap();
        assert_eq!(others.get(), [7; 48]);
        assert!(connect(&client, &sharing(others.clone())).session().resumed);
        // Tickets of the new key are nothing to who has the old one.
        let client = resuming(crate::pair::client(versions));
        assert!(!connect(&client, &sharing(others)).session().resumed);
        assert!(!connect(&client, &sharing(keys)).session().resumed);
    }
}

#[test]
fn a_shared_key_opens_no_ticket_of_other_checks() {
    let keys = SharedTicketKeys::from_bytes(&[1; 48]).unwrap();
    let with = |change: &dyn Fn(&mut ContextOptions)| {
        context_with(Algorithm::P256, |options| {
            options.tickets = Tickets::Shared(keys.clone());
            change(options);
        })
    };
    let client = resuming(client(TLS13));
    connect(&client, &with(&|_| {}));
    let other = with(&|options| options.session_id_context = b"other".to_vec());
    assert!(!connect(&client, &other).session().resumed);
    let client = resuming(crate::pair::client(TLS13));
    connect(&client, &with(&|_| {}));
    let closed = with(&|options| options.client_auth = asking(true));
    let pair = Pair::for_name("localhost", client, ContextTable::new(closed)).run();
    assert_eq!(pair.failure().code().as_str(), "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
}

#[test]
fn a_changed_byte_in_the_ticket_makes_a_full_handshake_or_a_failure_but_no_panic() {
    let context = context(Algorithm::Rsa2048);
    let client = resuming(client(TLS12));
    connect(&client, &context);
    let mut resuming = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    resuming.write_tls(&mut hello).unwrap();
    let cost_of = |hello: &[u8]| match handshake(HandshakeLimits::default()).receive(hello) {
        Step::Decide(decide) => match decide.accept(&context) {
            Step::Job(job) => Some(job.cost()),
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    assert_eq!(cost_of(&hello), Some(Cost::Light));
    // The ticket is the longest extension and the message's bytes from 300 on are in it.
    for position in 0..hello.len() {
        let mut changed = hello.clone();
        changed[position] ^= 0x55;
        let _ = cost_of(&changed);
    }
}
