use std::time::Duration;

use rustls_pki_types::CertificateRevocationListDer;

use crate::{CipherSuite, ClientAuth, Group, Identity, ProtocolVersion, SignatureScheme, Tickets};

/// The options of a [`ServerContext`](crate::ServerContext).
#[derive(Debug)]
#[non_exhaustive]
pub struct ContextOptions {
    /// Certificates with their keys. Of several the one is used that fits the best cipher suite
    /// (TLS 1.2) or signature scheme (TLS 1.3) of both ends, as in OpenSSL; of several that fit it,
    /// the first one. Without any every client is refused, as by
    /// [`Decide::unserved`](crate::Decide::unserved).
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
    /// How long a session can be resumed after its full handshake.
    /// Default: 2 hours, as OpenSSL's. At most 7 days (RFC 8446 section 4.6.1); above that it is
    /// refused.
    pub session_lifetime: Duration,
    /// Whether the server's order of cipher suites and signature schemes decides, not the client's.
    /// Default: true, as in `tls.createServer`.
    pub honor_cipher_order: bool,
    /// Cipher suites, most preferred first. A version without any of them isn't spoken; one
    /// version at least must have some. Default: all, in the order of [`CipherSuite::ALL`].
    pub cipher_suites: Option<Vec<CipherSuite>>,
    /// Key exchange groups. The client's order decides. Default: all of [`Group::ALL`].
    pub groups: Option<Vec<Group>>,
    /// Signature schemes, most preferred first: what this end signs with, and what it accepts
    /// from clients' certificates. Default: all, in the order of [`SignatureScheme::ALL`].
    pub signature_schemes: Option<Vec<SignatureScheme>>,
    /// Certificate revocation lists (RFC 5280 section 5) for [`ClientAuth::Request`]. If there is
    /// any, each certificate of a client's chain needs one of its issuer that hasn't expired.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// Further bytes that sessions are bound to (`sessionIdContext`). Default: none.
    pub session_id_context: Vec<u8>,
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
            signature_schemes: None,
            crls: Vec::new(),
            session_id_context: Vec::new(),
        }
    }
}
