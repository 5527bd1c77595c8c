//! The facts of an open connection, for JavaScript.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use offloop_engine::tls::{CertificateDer, Code, Session};

use crate::decision::latin1_text;

/// What was agreed in the handshake.
#[napi(object)]
pub struct NativeSession {
    /// 'TLSv1.2' or 'TLSv1.3'.
    pub protocol: String,
    /// OpenSSL's name of the cipher suite.
    pub cipher_name: String,
    /// IANA's name of it.
    pub cipher_standard_name: String,
    /// The version that it was made for.
    pub cipher_version: String,
    /// The application protocol.
    pub alpn: Option<String>,
    /// The server name that the client asked for.
    pub servername: Option<String>,
    /// Was an earlier session resumed?
    pub resumed: bool,
    /// OpenSSL's name of the key exchange group.
    pub group: Option<String>,
    /// The signature schemes of both ends, as OpenSSL names them.
    pub shared_signature_schemes: Vec<String>,
    /// Was the client asked for a certificate?
    pub client_certificate_requested: bool,
    /// Did the client's certificate verify?
    pub authorized: bool,
    /// Why it did not, where one was asked for.
    pub authorization_error: Option<String>,
    /// The client's chain, DER, its own certificate first.
    pub peer_certificates: Vec<Buffer>,
    /// The chain that the client was shown, DER, the server's own certificate first.
    pub certificate: Vec<Buffer>,
}

impl From<&Session> for NativeSession {
    fn from(session: &Session) -> Self {
        Self {
            protocol: session.protocol.as_str().to_owned(),
            cipher_name: session.cipher.name.to_owned(),
            cipher_standard_name: session.cipher.standard_name.to_owned(),
            cipher_version: session.cipher.version.to_owned(),
            alpn: session.alpn.as_deref().map(latin1_text),
            servername: session.server_name.as_deref().map(str::to_owned),
            resumed: session.resumed,
            group: session.group.map(str::to_owned),
            shared_signature_schemes: session
                .shared_signature_schemes()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            client_certificate_requested: session.client_certificate_requested,
            authorized: session.authorized,
            authorization_error: session.authorization_error.map(Code::as_str).map(str::to_owned),
            peer_certificates: buffers(&session.peer_certificates),
            certificate: buffers(session.own_certificates()),
        }
    }
}

/// See `Hub::facts`: one string crosses the border in a fraction of an object's time.
pub(crate) fn facts(session: &Session) -> String {
    let mut text = String::with_capacity(64);
    text.push_str(if session.authorized { "1\n" } else { "\n" });
    text.push_str(session.authorization_error.map_or("", Code::as_str));
    text.push('\n');
    text.push_str(session.server_name.as_deref().unwrap_or_default());
    text.push('\n');
    // The last, since it may hold any byte.
    text.extend(session.alpn.as_deref().unwrap_or_default().iter().copied().map(char::from));
    text
}

pub(crate) fn buffers(certificates: &[CertificateDer<'static>]) -> Vec<Buffer> {
    certificates.iter().map(|certificate| Buffer::from(certificate.as_ref())).collect()
}
