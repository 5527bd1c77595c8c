//! Generation-counted slots: a small number names a connection towards the host, and a late
//! operation on a number that has been given back can't hit its next owner.

/// Names one connection of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Index into the host's table.
    pub slot: u32,
    /// How often the slot had been given back before.
    pub generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert_with(&mut self, make: impl FnOnce(ConnectionId) -> T) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, value: None });
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 connections")
        });
        let entry = &mut self.entries[slot as usize];
        let id = ConnectionId { slot, generation: entry.generation };
        entry.value = Some(make(id));
        id
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&T> {
        let entry = self.entries.get(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_ref() } else { None }
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    /// Entries, free ones included.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_id_does_not_reach_the_next_owner() {
        let mut slots = Slots::new();
        let first = slots.insert_with(|_| 'a');
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert_with(|_| 'b');
        assert_eq!(first.slot, second.slot);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&'b'));
        assert_eq!(slots.values().count(), 1);
    }
}
