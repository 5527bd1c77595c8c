use std::time::Duration;

use crate::{CipherSuite, ClientAuth, Group, Identity, ProtocolVersion, Tickets};

/// The options of a [`ServerContext`](crate::ServerContext).
#[derive(Debug)]
#[non_exhaustive]
pub struct ContextOptions {
    /// Certificates with their keys, at least one. With several key types the first one that the
    /// client's signature schemes and cipher suites allow is used.
    pub identities: Vec<Identity>,
    /// ALPN protocols (RFC 7301), most preferred first; each 1 to 255 bytes. Default: none, so
    /// that ALPN is not negotiated. A client that offers others only gets
    /// `no_application_protocol`, as from `node:tls`; one that offers none is served.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients are asked for a certificate. Default: they aren't.
    pub client_auth: ClientAuth,
    /// The lowest protocol version that is spoken. Default: TLS 1.2.
    pub min_version: ProtocolVersion,
    /// The highest protocol version that is spoken. Default: TLS 1.3.
    pub max_version: ProtocolVersion,
    /// Session tickets (RFC 5077, RFC 8446 section 4.6.1). Default: on, with keys of this
    /// context's own.
    pub tickets: Tickets,
    /// How long a session can be resumed after its full handshake or its last resumption.
    /// Default: 2 hours, as OpenSSL's. At most 7 days (RFC 8446 section 4.6.1); above that it is
    /// refused.
    pub session_lifetime: Duration,
    /// Whether the server's order of cipher suites decides, not the client's. Default: true, as
    /// in `tls.createServer`.
    pub honor_cipher_order: bool,
    /// Cipher suites, most preferred first. Default: all, in the order of [`CipherSuite::ALL`].
    pub cipher_suites: Option<Vec<CipherSuite>>,
    /// Key exchange groups. The client's order decides. Default: all of [`Group::ALL`].
    pub groups: Option<Vec<Group>>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            alpn: Vec::new(),
            client_auth: ClientAuth::None,
            min_version: ProtocolVersion::Tls12,
            max_version: ProtocolVersion::Tls13,
            tickets: Tickets::default(),
            session_lifetime: Duration::from_secs(2 * 60 * 60),
            honor_cipher_order: true,
            cipher_suites: None,
            groups: None,
        }
    }
}
