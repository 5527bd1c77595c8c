//! What a connection asks its host in the middle of a handshake: how a ClientHello is to be
//! answered, and whether a new session is stored.

use std::mem;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;

use crate::lock::lock;
use crate::tls::{Alert, CertificateDer, ClientHello, ContextTable, Decide, ServerContext};

/// A ClientHello that waits for [`crate::Host::decide`].
#[derive(Debug)]
pub struct Hello {
    /// The server that the connection came to; 0 for none.
    pub server: u32,
    /// The connection's number: see [`Handshaken::number`](crate::Handshaken::number).
    pub connection: u64,
    /// What the client offers.
    pub client: ClientHello,
    /// Bounds the hellos that nobody has drained: see [`UNTOLD`].
    pub(crate) _untold: OwnedSemaphorePermit,
}

/// How a ClientHello is to be answered. Default: as if the host had not been asked.
#[derive(Debug, Default)]
pub struct Decision {
    /// With this context. Default: the one that the server has for the name.
    pub context: Option<ServerContext>,
    /// With exactly this application protocol, one that the client offers. Default: the context's
    /// preference decides.
    pub alpn: Option<Vec<u8>>,
    /// Not at all, since no application protocol suits: the alert `no_application_protocol`.
    pub reject_alpn: bool,
    /// Not at all, with this alert.
    pub reject: Option<Alert>,
    /// With this OCSP response stapled (RFC 6066, 8), DER.
    pub ocsp: Option<Vec<u8>>,
    /// By resuming this session, which [`crate::Event::NewSession`] carried for the hello's
    /// session id.
    pub session: Option<Vec<u8>>,
    /// A full TLS 1.2 handshake without a ticket gets a session id, and
    /// [`crate::Event::NewSession`] follows.
    pub store_session: bool,
    /// The secrets are told: [`crate::Event::KeyLog`].
    pub key_log: bool,
    /// Records and handshake messages are traced to standard error.
    pub trace: bool,
}

/// So many hellos are told until the host drains; more wait unread, so that a flood behind a
/// blocked host holds sockets, which are bounded, and not memory for each client that has left.
pub(crate) const UNTOLD: usize = 4096;

/// The question of one connection and its answer.
pub(crate) struct Question {
    contexts: Option<Arc<ContextTable>>,
    state: Mutex<State>,
}

enum State {
    /// How is this hello to be answered?
    Hello(Decide),
    /// So.
    Decided(Decide, Decision),
    /// Is the session stored?
    Session,
    /// Nothing is asked.
    Idle,
}

impl Question {
    pub(crate) fn new(decide: Decide, contexts: Option<Arc<ContextTable>>) -> Self {
        Self { contexts, state: Mutex::new(State::Hello(decide)) }
    }

    /// The host's answer; false when the question isn't open.
    pub(crate) fn decide(&self, decision: Decision) -> bool {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Idle) {
            State::Hello(decide) => {
                *state = State::Decided(decide, decision);
                true
            }
            other => {
                *state = other;
                false
            }
        }
    }

    /// What was decided, once.
    pub(crate) fn decision(&self) -> Option<(Decide, Decision)> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Idle) {
            State::Decided(decide, decision) => Some((decide, decision)),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Runs `with` on the chain that would answer the hello with `context`, or with the server's
    /// context for the name, and this session of the host's store.
    pub(crate) fn certificates<T>(
        &self,
        context: Option<&ServerContext>,
        session: Option<&[u8]>,
        with: impl FnOnce(&[CertificateDer<'static>]) -> T,
    ) -> Option<T> {
        match &*lock(&self.state) {
            State::Hello(decide) => {
                let context = context.or_else(|| resolve(self.contexts.as_deref(), decide))?;
                decide.certificates_for(context, session).map(with)
            }
            _ => None,
        }
    }

    /// Runs `with` on the hello that waits.
    pub(crate) fn hello<T>(&self, with: impl FnOnce(&ClientHello) -> T) -> Option<T> {
        match &*lock(&self.state) {
            State::Hello(decide) => Some(with(decide.hello())),
            _ => None,
        }
    }

    pub(crate) fn ask_to_store(&self) {
        *lock(&self.state) = State::Session;
    }

    /// The host's answer; false when the question isn't open.
    pub(crate) fn proceed(&self) -> bool {
        let mut state = lock(&self.state);
        let asked = matches!(*state, State::Session);
        if asked {
            *state = State::Idle;
        }
        asked
    }

    /// The connection has failed: an answer comes too late.
    pub(crate) fn close(&self) {
        *lock(&self.state) = State::Idle;
    }

    pub(crate) fn is_stored(&self) -> bool {
        matches!(*lock(&self.state), State::Idle)
    }
}

/// The context for the name in the hello.
pub(crate) fn resolve<'a>(
    contexts: Option<&'a ContextTable>,
    decide: &Decide,
) -> Option<&'a ServerContext> {
    contexts?.resolve(decide.hello().server_name())
}
