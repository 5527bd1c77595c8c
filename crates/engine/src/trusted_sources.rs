//! From whom a PROXY header is taken.

use std::net::IpAddr;

/// Networks, and perhaps Unix sockets.
#[derive(Clone, Debug, Default)]
pub struct TrustedSources {
    networks: Vec<Network>,
    unix: bool,
}

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

impl TrustedSources {
    /// Of addresses (`10.1.2.3`, `::1`), networks (`10.0.0.0/8`) and `unix`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn parse(words: &[String]) -> Result<Self, &str> {
        let mut sources = Self::default();
        for word in words {
            if word == "unix" {
                sources.unix = true;
            } else {
                sources.networks.push(Network::parse(word).ok_or(word.as_str())?);
            }
        }
        Ok(sources)
    }

    /// Whether this peer is one of them; no address: it came over a Unix socket.
    pub(crate) fn contain(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(peer) => self.networks.iter().any(|network| network.contains(peer)),
        }
    }
}

impl Network {
    fn parse(word: &str) -> Option<Self> {
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().ok()?
            }
            Some(_) => return None,
        };
        (prefix <= most).then_some(Self { address, prefix })
    }

    fn contains(self, peer: IpAddr) -> bool {
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                let differs = u32::from(own) ^ u32::from(peer);
                differs.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => {
                let differs = u128::from(own) ^ u128::from(peer);
                differs.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(words: &[&str], peer: Option<&str>) -> bool {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let peer = peer.map(|peer| peer.parse().unwrap());
        TrustedSources::parse(&words).unwrap().contain(peer)
    }

    #[test]
    fn networks_hold_their_addresses() {
        assert!(trusted(&["10.0.0.0/8"], Some("10.255.0.1")));
        assert!(!trusted(&["10.0.0.0/8"], Some("11.0.0.1")));
        assert!(trusted(&["192.0.2.1", "2001:db8::/32"], Some("2001:db8:1::1")));
        assert!(!trusted(&["192.0.2.1", "2001:db8::/32"], Some("2001:db9::1")));
        assert!(trusted(&["0.0.0.0/0"], Some("203.0.113.9")));
        assert!(!trusted(&["0.0.0.0/0"], Some("::1")));
        assert!(trusted(&["127.0.0.1"], Some("::ffff:127.0.0.1")));
        assert!(!trusted(&[], Some("127.0.0.1")));
        assert!(!trusted(&["0.0.0.0/0"], None));
        assert!(trusted(&["unix"], None));
    }

    #[test]
    fn other_words_are_refused() {
        for word in
            ["", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/+8", "10.0.0.0/"]
        {
            assert_eq!(TrustedSources::parse(&[word.to_owned()]).err(), Some(word));
        }
    }
}
