//! A handshake and the ClientHello that it began with, for JavaScript.

use napi_derive::napi;
use offloop_engine::tls::{ClientHello, HelloOutline, KeyType, SignatureScheme};
use offloop_engine::{Handshaken, Phase, Phases};

use crate::decision::latin1_text;
use crate::stats::{counter, micros};

/// What a handshake came to.
#[napi(object)]
pub struct NativeHandshake {
    /// Names the connection in this process: they are counted from 1 as they come.
    pub connection: f64,
    /// Where the time went, in microseconds.
    pub phases: NativePhases,
    /// Was an earlier session resumed?
    pub resumed: bool,
    /// 'TLSv1.2' or 'TLSv1.3'.
    pub version: String,
    /// IANA's name of the cipher suite, the `standardName` of `getCipher()`.
    pub cipher: String,
    /// OpenSSL's name of the key exchange group; absent in a resumed TLS 1.2 session.
    pub group: Option<String>,
    /// The scheme that the server signed with, as in the specification; absent in a resumed session.
    pub signature_scheme: Option<String>,
    /// The type of the key that it signed with, 'rsa', 'ecdsa' or 'ed25519'; absent in a resumed
    /// session.
    pub key_type: Option<String>,
    /// The name that the client asked for.
    pub servername: Option<String>,
    /// The application protocol that was agreed on.
    pub alpn_protocol: Option<String>,
    /// What the client offered; absent where that was too long to be kept.
    pub hello: Option<NativeHello>,
}

/// Where the time of a handshake went, in microseconds.
#[napi(object)]
pub struct NativePhases {
    /// Waiting for the whole ClientHello.
    pub hello: f64,
    /// Waiting for callbacks of the program.
    pub asked: f64,
    /// Jobs on their way to a thread and back.
    pub queued: f64,
    /// Jobs computing.
    pub computing: f64,
    /// Waiting for the client after its ClientHello.
    pub client: f64,
    /// All of it.
    pub total: f64,
}

/// The facts of a ClientHello: IANA's numbers in the client's order, GREASE included.
#[napi(object)]
pub struct NativeHello {
    /// The name that the client asks for.
    pub servername: Option<String>,
    /// Protocol versions, highest first as a rule, such as 0x0304 for TLS 1.3.
    pub versions: Vec<u16>,
    /// Cipher suites.
    pub ciphers: Vec<u16>,
    /// Types of extensions.
    pub extensions: Vec<u16>,
    /// Key exchange groups.
    pub groups: Vec<u16>,
    /// Groups of which it sends a key already.
    pub key_shares: Vec<u16>,
    /// Signature schemes.
    pub signature_algorithms: Vec<u16>,
    /// Application protocols.
    pub alpn_protocols: Vec<String>,
    /// The JA3 string.
    pub ja3: String,
    /// Its MD5, in hex.
    pub ja3_hash: String,
    /// The JA4 fingerprint.
    pub ja4: String,
}

impl From<&Handshaken> for NativeHandshake {
    fn from(handshaken: &Handshaken) -> Self {
        let Handshaken { number, session, phases, hello } = handshaken;
        Self {
            connection: counter(*number),
            phases: phases.into(),
            resumed: session.resumed,
            version: session.protocol.as_str().to_owned(),
            cipher: session.cipher.standard_name.to_owned(),
            group: session.group.map(str::to_owned),
            signature_scheme: session
                .signature_scheme
                .map(SignatureScheme::name)
                .map(str::to_owned),
            key_type: session.key_type.map(KeyType::as_str).map(str::to_owned),
            servername: session.server_name.as_deref().map(str::to_owned),
            alpn_protocol: session.alpn.as_deref().map(latin1_text),
            hello: hello.as_ref().map(HelloOutline::hello).as_ref().map(NativeHello::from),
        }
    }
}

impl From<&Phases> for NativePhases {
    fn from(phases: &Phases) -> Self {
        let of = |phase| micros(phases.of(phase));
        Self {
            hello: of(Phase::Hello),
            asked: of(Phase::Asked),
            queued: of(Phase::Queued),
            computing: of(Phase::Computing),
            client: of(Phase::Client),
            total: micros(phases.total()),
        }
    }
}

impl From<&ClientHello> for NativeHello {
    fn from(hello: &ClientHello) -> Self {
        let versions = match hello.supported_versions() {
            [] => vec![hello.legacy_version()],
            versions => versions.to_vec(),
        };
        Self {
            servername: hello.server_name().map(str::to_owned),
            versions,
            ciphers: hello.cipher_suites().to_vec(),
            extensions: hello.extensions().to_vec(),
            groups: hello.groups().to_vec(),
            key_shares: hello.key_shares().to_vec(),
            signature_algorithms: hello.signature_schemes().to_vec(),
            alpn_protocols: hello.alpn().iter().map(|name| latin1_text(name)).collect(),
            ja3: hello.ja3(),
            ja3_hash: hello.ja3_hash(),
            ja4: hello.ja4(),
        }
    }
}
