//! The record path behind a finished handshake, driven by a script: the seeded test and the
//! cargo-fuzz target `record_path` run it.

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use offloop_tls::{
    ContextOptions, HandshakeLimits, Identity, Records, ServerContext, Step, handshake,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// Each step of the script takes two bytes, what and how much. Whatever happens on the wire, the
/// server gets nothing but a front part of what the client wrote, and never panics.
pub(crate) fn record_path(script: &[u8]) {
    let Some((&first, script)) = script.split_first() else { return };
    let version = if first & 1 == 0 { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
    let (mut client, mut server) = established(version);
    let mut wire = Wire::default();
    let mut written = Vec::new();
    let mut received = Vec::new();
    for step in script.chunks_exact(2).take(64) {
        let (what, much) = (step[0], step[1]);
        match what % 8 {
            0 | 1 => {
                let plaintext = vec![much; usize::from(much) * 97];
                // Refused once the client has closed.
                if client.writer().write_all(&plaintext).is_ok() {
                    written.extend(plaintext);
                }
            }
            2 => {
                let _ = client.refresh_traffic_keys();
            }
            3 => wire.flip = Some(much),
            4 => wire.bytes.extend_from_slice(script),
            5 => wire.lose = true,
            6 => {
                server.set_max_fragment(usize::from(much) * 100);
                server.seal(&vec![much; usize::from(much) * 97]);
            }
            _ if much < 32 => client.send_close_notify(),
            _ => {}
        }
        wire.take(&mut client);
        let cut = 1 + usize::from(what) * 16;
        let delivered = std::mem::take(&mut wire.bytes);
        let ended = delivered.chunks(cut).any(|piece| {
            server.receive(piece, &mut received).map_or(true, |received| received.close_notify)
        });
        assert!(written.starts_with(&received), "what arrives is what was written");
        answer(&mut server, &mut client);
        if ended {
            assert!(server.receive(&[1], &mut received).is_err() || written.starts_with(&received));
            return;
        }
    }
    if !wire.touched {
        assert_eq!(received, written);
    }
}

/// What the client has sent and the server hasn't got, and what is to happen to it.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    flip: Option<u8>,
    lose: bool,
    touched: bool,
}

impl Wire {
    fn take(&mut self, client: &mut ClientConnection) {
        self.touched |= !self.bytes.is_empty();
        let from = self.bytes.len();
        while client.wants_write() {
            client.write_tls(&mut self.bytes).unwrap();
        }
        let flight = &mut self.bytes[from..];
        if let Some(flip) = self.flip.take_if(|_| !flight.is_empty()) {
            let position = usize::from(flip) * 37 % flight.len();
            flight[position] ^= flip | 1;
            self.touched = true;
        }
        if std::mem::take(&mut self.lose) && from < self.bytes.len() {
            self.bytes.truncate(from);
            self.touched = true;
        }
    }
}

/// What the server has sealed must reach the client, as long as both are well.
fn answer(server: &mut Records, client: &mut ClientConnection) {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_to(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        if client.read_tls(&mut bytes).is_err() || client.process_new_packets().is_err() {
            return;
        }
        let _ = client.reader().read_to_end(&mut Vec::new());
    }
}

fn established(version: &'static SupportedProtocolVersion) -> (ClientConnection, Records) {
    static ENDS: LazyLock<(ServerContext, RootCertStore)> = LazyLock::new(ends);
    let (context, roots) = &*ENDS;
    let config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut step = Step::NeedBytes(handshake(HandshakeLimits::default()));
    loop {
        step = match step {
            Step::NeedBytes(state) => {
                let mut flight = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut flight).unwrap();
                }
                assert!(!flight.is_empty(), "the client has something to say");
                state.receive(&flight)
            }
            Step::Decide(decide) => decide.accept(context),
            Step::Job(job) => job.run(),
            Step::Send(outgoing) => {
                client.read_tls(&mut outgoing.bytes()).unwrap();
                client.process_new_packets().unwrap();
                outgoing.sent()
            }
            Step::Done(established) => {
                let mut server = established.records;
                answer(&mut server, &mut client);
                return (client, server);
            }
            Step::Failed(failure) => panic!("{failure}"),
        };
    }
}

fn ends() -> (ServerContext, RootCertStore) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = offloop_tls::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut options = ContextOptions::default();
    options.identities = vec![Identity { chain: vec![certificate.der().clone()], key: key.into() }];
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    (ServerContext::new(options).unwrap(), roots)
}
