//! A host on a thread of the test's own, and clients that are rustls over a blocking socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offloop_engine::tls::{ContextOptions, ContextTable, Identity, ServerContext};
use offloop_engine::{
    BoundAddress, ConnectionId, Doorbell, Drained, Engine, EngineOptions, Event, EventSink, Host,
    ListenPlace, ListenTarget, Offload, ServerId, ServerOptions, Settings,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestHost {
    pub(crate) engine: Arc<Engine>,
    pub(crate) host: Arc<Host>,
    rings: Receiver<()>,
    client: Arc<ClientConfig>,
    context: ServerContext,
}

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
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (sender, rings) = channel();
        let engine = Engine::start(options).unwrap();
        let host = Host::new(Arc::clone(&engine), Box::new(Bell(Mutex::new(sender))));
        let context = ServerContext::new(context).unwrap();
        Self { engine, host, rings, client: Arc::new(client), context }
    }

    pub(crate) fn listen(&self) -> (ServerId, SocketAddr) {
        let server = self.host.create_server(ServerOptions {
            contexts: ContextTable::new(self.context.clone()),
            settings: Settings {
                timeout: Duration::from_secs(120),
                client_hello_limit: 32 * 1024,
                offload: Offload::Auto,
            },
            no_delay: true,
            keep_alive: None,
            max_connections: None,
        });
        let target = ListenTarget {
            place: ListenPlace::Address(([127, 0, 0, 1], 0).into()),
            backlog: 511,
            ipv6_only: false,
            reuse_port: false,
        };
        match self.host.listen(server, &target).unwrap() {
            BoundAddress::Inet(address) => (server, address),
            BoundAddress::Unix(path) => panic!("listens at {path:?}"),
        }
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

    /// A client whose handshake is done, as far as a client can know.
    pub(crate) fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        StreamOwned::new(connection, socket)
    }
}

impl Sink {
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
        std::thread::yield_now();
    }
}
