use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::server::StoresServerSessions;

use crate::ticket_key::{KeyName, Seconds, TicketKey};
use crate::tickets::now;

/// A TLS 1.2 session that can be resumed by its id, for a store of the caller's own.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// What the client will name it by.
    pub id: Vec<u8>,
    /// What [`Answer::session`](crate::Answer::session) takes. Sealed: whoever keeps it learns
    /// and changes nothing. Contexts with the same private keys, also those of other processes,
    /// open it; ones with other certificates or other checks of clients don't.
    pub data: Vec<u8>,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("data", &self.data.len()).finish_non_exhaustive()
    }
}

/// Seals and opens the sessions of one context, bound to its digest.
///
/// The key is derived from the context's private keys: a store outlives processes and is shared by
/// them, and so must be the key, even where tickets are off.
pub(crate) struct SessionSeal {
    key: TicketKey,
    digest: [u8; 32],
    lifetime: Seconds,
}

impl SessionSeal {
    pub(crate) fn new(key: TicketKey, digest: [u8; 32], lifetime: Duration) -> Self {
        Self { key, digest, lifetime: lifetime.as_secs() }
    }

    pub(crate) fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.key.seal(session, &self.digest, now())
    }

    pub(crate) fn open(&self, data: &[u8]) -> Option<Vec<u8>> {
        let (_, sealed) = data.split_first_chunk::<{ size_of::<KeyName>() }>()?;
        let (issued, session) = self.key.open(sealed, &self.digest)?;
        (now().saturating_sub(issued) <= self.lifetime).then_some(session)
    }
}

/// The store of one connection: holds the session that its ClientHello names, and catches the one
/// that its handshake makes.
pub(crate) struct StoredSessions {
    /// Opened already.
    named: Option<Vec<u8>>,
    catches: bool,
    caught: Mutex<Option<CaughtSession>>,
}

/// A session as rustls wrote it.
pub(crate) struct CaughtSession {
    pub(crate) id: Vec<u8>,
    pub(crate) session: Vec<u8>,
}

impl StoredSessions {
    pub(crate) fn new(named: Option<Vec<u8>>, catches: bool) -> Self {
        Self { named, catches, caught: Mutex::new(None) }
    }

    pub(crate) fn take_caught(&self) -> Option<CaughtSession> {
        self.caught.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl StoresServerSessions for StoredSessions {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        *self.caught.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(CaughtSession { id, session });
        true
    }

    /// rustls asks for the id of the one ClientHello only.
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        self.named.clone()
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        self.catches
    }
}

impl fmt::Debug for StoredSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSessions").field("catches", &self.catches).finish_non_exhaustive()
    }
}
