use crate::ProtocolVersion;
use crate::reader::Reader;

/// The facts of a ClientHello (RFC 8446 section 4.1.2), in the client's order and with its GREASE
/// values (RFC 8701), so that fingerprints can be computed from them.
///
/// Read by this crate's own reader. Callers get those that rustls found well-formed too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    legacy_version: u16,
    session_id: Vec<u8>,
    cipher_suites: Vec<u16>,
    extensions: Vec<u16>,
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    supported_versions: Vec<u16>,
    groups: Vec<u16>,
    point_formats: Vec<u8>,
    signature_schemes: Vec<u16>,
    key_shares: Vec<u16>,
    psk_modes: Vec<u8>,
    psk_identities: Vec<Vec<u8>>,
    session_ticket: Option<Vec<u8>>,
    renegotiates: bool,
}

impl ClientHello {
    /// The host name of the `server_name` extension (RFC 6066 section 3) as the client wrote it.
    /// `None` for IP addresses, which don't belong there.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocols of the ALPN extension (RFC 7301), empty without it.
    pub fn alpn(&self) -> &[Vec<u8>] {
        &self.alpn
    }

    /// Whether the client has the ALPN extension, be its list empty or not.
    pub fn offers_alpn(&self) -> bool {
        self.offers_extension(extension::ALPN)
    }

    /// The session id, empty without one: the name of a TLS 1.2 session to resume, or the random
    /// bytes that TLS 1.3 clients send for the sake of middleboxes.
    pub fn session_id(&self) -> &[u8] {
        &self.session_id
    }

    /// The version field of the message itself, `0x0303` in all modern clients.
    pub fn legacy_version(&self) -> u16 {
        self.legacy_version
    }

    /// The `supported_versions` extension, empty without it.
    pub fn supported_versions(&self) -> &[u16] {
        &self.supported_versions
    }

    /// The numbers of the cipher suites.
    pub fn cipher_suites(&self) -> &[u16] {
        &self.cipher_suites
    }

    /// The types of the extensions.
    pub fn extensions(&self) -> &[u16] {
        &self.extensions
    }

    /// The `supported_groups` extension, empty without it.
    pub fn groups(&self) -> &[u16] {
        &self.groups
    }

    /// The `ec_point_formats` extension, empty without it.
    pub fn point_formats(&self) -> &[u8] {
        &self.point_formats
    }

    /// The `signature_algorithms` extension, empty without it.
    pub fn signature_schemes(&self) -> &[u16] {
        &self.signature_schemes
    }

    /// The groups of the `key_share` extension, empty without it.
    pub fn key_shares(&self) -> &[u16] {
        &self.key_shares
    }

    /// Whether the client wants to resume a session by a TLS 1.3 pre-shared key or a TLS 1.2
    /// ticket; a session that only [`session_id`](Self::session_id) names is none of these.
    pub fn offers_ticket(&self) -> bool {
        !self.psk_identities.is_empty() || self.session_ticket.is_some()
    }

    /// Whether the client asks for an OCSP response (`status_request`, RFC 6066 section 8).
    pub fn requests_ocsp(&self) -> bool {
        self.offers_extension(extension::STATUS_REQUEST)
    }

    /// Whether the client can speak this version (RFC 8446 section 4.2.1).
    pub(crate) fn offers_version(&self, version: ProtocolVersion) -> bool {
        if self.offers_extension(extension::SUPPORTED_VERSIONS) {
            self.supported_versions.contains(&version.number())
        } else {
            version == ProtocolVersion::Tls12 && self.legacy_version >= version.number()
        }
    }

    pub(crate) fn offers_extension(&self, number: u16) -> bool {
        self.extensions.contains(&number)
    }

    /// Whether the client can resume with a fresh key exchange, the only way that is served.
    pub(crate) fn offers_psk_dhe(&self) -> bool {
        const PSK_DHE_KE: u8 = 1;
        self.psk_modes.contains(&PSK_DHE_KE)
    }

    /// Whether the client takes this for a renegotiation (RFC 5746).
    pub(crate) fn renegotiates(&self) -> bool {
        self.renegotiates
    }

    pub(crate) fn psk_identities(&self) -> &[Vec<u8>] {
        &self.psk_identities
    }

    pub(crate) fn session_ticket(&self) -> Option<&[u8]> {
        self.session_ticket.as_deref()
    }

    /// Reads a whole handshake message: type, length, body. `None` if a length does not fit.
    pub fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message);
        if reader.u8()? != CLIENT_HELLO {
            return None;
        }
        let mut body = Reader(reader.vec24()?);
        reader.end()?;

        let mut hello = Self { legacy_version: body.u16()?, ..Self::default() };
        let _random = body.take(32)?;
        hello.session_id = body.vec8()?.to_vec();
        hello.cipher_suites = Reader(body.vec16()?).u16s()?;
        let _compression_methods = body.vec8()?;
        if !body.is_empty() {
            let mut extensions = Reader(body.vec16()?);
            body.end()?;
            while !extensions.is_empty() {
                let number = extensions.u16()?;
                let contents = extensions.vec16()?;
                hello.extensions.push(number);
                hello.read_extension(number, Reader(contents))?;
            }
        }
        Some(hello)
    }

    /// What [`HelloOutline`](crate::HelloOutline) wrote.
    pub(crate) fn from_outline(mut reader: Reader<'_>) -> Option<Self> {
        let legacy_version = reader.u16()?;
        let mut numbers = || Reader(reader.vec16()?).u16s();
        let mut hello = Self {
            legacy_version,
            cipher_suites: numbers()?,
            extensions: numbers()?,
            supported_versions: numbers()?,
            groups: numbers()?,
            signature_schemes: numbers()?,
            key_shares: numbers()?,
            point_formats: reader.vec16()?.to_vec(),
            ..Self::default()
        };
        let name = std::str::from_utf8(reader.vec16()?).ok()?;
        hello.server_name = (!name.is_empty()).then(|| name.to_owned());
        while !reader.is_empty() {
            hello.alpn.push(reader.vec16()?.to_vec());
        }
        Some(hello)
    }

    #[cfg(test)]
    pub(crate) fn with_alpn(alpn: Vec<Vec<u8>>) -> Self {
        Self { alpn, ..Self::default() }
    }

    fn read_extension(&mut self, number: u16, mut contents: Reader<'_>) -> Option<()> {
        match number {
            extension::SERVER_NAME => self.server_name = read_server_name(contents)?,
            extension::SUPPORTED_GROUPS => self.groups = Reader(contents.vec16()?).u16s()?,
            extension::EC_POINT_FORMATS => self.point_formats = contents.vec8()?.to_vec(),
            extension::SIGNATURE_ALGORITHMS => {
                self.signature_schemes = Reader(contents.vec16()?).u16s()?;
            }
            extension::ALPN => {
                let mut names = Reader(contents.vec16()?);
                while !names.is_empty() {
                    self.alpn.push(names.vec8()?.to_vec());
                }
            }
            extension::SESSION_TICKET if !contents.is_empty() => {
                self.session_ticket = Some(contents.0.to_vec());
            }
            extension::PRE_SHARED_KEY => {
                let mut identities = Reader(contents.vec16()?);
                while !identities.is_empty() {
                    self.psk_identities.push(identities.vec16()?.to_vec());
                    let _obfuscated_age = identities.take(4)?;
                }
                let mut binders = Reader(contents.vec16()?);
                while !binders.is_empty() {
                    binders.vec8().filter(|binder| binder.len() >= SHORTEST_BINDER)?;
                }
            }
            extension::SUPPORTED_VERSIONS => {
                let versions = contents.vec8().filter(|versions| !versions.is_empty())?;
                self.supported_versions = Reader(versions).u16s()?;
            }
            extension::RENEGOTIATION_INFO => self.renegotiates = !contents.vec8()?.is_empty(),
            extension::PSK_KEY_EXCHANGE_MODES => self.psk_modes = contents.vec8()?.to_vec(),
            extension::KEY_SHARE => {
                let mut shares = Reader(contents.vec16()?);
                while !shares.is_empty() {
                    self.key_shares.push(shares.u16()?);
                    let _key = shares.vec16()?;
                }
            }
            _ => {}
        }
        Some(())
    }
}

fn read_server_name(mut contents: Reader<'_>) -> Option<Option<String>> {
    const HOST_NAME: u8 = 0;
    let mut names = Reader(contents.vec16()?);
    while !names.is_empty() {
        let kind = names.u8()?;
        let name = names.vec16()?;
        if kind == HOST_NAME {
            let name = std::str::from_utf8(name).ok();
            let is_dns = |name: &&str| rustls_pki_types::DnsName::try_from(*name).is_ok();
            let is_ip = |name: &&str| name.parse::<std::net::IpAddr>().is_ok();
            return Some(name.filter(is_dns).filter(|name| !is_ip(name)).map(str::to_owned));
        }
    }
    Some(None)
}

pub(crate) const CLIENT_HELLO: u8 = 1;

/// `PskBinderEntry<32..255>` (RFC 8446 section 4.2.11): rustls takes any but an empty one.
const SHORTEST_BINDER: usize = 32;

/// Numbers from IANA's registry of TLS extensions.
pub(crate) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const STATUS_REQUEST: u16 = 5;
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const EC_POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(crate) const ALPN: u16 = 16;
    pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
    pub(crate) const SESSION_TICKET: u16 = 35;
    pub(crate) const PRE_SHARED_KEY: u16 = 41;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
    pub(crate) const KEY_SHARE: u16 = 51;
    pub(crate) const RENEGOTIATION_INFO: u16 = 0xff01;
}
