use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::identity::OwnChain;
use crate::key_log::KeyLogLines;
use crate::stored_sessions::StoredSessions;
use crate::{KeyLogSink, TraceSink};

/// How one ClientHello is answered beyond its context: what the callbacks of a server decide for
/// each connection. The default adds nothing.
#[derive(Default)]
pub struct Answer {
    /// The ALPN protocol, in place of the context's choice. It must be one that the client offers:
    /// any other one refuses the client with `no_application_protocol`. Means nothing to a client
    /// without the extension.
    pub alpn: Option<Vec<u8>>,
    /// The DER of an OCSP response for the certificate of
    /// [`Decide::certificates_for`](crate::Decide::certificates_for). Sent to clients that ask for
    /// one, in full handshakes.
    pub ocsp: Option<Vec<u8>>,
    /// [`NewSession::data`](crate::NewSession::data) of the TLS 1.2 session that
    /// [`ClientHello::session_id`](crate::ClientHello::session_id) names. What a context with
    /// other keys or other checks of clients made, what is too old and what was changed, is
    /// ignored: the handshake is a full one then.
    pub session: Option<Vec<u8>>,
    /// Whether a full TLS 1.2 handshake without a ticket gets a session id and gives
    /// [`Established::new_session`](crate::Established::new_session).
    pub store_session: bool,
    /// Gets the secrets of the connection, for debugging.
    pub key_log: Option<Arc<dyn KeyLogSink>>,
    /// Gets a text about each record, this ClientHello's first.
    pub trace: Option<Arc<dyn TraceSink>>,
}

impl Answer {
    /// The configuration for the one connection: a copy only if something of it differs.
    pub(crate) fn configure(
        self,
        config: Arc<ServerConfig>,
        own: &OwnChain,
        sessions: Option<Arc<StoredSessions>>,
    ) -> Arc<ServerConfig> {
        let Self { alpn, ocsp, key_log, .. } = self;
        if alpn.is_none() && ocsp.is_none() && key_log.is_none() && sessions.is_none() {
            return config;
        }
        let mut config = Arc::unwrap_or_clone(config);
        if let Some(alpn) = alpn {
            config.alpn_protocols = vec![alpn];
        }
        if let Some(response) = ocsp {
            config.cert_resolver = Arc::new(own.with_ocsp(response));
        }
        if let Some(sink) = key_log {
            config.key_log = Arc::new(KeyLogLines(sink));
        }
        if let Some(sessions) = sessions {
            config.session_storage = sessions;
        }
        Arc::new(config)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("alpn", &self.alpn)
            .field("ocsp", &self.ocsp.as_ref().map(Vec::len))
            .field("session", &self.session.as_ref().map(Vec::len))
            .field("store_session", &self.store_session)
            .field("key_log", &self.key_log.is_some())
            .field("trace", &self.trace.is_some())
            .finish()
    }
}
