/** Processes, threads and servers that end, at every phase of a connection and many times over. */
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from '../support/certificates.js';
import { Child, runChild } from '../support/faults/child.js';
import { say, scaled } from '../support/scale.js';

const MIB = 1024 * 1024;

const PHASES = [
  'before listen',
  'listening',
  'SNICallback',
  'handshake',
  'tlsClientError',
  'secureConnection',
  'data',
  'write callback',
  'end',
  'close',
  'server close',
];

let options: Pick<Issued, 'key' | 'cert'>;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
});

describe.each(PHASES)('in the phase %s', (phase) => {
  it('process.exit() is clean', async () => {
    const PHASE = JSON.stringify({ options, phase, how: 'exit' });
    const { code, signal, stderr } = await runChild('phases.cjs', { env: { PHASE } });
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  });

  it('worker.terminate() is clean', async () => {
    const PHASE = JSON.stringify({ options, phase, how: 'terminate' });
    const { code, signal, stderr, stdout } = await runChild('phases.cjs', { env: { PHASE } });
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(stdout).toBe('{"terminated":true}\n');
  });

  // Those of callbacks that answer a ClientHello are that connection's: see `behaviours/`.
  const isCallback = phase === 'SNICallback' || phase === 'handshake';
  it.skipIf(isCallback)("a handler's exception is uncaught, as in Node", async () => {
    const PHASE = JSON.stringify({ options, phase, how: 'throw' });
    const { code, signal, stderr } = await runChild('phases.cjs', { env: { PHASE } });
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toContain(`Error: on purpose: ${phase}`);
    expect(stderr).not.toContain('panicked');
  });
});

it('servers that start and stop leave nothing behind', async () => {
  const cycles = scaled(300);
  const servers = 10;
  const child = new Child('cycles.cjs', {
    env: { CYCLES: JSON.stringify({ options, cycles, servers }) },
    nodeFlags: ['--expose-gc', '--max-semi-space-size=1'],
    bound: 240_000,
  });
  interface Held {
    rss: number;
  }
  const { rss: before, ...held } = await child.message<Held>();
  const { rss: after, ...stillHeld } = await child.message<Held>();
  expect(stillHeld).toEqual(held);
  expect(held).toMatchObject({ alive: 0, listeners: 0 });
  expect((after - before) / MIB).toBeLessThan(10);
  expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
  say(`${cycles} cycles of ${servers} servers: ${((after - before) / MIB).toFixed(1)} MiB more`);
});
