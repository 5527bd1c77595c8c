//! Which connections a server takes on, and for how many at a time.

mod peers;
mod token_bucket;
mod waiting_room;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::peers::{Peer, PeerHandshakes, PeerRates};
pub use self::token_bucket::Rate;
pub(crate) use self::token_bucket::TokenBucket;
use self::waiting_room::{Ticket, WaitingRoom};
use crate::connection::Connection;
use crate::lock::lock;
use crate::shed::ShedReason;

/// How much a server takes on.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// Handshakes in flight; above it the one that has waited longest for its client's answer is
    /// shed, and where none has for as long as `answer_time`, the new one. Default: 16,384.
    pub handshakes: usize,
    /// How long a handshake may wait for its client's answer before it can be shed for a new one:
    /// without it honest clients in masses would all be shed for each other, after the server has
    /// paid for them. Default: 500 ms, a round trip nearly anywhere.
    pub answer_time: Duration,
    /// Handshakes in flight of one peer: an IPv4 address or an IPv6 /64. Default: no bound of its
    /// own, since behind a load balancer all clients have one address.
    pub handshakes_per_peer: Option<usize>,
    /// New connections. Default: no bound.
    pub connection_rate: Option<Rate>,
    /// New connections of one peer. Default: no bound.
    pub connection_rate_per_peer: Option<Rate>,
    /// Connections whose `ClientHello` is not whole; above it the one that has waited longest is
    /// shed. Default: 8,192.
    pub waiting_for_hello: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            handshakes: 16_384,
            answer_time: Duration::from_millis(500),
            handshakes_per_peer: None,
            connection_rate: None,
            connection_rate_per_peer: None,
            waiting_for_hello: 8192,
        }
    }
}

pub(crate) struct Admission {
    most_handshakes: usize,
    answer_time: Duration,
    handshakes: AtomicUsize,
    rate: Option<Mutex<TokenBucket>>,
    peer_handshakes: Option<Mutex<PeerHandshakes>>,
    peer_rates: Option<Mutex<PeerRates>>,
    /// For their ClientHello.
    waiting: Mutex<WaitingRoom<Arc<Connection>>>,
    /// For their client's answer to what it was sent.
    answered: Mutex<WaitingRoom<Arc<Connection>>>,
}

impl Admission {
    pub(crate) fn new(limits: &AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            most_handshakes: limits.handshakes,
            answer_time: limits.answer_time,
            handshakes: AtomicUsize::new(0),
            rate: limits.connection_rate.map(|rate| Mutex::new(TokenBucket::new(rate))),
            peer_handshakes: limits
                .handshakes_per_peer
                .map(|most| Mutex::new(PeerHandshakes::new(most))),
            peer_rates: limits
                .connection_rate_per_peer
                .map(|rate| Mutex::new(PeerRates::new(rate))),
            waiting: Mutex::new(WaitingRoom::new(limits.waiting_for_hello)),
            // `most_handshakes` bounds it.
            answered: Mutex::new(WaitingRoom::new(usize::MAX)),
        })
    }

    /// Takes a connection on, or says why not. A peer's own limits come first: what it has too
    /// much of takes nothing from the others.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, ShedReason> {
        let peer = address.map(Peer::of);
        if let (Some(rates), Some(peer)) = (&self.peer_rates, peer)
            && !lock(rates).take(peer, Instant::now())
        {
            return Err(ShedReason::ConnectionRatePerPeer);
        }
        // From here on its end gives back what it took.
        let mut admitted = Admitted {
            admission: Some(Arc::clone(self)),
            has_place: false,
            peer: None,
            waits: None,
        };
        if let (Some(handshakes), Some(peer)) = (&self.peer_handshakes, peer) {
            if !lock(handshakes).add(peer) {
                return Err(ShedReason::HandshakesPerPeer);
            }
            admitted.peer = Some(peer);
        }
        admitted.has_place = self.take_place();
        if !admitted.has_place && !lock(&self.answered).can_go(Instant::now(), self.answer_time) {
            return Err(ShedReason::Handshakes);
        }
        if let Some(rate) = &self.rate
            && !lock(rate).take(Instant::now())
        {
            return Err(ShedReason::ConnectionRate);
        }
        // Last: nobody goes for one that is refused.
        if !admitted.has_place {
            admitted.has_place = self.make_place();
        }
        if admitted.has_place { Ok(admitted) } else { Err(ShedReason::Handshakes) }
    }

    fn take_place(&self) -> bool {
        let more = |count| (count < self.most_handshakes).then_some(count + 1);
        self.handshakes.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Sheds the handshake that has waited longest for its client: its place is the caller's.
    fn make_place(&self) -> bool {
        let longest = lock(&self.answered).send_off(Instant::now(), self.answer_time);
        let Some(longest) = longest else { return self.take_place() };
        longest.shed(ShedReason::WaitingForClient);
        true
    }
}

/// A handshake that was admitted; counts while it lives.
pub(crate) struct Admitted {
    admission: Option<Arc<Admission>>,
    /// Counts among all.
    has_place: bool,
    /// Counts among its peer's.
    peer: Option<Peer>,
    /// Waits for its client's answer.
    waits: Option<Ticket>,
}

impl Admitted {
    /// Where no server limits anything.
    pub(crate) const UNLIMITED: Self =
        Self { admission: None, has_place: false, peer: None, waits: None };

    /// The client was sent something, and the handshake goes on by what it answers: from now on,
    /// until [`hears_from_client`](Self::hears_from_client), it may be shed for a new one.
    pub(crate) fn waits_for_client(&mut self, connection: &Arc<Connection>) {
        let (Some(admission), None) = (&self.admission, self.waits) else { return };
        let (ticket, _) = lock(&admission.answered).enter(Arc::clone(connection), Instant::now());
        self.waits = Some(ticket);
    }

    /// The client's answer is whole: what follows is up to this end.
    pub(crate) fn hears_from_client(&mut self) {
        let (Some(admission), Some(ticket)) = (&self.admission, self.waits.take()) else { return };
        let left = lock(&admission.answered).leave(ticket);
        // Shed meanwhile, its place is somebody else's.
        self.has_place &= left.is_some();
    }

    /// A PROXY header has told whose it is: the limits of peers hold for that one.
    pub(crate) fn is_of(&mut self, address: IpAddr) -> Result<(), ShedReason> {
        let Some(admission) = &self.admission else { return Ok(()) };
        let peer = Peer::of(address);
        if let Some(rates) = &admission.peer_rates
            && !lock(rates).take(peer, Instant::now())
        {
            return Err(ShedReason::ConnectionRatePerPeer);
        }
        if let Some(handshakes) = &admission.peer_handshakes {
            if !lock(handshakes).add(peer) {
                return Err(ShedReason::HandshakesPerPeer);
            }
            self.peer = Some(peer);
        }
        Ok(())
    }

    /// The connection waits for its `ClientHello` until the answer is dropped.
    pub(crate) fn waits(&self, connection: &Arc<Connection>) -> Option<Waits<'_>> {
        let room = &self.admission.as_ref()?.waiting;
        let (ticket, longest) = lock(room).enter(Arc::clone(connection), Instant::now());
        if let Some(longest) = longest {
            longest.shed(ShedReason::WaitingForHello);
        }
        Some(Waits { room, ticket })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.hears_from_client();
        let Some(admission) = &self.admission else { return };
        if self.has_place {
            admission.handshakes.fetch_sub(1, SeqCst);
        }
        if let (Some(handshakes), Some(peer)) = (&admission.peer_handshakes, self.peer) {
            lock(handshakes).remove(peer);
        }
    }
}

/// A connection that waits for its `ClientHello`.
pub(crate) struct Waits<'a> {
    room: &'a Mutex<WaitingRoom<Arc<Connection>>>,
    ticket: Ticket,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let left = lock(self.room).leave(self.ticket);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_makes_room() {
        let limits = AdmissionLimits { handshakes: 2, ..AdmissionLimits::default() };
        let admission = Admission::new(&limits);
        let first = admission.admit(None);
        let _second = admission.admit(None);
        assert_eq!(admission.admit(None).err(), Some(ShedReason::Handshakes));
        assert_eq!(admission.admit(None).err(), Some(ShedReason::Handshakes));
        drop(first);
        assert!(admission.admit(None).is_ok());
    }

    #[test]
    fn a_peer_has_limits_of_its_own() {
        let limits = AdmissionLimits {
            handshakes_per_peer: Some(1),
            connection_rate_per_peer: Some(Rate { per_second: 1, burst: 2 }),
            ..AdmissionLimits::default()
        };
        let admission = Admission::new(&limits);
        let one = Some([192, 0, 2, 1].into());
        let other = Some([192, 0, 2, 2].into());
        let first = admission.admit(one);
        assert!(first.is_ok());
        assert_eq!(admission.admit(one).err(), Some(ShedReason::HandshakesPerPeer));
        assert!(admission.admit(other).is_ok());
        drop(first);
        assert_eq!(admission.admit(one).err(), Some(ShedReason::ConnectionRatePerPeer));
        assert!(admission.admit(None).is_ok(), "nobody knows whose it is");
    }

    #[test]
    fn what_a_peer_is_refused_takes_nothing_from_the_others() {
        let limits = AdmissionLimits {
            connection_rate: Some(Rate { per_second: 1, burst: 2 }),
            handshakes_per_peer: Some(1),
            ..AdmissionLimits::default()
        };
        let admission = Admission::new(&limits);
        let one = Some([192, 0, 2, 1].into());
        let _first = admission.admit(one);
        for _ in 0..10 {
            assert_eq!(admission.admit(one).err(), Some(ShedReason::HandshakesPerPeer));
        }
        assert!(admission.admit(Some([192, 0, 2, 2].into())).is_ok());
        assert_eq!(admission.admit(None).err(), Some(ShedReason::ConnectionRate));
    }
}
