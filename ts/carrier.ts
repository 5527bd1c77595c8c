import type { Hub } from './hub.js';
import type { NativeAcceptOptions, NativeAddresses, NativeContext, NativeSlot } from './native.js';

/** Why a stream beneath a connection is gone; no error: it just closed. */
export type Gone = (error?: Error) => void;

/** A stream that JavaScript handed over, beneath a connection of the core. */
export interface Carrier {
  /** Calls back when the stream can be handed over: it is connected, what was written is sent. */
  prepare(ready: (error?: Error) => void): void;
  /** Hands the stream over. */
  start(hub: Hub, options: NativeAcceptOptions, context: NativeContext | null): NativeSlot;
  /** Addresses, where the core can't know them. */
  addresses(): NativeAddresses | null;
  /** The stream came to its proper end: the core has, or will have, all that it brought. */
  readonly ended: boolean;
  /** Ends the stream; idempotent. */
  release(): void;
}
