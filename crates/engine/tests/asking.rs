//! Connections that wait for their host in the middle of a handshake.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offloop_engine::tls::{ContextTable, NewSession};
use offloop_engine::{Accept, ConnectionId, Decision, EngineOptions, Event, ListenPlace, Stop};
use rustls::client::{Resumption, Tls12Resumption};
use rustls::{ClientConfig, HandshakeKind, KeyLog};

use crate::support::{
    Sink, TestHost, eventually, is_closed, server_options, shake_hands, start_client,
};

#[test]
fn a_hello_waits_for_its_decision() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen_asking(|_| {});
    let mut config = test.client.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = test.connecting(address, &config);
    let mut sink = test.drain_until(|sink| !sink.asked().is_empty());
    let id = sink.asked()[0];
    let Some(Event::Hello { hello, .. }) = sink.events.pop() else { panic!("a hello") };
    assert_eq!(hello.server, server);
    assert_eq!(hello.client.server_name(), Some("localhost"));
    assert_eq!(hello.client.alpn(), config.alpn_protocols);
    let chain = test.host.certificates_for(id, None, None, <[_]>::to_vec).unwrap();
    assert_eq!(chain.len(), 1);

    let decision = Decision { alpn: Some(b"http/1.1".to_vec()), ..Decision::default() };
    assert!(test.host.decide(id, decision));
    assert!(!test.host.decide(id, Decision::default()), "it is answered once");
    assert!(!test.host.proceed(id), "nothing is to be stored");
    assert_eq!(test.opened(), id);
    let client = client.join().unwrap().unwrap();
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.conn.peer_certificates().unwrap(), chain);
    assert!(test.host.certificates_for(id, None, None, <[_]>::len).is_none(), "it waits no longer");
}

#[test]
fn a_decision_brings_the_context_where_the_server_has_none() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|options| options.contexts = ContextTable::new(None));
    let client = test.connecting(address, &test.client);
    let id = test.asked();
    assert!(test.host.certificates_for(id, None, None, <[_]>::len).is_none());
    assert_eq!(test.host.certificates_for(id, Some(&test.context), None, <[_]>::len), Some(1));
    let context = Some(test.context.clone());
    assert!(test.host.decide(id, Decision { context, ..Decision::default() }));
    assert_eq!(test.opened(), id);
    client.join().unwrap().unwrap();

    let client = test.connecting(address, &test.tls12_client());
    let id = test.asked();
    assert!(test.host.decide(id, Decision::default()));
    assert_eq!(test.failed(id).code, Some("ERR_SSL_NO_SHARED_CIPHER"));
    assert!(client.join().unwrap().is_err());
}

#[test]
fn a_socket_that_was_handed_over_keeps_its_number() {
    let test = TestHost::new(EngineOptions::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = test.connecting(listener.local_addr().unwrap(), &test.client);
    let (socket, _) = listener.accept().unwrap();
    let settings = server_options(ContextTable::new(None)).settings;
    let accept = Accept { server: None, contexts: None, settings, ask: true, received: Vec::new() };
    let id = test.host.adopt(socket.as_raw_fd(), accept).unwrap();
    assert_eq!(test.asked(), id);
    let context = Some(test.context.clone());
    assert!(test.host.decide(id, Decision { context, ..Decision::default() }));
    assert_eq!(test.opened(), id);
    client.join().unwrap().unwrap();
}

#[test]
fn a_name_without_a_context_is_refused() {
    let test = TestHost::new(EngineOptions::default());
    let contexts = ContextTable::new(None).with("elsewhere.example", test.context.clone());
    let server = test.host.create_server(server_options(contexts));
    let address = test.listen_at(server, ListenPlace::Address(([127, 0, 0, 1], 0).into()));
    let client = test.connecting(address, &test.tls12_client());
    let is_failed = |event: &Event| {
        matches!(event, Event::Failed { id: None, report }
            if report.code == Some("ERR_SSL_NO_SHARED_CIPHER"))
    };
    test.drain_until(|sink| sink.events.iter().any(is_failed));
    assert!(client.join().unwrap().is_err());
}

#[test]
fn protocols_can_be_refused() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|_| {});
    let mut config = test.client.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = test.connecting(address, &config);
    let id = test.asked();
    assert!(test.host.decide(id, Decision { reject_alpn: true, ..Decision::default() }));
    assert_eq!(test.failed(id).alert, Some(120));
    assert!(client.join().unwrap().is_err());
}

#[test]
fn a_hello_that_nobody_answers_times_out() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) =
        test.listen_asking(|options| options.settings.timeout = Duration::from_secs(1));
    let client = test.connecting(address, &test.client);
    let id = test.asked();
    assert_eq!(test.failed(id).code, Some("ERR_TLS_HANDSHAKE_TIMEOUT"));
    assert!(!test.host.decide(id, Decision::default()));
    assert!(client.join().unwrap().is_err());
    eventually(|| test.host.connection_count(server) == 0);
}

#[test]
fn a_client_that_leaves_while_its_hello_waits_is_noticed() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen_asking(|_| {});
    let mut client = start_client(&test.client, address);
    client.conn.write_tls(&mut client.sock).unwrap();
    let id = test.asked();
    drop(client);
    assert_eq!(test.failed(id).code, Some("ECONNRESET"));
    assert!(!test.host.decide(id, Decision::default()));
    eventually(|| test.host.connection_count(server) == 0);
}

#[test]
fn what_comes_while_a_hello_waits_is_kept() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|_| {});
    let mut client = start_client(&test.client, address);
    client.conn.write_tls(&mut client.sock).unwrap();
    let id = test.asked();
    // RFC 8446, D.4: an endpoint may get this at any time.
    let change_cipher_spec = [20, 3, 3, 0, 1, 1];
    for byte in change_cipher_spec {
        client.sock.write_all(&[byte]).unwrap();
    }
    assert!(test.host.decide(id, Decision::default()));
    let mut client = shake_hands(client).unwrap();
    assert_eq!(test.opened(), id);
    client.write_all(b"ping").unwrap();
    test.drain_until(|sink| sink.bytes() == 4);
}

#[test]
fn a_connection_is_destroyed_while_its_hello_waits() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen_asking(|_| {});
    let client = test.connecting(address, &test.client);
    let id = test.asked();
    test.destroy(id);
    test.closed(id);
    assert!(!test.host.decide(id, Decision::default()));
    assert!(client.join().unwrap().is_err());
    eventually(|| test.host.connection_count(server) == 0);
}

#[test]
fn a_host_that_closes_ends_what_waits_for_it() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|_| {});
    let mut client = start_client(&test.client, address);
    client.conn.write_tls(&mut client.sock).unwrap();
    test.asked();
    test.host.close();
    assert!(is_closed(&client.sock));
    eventually(|| test.engine.tally().connections == 0);
}

#[test]
fn a_session_is_stored_before_its_connection_opens_and_resumed_by_its_id() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|_| {});
    let config = resuming_by_id(&test);
    let client = test.connecting(address, &config);
    let store = || Decision { store_session: true, ..Decision::default() };
    assert!(test.host.decide(test.asked(), store()));
    let (id, NewSession { id: session_id, data }) = test.new_session();
    assert!(test.host.handshaken(id, |_| ()).is_none(), "it is not open yet");
    assert!(test.host.proceed(id));
    assert!(!test.host.proceed(id), "it is answered once");
    assert_eq!(test.opened(), id);
    let client = client.join().unwrap().unwrap();
    assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Full));

    let client = test.connecting(address, &config);
    let mut sink = test.drain_until(|sink| !sink.asked().is_empty());
    let Some(Event::Hello { id, hello }) = sink.events.pop() else { panic!("a hello") };
    assert_eq!(hello.client.session_id(), session_id);
    assert!(test.host.decide(id, Decision { session: Some(data), ..store() }));
    assert_eq!(test.opened(), id);
    assert_eq!(test.host.handshaken(id, |done| done.session.resumed), Some(true));
    let client = client.join().unwrap().unwrap();
    assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn a_session_that_nobody_stores_times_out() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) =
        test.listen_asking(|options| options.settings.timeout = Duration::from_secs(2));
    let client = test.connecting(address, &resuming_by_id(&test));
    let decision = Decision { store_session: true, ..Decision::default() };
    assert!(test.host.decide(test.asked(), decision));
    let (id, _) = test.new_session();
    assert_eq!(test.failed(id).code, Some("ERR_TLS_HANDSHAKE_TIMEOUT"));
    assert!(!test.host.proceed(id));
    assert!(client.join().unwrap().is_err());
}

#[test]
fn a_client_that_leaves_while_its_session_is_stored_is_noticed() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen_asking(|_| {});
    let mut client = start_client(&resuming_by_id(&test), address);
    client.conn.write_tls(&mut client.sock).unwrap();
    let decision = Decision { store_session: true, ..Decision::default() };
    assert!(test.host.decide(test.asked(), decision));
    while !client.conn.wants_write() {
        client.conn.read_tls(&mut client.sock).unwrap();
        client.conn.process_new_packets().unwrap();
    }
    while client.conn.wants_write() {
        client.conn.write_tls(&mut client.sock).unwrap();
    }
    let (id, _) = test.new_session();
    drop(client);
    assert_eq!(test.failed(id).code, Some("ECONNRESET"));
    assert!(!test.host.proceed(id));
    eventually(|| test.host.connection_count(server) == 0);
}

#[test]
fn secrets_are_logged_as_the_client_has_them() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|_| {});
    let secrets = Arc::new(Secrets::default());
    let mut config = test.client.clone();
    config.key_log = Arc::clone(&secrets) as _;
    let client = test.connecting(address, &config);
    let id = test.asked();
    assert!(test.host.decide(id, Decision { key_log: true, ..Decision::default() }));
    let sink = test.drain_until(|sink| !sink.opened().is_empty());
    client.join().unwrap().unwrap();
    let mut lines = sink.key_log(id);
    let mut expected = secrets.0.lock().unwrap().clone();
    lines.sort_unstable();
    expected.sort_unstable();
    assert!(!expected.is_empty());
    assert_eq!(lines, expected);
}

#[test]
fn both_ends_export_the_same_keying_material() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen();
    let client = test.connect(address);
    let id = test.opened();
    for context in [None, Some(&b"context"[..])] {
        let mut ours = [0; 48];
        let exported = test.host.records(id, |records| {
            records.export_keying_material(&mut ours, b"EXPORTER-of-a-test", context)
        });
        exported.unwrap().unwrap();
        let theirs =
            client.conn.export_keying_material([0; 48], b"EXPORTER-of-a-test", context).unwrap();
        assert_eq!(ours, theirs);
    }
    test.destroy(id);
    test.closed(id);
    assert!(test.host.records(id, |_| ()).is_none(), "the old number names nothing");
}

#[test]
fn a_server_that_was_closed_leaves_the_descriptor_to_whoever_else_has_it() {
    let test = TestHost::new(EngineOptions::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let contexts = ContextTable::new(test.context.clone());
    let server = test.host.create_server(server_options(contexts));
    test.listen_at(server, ListenPlace::Descriptor(listener.as_raw_fd()));
    let _first = test.connect(address);
    let first = test.opened();
    test.host.close_server(server, Stop::AtOnce);
    eventually(|| test.engine.tally().listeners == 0);

    listener.set_nonblocking(false).unwrap();
    let mut client = start_client(&test.client, address);
    client.conn.write_tls(&mut client.sock).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    assert!(test.host.handshaken(first, |_| ()).is_some(), "what was open is open");
}

#[derive(Debug, Default)]
struct Secrets(Mutex<Vec<String>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}", hex(client_random), hex(secret));
        self.0.lock().unwrap().push(line);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client of TLS 1.2 without tickets.
fn resuming_by_id(test: &TestHost) -> ClientConfig {
    let mut config = test.tls12_client();
    config.resumption =
        Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    config
}

impl TestHost {
    /// Drains until a session is to be stored.
    fn new_session(&self) -> (ConnectionId, NewSession) {
        let is_it = |event: &Event| matches!(event, Event::NewSession { .. });
        let sink = self.drain_until(|sink| sink.events.iter().any(is_it));
        match sink.events.into_iter().find(is_it) {
            Some(Event::NewSession { id, session }) => (id, *session),
            other => panic!("found {other:?}"),
        }
    }
}

impl Sink {
    fn key_log(&self, of: ConnectionId) -> Vec<String> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::KeyLog { id, line } if *id == of => Some(line.clone()),
                _ => None,
            })
            .collect()
    }
}
