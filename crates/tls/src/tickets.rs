use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use crate::ContextError;

/// Whether sessions can be resumed with tickets, and whose keys seal them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tickets {
    /// No tickets: every handshake is a full one.
    Off,
    /// Random keys of this context's own, kept in memory only.
    Rotating {
        /// How long a key seals new tickets. It opens them for one such time more, so a ticket
        /// lives at least this long and at most twice, if the session's lifetime allows it.
        /// Default: 6 hours. Between 1 s and 7 days.
        lifetime: Duration,
    },
}

impl Default for Tickets {
    fn default() -> Self {
        Self::Rotating { lifetime: Duration::from_secs(6 * 60 * 60) }
    }
}

/// Where ticket keys come from. Today from [`RotatingKeys`]; keys that a fleet shares will be
/// another implementation.
trait TicketKeys: Send + Sync {
    /// The key that seals new tickets.
    fn sealing(&self, now: Seconds) -> Option<Arc<TicketKey>>;
    /// The key of this name, if it still opens tickets.
    fn opening(&self, name: &KeyName, now: Seconds) -> Option<Arc<TicketKey>>;
}

/// The tickets of one context: sealed by its keys, bound to its digest.
#[derive(Clone)]
pub(crate) struct ContextTickets {
    keys: Arc<dyn TicketKeys>,
    digest: [u8; 32],
    session_lifetime: Seconds,
}

impl ContextTickets {
    /// `None` when tickets are off.
    pub(crate) fn new(
        tickets: &Tickets,
        session_lifetime: Duration,
        digest: [u8; 32],
    ) -> Result<Option<Self>, ContextError> {
        let &Tickets::Rotating { lifetime } = tickets else { return Ok(None) };
        let keys = RotatingKeys::new(lifetime, now())?;
        Ok(Some(Self {
            keys: Arc::new(keys),
            digest,
            session_lifetime: session_lifetime.as_secs(),
        }))
    }

    /// The same tickets for a handshake that must be a full one.
    pub(crate) fn issue_only(&self) -> IssueOnly {
        IssueOnly(self.clone())
    }

    fn seal(&self, session: &[u8], now: Seconds) -> Option<Vec<u8>> {
        self.keys.sealing(now)?.seal(session, &self.digest, now)
    }

    fn open(&self, ticket: &[u8], now: Seconds) -> Option<Vec<u8>> {
        let (name, sealed) = ticket.split_first_chunk()?;
        let key = self.keys.opening(name, now)?;
        let (issued, session) = key.open(sealed, &self.digest)?;
        let age = now.saturating_sub(issued);
        (age <= self.session_lifetime).then_some(session)
    }
}

impl ProducesTickets for ContextTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.session_lifetime).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.seal(session, now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, now())
    }
}

impl fmt::Debug for ContextTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextTickets").finish_non_exhaustive()
    }
}

/// Issues tickets and opens none.
#[derive(Debug)]
pub(crate) struct IssueOnly(ContextTickets);

impl ProducesTickets for IssueOnly {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(session)
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Seconds since 1970.
type Seconds = u64;
type KeyName = [u8; 16];

fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Two generations of random keys: one seals, both open.
struct RotatingKeys {
    lifetime: Seconds,
    generations: RwLock<Generations>,
}

struct Generations {
    current: Arc<TicketKey>,
    previous: Option<Arc<TicketKey>>,
    rotate_at: Seconds,
}

impl RotatingKeys {
    fn new(lifetime: Duration, now: Seconds) -> Result<Self, ContextError> {
        const WEEK: Seconds = 7 * 24 * 60 * 60;
        let seconds = lifetime.as_secs();
        if !(1..=WEEK).contains(&seconds) {
            return Err(ContextError::BadLifetime { option: "tickets.lifetime", value: lifetime });
        }
        let current = TicketKey::random()
            .ok_or_else(|| ContextError::Internal("the system gave no random bytes".into()))?;
        let generations =
            Generations { current: Arc::new(current), previous: None, rotate_at: now + seconds };
        Ok(Self { lifetime: seconds, generations: RwLock::new(generations) })
    }

    /// Rotates if it is time. Readers share the lock; only the rotation, once in a lifetime,
    /// takes it alone.
    fn rotate(&self, now: Seconds) {
        let due = |generations: &Generations| now >= generations.rotate_at;
        if !due(&self.generations.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        // Without random bytes the old key goes on: refusing to resume would be worse.
        let Some(next) = TicketKey::random() else { return };
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        if !due(&generations) {
            return;
        }
        let slept_over_both = now >= generations.rotate_at + self.lifetime;
        let last = std::mem::replace(&mut generations.current, Arc::new(next));
        generations.previous = (!slept_over_both).then_some(last);
        generations.rotate_at = now + self.lifetime;
    }
}

impl TicketKeys for RotatingKeys {
    fn sealing(&self, now: Seconds) -> Option<Arc<TicketKey>> {
        self.rotate(now);
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&generations.current))
    }

    fn opening(&self, name: &KeyName, now: Seconds) -> Option<Arc<TicketKey>> {
        self.rotate(now);
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        let both = std::iter::once(&generations.current).chain(&generations.previous);
        both.into_iter().find(|key| key.name == *name).cloned()
    }
}

/// One key. A ticket is `name | nonce | AES-256-GCM-SIV(issued | session)`, with the context's
/// digest as additional data. SIV, because nonces are random and a key seals many tickets.
struct TicketKey {
    name: KeyName,
    key: LessSafeKey,
}

impl TicketKey {
    fn random() -> Option<Self> {
        let mut name = KeyName::default();
        let mut secret = [0; 32];
        rand::fill(&mut name).ok()?;
        rand::fill(&mut secret).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &secret).ok()?);
        Some(Self { name, key })
    }

    fn seal(&self, session: &[u8], digest: &[u8; 32], issued: Seconds) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(OVERHEAD + session.len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&issued.to_be_bytes());
        ticket.extend_from_slice(session);
        let plain = &mut ticket[self.name.len() + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(digest), plain).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, sealed: &[u8], digest: &[u8; 32]) -> Option<(Seconds, Vec<u8>)> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(digest), &mut buffer).ok()?;
        let (issued, session) = plain.split_first_chunk()?;
        Some((Seconds::from_be_bytes(*issued), session.to_vec()))
    }
}

/// Name, nonce, time and tag.
const OVERHEAD: usize = 16 + NONCE_LEN + 8 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Seconds = 3600;

    fn tickets(digest: u8) -> ContextTickets {
        ContextTickets {
            keys: Arc::new(RotatingKeys::new(Duration::from_secs(HOUR), 0).unwrap()),
            digest: [digest; 32],
            session_lifetime: 10 * HOUR,
        }
    }

    #[test]
    fn a_ticket_opens_during_two_generations_and_no_longer() {
        let tickets = tickets(0);
        let ticket = tickets.seal(b"session", HOUR - 1).unwrap();
        assert_eq!(tickets.open(&ticket, HOUR - 1).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets.open(&ticket, 2 * HOUR - 1).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets.open(&ticket, 3 * HOUR), None);
    }

    #[test]
    fn a_key_that_nobody_used_for_two_generations_is_dropped_at_once() {
        let tickets = tickets(0);
        let ticket = tickets.seal(b"session", 0).unwrap();
        assert_eq!(tickets.open(&ticket, 2 * HOUR), None);
    }

    #[test]
    fn a_ticket_dies_with_its_session() {
        let mut tickets = tickets(0);
        tickets.session_lifetime = 300;
        let ticket = tickets.seal(b"session", 0).unwrap();
        assert!(tickets.open(&ticket, 300).is_some());
        assert!(tickets.open(&ticket, 301).is_none());
    }

    #[test]
    fn a_ticket_of_another_digest_does_not_open() {
        let one = tickets(1);
        let other = ContextTickets { digest: [2; 32], ..one.clone() };
        let ticket = one.seal(b"session", 0).unwrap();
        assert!(one.open(&ticket, 0).is_some());
        assert!(other.open(&ticket, 0).is_none());
    }

    #[test]
    fn no_changed_byte_and_no_shorter_ticket_opens() {
        let tickets = tickets(0);
        let ticket = tickets.seal(b"session", 0).unwrap();
        for position in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[position] ^= 1;
            assert!(tickets.open(&changed, 0).is_none(), "byte {position}");
            assert!(tickets.open(&ticket[..position], 0).is_none(), "length {position}");
        }
    }
}
