import { getSystemErrorMap } from 'node:util';
import type { BackendsStats } from './backends.js';
import { existingHub, hub } from './hub.js';
import {
  backend,
  bucketBounds as nativeBucketBounds,
  type NativeHandshakes,
  type NativeServerStats,
  type NativeStats,
  type NativeTimes,
} from './native.js';
import { bounds, figures } from './node-backend/stats.js';

/** Figures of the core in this process, all threads together: docs/metrics.md explains each. */
export interface Stats extends Omit<NativeStats, 'handshakes'> {
  /** How they ended, and how long they took. */
  handshakes: HandshakeStats;
}

/** Figures of one server. */
export interface ServerStats extends Omit<NativeServerStats, 'handshakes'> {
  /** How they ended, and how long they took. */
  handshakes: HandshakeStats;
  /** Of a server with `proxyTo`: where its connections went. */
  proxy?: BackendsStats;
}

/** Handshakes, how they ended and how long they took. */
export interface HandshakeStats extends Omit<NativeHandshakes, 'failures'> {
  /** Those that failed, by their error's code. Counters. */
  failures: Record<string, number>;
}

/** A distribution of times, in microseconds. */
export type Histogram = NativeTimes;

/**
 * Upper bounds of the `buckets` of every Histogram, in microseconds, from 10 us to 10 s. A bucket
 * counts all times up to its bound, those of the buckets before it included.
 */
export const bucketBounds: readonly number[] = backend === 'node' ? bounds : nativeBucketBounds();

/**
 * What the core holds and has done: connections by state, handshakes, bytes, times, the pool,
 * memory. Cheap enough to be asked every second.
 */
export function stats(): Stats {
  if (backend === 'node') return figures();
  return byCode((existingHub() ?? hub()).native.stats());
}

/** @internal With failures by code. */
export function byCode<S extends { handshakes: NativeHandshakes }>(
  native: S,
): Omit<S, 'handshakes'> & { handshakes: HandshakeStats } {
  const failures: Record<string, number> = {};
  for (const { code, errno, count } of native.handshakes.failures)
    failures[code ?? systemCode(errno!)] = count;
  return { ...native, handshakes: { ...native.handshakes, failures } };
}

function systemCode(errno: number): string {
  return getSystemErrorMap().get(errno)?.[0] ?? String(errno);
}
