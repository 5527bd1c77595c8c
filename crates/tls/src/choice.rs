use std::sync::Arc;

use rustls::{NamedGroup, ServerConfig, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::CertificateDer;

use crate::client_hello::extension;
use crate::context::IdentityConfig;
use crate::identity::{KeyKind, OwnChain};
use crate::reader::Reader;
use crate::signature_scheme::shared_schemes;
use crate::tickets::ResumedTicket;
use crate::{
    Alert, Answer, ClientHello, Code, Cost, Failure, KeyType, ProtocolVersion, ServerContext,
    SignatureScheme as OwnScheme,
};

/// How a ClientHello is answered: with which identity, and whether its session is resumed.
///
/// Made before the job runs, so that the job's cost is known. The identity is certain, because
/// rustls then gets a configuration with this one only. A full handshake is certain too, because
/// its configuration takes no tickets. A resumption is predicted: the ticket decrypts and its
/// server name and cipher suite are those that rustls will compare. So neither a garbage ticket
/// nor a real one beside another cipher suite brings RSA work into the lane of the cheap jobs.
pub(crate) struct Choice {
    version: Option<ProtocolVersion>,
    resumption: Option<Resumption>,
    /// Takes no tickets.
    fresh: Arc<ServerConfig>,
    own: OwnChain,
    full_cost: Cost,
    /// What is told of the schemes of both ends.
    shared_schemes: Box<[u16]>,
    /// What a full handshake is signed with.
    signature: Option<Signature>,
}

/// The key and the scheme of this end's signature.
#[derive(Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) key_type: KeyType,
    pub(crate) scheme: OwnScheme,
}

struct Resumption {
    source: Source,
    session: TicketSession,
}

/// Where rustls will take the session from.
enum Source {
    /// A ticket, with the configuration that takes it.
    Ticket(Arc<ServerConfig>),
    /// The caller's store, which gave this.
    Stored(Vec<u8>),
}

/// What rustls is to answer with.
pub(crate) struct ChosenConfig {
    pub(crate) config: Arc<ServerConfig>,
    /// The session that it must find under the id of the ClientHello.
    pub(crate) stored: Option<Vec<u8>>,
}

impl Choice {
    /// The version that rustls will choose, `None` if it will refuse.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    /// What the client is shown.
    pub(crate) fn own_chain(&self) -> OwnChain {
        self.own.clone()
    }

    /// The schemes that both ends know, in the order of who decides.
    pub(crate) fn take_shared_schemes(&mut self) -> Box<[u16]> {
        std::mem::take(&mut self.shared_schemes)
    }

    pub(crate) fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// `answer` has what the caller's store has under the hello's session id, and the protocol
    /// that goes before the context's.
    ///
    /// Fails if the context has no identity.
    pub(crate) fn new(
        hello: &ClientHello,
        context: &ServerContext,
        answer: &Answer,
    ) -> Result<Self, Failure> {
        let (stored, alpn) = (answer.session.as_deref(), answer.alpn.as_ref());
        let version = negotiated(hello, context);
        check(hello, context, version)?;
        let chosen = choose_identity(hello, context, version)
            .ok_or_else(|| unserved(hello, |version| context.speaks(version)))?;
        let resumption =
            version.and_then(|version| resumption(hello, context, version, chosen, stored));
        let shared_schemes = shared_schemes_of(hello, context);
        let full_tls12 = version == Some(ProtocolVersion::Tls12) && resumption.is_none();
        let needs_schemes = full_tls12 || version == Some(ProtocolVersion::Tls13);
        if needs_schemes && shared_schemes.is_empty() && !hello.signature_schemes().is_empty() {
            return Err(Failure::in_the_clear(
                Code::NoSharedSignatureAlgorithms,
                Alert::HandshakeFailure,
                "no shared signature algorithms: the client offers none that the context allows",
            ));
        }
        // rustls looks at the schemes only when it signs: in TLS 1.3 behind its ServerHello, and in
        // TLS 1.2 it has no error for their lack.
        let is_signed = version.is_some() && resumption.is_none();
        if is_signed && !chosen.identity.signs_one_of(&offered_schemes(hello, version)) {
            return Err(unserved(hello, |version| context.speaks(version)));
        }
        let protocols = alpn.map_or(&*chosen.fresh.alpn_protocols, std::slice::from_ref);
        if version.is_some() && !shares_protocol(hello, protocols) {
            return Err(no_protocol());
        }
        let full_cost = match chosen.identity.kind {
            KeyKind::LargeRsa => Cost::Heaviest,
            KeyKind::Rsa => Cost::Heavy,
            KeyKind::Other => Cost::Light,
        };
        let own = OwnChain::of(&chosen.identity);
        let fresh = Arc::clone(&chosen.fresh);
        let signature = chosen.identity.signature(&offered_schemes(hello, version));
        Ok(Self { version, resumption, fresh, own, full_cost, shared_schemes, signature })
    }

    pub(crate) fn cost(&self) -> Cost {
        if self.resumption.is_some() { Cost::Light } else { self.full_cost }
    }

    /// The cost of answering a second ClientHello, which may come without the ticket.
    pub(crate) fn retry_cost(&self) -> Cost {
        self.full_cost
    }

    /// The configuration for rustls. A session whose client certificate is no longer good is not
    /// resumed: tickets outlive certificates. That costs a verification of the chain, so call it
    /// in the job.
    pub(crate) fn into_config(self, context: &ServerContext) -> ChosenConfig {
        let still_good = |resumption: &Resumption| {
            context
                .client_verifier()
                .is_none_or(|verifier| verifier.accepts_again(&resumption.session.client_chain))
        };
        match self.resumption.filter(still_good).map(|resumption| resumption.source) {
            Some(Source::Ticket(config)) => ChosenConfig { config, stored: None },
            Some(Source::Stored(session)) => {
                ChosenConfig { config: self.fresh, stored: Some(session) }
            }
            None => ChosenConfig { config: self.fresh, stored: None },
        }
    }
}

/// The chain of the identity that this hello would be answered with in a full handshake, if it
/// comes to one.
pub(crate) fn certificates_for<'a>(
    hello: &ClientHello,
    context: &'a ServerContext,
    stored: Option<&[u8]>,
) -> Option<&'a [CertificateDer<'static>]> {
    let version = negotiated(hello, context);
    let chosen = choose_identity(hello, context, version)?;
    let resumption =
        version.and_then(|version| resumption(hello, context, version, chosen, stored));
    resumption.is_none().then(|| chosen.identity.certificates())
}

/// The refusal of a client for whom there is no identity, with the codes of OpenSSL: it looks for
/// a certificate at another place in each version.
pub(crate) fn unserved(hello: &ClientHello, speaks: impl Fn(ProtocolVersion) -> bool) -> Failure {
    let no_identity = |code, what| {
        let detail = format!("{what}: there is no certificate for this client");
        Failure::in_the_clear(code, Alert::HandshakeFailure, detail)
    };
    match highest(hello, speaks) {
        Some(ProtocolVersion::Tls13) => {
            no_identity(Code::NoSuitableSignatureAlgorithm, "no suitable signature algorithm")
        }
        Some(ProtocolVersion::Tls12) => no_identity(Code::NoSharedCipher, "no shared cipher"),
        None => Failure::in_the_clear(
            Code::UnsupportedProtocol,
            Alert::ProtocolVersion,
            "unsupported protocol: the client offers no version that is spoken here",
        ),
    }
}

/// The refusal of a client whose protocols are not spoken (RFC 7301 section 3.2). Made before
/// rustls', which comes behind the ServerHello of TLS 1.3.
pub(crate) fn no_protocol() -> Failure {
    Failure::in_the_clear(
        Code::NoApplicationProtocol,
        Alert::NoApplicationProtocol,
        "no application protocol: none of those that the client offers is spoken",
    )
}

/// Where one end has no list, no protocol is agreed on, which is no failure.
fn shares_protocol(hello: &ClientHello, ours: &[Vec<u8>]) -> bool {
    let shared = || ours.iter().any(|own| hello.alpn().contains(own));
    ours.is_empty() || !hello.offers_alpn() || shared()
}

/// What the RFCs forbid and rustls doesn't look at, or answers with another alert.
fn check(
    hello: &ClientHello,
    context: &ServerContext,
    version: Option<ProtocolVersion>,
) -> Result<(), Failure> {
    let lacks = |number| !hello.offers_extension(number);
    let (code, alert, detail) = match version {
        Some(ProtocolVersion::Tls13) if lacks(extension::SUPPORTED_GROUPS) => (
            Code::MissingSupportedGroupsExtension,
            Alert::MissingExtension,
            "missing supported groups extension: TLS 1.3 needs it",
        ),
        // RFC 8446 section 4.2.8 leaves it to the server.
        Some(ProtocolVersion::Tls13)
            if hello.key_shares().iter().any(|group| !hello.groups().contains(group)) =>
        {
            (
                Code::BadKeyShare,
                Alert::IllegalParameter,
                "bad key share: it is of a group that the client doesn't offer",
            )
        }
        Some(ProtocolVersion::Tls12)
            if hello.cipher_suites().contains(&FALLBACK_SCSV)
                && context.speaks(ProtocolVersion::Tls13) =>
        {
            (
                Code::InappropriateFallback,
                Alert::InappropriateFallback,
                "inappropriate fallback: the client gave up TLS 1.3, which is spoken here",
            )
        }
        Some(ProtocolVersion::Tls12) if hello.renegotiates() => (
            Code::RenegotiationMismatch,
            Alert::HandshakeFailure,
            "renegotiation mismatch: there is no connection that could be renegotiated",
        ),
        _ => return Ok(()),
    };
    Err(Failure::in_the_clear(code, alert, detail))
}

/// Among the cipher suites: this is a second try, in a lower version (RFC 7507).
const FALLBACK_SCSV: u16 = 0x5600;

/// The version that rustls will choose, `None` if it will refuse.
fn negotiated(hello: &ClientHello, context: &ServerContext) -> Option<ProtocolVersion> {
    highest(hello, |version| context.speaks(version))
}

fn highest(
    hello: &ClientHello,
    speaks: impl Fn(ProtocolVersion) -> bool,
) -> Option<ProtocolVersion> {
    [ProtocolVersion::Tls13, ProtocolVersion::Tls12]
        .into_iter()
        .find(|&version| hello.offers_version(version) && speaks(version))
}

/// The identity that OpenSSL would choose: in TLS 1.2 the cipher suites decide and the signature
/// schemes among those of one suite, in TLS 1.3 the schemes alone. If none fits, the first one of
/// all: rustls then refuses with the right alert. `None` if the context has none.
fn choose_identity<'a>(
    hello: &ClientHello,
    context: &'a ServerContext,
    version: Option<ProtocolVersion>,
) -> Option<&'a IdentityConfig> {
    let [first, _, ..] = context.configs() else { return context.configs().first() };
    let offered = offered_schemes(hello, version);
    let schemes = shared_schemes_of(hello, context);
    let schemes = schemes.iter().map(|&number| SignatureScheme::from(number));
    let schemes: Vec<_> = schemes.filter(|scheme| offered.contains(scheme)).collect();
    let signing = |suits: &dyn Fn(&IdentityConfig) -> bool| {
        schemes.iter().find_map(|&scheme| {
            let mut suitable = context.configs().iter().filter(|config| suits(config));
            suitable.find(|config| config.identity.signs_one_of(&[scheme]))
        })
    };
    let chosen = match version {
        Some(ProtocolVersion::Tls13) => signing(&|_| true),
        Some(ProtocolVersion::Tls12) => shared_suites(hello, context, ProtocolVersion::Tls12)
            .into_iter()
            .find_map(|suite| signing(&|config| is_usable(suite, config))),
        None => None,
    };
    Some(chosen.unwrap_or(first))
}

fn shared_schemes_of(hello: &ClientHello, context: &ServerContext) -> Box<[u16]> {
    let (ours, theirs) = (context.signature_schemes(), hello.signature_schemes());
    shared_schemes(ours, theirs, context.honors_cipher_order())
}

/// The schemes that the client takes in this version.
fn offered_schemes(hello: &ClientHello, version: Option<ProtocolVersion>) -> Vec<SignatureScheme> {
    let is_taken = |&number: &u16| match version {
        // No PKCS#1 signatures in CertificateVerify (RFC 8446 section 4.2.3).
        Some(ProtocolVersion::Tls13) => number & 0xff != 1,
        // The key's curve must be one of the client's groups (RFC 8422 section 5.1.1).
        _ => curve(number)
            .is_none_or(|curve| hello.groups().is_empty() || hello.groups().contains(&curve)),
    };
    let numbers = hello.signature_schemes().iter().copied();
    numbers.filter(is_taken).map(SignatureScheme::from).collect()
}

/// The group of the keys that rustls signs with by this scheme.
fn curve(scheme: u16) -> Option<u16> {
    let curves = [
        (SignatureScheme::ECDSA_NISTP256_SHA256, NamedGroup::secp256r1),
        (SignatureScheme::ECDSA_NISTP384_SHA384, NamedGroup::secp384r1),
        (SignatureScheme::ECDSA_NISTP521_SHA512, NamedGroup::secp521r1),
    ];
    let mut curves = curves.into_iter();
    curves.find(|(number, _)| u16::from(*number) == scheme).map(|(_, curve)| curve.into())
}

/// The cipher suite that rustls will choose for this identity.
fn choose_suite(
    hello: &ClientHello,
    context: &ServerContext,
    version: ProtocolVersion,
    config: &IdentityConfig,
) -> Option<SupportedCipherSuite> {
    let suites = shared_suites(hello, context, version);
    suites.into_iter().find(|suite| is_usable(*suite, config))
}

fn is_usable(suite: SupportedCipherSuite, config: &IdentityConfig) -> bool {
    suite.usable_for_signature_algorithm(config.identity.algorithm())
}

/// The cipher suites that both ends know, in the order of who decides.
fn shared_suites(
    hello: &ClientHello,
    context: &ServerContext,
    version: ProtocolVersion,
) -> Vec<SupportedCipherSuite> {
    let number = |suite: &SupportedCipherSuite| u16::from(suite.suite());
    let ours = context.provider().cipher_suites.iter().copied();
    let ours = ours.filter(|suite| u16::from(suite.version().version) == version.number());
    if context.honors_cipher_order() {
        ours.filter(|suite| hello.cipher_suites().contains(&number(suite))).collect()
    } else {
        let ours: Vec<_> = ours.collect();
        let theirs = hello.cipher_suites().iter();
        theirs
            .filter_map(|&theirs| ours.iter().find(|own| number(own) == theirs).copied())
            .collect()
    }
}

/// The session that the client offers, if rustls will resume it.
fn resumption(
    hello: &ClientHello,
    context: &ServerContext,
    version: ProtocolVersion,
    chosen: &IdentityConfig,
    stored: Option<&[u8]>,
) -> Option<Resumption> {
    let suite = choose_suite(hello, context, version, chosen)?;
    let fits = |session: &TicketSession| {
        session.suite == u16::from(suite.suite())
            && session.server_name == hello.server_name().map(str::to_ascii_lowercase)
    };
    let of_ticket = |ticket: &[u8]| {
        let tickets = context.tickets()?;
        let opened = tickets.opened(ticket)?;
        let session = TicketSession::read(&opened.session).filter(fits)?;
        let mut config = Arc::clone(&chosen.resuming);
        let is_tls12 = version == ProtocolVersion::Tls12;
        if is_tls12 || opened.is_retired {
            let config = Arc::make_mut(&mut config);
            config.ticketer = Arc::new(ResumedTicket {
                tickets: tickets.clone(),
                ticket: ticket.to_vec(),
                issued: opened.issued,
                is_retired: opened.is_retired,
            });
            config.send_tls13_tickets = usize::from(!is_tls12);
        }
        Some(Resumption { source: Source::Ticket(config), session })
    };
    let of_stored = |data: &[u8]| {
        let stored = context.session_seal().open(data)?;
        let session = TicketSession::read(&stored).filter(fits)?;
        Some(Resumption { source: Source::Stored(stored), session })
    };
    match version {
        ProtocolVersion::Tls13 if hello.offers_psk_dhe() => {
            hello.psk_identities().iter().find_map(|ticket| of_ticket(ticket))
        }
        ProtocolVersion::Tls13 => None,
        ProtocolVersion::Tls12 => {
            let uses_ems = hello.offers_extension(extension::EXTENDED_MASTER_SECRET);
            // rustls asks no store when the client has a ticket.
            match hello.session_ticket() {
                Some(ticket) => of_ticket(ticket),
                None if hello.session_id().is_empty() => None,
                None => stored.and_then(of_stored),
            }
            .filter(|resumption| resumption.session.extended_master_secret || !uses_ems)
        }
    }
}

/// What this crate needs to know of rustls' session in a ticket.
///
/// The layout is rustls' own and no promise; a session that can't be read isn't resumed, and a
/// test resumes one.
pub(crate) struct TicketSession {
    server_name: Option<String>,
    suite: u16,
    extended_master_secret: bool,
    client_chain: Vec<CertificateDer<'static>>,
}

impl TicketSession {
    fn read(session: &[u8]) -> Option<Self> {
        let mut reader = Reader(session);
        let server_name = match reader.u8()? {
            0 => None,
            _ => Some(String::from_utf8(reader.vec8()?.to_vec()).ok()?),
        };
        let _version = reader.u16()?;
        let suite = reader.u16()?;
        let _secret = reader.vec8()?;
        let extended_master_secret = reader.u8()? == 1;
        let mut client_chain = Vec::new();
        if reader.u8()? == 1 {
            let mut chain = Reader(reader.vec24()?);
            while !chain.is_empty() {
                client_chain.push(CertificateDer::from(chain.vec24()?.to_vec()));
            }
        }
        Some(Self { server_name, suite, extended_master_secret, client_chain })
    }
}
