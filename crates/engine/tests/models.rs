//! The queue of events and its bell, in every order in which threads can meet: the source itself,
//! built on loom's locks and atomics.
#![expect(clippy::unwrap_used, reason = "a poisoned lock is a failed test")]

#[path = "../src/event_queue.rs"]
mod event_queue;

mod event {
    pub(crate) use offloop_engine::{Drained, Event, EventSink};
}

mod slots {
    pub(crate) use offloop_engine::ConnectionId;
}

mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use offloop_engine::{ConnectionId, Drained, Event, EventSink};

use event_queue::{EventQueue, Pushed};

/// A queue with its bell: `Host` without the rest.
#[derive(Default)]
struct Model {
    queue: EventQueue,
    rings: AtomicUsize,
}

impl Model {
    /// As `Host::push` and a worker that parks.
    fn push(&self, slot: u32) {
        let id = ConnectionId { slot, generation: 0 };
        match self.queue.push(Event::Closed(id), &[]) {
            Pushed::Urgent | Pushed::CanWait => self.ring(),
            Pushed::Announced | Pushed::Refused => {}
        }
    }

    fn ring(&self) {
        if self.queue.may_ring() {
            self.rings.fetch_add(1, SeqCst);
        }
    }

    /// The slots of the events, in their order.
    fn drain(&self) -> Vec<u32> {
        let mut taken = Taken::default();
        assert_eq!(self.queue.drain(&mut taken, &mut |_, _| {}), Drained::All);
        taken.0
    }
}

#[derive(Default)]
struct Taken(Vec<u32>);

impl EventSink for Taken {
    fn data(&mut self, _: ConnectionId, plaintext: &[u8]) -> usize {
        plaintext.len()
    }

    fn ciphertext(&mut self, _: ConnectionId, ciphertext: &[u8]) -> usize {
        ciphertext.len()
    }

    fn event(&mut self, event: Event) -> Result<(), Event> {
        let Event::Closed(id) = event else { return Err(event) };
        self.0.push(id.slot);
        Ok(())
    }
}

/// Of up to two preemptions, which is where such faults are; more take minutes.
fn in_every_order(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn no_event_is_left_without_a_ring() {
    in_every_order(|| {
        let model = Arc::new(Model::default());
        // A ring is answered while two workers push.
        model.push(0);
        let workers = [1, 2].map(|slot| {
            let model = Arc::clone(&model);
            thread::spawn(move || model.push(slot))
        });
        let mut taken = model.drain();
        let answered = 1;
        for worker in workers {
            worker.join().unwrap();
        }
        let rings = model.rings.load(SeqCst);
        assert!(model.queue.is_empty() || rings > answered, "an event waits and nobody rings");
        taken.extend(model.drain());
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2], "each event once");
    });
}

#[test]
fn events_of_one_worker_keep_their_order_over_drains() {
    in_every_order(|| {
        let model = Arc::new(Model::default());
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.push(1);
                model.push(2);
            })
        };
        let mut taken = model.drain();
        worker.join().unwrap();
        taken.extend(model.drain());
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn a_queue_that_closes_keeps_nothing() {
    in_every_order(|| {
        let model = Arc::new(Model::default());
        let worker = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.push(1))
        };
        model.queue.close();
        worker.join().unwrap();
        assert!(model.drain().is_empty());
        assert!(model.queue.is_empty());
    });
}
