//! Contexts: the material of a server, parsed once.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use std::ops::Deref;
use std::time::Duration;

use napi::bindgen_prelude::{ClassInstance, Uint8Array};
use napi_derive::napi;
use offloop_engine::tls::{
    CertificateDer, CertificateRevocationListDer, CipherSuite, ClientAuth, ContextOptions,
    ContextTable, Group, Identity, PrivateKeyDer, ProtocolVersion, ServerContext, SignatureScheme,
    Tickets,
};

use crate::ticket_keys::NativeTicketKeys;
use crate::{Result, coded};

/// A parsed, usable configuration. Opaque to JavaScript.
#[napi]
pub struct NativeContext {
    pub(crate) context: ServerContext,
}

/// What a context is made of.
#[napi(object)]
pub struct NativeContextOptions<'env> {
    /// Certificates with their keys; with none, every handshake fails.
    pub identities: Vec<NativeIdentity>,
    /// ALPN protocols in the server's preference; none: ALPN is off.
    pub alpn_protocols: Vec<Uint8Array>,
    /// Absent: clients are not asked for a certificate.
    pub client_auth: Option<NativeClientAuth>,
    /// 'TLSv1.2' or 'TLSv1.3'.
    pub min_version: String,
    /// 'TLSv1.2' or 'TLSv1.3'.
    pub max_version: String,
    /// Are session tickets issued?
    pub tickets: bool,
    /// What seals them; absent: random keys of this context's own.
    pub ticket_keys: Option<ClassInstance<'env, NativeTicketKeys>>,
    /// Seconds that a session can be resumed for.
    pub session_timeout: u32,
    /// Does the server's order of cipher suites decide?
    pub honor_cipher_order: bool,
    /// Names of cipher suites, OpenSSL's or IANA's, best first; absent: all. A version without one
    /// is not spoken.
    pub cipher_suites: Option<Vec<String>>,
    /// OpenSSL's names of key exchange groups; absent: all.
    pub groups: Option<Vec<String>>,
    /// Names of signature schemes as in the specification, best first; absent: all. For the
    /// server's signatures and for those of client certificates.
    pub signature_schemes: Option<Vec<String>>,
    /// DER, for clients' certificates.
    pub crls: Option<Vec<Uint8Array>>,
    /// Sessions are resumed only by contexts with the same.
    pub session_id_context: Option<Uint8Array>,
}

/// A certificate chain and its private key.
#[napi(object)]
pub struct NativeIdentity {
    /// DER, the server's own certificate first.
    pub chain: Vec<Uint8Array>,
    /// DER, PKCS#8.
    pub key: Uint8Array,
}

/// How clients are asked for a certificate.
#[napi(object)]
pub struct NativeClientAuth {
    /// Certificates of authorities, DER. Those that are no roots only help to find one.
    pub roots: Vec<Uint8Array>,
    /// Are those trusted too that are no roots?
    pub partial_chain: bool,
    /// Is a client refused whose certificate does not verify or is missing?
    pub reject_unauthorized: bool,
}

#[napi]
impl NativeContext {
    /// Errors carry the code of what is wrong with the material.
    #[napi(constructor)]
    pub fn new(options: NativeContextOptions<'_>) -> Result<Self> {
        let options = parse(&options)?;
        let context = ServerContext::new(options)
            .map_err(|error| coded(error.code().as_str(), error.to_string()))?;
        Ok(Self { context })
    }
}

pub(crate) fn table<C: Deref<Target = NativeContext>>(
    fallback: Option<&NativeContext>,
    names: &[String],
    contexts: &[C],
) -> ContextTable {
    let mut table = only(fallback);
    for (name, context) in names.iter().zip(contexts) {
        table.add(name, context.context.clone());
    }
    table
}

/// The table with this context for every name, or with none.
pub(crate) fn only(context: Option<&NativeContext>) -> ContextTable {
    ContextTable::new(context.map(|native| native.context.clone()))
}

fn parse(native: &NativeContextOptions<'_>) -> Result<ContextOptions> {
    let identities = native.identities.iter().map(parse_identity).collect::<Result<_>>()?;
    let mut options = ContextOptions::default();
    options.identities = identities;
    options.alpn = native.alpn_protocols.iter().map(|name| name.to_vec()).collect();
    options.client_auth =
        native.client_auth.as_ref().map_or(ClientAuth::None, |auth| ClientAuth::Request {
            roots: certificates(&auth.roots),
            partial_chain: auth.partial_chain,
            reject_unauthorized: auth.reject_unauthorized,
        });
    options.min_version = parse_version(&native.min_version)?;
    options.max_version = parse_version(&native.max_version)?;
    let lifetime = Duration::from_secs(native.session_timeout.into());
    options.session_lifetime = lifetime;
    options.tickets = match &native.ticket_keys {
        _ if !native.tickets => Tickets::Off,
        Some(shared) => Tickets::Shared(shared.keys.clone()),
        None => Tickets::default(),
    };
    options.honor_cipher_order = native.honor_cipher_order;
    options.cipher_suites = named(native.cipher_suites.as_deref(), parse_cipher_suite)?;
    options.groups = named(native.groups.as_deref(), parse_group)?;
    options.signature_schemes = named(native.signature_schemes.as_deref(), parse_scheme)?;
    let crls = native.crls.iter().flatten();
    options.crls = crls.map(|der| CertificateRevocationListDer::from(der.to_vec())).collect();
    options.session_id_context = native.session_id_context.as_deref().unwrap_or_default().to_vec();
    Ok(options)
}

fn named<T>(names: Option<&[String]>, parse: impl Fn(&str) -> Result<T>) -> Result<Option<Vec<T>>> {
    names.map(|names| names.iter().map(|name| parse(name)).collect()).transpose()
}

fn parse_identity(native: &NativeIdentity) -> Result<Identity> {
    // The copy is wiped when it is dropped; JavaScript wipes what it passed.
    let key = PrivateKeyDer::try_from(&*native.key).map_err(|reason| {
        coded("ERR_OSSL_UNSUPPORTED", format!("key must be a private key as PKCS#8 DER: {reason}"))
    })?;
    Ok(Identity { chain: certificates(&native.chain), key: key.clone_key().into() })
}

fn certificates(der: &[Uint8Array]) -> Vec<CertificateDer<'static>> {
    der.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
}

fn parse_version(name: &str) -> Result<ProtocolVersion> {
    match name {
        "TLSv1.2" => Ok(ProtocolVersion::Tls12),
        "TLSv1.3" => Ok(ProtocolVersion::Tls13),
        other => Err(coded(
            "ERR_TLS_INVALID_PROTOCOL_VERSION",
            format!("the version must be 'TLSv1.2' or 'TLSv1.3', got '{other}'"),
        )),
    }
}

fn parse_cipher_suite(name: &str) -> Result<CipherSuite> {
    CipherSuite::from_name(name).ok_or_else(|| {
        coded("ERR_INVALID_ARG_VALUE", format!("no cipher suite is named '{name}' here"))
    })
}

fn parse_scheme(name: &str) -> Result<SignatureScheme> {
    SignatureScheme::from_name(name).ok_or_else(|| {
        coded("ERR_INVALID_ARG_VALUE", format!("no signature scheme is named '{name}' here"))
    })
}

fn parse_group(name: &str) -> Result<Group> {
    Group::ALL
        .iter()
        .copied()
        .find(|group| group.name().eq_ignore_ascii_case(name) || alias(*group) == name)
        .ok_or_else(|| {
            coded(
                "ERR_OFFLOOP_UNSUPPORTED_OPTION",
                format!(
                    "ecdhCurve must name groups of X25519MLKEM768, X25519, P-256 and P-384, got \
                     '{name}'"
                ),
            )
        })
}

/// The names of NIST beside those of OpenSSL.
fn alias(group: Group) -> &'static str {
    match group {
        Group::P256 => "P-256",
        Group::P384 => "P-384",
        other => other.name(),
    }
}
