use std::sync::Arc;

use rustls::server::ProducesTickets;
use rustls::{ServerConfig, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::CertificateDer;

use crate::client_hello::extension;
use crate::context::IdentityConfig;
use crate::identity::{KeyKind, OwnChain};
use crate::reader::Reader;
use crate::{ClientHello, Cost, ProtocolVersion, ServerContext};

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
}

struct Resumption {
    config: Arc<ServerConfig>,
    session: TicketSession,
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

    pub(crate) fn new(hello: &ClientHello, context: &ServerContext) -> Self {
        let version = negotiated(hello, context);
        let chosen = choose_identity(hello, context, version);
        let resumption = version.and_then(|version| {
            let suite = choose_suite(hello, context, version, chosen)?;
            let session = resumable(hello, context, version, suite)?;
            Some(Resumption { config: Arc::clone(&chosen.resuming), session })
        });
        let full_cost = match chosen.identity.kind {
            KeyKind::Rsa => Cost::Heavy,
            KeyKind::Other => Cost::Light,
        };
        let own = OwnChain::of(&chosen.identity);
        Self { version, resumption, fresh: Arc::clone(&chosen.fresh), own, full_cost }
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
    pub(crate) fn into_config(self, context: &ServerContext) -> Arc<ServerConfig> {
        let still_good = |resumption: &Resumption| {
            context
                .client_verifier()
                .is_none_or(|verifier| verifier.accepts_again(&resumption.session.client_chain))
        };
        self.resumption.filter(still_good).map_or(self.fresh, |resumption| resumption.config)
    }
}

/// The version that rustls will choose, `None` if it will refuse.
fn negotiated(hello: &ClientHello, context: &ServerContext) -> Option<ProtocolVersion> {
    [ProtocolVersion::Tls13, ProtocolVersion::Tls12]
        .into_iter()
        .find(|&version| hello.offers_version(version) && context.speaks(version))
}

/// The first identity that the client can check, or the first one of all: rustls then refuses
/// with the right alert.
fn choose_identity<'a>(
    hello: &ClientHello,
    context: &'a ServerContext,
    version: Option<ProtocolVersion>,
) -> &'a IdentityConfig {
    let [only] = context.configs() else {
        let schemes = offered_schemes(hello, version);
        return context
            .configs()
            .iter()
            .find(|config| {
                config.identity.signs_one_of(&schemes)
                    && version.is_some_and(|version| {
                        choose_suite(hello, context, version, config).is_some()
                    })
            })
            .unwrap_or(&context.configs()[0]);
    };
    only
}

fn offered_schemes(hello: &ClientHello, version: Option<ProtocolVersion>) -> Vec<SignatureScheme> {
    let numbers = hello.signature_schemes().iter();
    // TLS 1.3 has no PKCS#1 signatures in CertificateVerify (RFC 8446 section 4.2.3).
    let is_pkcs1 = |number: u16| version == Some(ProtocolVersion::Tls13) && number & 0xff == 1;
    numbers.filter(|&&number| !is_pkcs1(number)).map(|&number| number.into()).collect()
}

/// The cipher suite that rustls will choose for this identity.
fn choose_suite(
    hello: &ClientHello,
    context: &ServerContext,
    version: ProtocolVersion,
    config: &IdentityConfig,
) -> Option<SupportedCipherSuite> {
    let usable = |suite: &&SupportedCipherSuite| {
        u16::from(suite.version().version) == version.number()
            && suite.usable_for_signature_algorithm(config.identity.algorithm())
    };
    let mut ours = context.provider().cipher_suites.iter().filter(usable);
    let number = |suite: &SupportedCipherSuite| u16::from(suite.suite());
    if context.honors_cipher_order() {
        ours.find(|suite| hello.cipher_suites().contains(&number(suite))).copied()
    } else {
        let ours: Vec<_> = ours.collect();
        let mut theirs = hello.cipher_suites().iter();
        theirs
            .find_map(|&theirs| ours.iter().find(|own| number(own) == theirs))
            .map(|suite| **suite)
    }
}

/// The session that the client offers, if rustls will resume it.
fn resumable(
    hello: &ClientHello,
    context: &ServerContext,
    version: ProtocolVersion,
    suite: SupportedCipherSuite,
) -> Option<TicketSession> {
    let tickets = context.tickets()?;
    let open = |ticket: &[u8]| TicketSession::read(&tickets.decrypt(ticket)?);
    let fits = |session: &TicketSession| {
        session.suite == u16::from(suite.suite())
            && session.server_name == hello.server_name().map(str::to_ascii_lowercase)
    };
    match version {
        ProtocolVersion::Tls13 if hello.offers_psk_dhe() => {
            hello.psk_identities().iter().filter_map(|ticket| open(ticket)).find(fits)
        }
        ProtocolVersion::Tls13 => None,
        ProtocolVersion::Tls12 => {
            let uses_ems = hello.offers_extension(extension::EXTENDED_MASTER_SECRET);
            hello
                .session_ticket()
                .and_then(open)
                .filter(fits)
                .filter(|session| session.extended_master_secret || !uses_ems)
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
