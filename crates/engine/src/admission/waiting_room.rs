//! Who waits, in the order in which they came.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Ascending with time.
pub(super) type Ticket = u64;

/// Has so many places; one more, and the one that has waited longest must go.
pub(super) struct WaitingRoom<T> {
    places: usize,
    next: Ticket,
    waiting: BTreeMap<Ticket, (Instant, T)>,
}

impl<T> WaitingRoom<T> {
    pub(super) fn new(places: usize) -> Self {
        Self { places, next: 0, waiting: BTreeMap::new() }
    }

    /// Its ticket, and who must go for it.
    pub(super) fn enter(&mut self, who: T, now: Instant) -> (Ticket, Option<T>) {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, (now, who));
        let is_full = self.waiting.len() > self.places;
        (ticket, if is_full { self.send_off(now, Duration::ZERO) } else { None })
    }

    /// Who has waited longest must go, if that is for longer than `patience`.
    pub(super) fn send_off(&mut self, now: Instant, patience: Duration) -> Option<T> {
        let can_go = self.can_go(now, patience);
        can_go.then(|| self.waiting.pop_first().map(|(_, (_, longest))| longest)).flatten()
    }

    /// Whether somebody has waited for longer than `patience`.
    pub(super) fn can_go(&self, now: Instant, patience: Duration) -> bool {
        let longest = self.waiting.first_key_value();
        longest.is_some_and(|(_, (since, _))| now.saturating_duration_since(*since) >= patience)
    }

    /// `None`: it had to go before.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting.remove(&ticket).map(|(_, who)| who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_must_go() {
        let mut room = WaitingRoom::new(2);
        let now = Instant::now();
        assert_eq!(room.enter('a', now), (0, None));
        assert_eq!(room.enter('b', now), (1, None));
        assert_eq!(room.enter('c', now), (2, Some('a')));
        assert_eq!(room.leave(0), None);
        assert_eq!(room.leave(1), Some('b'));
        assert_eq!(room.enter('d', now), (3, None));
        assert_eq!(room.enter('e', now), (4, Some('c')));
        assert_eq!(room.send_off(now, Duration::ZERO), Some('d'));
        assert_eq!(room.send_off(now, Duration::ZERO), Some('e'));
        assert_eq!(room.send_off(now, Duration::ZERO), None);
    }

    #[test]
    fn who_has_just_come_may_stay() {
        let mut room = WaitingRoom::new(2);
        let (now, patience) = (Instant::now(), Duration::from_millis(500));
        room.enter('a', now);
        room.enter('b', now + patience);
        assert_eq!(room.send_off(now + patience / 2, patience), None);
        assert_eq!(room.send_off(now + patience, patience), Some('a'));
        assert_eq!(room.send_off(now + patience, patience), None);
    }
}
