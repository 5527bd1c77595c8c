//! The two ends, and what lies between them: bytes that a test may cut as it likes.

use std::io::{Read, Write};
use std::sync::Arc;

use offloop_tls::{
    Answer, ContextOptions, ContextTable, Cost, Failure, HandshakeLimits, NeedBytes, NewSession,
    Records, ServerContext, Session, Step, handshake,
};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use crate::certificates::{Algorithm, authority, server};

/// A context for `localhost` with one key.
pub(crate) fn context(algorithm: Algorithm) -> ServerContext {
    context_with(algorithm, |_| {})
}

/// The same with other options.
pub(crate) fn context_with(
    algorithm: Algorithm,
    change: impl FnOnce(&mut ContextOptions),
) -> ServerContext {
    let mut options = ContextOptions::default();
    options.identities = vec![server(algorithm)];
    change(&mut options);
    ServerContext::new(options).unwrap()
}

pub(crate) const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub(crate) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A client that trusts [`authority`] and does not resume.
pub(crate) fn client(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    client_of(aws_lc_rs::default_provider(), versions, None)
}

/// A client with a certificate.
pub(crate) fn client_with_certificate(
    versions: &[&'static SupportedProtocolVersion],
    identity: offloop_tls::Identity,
) -> ClientConfig {
    client_of(aws_lc_rs::default_provider(), versions, Some(identity))
}

/// A client with cryptography of the test's choice.
pub(crate) fn client_of(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<offloop_tls::Identity>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority().der().clone()).unwrap();
    let key_provider = provider.key_provider;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => {
            // Not checked against each other: the client may show what it likes.
            let key = key_provider.load_private_key(identity.key.clone_key()).unwrap();
            let certified = CertifiedKey::new(identity.chain, key);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config
}

/// How bytes from the client are cut before the server gets them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// As they come.
    Whole,
    /// One byte at a time.
    Bytes,
    /// Once, at this position of everything that the client ever sends.
    At(usize),
}

/// The server's end.
#[derive(Debug)]
pub(crate) enum Server {
    Shaking(NeedBytes),
    Open(Session, Records),
    Failed(Failure),
}

pub(crate) struct Pair {
    pub(crate) client: ClientConnection,
    pub(crate) server: Server,
    /// The costs of the jobs that ran.
    pub(crate) costs: Vec<Cost>,
    /// Everything that the client sent so far.
    pub(crate) from_client: Vec<u8>,
    /// Data that the server received.
    pub(crate) received: Vec<u8>,
    /// What the client said about the server's answers.
    pub(crate) client_error: Option<rustls::Error>,
    /// The session that the server would store.
    pub(crate) new_session: Option<NewSession>,
    contexts: ContextTable,
    answer: Answer,
    cut: Cut,
}

impl Pair {
    pub(crate) fn new(client: ClientConfig, context: ServerContext) -> Self {
        Self::for_name("localhost", client, ContextTable::new(context))
    }

    pub(crate) fn for_name(
        name: &'static str,
        client: impl Into<Arc<ClientConfig>>,
        contexts: ContextTable,
    ) -> Self {
        let client = ClientConnection::new(client.into(), name.try_into().unwrap()).unwrap();
        Self {
            client,
            server: Server::Shaking(handshake(HandshakeLimits::default())),
            costs: Vec::new(),
            from_client: Vec::new(),
            received: Vec::new(),
            client_error: None,
            new_session: None,
            contexts,
            answer: Answer::default(),
            cut: Cut::Whole,
        }
    }

    /// What is decided for this connection.
    pub(crate) fn answer(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub(crate) fn cut(self, cut: Cut) -> Self {
        Self { cut, ..self }
    }

    /// Moves bytes until nobody has any more to send.
    pub(crate) fn run(mut self) -> Self {
        self.pump();
        self
    }

    pub(crate) fn pump(&mut self) {
        while self.client.wants_write() {
            let mut flight = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut flight).unwrap();
            }
            self.deliver(&flight);
        }
    }

    /// Gives bytes to the server, cut as agreed.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) {
        let start = self.from_client.len();
        self.from_client.extend_from_slice(bytes);
        match self.cut {
            Cut::Whole => self.feed_server(bytes),
            Cut::Bytes => bytes.chunks(1).for_each(|byte| self.feed_server(byte)),
            Cut::At(position) if (start..start + bytes.len()).contains(&position) => {
                let (before, behind) = bytes.split_at(position - start);
                self.feed_server(before);
                self.feed_server(behind);
            }
            Cut::At(_) => self.feed_server(bytes),
        }
    }

    pub(crate) fn session(&self) -> &Session {
        match &self.server {
            Server::Open(session, _) => session,
            other => panic!("expected a session, got {other:?}"),
        }
    }

    pub(crate) fn records(&mut self) -> &mut Records {
        match &mut self.server {
            Server::Open(_, records) => records,
            other => panic!("expected records, got {other:?}"),
        }
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.server {
            Server::Failed(failure) => failure,
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    /// The alert that reached the client.
    pub(crate) fn alert_at_client(&self) -> Option<u8> {
        match self.client_error {
            Some(rustls::Error::AlertReceived(alert)) => Some(alert.into()),
            _ => None,
        }
    }

    /// Data both ways.
    pub(crate) fn assert_echo(&mut self) {
        let before = self.received.len();
        self.client.writer().write_all(b"ping").unwrap();
        self.pump();
        assert_eq!(&self.received[before..], b"ping");
        self.records().seal(b"pong");
        self.flush();
        let mut pong = [0; 4];
        self.client.reader().read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"pong");
    }

    /// Sends what the server's record layer has queued.
    pub(crate) fn flush(&mut self) {
        let mut bytes = Vec::new();
        while self.records().wants_write() {
            self.records().write_to(&mut bytes).unwrap();
        }
        self.feed_client(&bytes);
    }

    fn feed_server(&mut self, bytes: &[u8]) {
        match std::mem::replace(&mut self.server, Server::Shaking(handshake(Default::default()))) {
            Server::Shaking(state) => self.settle(state.receive(bytes)),
            Server::Open(session, mut records) => {
                let result = records.receive(bytes, &mut self.received);
                self.server = Server::Open(session, records);
                self.flush();
                if let Err(failure) = result {
                    self.server = Server::Failed(failure);
                }
            }
            failed @ Server::Failed(_) => self.server = failed,
        }
    }

    /// Goes on until the server needs bytes, or nothing more.
    fn settle(&mut self, mut step: Step) {
        loop {
            step = match step {
                Step::NeedBytes(state) => {
                    self.server = Server::Shaking(state);
                    return;
                }
                Step::Decide(state) => match self.contexts.resolve(state.hello().server_name()) {
                    Some(context) => state.accept_with(context, std::mem::take(&mut self.answer)),
                    None => state.unserved(),
                },
                Step::Job(job) => {
                    self.costs.push(job.cost());
                    // On another thread, as it will be.
                    std::thread::spawn(|| job.run()).join().unwrap()
                }
                Step::Send(outgoing) => {
                    self.feed_client(outgoing.bytes());
                    outgoing.sent()
                }
                Step::Done(established) => {
                    let established = *established;
                    self.new_session = established.new_session;
                    let early = established.records.has_early_data();
                    self.server = Server::Open(established.session, established.records);
                    self.flush();
                    if early {
                        self.feed_server(&[]);
                    }
                    return;
                }
                Step::Failed(failure) => {
                    self.feed_client(failure.bytes());
                    self.server = Server::Failed(failure);
                    return;
                }
            }
        }
    }

    fn feed_client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.client_error.is_none() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client_error = self.client.process_new_packets().err();
        }
    }
}
