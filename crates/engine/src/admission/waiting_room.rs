//! Who waits, in the order in which they came.

use std::collections::BTreeMap;

/// Ascending with time.
pub(super) type Ticket = u64;

/// Has so many places; one more, and the one that has waited longest must go.
pub(super) struct WaitingRoom<T> {
    places: usize,
    next: Ticket,
    waiting: BTreeMap<Ticket, T>,
}

impl<T> WaitingRoom<T> {
    pub(super) fn new(places: usize) -> Self {
        Self { places, next: 0, waiting: BTreeMap::new() }
    }

    /// Its ticket, and who must go for it.
    pub(super) fn enter(&mut self, who: T) -> (Ticket, Option<T>) {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, who);
        let is_full = self.waiting.len() > self.places;
        (ticket, if is_full { self.send_off() } else { None })
    }

    /// Who has waited longest must go.
    pub(super) fn send_off(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, longest)| longest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// `None`: it had to go before.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.waiting.remove(&ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_must_go() {
        let mut room = WaitingRoom::new(2);
        assert_eq!(room.enter('a'), (0, None));
        assert_eq!(room.enter('b'), (1, None));
        assert_eq!(room.enter('c'), (2, Some('a')));
        assert_eq!(room.leave(0), None);
        assert_eq!(room.leave(1), Some('b'));
        assert_eq!(room.enter('d'), (3, None));
        assert_eq!(room.enter('e'), (4, Some('c')));
        assert_eq!(room.send_off(), Some('d'));
        assert_eq!(room.send_off(), Some('e'));
        assert!(room.is_empty());
        assert_eq!(room.send_off(), None);
    }
}
