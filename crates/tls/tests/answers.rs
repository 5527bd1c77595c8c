//! What is decided for one connection: ALPN, OCSP staples, no certificate at all.

use std::sync::{Arc, Mutex};

use offloop_tls::{
    Answer, ContextOptions, ContextTable, HandshakeLimits, KeyLogSink, ServerContext, Step,
    handshake,
};
use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::certificates::{Algorithm, server};
use crate::pair::{Pair, TLS12, TLS13, client, context, context_with};
use crate::seen_server::SeenServer;

fn offering(versions: &[&'static rustls::SupportedProtocolVersion], alpn: &[&str]) -> ClientConfig {
    let mut config = client(versions);
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn alpn(name: &str) -> Answer {
    Answer { alpn: Some(name.into()), ..Answer::default() }
}

#[test]
fn an_alpn_answer_goes_before_the_contexts_protocols() {
    for versions in [TLS12, TLS13] {
        let context = || context_with(Algorithm::P256, |options| options.alpn = vec![b"h2".into()]);
        let config = || offering(versions, &["h2", "http/1.1"]);
        let pair = Pair::new(config(), context()).answer(alpn("http/1.1")).run();
        assert_eq!(pair.session().alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(pair.client.alpn_protocol(), Some(&b"http/1.1"[..]));
        // The next connection isn't touched by it.
        let pair = Pair::new(config(), context()).run();
        assert_eq!(pair.session().alpn.as_deref(), Some(&b"h2"[..]));
    }
}

#[test]
fn an_alpn_answer_that_was_not_offered_refuses_the_client() {
    for versions in [TLS12, TLS13] {
        let pair = Pair::new(offering(versions, &["a"]), context(Algorithm::P256));
        let pair = pair.answer(alpn("b")).run();
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_NO_APPLICATION_PROTOCOL");
        assert_eq!(pair.alert_at_client(), Some(120));
        // A client that offers nothing is served.
        let pair = Pair::new(client(versions), context(Algorithm::P256)).answer(alpn("b")).run();
        assert_eq!(pair.session().alpn, None);
    }
}

#[test]
fn no_protocol_in_common_is_told_before_anything_else() {
    for versions in [TLS12, TLS13] {
        let of_context = context_with(Algorithm::P256, |options| options.alpn = vec![b"b".into()]);
        for (context, answer) in
            [(of_context, Answer::default()), (context(Algorithm::P256), alpn("b"))]
        {
            let hello = hello_of(offering(versions, &["a"]));
            let Step::Decide(decide) = handshake(HandshakeLimits::default()).receive(&hello) else {
                panic!("expected a decision");
            };
            let step = decide.accept_with(&context, answer);
            let Step::Failed(failure) = step else { panic!("expected a failure, got {step:?}") };
            assert_eq!(failure.code().as_str(), "ERR_SSL_NO_APPLICATION_PROTOCOL");
            assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 120]);
        }
    }
}

#[test]
fn protocols_can_be_refused_as_a_whole() {
    let hello = hello_of(offering(TLS13, &["a"]));
    let Step::Decide(decide) = handshake(HandshakeLimits::default()).receive(&hello) else {
        panic!("expected a decision");
    };
    let Step::Failed(failure) = decide.refuse_protocols() else { panic!("expected a failure") };
    assert_eq!(failure.code().as_str(), "ERR_SSL_NO_APPLICATION_PROTOCOL");
    assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 120]);
}

#[test]
fn an_ocsp_response_is_stapled_for_this_connection_alone() {
    for versions in [TLS12, TLS13] {
        let seen = Arc::new(SeenServer::default());
        let config = || {
            let mut config = client(versions);
            config.dangerous().set_certificate_verifier(Arc::clone(&seen) as _);
            config
        };
        let context = context(Algorithm::P256);
        let ocsp = Some(b"response".to_vec());
        let answer = Answer { ocsp, ..Answer::default() };
        Pair::new(config(), context.clone()).answer(answer).run().assert_echo();
        assert_eq!(*seen.response.lock().unwrap(), b"response");
        Pair::new(config(), context).run().assert_echo();
        assert!(seen.response.lock().unwrap().is_empty());
    }
}

#[test]
fn the_certificate_that_a_hello_would_be_answered_with_is_told() {
    let mut options = ContextOptions::default();
    options.identities = vec![server(Algorithm::Ed25519), server(Algorithm::Rsa2048)];
    let context = ServerContext::new(options).unwrap();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites =
        vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    for (config, algorithm) in [
        (client(TLS13), Algorithm::Ed25519),
        (crate::pair::client_of(provider, TLS12, None), Algorithm::Rsa2048),
    ] {
        let hello = hello_of(config);
        let Step::Decide(decide) = handshake(HandshakeLimits::default()).receive(&hello) else {
            panic!("expected a decision");
        };
        assert_eq!(decide.certificates_for(&context, None), Some(&server(algorithm).chain[..]));
        assert!(decide.hello().requests_ocsp());
        let nobody = ServerContext::new(ContextOptions::default()).unwrap();
        assert_eq!(decide.certificates_for(&nobody, None), None);
    }
}

#[test]
fn a_client_without_a_certificate_for_it_is_refused_as_by_openssl() {
    let nobody = || ServerContext::new(ContextOptions::default()).unwrap();
    for (versions, code) in
        [(TLS12, "ERR_SSL_NO_SHARED_CIPHER"), (TLS13, "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM")]
    {
        for table in [ContextTable::new(nobody()), ContextTable::new(None)] {
            let pair = Pair::for_name("localhost", client(versions), table).run();
            assert_eq!(pair.failure().code().as_str(), code);
            assert_eq!(pair.alert_at_client(), Some(40));
        }
    }
    let table = ContextTable::new(None).with("localhost", context(Algorithm::P256));
    Pair::for_name("localhost", client(TLS13), table).run().assert_echo();
}

#[test]
fn key_log_lines_are_those_of_the_client() {
    for versions in [TLS12, TLS13] {
        let theirs = Arc::new(Lines::default());
        let mut config = client(versions);
        config.key_log = Arc::clone(&theirs) as _;
        config.resumption = Resumption::in_memory_sessions(8);
        let (config, context) = (Arc::new(config), context(Algorithm::P256));
        for resumed in [false, true] {
            let ours = Arc::new(Lines::default());
            theirs.0.lock().unwrap().clear();
            let key_log = Some(Arc::clone(&ours) as _);
            let answer = Answer { key_log, ..Answer::default() };
            let table = ContextTable::new(context.clone());
            let pair = Pair::for_name("localhost", Arc::clone(&config), table).answer(answer);
            let mut pair = pair.run();
            pair.assert_echo();
            assert_eq!(pair.session().resumed, resumed);
            assert!(!ours.sorted().is_empty());
            assert_eq!(ours.sorted(), theirs.sorted());
        }
    }
}

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Lines {
    fn sorted(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap().clone();
        lines.sort();
        lines
    }
}

impl KeyLogSink for Lines {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        KeyLogSink::line(self, &format!("{label} {} {}", hex(client_random), hex(secret)));
    }
}

fn hello_of(config: ClientConfig) -> Vec<u8> {
    let mut client =
        rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
