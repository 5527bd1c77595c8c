//! Events as records of four numbers, their payloads in the slab.

use offloop_engine::{ConnectionId, Event, EventSink, Report};

use crate::{decision, report};

/// Numbers of the kinds of event; `ts/native.ts` has the same.
#[napi_derive::napi]
pub enum EventKind {
    /// Handshake done. Value: server id, 0 for none.
    Open = 1,
    /// Plaintext. Value: payload bytes.
    Data = 2,
    /// The peer ended its side.
    End = 3,
    /// Write and end operations are in the kernel. Value: how many.
    Written = 4,
    /// An open connection broke. Value: payload bytes, JSON.
    Error = 5,
    /// The connection is gone, its slot free.
    Closed = 6,
    /// The handshake failed, the slot (4294967295: there was none) is free. Value: payload bytes,
    /// JSON.
    Failed = 7,
    /// A foreign stream is to send this. Value: payload bytes.
    Ciphertext = 8,
    /// A foreign stream's writable side is to end.
    CiphertextEnd = 9,
    /// Slot: server id. It no longer listens and its last connection is gone.
    ServerClosed = 10,
    /// Slot: server id. A connection over the server's bound. Value: payload bytes, JSON.
    Dropped = 11,
    /// Slot: server id. accept(2) failed. Value: payload bytes, JSON.
    AcceptError = 12,
    /// So many bytes of a foreign stream's ciphertext were taken. Value: bytes.
    CiphertextTaken = 13,
    /// A ClientHello waits for `decide` or a destroy. Value: payload bytes, JSON.
    Hello = 14,
    /// A session is to be stored; the handshake waits for `proceed`. Value: payload bytes: the
    /// length of the id in one byte, the id, the session.
    NewSession = 15,
    /// Secrets, a line in the format of NSS' key log. Value: payload bytes.
    Keylog = 16,
    /// Slot: server id, 0 for none. A handshake begins, where that is told. Value: payload bytes,
    /// JSON.
    Start = 17,
    /// Connections were shed: `sheds` tells which.
    Shed = 18,
    /// Handshake done, and a backend has the plaintext.
    Proxied = 19,
}

/// Numbers of a record.
pub(crate) const STRIDE: usize = 4;

const NO_SLOT: ConnectionId = ConnectionId { slot: u32::MAX, generation: 0 };

pub(crate) struct Encoder<'a> {
    records: &'a mut [u32],
    slab: &'a mut [u8],
    written: usize,
    used: usize,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(records: &'a mut [u32], slab: &'a mut [u8]) -> Self {
        Self { records, slab, written: 0, used: 0 }
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.written / STRIDE).unwrap_or(0)
    }

    fn has_room(&self, payload: usize) -> bool {
        self.written + STRIDE <= self.records.len() && self.used + payload <= self.slab.len()
    }

    fn record(&mut self, kind: EventKind, id: ConnectionId, value: u32) {
        self.records[self.written..self.written + STRIDE].copy_from_slice(&[
            kind as u32,
            id.slot,
            id.generation,
            value,
        ]);
        self.written += STRIDE;
    }

    /// As much of `payload` as there is room for; returns how much.
    fn part(&mut self, kind: EventKind, id: ConnectionId, payload: &[u8]) -> usize {
        let bytes = payload.len().min(self.slab.len() - self.used);
        if bytes == 0 || !self.has_room(bytes) {
            return 0;
        }
        self.payload(kind, id, &payload[..bytes]);
        bytes
    }

    fn payload(&mut self, kind: EventKind, id: ConnectionId, payload: &[u8]) {
        self.slab[self.used..self.used + payload.len()].copy_from_slice(payload);
        self.used += payload.len();
        self.record(kind, id, u32::try_from(payload.len()).unwrap_or(0));
    }

    /// All of `payload` or nothing.
    fn whole(&mut self, kind: EventKind, id: ConnectionId, payload: &[u8]) -> Result<(), ()> {
        if !self.has_room(payload.len()) {
            return Err(());
        }
        self.payload(kind, id, payload);
        Ok(())
    }

    fn reported(&mut self, kind: EventKind, id: ConnectionId, report: &Report) -> Result<(), ()> {
        self.whole(kind, id, &report::to_json(report))
    }
}

impl EventSink for Encoder<'_> {
    fn data(&mut self, id: ConnectionId, plaintext: &[u8]) -> usize {
        self.part(EventKind::Data, id, plaintext)
    }

    fn ciphertext(&mut self, id: ConnectionId, ciphertext: &[u8]) -> usize {
        self.part(EventKind::Ciphertext, id, ciphertext)
    }

    fn event(&mut self, event: Event) -> Result<(), Event> {
        if !self.has_room(0) {
            return Err(event);
        }
        let server_slot = |server: u32| ConnectionId { slot: server, generation: 0 };
        let reported = match &event {
            Event::Open { id, server } => {
                self.record(EventKind::Open, *id, *server);
                Ok(())
            }
            Event::Proxied(id) => {
                self.record(EventKind::Proxied, *id, 0);
                Ok(())
            }
            Event::End(id) => {
                self.record(EventKind::End, *id, 0);
                Ok(())
            }
            Event::Written { id, operations } => {
                self.record(EventKind::Written, *id, *operations);
                Ok(())
            }
            Event::Closed(id) => {
                self.record(EventKind::Closed, *id, 0);
                Ok(())
            }
            Event::CiphertextEnd(id) => {
                self.record(EventKind::CiphertextEnd, *id, 0);
                Ok(())
            }
            Event::CiphertextTaken { id, bytes } => {
                let bytes = u32::try_from(*bytes).unwrap_or(u32::MAX);
                self.record(EventKind::CiphertextTaken, *id, bytes);
                Ok(())
            }
            Event::ServerClosed(server) => {
                self.record(EventKind::ServerClosed, server_slot(*server), 0);
                Ok(())
            }
            Event::Shed => {
                self.record(EventKind::Shed, NO_SLOT, 0);
                Ok(())
            }
            Event::Hello { id, hello } => {
                self.whole(EventKind::Hello, *id, &decision::to_json(hello))
            }
            Event::NewSession { id, session } => {
                let length = u8::try_from(session.id.len()).unwrap_or(0);
                let payload = [&[length], &*session.id, &session.data].concat();
                self.whole(EventKind::NewSession, *id, &payload)
            }
            Event::Start(start) => {
                let slot = server_slot(start.server);
                self.whole(EventKind::Start, slot, &decision::start_to_json(start))
            }
            Event::KeyLog { id, line } => self.whole(EventKind::Keylog, *id, line.as_bytes()),
            Event::Error { id, report } => self.reported(EventKind::Error, *id, report),
            Event::Failed { id, report } => {
                self.reported(EventKind::Failed, id.unwrap_or(NO_SLOT), report)
            }
            Event::Dropped { server, report } => {
                self.reported(EventKind::Dropped, server_slot(*server), report)
            }
            Event::AcceptError { server, report } => {
                self.reported(EventKind::AcceptError, server_slot(*server), report)
            }
            // The host hands these to `data` and `ciphertext`.
            Event::Data { .. } | Event::Bulk { .. } | Event::Ciphertext { .. } => Ok(()),
        };
        reported.map_err(|()| event)
    }
}
