/** Waiting for a state, and what must be as before when a connection is gone. */
import { readdirSync, readlinkSync } from 'node:fs';

import { stats } from 'offloop';
import { expect } from 'vitest';

/** Polls in turns of the event loop until `ready`; the bound is for a test that would hang. */
export async function until(ready: () => boolean, what: string, bound = 20_000): Promise<void> {
  const deadline = Date.now() + bound;
  while (!ready()) {
    if (Date.now() > deadline) throw new Error(`not within ${bound} ms: ${what}`);
    // oxlint-disable-next-line no-await-in-loop -- that is what polling is
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a connection holds while it lives. */
export interface Holdings {
  alive: number;
  waiting: number;
  handshaking: number;
  open: number;
  receivedQueued: number;
  sentQueued: number;
  hellos: number;
  jobsWaiting: number;
  sockets: number;
}

export function holdings(): Holdings {
  const { connections, memory, pool } = stats();
  const { alive, waiting, handshaking, open } = connections;
  const { receivedQueued, sentQueued, hellos } = memory;
  const lanes = [pool.largeRsa, pool.rsa, pool.other];
  const jobsWaiting = lanes.reduce((sum, lane) => sum + lane.queued + lane.running, 0);
  const queued = { receivedQueued, sentQueued, hellos, jobsWaiting };
  return { alive, waiting, handshaking, open, ...queued, sockets: openSockets() };
}

/** Fails when what `before` counted does not come back. */
export async function restored(before: Holdings): Promise<void> {
  const same = (): boolean => JSON.stringify(holdings()) === JSON.stringify(before);
  await until(same, 'all that the connections held is given back', 5_000).catch(() => {});
  expect(holdings()).toEqual(before);
}

/** Descriptors of this process that name sockets. */
export function openSockets(): number {
  let sockets = 0;
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:')) sockets++;
    } catch {
      // Closed since it was listed.
    }
  }
  return sockets;
}
