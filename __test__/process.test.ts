/** The process around: exit with queued bytes, exit in a storm, panics, descriptors, settings. */
import { mkdtempSync, cpSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { beforeAll, describe, expect, it } from 'vitest';

import type { Stats } from 'offloop';
import { Authority, type Issued } from './support/certificates.js';
import { bounded, Child, PACKAGE, runChild } from './support/faults/child.js';
import { clientHello } from './support/faults/client-hello.js';
import { RawClient } from './support/faults/raw-client.js';
import { attempt } from './support/faults/tls-client.js';

let options: Pick<Issued, 'key' | 'cert'>;
let hello: string;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
  hello = (await clientHello()).toString('base64');
});

const serve = (
  env: Record<string, string> = {},
  more: { descriptors?: number; options?: object; kind?: string } = {},
): Child => {
  const { kind = 'offloop server', descriptors } = more;
  const SERVE = JSON.stringify({ kind, options: { ...options, ...more.options } });
  return new Child('serve.cjs', {
    env: { SERVE, ...env },
    nodeFlags: ['--expose-gc'],
    ...(descriptors !== undefined && { descriptors }),
  });
};

describe('bytes that were written when the process exits', () => {
  const BYTES = 1024 * 1024;
  const exits: [exit: string, code: number][] = [
    ['in the same tick', 0],
    ['after end() in the same tick', 0],
    ['in the same tick, corked', 0],
    ['in the same tick, many writes', 0],
    ['in the next turn', 0],
    ["in the write's callback", 0],
    ['by an uncaught exception', 1],
  ];

  it.each(exits)('arrive: exit %s', async (exit, code) => {
    const env = { EXIT: JSON.stringify({ options, bytes: BYTES, exit }) };
    const child = new Child('exit-with-queue.cjs', { env });
    const { port } = await child.message<{ port: number }>();
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    // Perhaps a reset behind the last byte.
    client.on('error', () => {});
    let received = 0;
    client.on('data', (chunk: Buffer) => (received += chunk.length));
    await new Promise((resolve) => client.once('close', resolve));
    expect(received).toBe(BYTES);
    expect(await child.result).toMatchObject({ code, signal: null });
  });

  it('do not hold the exit up for a client that does not read', async () => {
    const exit = 'in the same tick';
    const env = { EXIT: JSON.stringify({ options, bytes: 32 * BYTES, exit }) };
    const child = new Child('exit-with-queue.cjs', { env, bound: 10_000 });
    const { port } = await child.message<{ port: number }>();
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    client.on('error', () => {});
    client.pause();
    expect(await child.result).toMatchObject({ code: 0, signal: null });
    client.destroy();
  });
});

describe('process.exit() in the middle of a storm', () => {
  it('is clean, 50 times', async () => {
    await bounded(50, 2, async (i) => {
      const STORM = JSON.stringify({ options, hello, clients: 60, events: i * 2 });
      const { code, signal, stderr } = await runChild('exit-storm.cjs', { env: { STORM } });
      expect({ i, code, signal, stderr }).toEqual({ i, code: 0, signal: null, stderr: '' });
    });
  });
});

describe('a panic in a job', () => {
  it.each([
    ['always', 1],
    ['never', 0],
  ] as const)('ends its connection and no other, offload %s', async (offload, inThePool) => {
    const env = { OFFLOOP_TEST_PANIC_ON: 'panic.test' };
    const child = serve(env, { options: { offload } });
    const { port } = await child.message<{ port: number }>();
    const steady = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await new Promise((resolve) => steady.once('secureConnect', resolve));

    const hit = await attempt(port, { servername: 'panic.test' });
    expect(hit).toMatchObject({ echoed: '' });
    expect(hit.code).not.toBeNull();
    child.tell('failures');
    expect(await child.message()).toEqual({ failures: ['ERR_OFFLOOP_INTERNAL'] });

    // Others, old and new, go on.
    const echo = new Promise((resolve) => steady.once('data', resolve));
    steady.write('still here');
    expect(String(await echo)).toBe('still here');
    expect(await attempt(port, { servername: 'other.test' })).toMatchObject({ echoed: 'ping' });
    steady.destroy();

    child.tell('memory');
    const { stats } = await child.message<{ stats: Stats }>();
    expect(stats.pool.other.panicked).toBe(inThePool);
    child.tell('close');
    expect(await child.result).toMatchObject({ code: 0, signal: null });
  });
});

describe('descriptors that run out', () => {
  it('are reported, and served again when there are some', async () => {
    const child = serve({}, { descriptors: 64 });
    const { port } = await child.message<{ port: number }>();
    // More than there are descriptors: the rest waits in the backlog.
    const clients = await Promise.all(Array.from({ length: 80 }, () => RawClient.connect(port)));
    expect(await child.message()).toEqual({ event: 'acceptError', code: 'EMFILE' });
    for (const client of clients) client.reset();
    expect(await attempt(port)).toMatchObject({ code: null, echoed: 'ping' });

    // Backing off, not spinning: a handful of reports.
    let stats: Stats | undefined;
    child.tell('stats');
    while (stats === undefined) {
      // oxlint-disable-next-line no-await-in-loop -- reports come in between
      const message = await child.message<Stats & { event?: string }>();
      if (message.event === undefined) stats = message;
    }
    expect(stats.connections.acceptErrors).toBeGreaterThan(0);
    expect(stats.connections.acceptErrors).toBeLessThan(50);
    child.tell('close');
    expect(await child.result).toMatchObject({ code: 0, signal: null });
  });
});

describe('a server that waits for descriptors', () => {
  it.each(['close', 'drain'])('stops listening at once: %s', async (command) => {
    const child = serve({}, { descriptors: 64 });
    const { port } = await child.message<{ port: number }>();
    const clients = await Promise.all(Array.from({ length: 80 }, () => RawClient.connect(port)));
    // Each report starts a longer wait: the fifth one a second.
    for (let reports = 0; reports < 5; reports++)
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await child.message()).toEqual({ event: 'acceptError', code: 'EMFILE' });
    const start = performance.now();
    child.tell(command);
    const isRefused = (): Promise<boolean> =>
      RawClient.connect(port).then(
        (client) => (client.reset(), false),
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      );
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    while (!(await isRefused()));
    expect(performance.now() - start).toBeLessThan(600);
    for (const client of clients) client.reset();
    expect(await child.result).toMatchObject({ code: 0, signal: null });
  });
});

describe('settings in the environment', () => {
  it.each(['OFFLOOP_IO_THREADS', 'OFFLOOP_POOL_THREADS'])(
    '%s refuses what is no number',
    async (name) => {
      for (const value of ['0', '-1', 'two', '1.5', '', '1025', '99999999999999999999']) {
        const child = serve({ [name]: value });
        // oxlint-disable-next-line no-await-in-loop -- two cores
        const { code, stderr } = await child.result;
        expect(code).toBe(1);
        expect(stderr).toContain('ERR_INVALID_ARG_VALUE');
        expect(stderr).toContain(`${name} must be a number from 1 to 1024, got '${value}'`);
      }
    },
  );

  it('OFFLOOP_BUFFERED_BYTES refuses what is no number, and less than a megabyte', async () => {
    for (const value of ['1048575', 'much']) {
      const child = serve({ OFFLOOP_BUFFERED_BYTES: value });
      // oxlint-disable-next-line no-await-in-loop -- two cores
      const { code, stderr } = await child.result;
      expect(code).toBe(1);
      expect(stderr).toContain(`must be a number from 1048576 to 1099511627776, got '${value}'`);
    }
  });

  it('OFFLOOP_IO_THREADS and OFFLOOP_POOL_THREADS show in stats()', async () => {
    const child = serve({ OFFLOOP_IO_THREADS: '3', OFFLOOP_POOL_THREADS: '5' });
    const { port } = await child.message<{ port: number }>();
    expect(await attempt(port)).toMatchObject({ echoed: 'ping' });
    child.tell('stats');
    const { threads } = await child.message<Stats>();
    expect(threads).toEqual({ io: 3, pool: 5 });
    child.tell('close');
    expect(await child.result).toMatchObject({ code: 0, signal: null });
  });
});

describe('two copies of the package in one process', () => {
  it('both serve', async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'offloop-copies-'));
    try {
      const folders = ['a', 'b'].map((name) => path.join(root, name));
      for (const folder of folders) {
        for (const part of ['dist', 'native', 'package.json'])
          cpSync(path.join(PACKAGE, part), path.join(folder, part), { recursive: true });
      }
      const COPIES = JSON.stringify({ options, folders });
      const child = new Child('copies.cjs', { env: { COPIES } });
      const { ports } = await child.message<{ ports: number[] }>();
      const said = ports.map((port) => attempt(port, {}, 'which one are you?'));
      expect((await Promise.all(said)).map(({ echoed }) => echoed)).toEqual([
        'copy 0, true, false: which one are you?',
        'copy 1, true, false: which one are you?',
      ]);
      child.tell('end');
      expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
