/**
 * The border: the only module that imports the native binding. Its declarations are generated
 * from documented Rust (crates/node); these are the rules they follow.
 *
 * - Absent is `null` in answers and a missing field in objects; data is plain, never a class.
 * - A typed array passed to a call belongs to Rust during that call only: Rust copies what it
 *   keeps. `drain` fills arrays that JavaScript made and keeps.
 * - A connection is a (slot, generation) pair. A slot is free for the next connection from its
 *   CLOSED or FAILED record on, drained or not: `adopt` may answer with the slot of a connection
 *   whose CLOSED is still to come. Both sides ignore a pair that is no longer there.
 * - After HELLO the handshake waits for `decide`, after NEW_SESSION for `proceed`; DESTROY answers
 *   either too, and CLOSED follows. Whoever answers neither gets FAILED at the handshake's deadline.
 * - The doorbell runs on the event loop, coalesced. What it throws reaches 'uncaughtException'.
 * - Records of one connection arrive in order; operations on one are carried out in order.
 * - One hub for each environment (main thread or worker); nothing of it crosses threads.
 *
 * The native hub is touched by the modules that stand for something of the core (hub, submission,
 * connection, counting, server-core, stats, adopted-socket, foreign-stream; listening, which duplicates a
 * descriptor) and by no other; a SecureContext holds a NativeContext without looking into it.
 * `__test__/architecture.test.ts` sees to it.
 */

import type * as Binding from '../native/binding.js';
import { loadCore } from './loader.js';

const loaded = loadCore();

/**
 * What does TLS: `native`, the core; `node`, node:tls on the event loop, where no core could be
 * loaded or OFFLOOP_DISABLE is 1. Fixed when offloop is loaded.
 */
export const backend: 'native' | 'node' = loaded.core === null ? 'node' : 'native';

/** Why there is no core; null: there is one. */
export const { missing } = loaded;

// Without a core they are undefined; nobody but those who asked for `backend` touches them then.
export const {
  bucketBounds,
  entropy,
  Hub: NativeHub,
  issueCertificate,
  makeAuthority,
  NativeBackends,
  NativeContext,
  NativeTally,
  NativeTicketKeys,
  parsePkcs12,
  versions,
} = (loaded.core ?? {}) as typeof Binding;
export type NativeHub = Binding.Hub;
export type NativeBackends = Binding.NativeBackends;
export type NativeContext = Binding.NativeContext;
export type NativeTally = Binding.NativeTally;
export type NativeTicketKeys = Binding.NativeTicketKeys;
export type {
  NativeAdmission,
  NativeAcceptOptions,
  NativeAddresses,
  NativeCertificates,
  NativeDecision,
  NativeHandshake,
  NativeHandshakes,
  NativeHello,
  NativeIssued,
  NativeListening,
  NativeServerStats,
  NativeSession,
  NativeSettings,
  NativeShedCounts,
  NativeSheds,
  NativeSlot,
  NativeStats,
  NativeTimes,
  NativeVersions,
} from '../native/binding.js';

/** A record or an operation is four words: kind, slot, generation, value. */
export const WORDS = 4;

/** In the answer of `drain`: there is more, call again. */
export const MORE = 0x80000000;

/** In the answers of `drain` and `submit`: give connections little to send at a time. */
export const CONGESTED = 0x40000000;

/** In the place of an opcode after `submit`: the bytes are in the kernel already. */
export const DONE_INLINE = 1;

/** Kinds of records, from Rust. */
export const OPEN = 1;
export const DATA = 2;
export const END = 3;
export const WRITTEN = 4;
export const ERROR = 5;
export const CLOSED = 6;
export const FAILED = 7;
export const CIPHERTEXT = 8;
export const CIPHERTEXT_END = 9;
export const SERVER_CLOSED = 10;
export const DROPPED = 11;
export const ACCEPT_ERROR = 12;
export const CIPHERTEXT_TAKEN = 13;
export const HELLO = 14;
export const NEW_SESSION = 15;
export const KEYLOG = 16;
export const START = 17;
export const SHED = 18;
export const PROXIED = 19;

/** Opcodes, to Rust. */
export const OP_WRITE_SLAB = 1;
export const OP_WRITE_BUFFER = 2;
export const OP_END = 3;
export const OP_DESTROY = 4;
export const OP_RESET = 5;
export const OP_PAUSE = 6;
export const OP_RESUME = 7;
export const OP_CIPHERTEXT_SLAB = 8;
export const OP_CIPHERTEXT_BUFFER = 9;
export const OP_CIPHERTEXT_END = 10;
export const OP_CIPHERTEXT_SENT = 11;
export const OP_NO_DELAY = 12;
export const OP_KEEP_ALIVE = 13;
