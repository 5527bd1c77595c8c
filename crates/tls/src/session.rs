use rustls::{HandshakeKind, ServerConnection};
use rustls_pki_types::CertificateDer;

use crate::choice::Signature;
use crate::identity::OwnChain;
use crate::{
    CipherInfo, CipherSuite, Code, Failure, Group, KeyType, ProtocolVersion, ServerContext,
    SignatureScheme,
};

/// What was agreed in a handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The protocol version.
    pub protocol: ProtocolVersion,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The same as `getCipher()` returns it.
    pub cipher: &'static CipherInfo,
    /// The protocol chosen with ALPN, or `None` if the client offered none.
    pub alpn: Option<Box<[u8]>>,
    /// The server name as the client wrote it.
    pub server_name: Option<Box<str>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// OpenSSL's name of the key exchange group; `None` in a resumed TLS 1.2 session.
    pub group: Option<&'static str>,
    /// The type of the key that this end signed with; `None` in a resumed session.
    pub key_type: Option<KeyType>,
    /// The scheme of that signature; `None` in a resumed session.
    pub signature_scheme: Option<SignatureScheme>,
    /// The client's chain, its own certificate first; empty (and without memory) if it sent none.
    pub peer_certificates: Box<[CertificateDer<'static>]>,
    /// Whether the client's certificate was asked for, came and verified.
    pub authorized: bool,
    /// Why it is not authorized: [`Code::as_str`] gives `socket.authorizationError`. `None` if it
    /// is, or if no certificate was asked for.
    pub authorization_error: Option<Code>,
    /// Whether the server asks clients for a certificate.
    pub client_certificate_requested: bool,
    own: OwnChain,
    shared_schemes: Box<[u16]>,
}

impl Session {
    /// The chain that the client was shown, the server's own certificate first.
    pub fn own_certificates(&self) -> &[CertificateDer<'static>] {
        self.own.certificates()
    }

    /// The signature schemes that both ends know, as `getSharedSigalgs()` spells them, in the order
    /// of whoever decides about cipher suites.
    pub fn shared_signature_schemes(&self) -> Vec<&'static str> {
        let schemes = self.shared_schemes.iter();
        schemes
            .filter_map(|&number| SignatureScheme::from_number(number))
            .map(SignatureScheme::openssl_name)
            .collect()
    }

    /// The facts of a finished handshake. Verifies the client's chain where the handshake didn't.
    pub(crate) fn new(
        connection: &ServerConnection,
        context: &ServerContext,
        server_name: Option<Box<str>>,
        own: OwnChain,
        shared_schemes: Box<[u16]>,
        signature: Option<Signature>,
    ) -> Result<Self, Failure> {
        let unfinished = || Failure::from(&rustls::Error::HandshakeNotComplete);
        let suite = connection
            .negotiated_cipher_suite()
            .and_then(CipherSuite::from_rustls)
            .ok_or_else(unfinished)?;
        let peer_certificates: Box<[_]> = connection.peer_certificates().unwrap_or(&[]).into();
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let signature = signature.filter(|_| !resumed);
        let verifier = context.client_verifier();
        let authorization = verifier.map(|verifier| verifier.outcome(&peer_certificates, resumed));
        if let (Some(verifier), Some(Err(code))) = (verifier, authorization)
            && verifier.rejects_unauthorized()
        {
            // Only after a HelloRetryRequest: the second hello brought another ticket than the
            // first, whose certificate was checked.
            return Err(Failure::new(code, None, "the client certificate is no longer good"));
        }
        Ok(Self {
            protocol: suite.version(),
            suite,
            cipher: suite.info(),
            alpn: connection.alpn_protocol().map(Box::from),
            server_name,
            resumed,
            key_type: signature.map(|signature| signature.key_type),
            signature_scheme: signature.map(|signature| signature.scheme),
            group: connection
                .negotiated_key_exchange_group()
                .and_then(|group| Group::from_rustls(group.name()))
                .map(Group::name),
            peer_certificates,
            own,
            shared_schemes,
            client_certificate_requested: verifier.is_some(),
            authorized: authorization == Some(Ok(())),
            authorization_error: authorization.and_then(Result::err),
        })
    }
}
