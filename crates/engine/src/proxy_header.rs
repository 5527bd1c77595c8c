//! The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): what a proxy says of a
//! connection's ends before the first byte of the connection itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::tls::Session;

/// Which version is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with what is known of the TLS session.
    V2,
}

/// The ends of a connection as its first proxy saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// What stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// The beginning of a header.
    Partial,
    /// A header, so many bytes long. No ends: the proxy speaks for itself, or knows none.
    Whole { length: usize, ends: Option<Ends> },
    /// No header, and why.
    Malformed(&'static str),
}

/// The longest header that is read, in bytes. One of version 2 with both addresses of a Unix socket
/// has 232, and whoever adds to it (names, certificates' subjects) stays far below this.
pub(crate) const MOST: usize = 4096;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;
const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1, its end included.
const V1_MOST: usize = 107;

/// Reads the header at the front of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Front {
    if begins(bytes, &SIGNATURE) {
        return parse_v2(bytes);
    }
    if begins(bytes, V1_START) {
        return parse_v1(bytes);
    }
    Front::Malformed("the connection does not begin with one")
}

/// Whether `bytes` begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let known = bytes.len().min(start.len());
    bytes[..known] == start[..known]
}

fn parse_v1(bytes: &[u8]) -> Front {
    let known = &bytes[..bytes.len().min(V1_MOST)];
    let Some(end) = known.windows(2).position(|pair| pair == b"\r\n") else {
        return if known.len() < V1_MOST {
            Front::Partial
        } else {
            Front::Malformed("its line is longer than 107 bytes")
        };
    };
    let length = end + 2;
    let Ok(line) = std::str::from_utf8(&bytes[V1_START.len()..end]) else {
        return Front::Malformed("its line is not text");
    };
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Front::Whole { length, ends: None };
    }
    let words: Vec<_> = words.collect();
    let ends = match (family, &*words) {
        ("TCP4" | "TCP6", [source, destination, source_port, destination_port]) => (|| {
            let end = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().ok()?;
                (ip.is_ipv4() == (family == "TCP4")).then_some(SocketAddr::new(ip, number(port)?))
            };
            let source = end(source, source_port)?;
            Some(Ends { source, destination: end(destination, destination_port)? })
        })(),
        _ => None,
    };
    match ends {
        Some(ends) => Front::Whole { length, ends: Some(ends) },
        None => Front::Malformed("its line is not 'PROXY TCP4|TCP6 <ip> <ip> <port> <port>'"),
    }
}

/// A port in decimal, without a sign or leading zeros.
fn number(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    (is_plain || text == "0").then(|| text.parse().ok()).flatten()
}

fn parse_v2(bytes: &[u8]) -> Front {
    let Some(head) = bytes.first_chunk::<V2_HEAD>() else { return Front::Partial };
    let length = V2_HEAD + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > MOST {
        return Front::Malformed("it is longer than 4096 bytes");
    }
    if head[12] >> 4 != 2 {
        return Front::Malformed("its version is not 1 or 2");
    }
    let is_local = match head[12] & 0xf {
        0 => true,
        1 => false,
        _ => return Front::Malformed("its command is not LOCAL or PROXY"),
    };
    let Some(header) = bytes.get(..length) else { return Front::Partial };
    let body = &header[V2_HEAD..];
    let (ends, addresses) = match head[13] {
        0x00 => (None, 0),
        0x11 => (ipv4(body), 12),
        0x21 => (ipv6(body), 36),
        // Of a Unix socket: paths, which say nothing of a peer.
        0x31 => (None, 216),
        _ if is_local => (None, 0),
        _ => return Front::Malformed("its addresses are not of TCP or a Unix socket"),
    };
    if is_local {
        return Front::Whole { length, ends: None };
    }
    let Some(extensions) = body.get(addresses..) else {
        return Front::Malformed("it is too short for its addresses");
    };
    // Without addresses the rest is whatever its writer likes.
    if head[13] != 0 && !are_sound(header, length - extensions.len()) {
        return Front::Malformed("its extensions are cut off, or its checksum is wrong");
    }
    Front::Whole { length, ends }
}

fn ipv4(body: &[u8]) -> Option<Ends> {
    let &[a, b, c, d, e, f, g, h, ..] = body else { return None };
    let ports = ports(body.get(8..12)?)?;
    Some(Ends {
        source: (Ipv4Addr::new(a, b, c, d), ports.0).into(),
        destination: (Ipv4Addr::new(e, f, g, h), ports.1).into(),
    })
}

fn ipv6(body: &[u8]) -> Option<Ends> {
    let ports = ports(body.get(32..36)?)?;
    let ip = |at: usize| Some(Ipv6Addr::from(*body.get(at..)?.first_chunk::<16>()?));
    Some(Ends { source: (ip(0)?, ports.0).into(), destination: (ip(16)?, ports.1).into() })
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = bytes else { return None };
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Whether the extensions of `header`, from `at` on, are whole, and its checksum, if it has one,
/// is right.
fn are_sound(header: &[u8], mut at: usize) -> bool {
    let mut checksum = None;
    while let Some(&kind) = header.get(at) {
        let Some(&[high, low]) = header.get(at + 1..at + 3) else { return false };
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        if at > header.len() {
            return false;
        }
        if kind == CRC32C {
            let Ok(given) = <[u8; 4]>::try_from(&header[value..at]) else { return false };
            checksum = Some((value, u32::from_be_bytes(given)));
        }
    }
    checksum.is_none_or(|(place, given)| {
        // Computed with zeros in its own place.
        let bytes = header.iter().enumerate();
        let zeroed = bytes.map(|(i, &byte)| if (place..place + 4).contains(&i) { 0 } else { byte });
        crc32c(zeroed) == given
    })
}

fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// The header that tells a backend of a connection. No ends: they are not known.
pub(crate) fn write(version: ProxyVersion, ends: Option<Ends>, session: &Session) -> Vec<u8> {
    let ends = ends.map(of_one_family);
    match version {
        ProxyVersion::V1 => write_v1(ends),
        ProxyVersion::V2 => write_v2(ends, session),
    }
}

/// An IPv4 address that came to an IPv6 socket is one; both ends must be of one family.
fn of_one_family(Ends { source, destination }: Ends) -> Ends {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(source), canonical(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    Ends { source: mapped(source), destination: mapped(destination) }
}

fn write_v1(ends: Option<Ends>) -> Vec<u8> {
    let Some(Ends { source, destination }) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn write_v2(ends: Option<Ends>, session: &Session) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(0x21);
    header.push(match ends {
        None => 0x00,
        Some(Ends { source, .. }) if source.is_ipv4() => 0x11,
        Some(_) => 0x21,
    });
    // Its length.
    header.extend([0, 0]);
    if let Some(Ends { source, destination }) = ends {
        for ip in [source.ip(), destination.ip()] {
            match ip {
                IpAddr::V4(ip) => header.extend(ip.octets()),
                IpAddr::V6(ip) => header.extend(ip.octets()),
            }
        }
        header.extend(source.port().to_be_bytes());
        header.extend(destination.port().to_be_bytes());
    }
    if let Some(alpn) = &session.alpn {
        extension(&mut header, ALPN, alpn);
    }
    if let Some(name) = &session.server_name {
        extension(&mut header, AUTHORITY, name.as_bytes());
    }
    extension(&mut header, SSL, &ssl(session));
    let length = u16::try_from(header.len() - V2_HEAD).unwrap_or(u16::MAX);
    header[14..V2_HEAD].copy_from_slice(&length.to_be_bytes());
    header
}

/// `pp2_tlv_ssl`.
fn ssl(session: &Session) -> Vec<u8> {
    let has_certificate = !session.peer_certificates.is_empty();
    let client = CLIENT_SSL | if has_certificate { CLIENT_CERT_CONN | CLIENT_CERT_SESS } else { 0 };
    let mut value = vec![client];
    // 0: the client's certificate was asked for and verified.
    value.extend(u32::from(!session.authorized).to_be_bytes());
    extension(&mut value, SSL_VERSION, session.protocol.as_str().as_bytes());
    extension(&mut value, SSL_CIPHER, session.cipher.name.as_bytes());
    value
}

/// At most 255 bytes of each: names and protocols are no longer.
fn extension(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
}

/// PP2_TYPE_*.
const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CIPHER: u8 = 0x23;
/// PP2_CLIENT_*.
const CLIENT_SSL: u8 = 1;
const CLIENT_CERT_CONN: u8 = 2;
const CLIENT_CERT_SESS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Option<Ends> {
        Some(Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    /// Every beginning of a header is one, and what stands behind it changes nothing.
    fn whole(header: &[u8], expected: Option<Ends>) {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Front::Partial, "{end}");
        }
        let length = header.len();
        let behind = [header, b"\x16\x03\x01"].concat();
        assert_eq!(parse(&behind), Front::Whole { length, ends: expected });
    }

    fn v2(head: [u8; 2], body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE, &head[..], &length, body].concat()
    }

    fn refused(header: &[u8]) {
        assert!(matches!(parse(header), Front::Malformed(_)), "{header:?}");
    }

    const IPV4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0x01, 0xbb];

    #[test]
    fn lines_of_version_1_are_read() {
        whole(
            b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n",
            ends("192.0.2.1:50000", "198.51.100.2:443"),
        );
        whole(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", ends("[2001:db8::1]:0", "[::1]:65535"));
        whole(b"PROXY UNKNOWN\r\n", None);
        whole(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None);
    }

    #[test]
    fn headers_of_version_2_are_read() {
        let expected = ends("192.0.2.1:50000", "198.51.100.2:443");
        whole(&v2([0x21, 0x11], IPV4), expected);
        let extended = [IPV4, &[0x02, 0, 3, b'a', b'.', b'b', 0x04, 0, 0]].concat();
        whole(&v2([0x21, 0x11], &extended), expected);
        let ipv6 = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 80, 1, 187]].concat();
        whole(&v2([0x21, 0x21], &ipv6), ends("[::1]:80", "[::2]:443"));
        whole(&v2([0x21, 0x31], &[0; 216]), None);
        whole(&v2([0x21, 0x00], b"whatever"), None);
        whole(&v2([0x20, 0x00], &[]), None);
        whole(&v2([0x20, 0x11], IPV4), None);
    }

    #[test]
    fn a_checksum_is_checked() {
        // The check value of CRC-32C.
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let mut header = v2([0x21, 0x11], &[IPV4, &[CRC32C, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c(header.iter().copied()).to_be_bytes();
        let at = header.len() - 4;
        header[at..].copy_from_slice(&sum);
        whole(&header, ends("192.0.2.1:50000", "198.51.100.2:443"));
        header[at] ^= 1;
        refused(&header);
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_shows() {
        refused(b"\x16\x03\x01\x02\x00");
        refused(b"GET / HTTP/1.1\r\n");
        refused(b"PROXY_");
        refused(b"\r\n\r\n\0\r\nQUIT\r");
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 50000\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 50000 443 1\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.2 50000 443\r\n",
            "PROXY TCP4 ::1 ::1 50000 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.2 50000 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +5 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 050 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
            "PROXY \u{fffd}\r\n",
        ] {
            refused(line.as_bytes());
        }
        refused(&[b"PROXY UNKNOWN ", &[b'a'; 100][..]].concat());
        refused(&v2([0x31, 0x11], IPV4));
        refused(&v2([0x22, 0x11], IPV4));
        refused(&v2([0x21, 0x12], IPV4));
        refused(&v2([0x21, 0x41], IPV4));
        refused(&v2([0x21, 0x11], &IPV4[..11]));
        refused(&v2([0x21, 0x11], &[IPV4, &[1, 0]].concat()));
        refused(&v2([0x21, 0x11], &[IPV4, &[1, 0, 9, 0]].concat()));
        refused(&v2([0x21, 0x11], &[0; MOST]));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        arbtest::arbtest(|bytes| {
            let mut header: Vec<u8> = SIGNATURE.to_vec();
            header.extend(bytes.arbitrary::<Vec<u8>>()?);
            if let Front::Whole { length, .. } = parse(&header) {
                assert!(length <= header.len());
            }
            let line = [V1_START, &bytes.arbitrary::<Vec<u8>>()?, b"\r\n"].concat();
            if let Front::Whole { length, .. } = parse(&line) {
                assert!(length <= line.len());
            }
            Ok(())
        });
    }

    #[test]
    fn mapped_addresses_are_written_as_what_they_are() {
        let both = ends("[::ffff:192.0.2.1]:50000", "[::ffff:198.51.100.2]:443");
        let line = "PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n";
        assert_eq!(write_v1(both.map(of_one_family)), line.as_bytes());
        let mixed = ends("192.0.2.1:1", "[::1]:2");
        assert_eq!(write_v1(mixed.map(of_one_family)), b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n");
        assert_eq!(write_v1(None), b"PROXY UNKNOWN\r\n");
    }
}
