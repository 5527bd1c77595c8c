//! Contexts: the material of a server, parsed once.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use std::ops::Deref;
use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use offloop_engine::tls::{
    CertificateDer, ClientAuth, ContextOptions, ContextTable, Group, Identity, PrivateKeyDer,
    ProtocolVersion, ServerContext, Tickets,
};

use crate::{Result, coded};

/// A parsed, usable configuration. Opaque to JavaScript.
#[napi]
pub struct NativeContext {
    context: ServerContext,
}

/// What a context is made of.
#[napi(object)]
pub struct NativeContextOptions {
    /// Certificates with their keys.
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
    /// Seconds that a session can be resumed for.
    pub session_timeout: u32,
    /// Does the server's order of cipher suites decide?
    pub honor_cipher_order: bool,
    /// OpenSSL's names of key exchange groups; absent: all.
    pub groups: Option<Vec<String>>,
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
    /// DER.
    pub roots: Vec<Uint8Array>,
    /// Is a client refused whose certificate does not verify or is missing?
    pub reject_unauthorized: bool,
}

#[napi]
impl NativeContext {
    /// Errors carry the code of what is wrong with the material.
    #[napi(constructor)]
    pub fn new(options: NativeContextOptions) -> Result<Self> {
        let options = parse(&options)?;
        let context = ServerContext::new(options)
            .map_err(|error| coded(error.code().as_str(), error.to_string()))?;
        Ok(Self { context })
    }
}

pub(crate) fn table<C: Deref<Target = NativeContext>>(
    fallback: &NativeContext,
    names: &[String],
    contexts: &[C],
) -> ContextTable {
    let mut table = ContextTable::new(fallback.context.clone());
    for (name, context) in names.iter().zip(contexts) {
        table.add(name, context.context.clone());
    }
    table
}

fn parse(native: &NativeContextOptions) -> Result<ContextOptions> {
    let identities = native.identities.iter().map(parse_identity).collect::<Result<_>>()?;
    let mut options = ContextOptions::default();
    options.identities = identities;
    options.alpn = native.alpn_protocols.iter().map(|name| name.to_vec()).collect();
    options.client_auth =
        native.client_auth.as_ref().map_or(ClientAuth::None, |auth| ClientAuth::Request {
            roots: certificates(&auth.roots),
            reject_unauthorized: auth.reject_unauthorized,
        });
    options.min_version = parse_version(&native.min_version)?;
    options.max_version = parse_version(&native.max_version)?;
    let lifetime = Duration::from_secs(native.session_timeout.into());
    options.session_lifetime = lifetime;
    if !native.tickets {
        options.tickets = Tickets::Off;
    }
    options.honor_cipher_order = native.honor_cipher_order;
    options.groups = match &native.groups {
        None => None,
        Some(names) => Some(names.iter().map(|name| parse_group(name)).collect::<Result<_>>()?),
    };
    Ok(options)
}

fn parse_identity(native: &NativeIdentity) -> Result<Identity> {
    let key = PrivateKeyDer::try_from(native.key.to_vec()).map_err(|reason| {
        coded("ERR_OSSL_UNSUPPORTED", format!("key must be a private key as PKCS#8 DER: {reason}"))
    })?;
    Ok(Identity { chain: certificates(&native.chain), key })
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
