use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;

use crate::client_certificates::ClientVerifier;
use crate::identity::{CheckedIdentity, KeyKind, TheOnlyIdentity};
use crate::stored_sessions::SessionSeal;
use crate::ticket_key::TicketKey;
use crate::tickets::ContextTickets;
use crate::{CipherSuite, ContextError, ContextOptions, Group, ProtocolVersion, SignatureScheme};

/// Everything a server needs to answer a ClientHello. Cheap to clone, shared between threads.
///
/// What exists is usable: keys match their certificates, versions and suites fit together.
#[derive(Clone)]
pub struct ServerContext(Arc<Inner>);

struct Inner {
    configs: Vec<IdentityConfig>,
    provider: Arc<CryptoProvider>,
    versions: Vec<ProtocolVersion>,
    honor_cipher_order: bool,
    schemes: Arc<[SignatureScheme]>,
    client_verifier: Option<Arc<ClientVerifier>>,
    tickets: Option<Arc<ContextTickets>>,
    session_seal: Arc<SessionSeal>,
}

/// One identity and the two ways to answer with it.
pub(crate) struct IdentityConfig {
    pub(crate) identity: CheckedIdentity,
    /// Takes the client's ticket if it fits.
    pub(crate) resuming: Arc<ServerConfig>,
    /// Issues tickets and takes none, so that a full handshake is certain.
    pub(crate) fresh: Arc<ServerConfig>,
}

impl ServerContext {
    /// Checks the options and makes all keys usable.
    ///
    /// Costs tens of microseconds for each identity and root: make one context and keep it.
    ///
    /// # Errors
    /// [`ContextError`] names the first option that can't be honoured.
    pub fn new(options: ContextOptions) -> Result<Self, ContextError> {
        let versions = versions(&options)?;
        let provider = Arc::new(provider(&options, &versions)?);
        let schemes = options.signature_schemes.as_deref().unwrap_or(SignatureScheme::ALL);
        let schemes: Arc<[_]> = schemes.into();
        check_schemes(&schemes)?;
        check_alpn(&options.alpn)?;
        check_lifetime(options.session_lifetime)?;

        let keys = options.identities.iter().map(|identity| &*identity.key);
        let session_key = TicketKey::of_private_keys(keys)
            .ok_or_else(|| ContextError::Internal("no session key can be derived".into()))?;
        let identities = options
            .identities
            .into_iter()
            .map(|identity| CheckedIdentity::new(identity, &provider, &schemes))
            .collect::<Result<Vec<_>, _>>()?;
        let client_verifier =
            ClientVerifier::new(options.client_auth, &options.crls, &schemes, &provider)?
                .map(Arc::new);
        let digest =
            session_digest(&identities, client_verifier.as_deref(), &options.session_id_context);
        let lifetime = options.session_lifetime;
        let tickets = ContextTickets::new(options.tickets, lifetime, digest)?.map(Arc::new);
        let session_seal = Arc::new(SessionSeal::new(session_key, digest, lifetime));

        let template = ConfigTemplate {
            provider: &provider,
            versions: &versions,
            honor_cipher_order: options.honor_cipher_order,
            alpn: &options.alpn,
            client_verifier: client_verifier.as_ref(),
            tickets: tickets.as_ref(),
        };
        let configs = identities
            .into_iter()
            .map(|identity| template.identity_config(identity))
            .collect::<Result<Vec<_>, _>>()?;

        Ok(Self(Arc::new(Inner {
            configs,
            provider,
            versions,
            honor_cipher_order: options.honor_cipher_order,
            schemes,
            client_verifier,
            tickets,
            session_seal,
        })))
    }

    /// Whether clients are asked for a certificate.
    pub fn requests_client_certificate(&self) -> bool {
        self.0.client_verifier.is_some()
    }

    /// Whether some handshakes need an RSA private key, so that a lane for them makes sense.
    pub fn has_rsa_key(&self) -> bool {
        self.0.configs.iter().any(|config| config.identity.kind != KeyKind::Other)
    }

    pub(crate) fn configs(&self) -> &[IdentityConfig] {
        &self.0.configs
    }

    pub(crate) fn provider(&self) -> &CryptoProvider {
        &self.0.provider
    }

    pub(crate) fn speaks(&self, version: ProtocolVersion) -> bool {
        self.0.versions.contains(&version)
    }

    pub(crate) fn honors_cipher_order(&self) -> bool {
        self.0.honor_cipher_order
    }

    pub(crate) fn client_verifier(&self) -> Option<&ClientVerifier> {
        self.0.client_verifier.as_deref()
    }

    pub(crate) fn signature_schemes(&self) -> &[SignatureScheme] {
        &self.0.schemes
    }

    pub(crate) fn session_seal(&self) -> &Arc<SessionSeal> {
        &self.0.session_seal
    }

    pub(crate) fn tickets(&self) -> Option<&ContextTickets> {
        self.0.tickets.as_deref()
    }
}

impl fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerContext")
            .field("versions", &self.0.versions)
            .field("identities", &self.0.configs.len())
            .field("requests_client_certificate", &self.requests_client_certificate())
            .finish_non_exhaustive()
    }
}

/// The versions of the range that have a cipher suite.
fn versions(options: &ContextOptions) -> Result<Vec<ProtocolVersion>, ContextError> {
    let (min, max) = (options.min_version, options.max_version);
    if min > max {
        return Err(ContextError::VersionRange { min, max });
    }
    let versions: Vec<_> = [ProtocolVersion::Tls12, ProtocolVersion::Tls13]
        .into_iter()
        .filter(|version| (min..=max).contains(version))
        .filter(|version| suites(options).iter().any(|suite| suite.version() == *version))
        .collect();
    if versions.is_empty() { Err(ContextError::NoCipherSuite) } else { Ok(versions) }
}

fn suites(options: &ContextOptions) -> &[CipherSuite] {
    options.cipher_suites.as_deref().unwrap_or(CipherSuite::ALL)
}

/// aws-lc-rs with the suites and groups of the options, in their order.
fn provider(
    options: &ContextOptions,
    versions: &[ProtocolVersion],
) -> Result<CryptoProvider, ContextError> {
    let suites = suites(options).iter().filter(|suite| versions.contains(&suite.version()));
    let groups = options.groups.as_deref().unwrap_or(Group::ALL);
    for &version in versions {
        let usable =
            |group: &Group| version == ProtocolVersion::Tls13 || *group != Group::X25519MlKem768;
        if !groups.iter().any(usable) {
            return Err(ContextError::NoGroup { version });
        }
    }
    Ok(CryptoProvider {
        cipher_suites: suites.map(|suite| suite.to_rustls()).collect(),
        kx_groups: groups.iter().map(|group| group.to_rustls()).collect(),
        ..aws_lc_rs::default_provider()
    })
}

fn check_schemes(schemes: &[SignatureScheme]) -> Result<(), ContextError> {
    if schemes.is_empty() { Err(ContextError::NoSignatureScheme) } else { Ok(()) }
}

fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), ContextError> {
    match protocols.iter().map(Vec::len).find(|length| !(1..=255).contains(length)) {
        Some(length) => Err(ContextError::BadAlpn { length }),
        None => Ok(()),
    }
}

fn check_lifetime(value: Duration) -> Result<(), ContextError> {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    if (Duration::from_secs(1)..=WEEK).contains(&value) {
        Ok(())
    } else {
        Err(ContextError::BadLifetime { option: "session_lifetime", value })
    }
}

/// What a session is bound to: a ticket of one context must not skip the checks of another
/// (CVE-2025-23419).
fn session_digest(
    identities: &[CheckedIdentity],
    client_verifier: Option<&ClientVerifier>,
    session_id_context: &[u8],
) -> [u8; 32] {
    let mut digest = ::aws_lc_rs::digest::Context::new(&::aws_lc_rs::digest::SHA256);
    for identity in identities {
        digest.update(identity.digest.as_ref());
    }
    match client_verifier {
        Some(verifier) => digest.update(verifier.digest().as_ref()),
        None => digest.update(b"no client certificates"),
    }
    digest.update(sha256(session_id_context).as_ref());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}

fn sha256(bytes: &[u8]) -> ::aws_lc_rs::digest::Digest {
    ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bytes)
}

struct ConfigTemplate<'a> {
    provider: &'a Arc<CryptoProvider>,
    versions: &'a [ProtocolVersion],
    honor_cipher_order: bool,
    alpn: &'a [Vec<u8>],
    client_verifier: Option<&'a Arc<ClientVerifier>>,
    tickets: Option<&'a Arc<ContextTickets>>,
}

impl ConfigTemplate<'_> {
    fn identity_config(&self, identity: CheckedIdentity) -> Result<IdentityConfig, ContextError> {
        let versions: Vec<_> = self
            .versions
            .iter()
            .map(|version| match version {
                ProtocolVersion::Tls12 => &rustls::version::TLS12,
                ProtocolVersion::Tls13 => &rustls::version::TLS13,
            })
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(self.provider))
            .with_protocol_versions(&versions)
            .map_err(|error| ContextError::Internal(error.to_string()))?;
        let builder = match self.client_verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::new(TheOnlyIdentity(Arc::clone(&identity.key))));
        config.alpn_protocols = self.alpn.to_vec();
        config.ignore_client_order = self.honor_cipher_order;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Only a full handshake gives some, as with OpenSSL under Node: a session ends with its
        // lifetime, however often it is resumed.
        config.send_tls13_tickets = 0;

        let mut fresh = config.clone();
        if let Some(tickets) = self.tickets {
            config.ticketer = Arc::clone(tickets) as _;
            // With stateless tickets rustls takes no early data and offers none. This is how much it
            // tries to open and skips (RFC 8446 section 4.2.10) of a client whose ticket another
            // server has offered it with. It tries all again with each record, so the usual 16 KiB
            // count manifold; 18 KiB are the most that it keeps.
            config.max_early_data_size = 1024 * 1024;
            fresh.ticketer = Arc::new(tickets.issue_only());
            fresh.max_early_data_size = config.max_early_data_size;
            // As OpenSSL: a client may use each only once.
            fresh.send_tls13_tickets = 2;
        }
        Ok(IdentityConfig { identity, resuming: Arc::new(config), fresh: Arc::new(fresh) })
    }
}
