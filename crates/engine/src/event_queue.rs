//! The events of a host on their way up: workers push, the host's thread drains, and whoever pushes
//! learns how urgent a ring is.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::event::{Drained, Event, EventSink};
use crate::slots::ConnectionId;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, lock};

#[derive(Default)]
pub(crate) struct EventQueue {
    waiting: Mutex<Batch>,
    draining: Mutex<Draining>,
    /// A ring is on its way: the drain that it brings takes all that is pushed until then.
    rung: AtomicBool,
    last_batch: AtomicUsize,
}

/// What a push asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing was taken: the queue is closed.
    Refused,
    /// A ring is on its way.
    Announced,
    /// A ring at once.
    Urgent,
    /// A ring before the worker parks.
    CanWait,
}

/// Events wait for the worker to park, unless so many have come together.
const RING_AT: usize = 32;

/// A last batch of at most so many events says that waiting for more is in vain.
const LONE: usize = 2;

/// What an event counts beside its plaintext: many small ones cost memory too.
pub(crate) const EVENT: usize = 64;

/// Events about connections that the host does not know (begun, failed, dropped) which are told
/// until the next drain; more are only counted, so that a flood behind a blocked event loop takes
/// no memory.
const OF_STRANGERS: usize = 4096;

/// What a drained batch's buffer keeps for the next one.
const RECYCLED: usize = 256 * 1024;

impl EventQueue {
    /// Adds an event; `bytes` is the plaintext of an `Event::Data`.
    pub(crate) fn push(&self, event: Event, bytes: &[u8]) -> Pushed {
        let waiting = {
            let mut batch = lock(&self.waiting);
            if batch.closed {
                return Pushed::Refused;
            }
            batch.add(event, bytes);
            batch.events.len()
        };
        if self.rung.load(SeqCst) {
            Pushed::Announced
        } else if waiting >= RING_AT || self.last_batch.load(Relaxed) <= LONE {
            Pushed::Urgent
        } else {
            Pushed::CanWait
        }
    }

    /// True when no ring is on its way; then the caller rings.
    pub(crate) fn may_ring(&self) -> bool {
        !self.rung.swap(true, SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).events.is_empty()
    }

    /// Hands events over until there are no more or the sink is full. `drained` hears of the
    /// plaintext that was taken, with [`EVENT`] at the end of each piece.
    pub(crate) fn drain(
        &self,
        sink: &mut dyn EventSink,
        drained: &mut dyn FnMut(ConnectionId, usize),
    ) -> Drained {
        let mut draining = lock(&self.draining);
        loop {
            if !draining.hand_over(sink, drained) {
                return Drained::More;
            }
            self.rung.store(false, SeqCst);
            let batch = {
                let mut waiting = lock(&self.waiting);
                if waiting.events.is_empty() {
                    return Drained::All;
                }
                let mut bytes = std::mem::take(&mut draining.bytes);
                bytes.clear();
                bytes.shrink_to(RECYCLED);
                std::mem::replace(&mut *waiting, Batch { bytes, ..Batch::default() })
            };
            self.last_batch.store(batch.events.len(), Relaxed);
            *draining = Draining {
                events: batch.events.into_iter(),
                bytes: batch.bytes,
                ..Draining::default()
            };
        }
    }

    /// Takes nothing any more. Returns the plaintext that nobody will drain, as it was counted.
    pub(crate) fn close(&self) -> usize {
        let closed = Batch { closed: true, ..Batch::default() };
        let batch = std::mem::replace(&mut *lock(&self.waiting), closed);
        let draining = std::mem::take(&mut *lock(&self.draining));
        batch.events.iter().map(counted).sum::<usize>() + draining.left()
    }
}

#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    bytes: Vec<u8>,
    of_strangers: usize,
    closed: bool,
}

impl Batch {
    fn add(&mut self, event: Event, bytes: &[u8]) {
        if event.is_of_stranger() {
            self.of_strangers += 1;
            if self.of_strangers > OF_STRANGERS {
                return;
            }
        }
        self.events.push(event);
        self.bytes.extend_from_slice(bytes);
    }
}

/// The batch being handed over, and how far that has come.
#[derive(Default)]
struct Draining {
    events: std::vec::IntoIter<Event>,
    bytes: Vec<u8>,
    taken: usize,
    unfinished: Option<Event>,
    /// Of `unfinished`, when it has a buffer of its own.
    bulk_taken: usize,
}

impl Draining {
    /// True when all of the batch is handed over.
    fn hand_over(
        &mut self,
        sink: &mut dyn EventSink,
        drained: &mut dyn FnMut(ConnectionId, usize),
    ) -> bool {
        while let Some(event) = self.unfinished.take().or_else(|| self.events.next()) {
            let left = match event {
                Event::Data { id, bytes } => {
                    let taken = sink.data(id, &self.bytes[self.taken..self.taken + bytes]);
                    self.taken += taken;
                    let left = taken < bytes;
                    drained(id, if left { taken } else { taken + EVENT });
                    left.then_some(Event::Data { id, bytes: bytes - taken })
                }
                Event::Bulk { id, data } => {
                    let taken = sink.data(id, &data[self.bulk_taken..]);
                    let left = self.advance(&data, taken);
                    drained(id, if left { taken } else { taken + EVENT });
                    left.then_some(Event::Bulk { id, data })
                }
                Event::Ciphertext { id, data } => {
                    let taken = sink.ciphertext(id, &data[self.bulk_taken..]);
                    self.advance(&data, taken).then_some(Event::Ciphertext { id, data })
                }
                other => sink.event(other).err(),
            };
            if left.is_some() {
                self.unfinished = left;
                return false;
            }
        }
        true
    }

    /// Notes that so much of a large piece was taken; true while some of it is left.
    fn advance(&mut self, data: &[u8], taken: usize) -> bool {
        self.bulk_taken += taken;
        let left = self.bulk_taken < data.len();
        if !left {
            self.bulk_taken = 0;
        }
        left
    }

    /// The plaintext that is left, as it was counted.
    fn left(self) -> usize {
        let bulk_taken = match self.unfinished {
            Some(Event::Bulk { .. }) => self.bulk_taken,
            _ => 0,
        };
        let events = self.unfinished.into_iter().chain(self.events);
        events.map(|event| counted(&event)).sum::<usize>() - bulk_taken
    }
}

/// What an event adds to `received_bytes_queued`.
fn counted(event: &Event) -> usize {
    match event {
        Event::Data { bytes, .. } => bytes + EVENT,
        Event::Bulk { data, .. } => data.len() + EVENT,
        _ => 0,
    }
}
