use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::server::ProducesTickets;

use crate::shared_ticket_keys::DEFAULT_ROTATION;
use crate::ticket_key::Seconds;
use crate::{ContextError, SharedTicketKeys};

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
    /// Keys that others use too.
    Shared(SharedTicketKeys),
}

impl Default for Tickets {
    fn default() -> Self {
        Self::Rotating { lifetime: DEFAULT_ROTATION }
    }
}

/// The tickets of one context: sealed by its keys, bound to its digest.
#[derive(Clone)]
pub(crate) struct ContextTickets {
    keys: SharedTicketKeys,
    digest: [u8; 32],
    session_lifetime: Seconds,
}

impl ContextTickets {
    /// `None` when tickets are off.
    pub(crate) fn new(
        tickets: Tickets,
        session_lifetime: Duration,
        digest: [u8; 32],
    ) -> Result<Option<Self>, ContextError> {
        let keys = match tickets {
            Tickets::Off => return Ok(None),
            Tickets::Rotating { lifetime } => SharedTicketKeys::rotating(lifetime)?,
            Tickets::Shared(keys) => keys,
        };
        Ok(Some(Self { keys, digest, session_lifetime: session_lifetime.as_secs() }))
    }

    /// The same tickets for a handshake that must be a full one.
    pub(crate) fn issue_only(&self) -> IssueOnly {
        IssueOnly(self.clone())
    }

    /// What a client's ticket holds.
    pub(crate) fn opened(&self, ticket: &[u8]) -> Option<Opened> {
        self.open(ticket, now())
    }

    fn seal(&self, session: &[u8], now: Seconds) -> Option<Vec<u8>> {
        self.keys.sealing(now).seal(session, &self.digest, now)
    }

    fn open(&self, ticket: &[u8], now: Seconds) -> Option<Opened> {
        let (name, sealed) = ticket.split_first_chunk()?;
        let key = self.keys.opening(name, now)?;
        let (issued, session) = key.open(sealed, &self.digest)?;
        let age = now.saturating_sub(issued);
        let is_retired = self.keys.sealing(now).name != *name;
        (age <= self.session_lifetime).then_some(Opened { session, issued, is_retired })
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
        self.opened(ticket).map(|opened| opened.session)
    }
}

impl fmt::Debug for ContextTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextTickets").finish_non_exhaustive()
    }
}

/// A ticket that was opened.
pub(crate) struct Opened {
    pub(crate) session: Vec<u8>,
    /// When the session began.
    pub(crate) issued: Seconds,
    /// Its key seals no tickets any more: the client should get another.
    pub(crate) is_retired: bool,
}

/// Opens this one ticket. What replaces it is the same, or of the key of today, for the same time: a
/// session ends with its lifetime, however often it is resumed, as with OpenSSL.
#[derive(Debug)]
pub(crate) struct ResumedTicket {
    pub(crate) tickets: ContextTickets,
    pub(crate) ticket: Vec<u8>,
    pub(crate) issued: Seconds,
    pub(crate) is_retired: bool,
}

impl ProducesTickets for ResumedTicket {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if !self.is_retired {
            return Some(self.ticket.clone());
        }
        let ContextTickets { keys, digest, .. } = &self.tickets;
        keys.sealing(now()).seal(session, digest, self.issued)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.decrypt(ticket)
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

pub(crate) fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(digest: u8) -> ContextTickets {
        ContextTickets {
            keys: SharedTicketKeys::new().unwrap(),
            digest: [digest; 32],
            session_lifetime: 300,
        }
    }

    #[test]
    fn a_ticket_dies_with_its_session() {
        let tickets = tickets(0);
        let now = now();
        let ticket = tickets.seal(b"session", now).unwrap();
        let opened = tickets.open(&ticket, now + 300).unwrap();
        assert_eq!(opened.session, b"session");
        assert_eq!(opened.issued, now);
        assert!(tickets.open(&ticket, now + 301).is_none());
    }

    #[test]
    fn a_ticket_of_another_digest_does_not_open() {
        let one = tickets(1);
        let other = ContextTickets { digest: [2; 32], ..one.clone() };
        let ticket = one.encrypt(b"session").unwrap();
        assert!(one.decrypt(&ticket).is_some());
        assert!(other.decrypt(&ticket).is_none());
    }

    #[test]
    fn no_changed_byte_and_no_shorter_ticket_opens() {
        let tickets = tickets(0);
        let ticket = tickets.encrypt(b"session").unwrap();
        for position in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[position] ^= 1;
            assert!(tickets.decrypt(&changed).is_none(), "byte {position}");
            assert!(tickets.decrypt(&ticket[..position]).is_none(), "length {position}");
        }
    }
}
