//! A host on a thread of the test's own, and clients that are rustls over a blocking socket.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use offloop_engine::tls::{ContextOptions, ContextTable, Identity, ServerContext};
use offloop_engine::{
    AdmissionLimits, BoundAddress, ConnectionId, Doorbell, Drained, Engine, EngineOptions, Event,
    EventSink, Host, ListenPlace, ListenTarget, Offload, Operation, Payload, Report, ServerId,
    ServerOptions, Settings, ShedMode,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestHost {
    pub(crate) engine: Arc<Engine>,
    pub(crate) host: Arc<Host>,
    rings: Receiver<()>,
    /// Trusts `context`.
    pub(crate) client: ClientConfig,
    roots: RootCertStore,
    pub(crate) context: ServerContext,
}

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;

struct Bell(Mutex<Sender<()>>);

impl Doorbell for Bell {
    fn ring(&self) {
        // The test may have dropped its end.
        let _ = self.0.lock().unwrap().send(());
    }
}

/// Keeps everything.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) events: Vec<Event>,
    pub(crate) plaintext: Vec<(ConnectionId, Vec<u8>)>,
}

impl EventSink for Sink {
    fn data(&mut self, id: ConnectionId, plaintext: &[u8]) -> usize {
        self.plaintext.push((id, plaintext.to_vec()));
        plaintext.len()
    }

    fn ciphertext(&mut self, _: ConnectionId, ciphertext: &[u8]) -> usize {
        ciphertext.len()
    }

    fn event(&mut self, event: Event) -> Result<(), Event> {
        self.events.push(event);
        Ok(())
    }
}

impl TestHost {
    pub(crate) fn new(options: EngineOptions) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let identity =
            Identity::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
        let mut context = ContextOptions::default();
        context.identities = vec![identity.unwrap()];
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = client_config(&roots, rustls::DEFAULT_VERSIONS);
        let (sender, rings) = channel();
        let engine = Engine::start(options).unwrap();
        let host = Host::new(Arc::clone(&engine), Box::new(Bell(Mutex::new(sender))));
        let context = ServerContext::new(context).unwrap();
        Self { engine, host, rings, client, roots, context }
    }

    pub(crate) fn listen(&self) -> (ServerId, SocketAddr) {
        let contexts = ContextTable::new(self.context.clone());
        let server = self.host.create_server(server_options(contexts));
        (server, self.listen_at(server, ListenPlace::Address(([127, 0, 0, 1], 0).into())))
    }

    /// A server that asks about each hello, and what of it is not as `server_options` has it.
    pub(crate) fn listen_asking(
        &self,
        change: impl FnOnce(&mut ServerOptions),
    ) -> (ServerId, SocketAddr) {
        let mut options = server_options(ContextTable::new(self.context.clone()));
        change(&mut options);
        let server = self.host.create_server(options);
        self.host.set_ask(server, true);
        (server, self.listen_at(server, ListenPlace::Address(([127, 0, 0, 1], 0).into())))
    }

    pub(crate) fn listen_at(&self, server: ServerId, place: ListenPlace) -> SocketAddr {
        let target = ListenTarget {
            place,
            backlog: 511,
            is_ours: true,
            ipv6_only: false,
            reuse_port: false,
        };
        match self.host.listen(server, &target).unwrap() {
            BoundAddress::Inet(address) => address,
            BoundAddress::Unix(path) => panic!("listens at {path:?}"),
        }
    }

    /// Drains until a hello is asked about.
    pub(crate) fn asked(&self) -> ConnectionId {
        self.drain_until(|sink| !sink.asked().is_empty()).asked()[0]
    }

    /// Drains until a connection is open.
    pub(crate) fn opened(&self) -> ConnectionId {
        self.drain_until(|sink| !sink.opened().is_empty()).opened()[0]
    }

    /// Drains until this connection has failed.
    pub(crate) fn failed(&self, id: ConnectionId) -> Box<Report> {
        let is_it =
            |event: &Event| matches!(event, Event::Failed { id: Some(at), .. } if *at == id);
        let sink = self.drain_until(|sink| sink.events.iter().any(is_it));
        match sink.events.into_iter().find(is_it) {
            Some(Event::Failed { report, .. }) => report,
            other => panic!("found {other:?}"),
        }
    }

    pub(crate) fn destroy(&self, id: ConnectionId) {
        let destroy = Payload { id, operation: Operation::Destroy, bytes: &[] };
        self.host.submit([destroy].into_iter(), |_| {});
    }

    /// Drains until this connection is gone.
    pub(crate) fn closed(&self, id: ConnectionId) {
        let is_it = |event: &Event| matches!(event, Event::Closed(at) if *at == id);
        self.drain_until(|sink| sink.events.iter().any(is_it));
    }

    /// Waits for a ring and drains.
    pub(crate) fn drain(&self) -> Sink {
        self.rings.recv_timeout(PATIENCE).expect("the bell rings");
        let mut sink = Sink::default();
        assert_eq!(self.host.drain(&mut sink), Drained::All);
        sink
    }

    /// Drains until `enough`; what came in all.
    pub(crate) fn drain_until(&self, mut enough: impl FnMut(&Sink) -> bool) -> Sink {
        let mut all = Sink::default();
        while !enough(&all) {
            let Sink { events, plaintext } = self.drain();
            all.events.extend(events);
            all.plaintext.extend(plaintext);
        }
        all
    }

    /// A client that speaks TLS 1.2 only.
    pub(crate) fn tls12_client(&self) -> ClientConfig {
        client_config(&self.roots, &[&rustls::version::TLS12])
    }

    /// A client whose handshake is done, as far as a client can know.
    pub(crate) fn connect(&self, address: SocketAddr) -> Client {
        shake_hands(start_client(&self.client, address)).unwrap()
    }

    /// A client on a thread of its own, whose handshake waits for what the test does.
    pub(crate) fn connecting(
        &self,
        address: SocketAddr,
        config: &ClientConfig,
    ) -> JoinHandle<io::Result<Client>> {
        let client = start_client(config, address);
        thread::spawn(|| shake_hands(client))
    }
}

fn client_config(
    roots: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots.clone())
        .with_no_client_auth()
}

/// Limits that no test reaches.
pub(crate) fn server_options(contexts: ContextTable) -> ServerOptions {
    ServerOptions {
        contexts,
        settings: Settings {
            timeout: Duration::from_secs(120),
            hello_timeout: None,
            client_hello_size: 32 * 1024,
            queue_target: Duration::from_secs(120),
            queue_age: Duration::from_secs(120),
            buffered_bytes: 256 * 1024,
            empty_records: 32,
            idle_timeout: None,
            shed: ShedMode::Reset,
            offload: Offload::Auto,
        },
        admission: AdmissionLimits::default(),
        no_delay: true,
        keep_alive: None,
        max_connections: None,
        tally: Arc::default(),
        trusted_proxies: None,
        backends: None,
    }
}

/// A client that is connected and has sent nothing.
pub(crate) fn start_client(config: &ClientConfig, address: SocketAddr) -> Client {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, socket)
}

/// Goes on with the handshake until it is done, as far as a client can know.
pub(crate) fn shake_hands(mut client: Client) -> io::Result<Client> {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock)?;
    }
    Ok(client)
}

impl Sink {
    pub(crate) fn asked(&self) -> Vec<ConnectionId> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Hello { id, .. } => Some(*id),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn opened(&self) -> Vec<ConnectionId> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Open { id, .. } => Some(*id),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.plaintext.iter().map(|(_, plaintext)| plaintext.len()).sum()
    }
}

/// True when the peer has closed the connection; waits for it.
pub(crate) fn is_closed(mut socket: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(socket.read(&mut byte), Ok(0))
        || socket.write_all(&byte).and_then(|()| socket.read(&mut byte)).is_err()
}

/// Waits, turn by turn, until `condition` holds.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it never came to hold");
        thread::yield_now();
    }
}
