//! Operations as JavaScript writes them: records of four numbers, payloads in the slab or in
//! buffers of their own.

use std::cell::Cell;
use std::time::Duration;

use offloop_engine::{ConnectionId, Operation, Payload};

use crate::records::STRIDE;

/// Numbers of the operations; `ts/native.ts` has the same.
#[napi_derive::napi]
pub enum Opcode {
    /// Plaintext from the slab. Argument: bytes.
    WriteSlab = 1,
    /// Plaintext from the next buffer.
    WriteBuffer = 2,
    /// After all writes: `close_notify` and FIN.
    End = 3,
    /// At once; `Closed` follows.
    Destroy = 4,
    /// RST; `Closed` follows.
    Reset = 5,
    /// Stop reading.
    Pause = 6,
    /// Go on reading.
    Resume = 7,
    /// A foreign stream's ciphertext from the slab. Argument: bytes.
    CiphertextSlab = 8,
    /// A foreign stream's ciphertext from the next buffer.
    CiphertextBuffer = 9,
    /// The foreign stream ended.
    CiphertextEnd = 10,
    /// The foreign stream wrote so many bytes. Argument: bytes.
    CiphertextSent = 11,
    /// Nagle's algorithm. Argument: 1 switches it off.
    NoDelay = 12,
    /// TCP keep-alive. Argument: 0 off, else the initial delay in seconds plus one.
    KeepAlive = 13,
}

// As patterns, which an enum's number can't be.
const WRITE_SLAB: u32 = Opcode::WriteSlab as u32;
const WRITE_BUFFER: u32 = Opcode::WriteBuffer as u32;
const END: u32 = Opcode::End as u32;
const DESTROY: u32 = Opcode::Destroy as u32;
const RESET: u32 = Opcode::Reset as u32;
const PAUSE: u32 = Opcode::Pause as u32;
const RESUME: u32 = Opcode::Resume as u32;
const CIPHERTEXT_SLAB: u32 = Opcode::CiphertextSlab as u32;
const CIPHERTEXT_BUFFER: u32 = Opcode::CiphertextBuffer as u32;
const CIPHERTEXT_END: u32 = Opcode::CiphertextEnd as u32;
const CIPHERTEXT_SENT: u32 = Opcode::CiphertextSent as u32;
const NO_DELAY: u32 = Opcode::NoDelay as u32;
const KEEP_ALIVE: u32 = Opcode::KeepAlive as u32;

/// Reads the operation at each index.
pub(crate) struct Decoder<'a> {
    numbers: &'a [Cell<u32>],
    slab: &'a [u8],
    buffers: std::vec::IntoIter<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(numbers: &'a [Cell<u32>], slab: &'a [u8], buffers: Vec<&'a [u8]>) -> Self {
        Self { numbers, slab, buffers: buffers.into_iter() }
    }

    /// The operation at `index`, whose opcode is overwritten with 0: not done yet. An opcode or a
    /// length that can't be comes out as a stale id, which the engine ignores.
    pub(crate) fn decode(&mut self, index: usize) -> Payload<'a> {
        let [opcode, slot, generation, argument] =
            [0, 1, 2, 3].map(|at| self.numbers[index * STRIDE + at].get());
        self.numbers[index * STRIDE].set(0);
        let id = ConnectionId { slot, generation };
        let plain = |operation| Payload { id, operation, bytes: &[] };
        match opcode {
            WRITE_SLAB => {
                Payload { id, operation: Operation::Write, bytes: self.next_of_slab(argument) }
            }
            WRITE_BUFFER => Payload { id, operation: Operation::Write, bytes: self.next_buffer() },
            END => plain(Operation::End),
            DESTROY => plain(Operation::Destroy),
            RESET => plain(Operation::Reset),
            PAUSE => plain(Operation::Pause),
            RESUME => plain(Operation::Resume),
            CIPHERTEXT_SLAB => {
                Payload { id, operation: Operation::Ciphertext, bytes: self.next_of_slab(argument) }
            }
            CIPHERTEXT_BUFFER => {
                Payload { id, operation: Operation::Ciphertext, bytes: self.next_buffer() }
            }
            CIPHERTEXT_END => plain(Operation::CiphertextEnd),
            CIPHERTEXT_SENT => plain(Operation::CiphertextSent(argument as usize)),
            NO_DELAY => plain(Operation::NoDelay(argument != 0)),
            KEEP_ALIVE => plain(Operation::KeepAlive(
                argument.checked_sub(1).map(|seconds| Duration::from_secs(seconds.into())),
            )),
            _ => Payload {
                id: ConnectionId { slot: u32::MAX, generation },
                operation: Operation::Resume,
                bytes: &[],
            },
        }
    }

    fn next_of_slab(&mut self, bytes: u32) -> &'a [u8] {
        let (payload, rest) = self.slab.split_at((bytes as usize).min(self.slab.len()));
        self.slab = rest;
        payload
    }

    fn next_buffer(&mut self) -> &'a [u8] {
        self.buffers.next().unwrap_or_default()
    }
}
