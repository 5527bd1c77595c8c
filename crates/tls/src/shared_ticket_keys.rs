use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::ContextError;
use crate::ticket_key::{KeyBytes, KeyName, Seconds, TicketKey};
use crate::tickets::now;

/// Keys that seal tickets, for one context or for many: also for those of other processes, which
/// [`get`](Self::get) and [`set`](Self::set) bring to the same key. Clones are the same keys.
///
/// The sealed tickets stay bound to what their context checks: a shared key alone lets nobody pass
/// from one context to another.
#[derive(Clone)]
pub struct SharedTicketKeys(Arc<RwLock<Ring>>);

struct Ring {
    /// What `current` was derived from. Wiped when it is dropped.
    bytes: KeyBytes,
    current: Arc<TicketKey>,
    /// Oldest first, [`MAX_RETIRED`] at most.
    retired: VecDeque<Retired>,
    rotation: Option<Rotation>,
}

struct Retired {
    key: Arc<TicketKey>,
    /// When it stops to open tickets.
    until: Seconds,
}

struct Rotation {
    every: Seconds,
    next: Seconds,
}

impl SharedTicketKeys {
    /// Random keys that are replaced every 6 hours and open tickets for 6 hours more.
    ///
    /// # Errors
    /// [`ContextError::Internal`] if the system gives no random bytes.
    pub fn new() -> Result<Self, ContextError> {
        Self::rotating(DEFAULT_ROTATION)
    }

    /// One key that stays, as `ticketKeys` of `tls.createServer`: 16 bytes of a name and 32 of a
    /// secret.
    ///
    /// # Errors
    /// [`ContextError::Internal`] if the cryptography fails.
    pub fn from_bytes(bytes: &[u8; 48]) -> Result<Self, ContextError> {
        Self::with_bytes(Zeroizing::new(*bytes), None)
    }

    /// The bytes of the key that seals new tickets.
    pub fn get(&self) -> [u8; 48] {
        self.rotate(now());
        *self.read(|ring| ring.bytes.clone())
    }

    /// Seals new tickets with this key from now on, and doesn't replace it any more. The last 8
    /// keys still open their tickets, for a week at most.
    ///
    /// # Errors
    /// [`ContextError::Internal`] if the cryptography fails; the keys are unchanged then.
    pub fn set(&self, bytes: &[u8; 48]) -> Result<(), ContextError> {
        let bytes = Zeroizing::new(*bytes);
        let key = TicketKey::new(&bytes).ok_or_else(no_key)?;
        self.write(|ring| {
            ring.rotation = None;
            if ring.bytes != bytes {
                ring.replace(bytes, key, now() + LONGEST_SESSION);
            }
        });
        Ok(())
    }

    pub(crate) fn rotating(every: Duration) -> Result<Self, ContextError> {
        Self::rotating_since(every, now())
    }

    fn rotating_since(every: Duration, now: Seconds) -> Result<Self, ContextError> {
        let every = every.as_secs();
        if !(1..=LONGEST_SESSION).contains(&every) {
            let value = Duration::from_secs(every);
            return Err(ContextError::BadLifetime { option: "tickets.lifetime", value });
        }
        let bytes = TicketKey::random_bytes().ok_or_else(no_random_bytes)?;
        Self::with_bytes(bytes, Some(Rotation { every, next: now + every }))
    }

    fn with_bytes(bytes: KeyBytes, rotation: Option<Rotation>) -> Result<Self, ContextError> {
        let current = Arc::new(TicketKey::new(&bytes).ok_or_else(no_key)?);
        let ring = Ring { bytes, current, retired: VecDeque::new(), rotation };
        Ok(Self(Arc::new(RwLock::new(ring))))
    }

    /// The key that seals new tickets.
    pub(crate) fn sealing(&self, now: Seconds) -> Arc<TicketKey> {
        self.rotate(now);
        self.read(|ring| Arc::clone(&ring.current))
    }

    /// The key of this name, if it still opens tickets.
    pub(crate) fn opening(&self, name: &KeyName, now: Seconds) -> Option<Arc<TicketKey>> {
        self.rotate(now);
        self.read(|ring| {
            let retired = ring.retired.iter().rev().filter(|retired| now < retired.until);
            let mut keys =
                std::iter::once(&ring.current).chain(retired.map(|retired| &retired.key));
            keys.find(|key| key.name == *name).cloned()
        })
    }

    /// Rotates if it is time. Readers share the lock; only the rotation takes it alone.
    fn rotate(&self, now: Seconds) {
        if !self.read(|ring| ring.is_due(now)) {
            return;
        }
        // Without a new key the old one goes on: refusing to resume would be worse.
        let Some(bytes) = TicketKey::random_bytes() else { return };
        let Some(key) = TicketKey::new(&bytes) else { return };
        self.write(|ring| ring.rotate(bytes, key, now));
    }

    fn read<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Ring)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Ring {
    fn is_due(&self, now: Seconds) -> bool {
        self.rotation.as_ref().is_some_and(|rotation| now >= rotation.next)
    }

    /// Unless another thread was faster.
    fn rotate(&mut self, bytes: KeyBytes, key: TicketKey, now: Seconds) {
        if let Some(rotation) = self.rotation.as_mut().filter(|rotation| now >= rotation.next) {
            let until = rotation.next + rotation.every;
            rotation.next = now + rotation.every;
            self.replace(bytes, key, until);
            self.retired.retain(|retired| now < retired.until);
        }
    }

    fn replace(&mut self, bytes: KeyBytes, key: TicketKey, until: Seconds) {
        self.bytes = bytes;
        let key = std::mem::replace(&mut self.current, Arc::new(key));
        self.retired.push_back(Retired { key, until });
        if self.retired.len() > MAX_RETIRED {
            self.retired.pop_front();
        }
    }
}

fn no_random_bytes() -> ContextError {
    ContextError::Internal("the system gave no random bytes".into())
}

fn no_key() -> ContextError {
    ContextError::Internal("no ticket key can be derived".into())
}

/// The same keys, not equal ones.
impl PartialEq for SharedTicketKeys {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedTicketKeys {}

impl fmt::Debug for SharedTicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTicketKeys").finish_non_exhaustive()
    }
}

pub(crate) const DEFAULT_ROTATION: Duration = Duration::from_secs(6 * 60 * 60);
const MAX_RETIRED: usize = 8;
/// What session_lifetime allows at most.
const LONGEST_SESSION: Seconds = 7 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Seconds = 3600;

    fn hourly() -> SharedTicketKeys {
        SharedTicketKeys::rotating_since(Duration::from_secs(HOUR), 0).unwrap()
    }

    #[test]
    fn a_key_seals_for_one_rotation_and_opens_for_one_more() {
        let keys = hourly();
        let name = keys.sealing(HOUR - 1).name;
        assert!(keys.opening(&name, 2 * HOUR - 1).is_some());
        assert_ne!(keys.sealing(2 * HOUR - 1).name, name);
        assert!(keys.opening(&name, 2 * HOUR).is_none());
    }

    #[test]
    fn a_key_that_nobody_used_for_two_rotations_is_dropped_at_once() {
        let keys = hourly();
        let name = keys.sealing(0).name;
        assert!(keys.opening(&name, 2 * HOUR).is_none());
        assert!(keys.read(|ring| ring.retired.is_empty()));
    }

    #[test]
    fn the_last_eight_keys_open_beside_the_one_that_was_set() {
        let keys = SharedTicketKeys::from_bytes(&[0; 48]).unwrap();
        for number in 1..=9 {
            keys.set(&[number; 48]).unwrap();
            keys.set(&[number; 48]).unwrap();
        }
        let now = now();
        assert_eq!(keys.get(), [9; 48]);
        assert_eq!(keys.sealing(now).name, [9; 16]);
        let opens = |number| keys.opening(&[number; 16], now).is_some();
        assert!((1..=9).all(opens));
        assert!(!opens(0));
        assert!(keys.opening(&[8; 16], now + LONGEST_SESSION + 60).is_none());
    }

    #[test]
    fn a_key_that_was_set_stays() {
        let keys = hourly();
        keys.set(&[1; 48]).unwrap();
        assert_eq!(keys.sealing(now() + 10 * HOUR).name, [1; 16]);
    }
}
