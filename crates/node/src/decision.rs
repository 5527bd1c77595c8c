//! How a ClientHello is to be answered, as JavaScript says it, and the hello as JavaScript sees it.

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;
use offloop_engine::tls::{Alert, CertificateDer, ClientHello, Hex, ServerContext};
use offloop_engine::{Decision, Hello, Start};
use serde::Serialize;

use crate::report::JsonAddresses;
use crate::{Result, coded};

/// An answer to a `Hello` record.
#[napi(object)]
pub struct NativeDecision {
    /// Exactly this protocol is answered, one that the client offers; latin1. Absent: the context's
    /// preference decides.
    pub alpn: Option<String>,
    /// No protocol suits: the client gets the alert `no_application_protocol`. Default: false.
    pub reject_alpn: Option<bool>,
    /// The client is refused with this alert, by its number. Default: it is not.
    pub reject: Option<u8>,
    /// An OCSP response to staple, DER.
    pub ocsp: Option<Uint8Array>,
    /// The TLS 1.2 session to resume: what a `NewSession` record carried for the hello's id.
    pub session: Option<Uint8Array>,
    /// Does a full TLS 1.2 handshake without a ticket get a session id? `NewSession` follows.
    pub store_session: bool,
    /// Are the secrets told? `Keylog` records follow.
    pub keylog: bool,
    /// Are records and handshake messages traced to standard error?
    pub trace: bool,
}

impl NativeDecision {
    pub(crate) fn parse(self, context: Option<ServerContext>) -> Result<Decision> {
        Ok(Decision {
            context,
            alpn: self.alpn.as_deref().map(latin1).transpose()?,
            reject_alpn: self.reject_alpn.unwrap_or(false),
            reject: self.reject.map(Alert::from),
            ocsp: self.ocsp.map(|response| response.to_vec()),
            session: self.session.map(|session| session.to_vec()),
            store_session: self.store_session,
            key_log: self.keylog,
            trace: self.trace,
        })
    }
}

/// The chain that would answer a hello.
#[napi(object)]
pub struct NativeCertificates {
    /// The server's own certificate, DER.
    pub certificate: Buffer,
    /// The one behind it in the chain, DER.
    pub issuer: Option<Buffer>,
}

impl NativeCertificates {
    pub(crate) fn of(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let buffer = |certificate: &CertificateDer<'static>| Buffer::from(certificate.as_ref());
        let (own, rest) = chain.split_first()?;
        Some(Self { certificate: buffer(own), issuer: rest.first().map(buffer) })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    server: u32,
    connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    servername: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    ticket: bool,
    ocsp: bool,
}

/// Names of protocols, in bytes, that are told: as JSON they still fit a slab, whatever they are.
const ALPN_BYTES: usize = 8 * 1024;

pub(crate) fn to_json(hello: &Hello) -> Vec<u8> {
    let Hello { server, connection, client, .. } = hello;
    let json = Json {
        server: *server,
        connection: *connection,
        servername: client.server_name(),
        alpn: protocols(client),
        session_id: (!client.session_id().is_empty()).then(|| Hex(client.session_id()).to_string()),
        ticket: client.offers_ticket(),
        ocsp: client.requests_ocsp(),
    };
    serde_json::to_vec(&json).expect("strings and numbers always serialise")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartJson<'a> {
    server: u32,
    connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    servername: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<Vec<String>>,
    ja3_hash: String,
    ja4: String,
    #[serde(flatten)]
    addresses: JsonAddresses,
}

pub(crate) fn start_to_json(start: &Start) -> Vec<u8> {
    let Start { server, connection, client, addresses } = start;
    let json = StartJson {
        server: *server,
        connection: *connection,
        servername: client.server_name(),
        alpn: protocols(client),
        ja3_hash: client.ja3_hash(),
        ja4: client.ja4(),
        addresses: (*addresses).into(),
    };
    serde_json::to_vec(&json).expect("strings and numbers always serialise")
}

fn protocols(client: &ClientHello) -> Option<Vec<String>> {
    let mut left = ALPN_BYTES;
    let protocols = client.alpn().iter().map_while(|name| {
        left = left.checked_sub(name.len())?;
        Some(latin1_text(name))
    });
    client.offers_alpn().then(|| protocols.collect())
}

/// Names of protocols are bytes; Node shows them so.
pub(crate) fn latin1_text(name: &[u8]) -> String {
    name.iter().copied().map(char::from).collect()
}

fn latin1(name: &str) -> Result<Vec<u8>> {
    let bytes = name.chars().map(u8::try_from).collect::<std::result::Result<_, _>>();
    bytes.map_err(|_| coded("ERR_INVALID_ARG_VALUE", "alpn must have no character above U+00FF"))
}
