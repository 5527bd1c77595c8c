//! What is counted for each peer, in tables that a peer with many addresses can't fill.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::{Rate, TokenBucket};

/// An IPv4 address, or the /64 that an IPv6 address is of: what one customer of a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    V4(u32),
    V6(u64),
}

impl Peer {
    /// A mapped IPv4 address (::ffff:192.0.2.1) counts as what it is.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [prefix @ .., _, _, _, _, _, _, _, _] = address.octets();
                Self::V6(u64::from_be_bytes(prefix))
            }
        }
    }
}

/// Handshakes in flight of each peer. Its size is bounded by that of all handshakes in flight.
pub(super) struct PeerHandshakes {
    most: usize,
    counts: HashMap<Peer, usize>,
}

impl PeerHandshakes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, counts: HashMap::new() }
    }

    /// False when the peer has as many as it may have.
    pub(super) fn add(&mut self, peer: Peer) -> bool {
        let count = self.counts.entry(peer).or_default();
        let fits = *count < self.most;
        *count += usize::from(fits);
        fits
    }

    pub(super) fn remove(&mut self, peer: Peer) {
        if let Some(count) = self.counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&peer);
            }
        }
    }
}

/// The new connections of each peer: two generations, so that those not seen for longest are
/// forgotten all at once, at no cost for the one that comes.
pub(super) struct PeerRates {
    rate: Rate,
    young: HashMap<Peer, TokenBucket>,
    old: HashMap<Peer, TokenBucket>,
}

/// Peers of a generation, some 60 bytes each.
const GENERATION: usize = 32 * 1024;

impl PeerRates {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn take(&mut self, peer: Peer, now: Instant) -> bool {
        if let Some(bucket) = self.young.get_mut(&peer) {
            return bucket.take(now);
        }
        let known = self.old.remove(&peer);
        let mut bucket = known.unwrap_or_else(|| TokenBucket::new(self.rate));
        let taken = bucket.take(now);
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            // Keeps its memory; there is nothing to drop in it.
            self.young.clear();
        }
        self.young.insert(peer, bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_or_a_64() {
        let peer = |address: &str| Peer::of(address.parse().unwrap());
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_stalest() {
        let mut rates = PeerRates::new(Rate { per_second: 1, burst: 1 });
        let now = Instant::now();
        assert!(rates.take(Peer::V4(0), now));
        for other in 1..200_000 {
            assert!(rates.take(Peer::V4(other), now));
            assert!(rates.young.len() + rates.old.len() <= 2 * GENERATION);
            if other % 10_000 == 0 {
                assert!(!rates.take(Peer::V4(0), now), "seen lately, it is not forgotten");
            }
        }
        assert!(!rates.take(Peer::V4(199_999), now));
        assert!(rates.take(Peer::V4(1), now), "forgotten, it starts anew");
    }

    #[test]
    fn no_handshakes_no_entry() {
        let mut handshakes = PeerHandshakes::new(2);
        let peer = Peer::V4(1);
        assert!(handshakes.add(peer) && handshakes.add(peer) && !handshakes.add(peer));
        handshakes.remove(peer);
        assert!(handshakes.add(peer));
        handshakes.remove(peer);
        handshakes.remove(peer);
        assert!(handshakes.counts.is_empty());
    }
}
