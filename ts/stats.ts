import { existingHub, hub } from './hub.js';
import type { NativeStats } from './native.js';

/** Figures of the core, all numbers; of the whole process, all threads together. */
export type Stats = NativeStats;

/**
 * What the core holds and has done: connections by state, handshakes, tasks, bytes buffered, the
 * pool's lanes. Cheap enough to be asked every second.
 */
export function stats(): Stats {
  return (existingHub() ?? hub()).native.stats();
}
