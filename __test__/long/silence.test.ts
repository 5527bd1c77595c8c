/** Ends that fall silent: a peer whose machine is frozen, and an event loop that is. */
import { once } from 'node:events';
import type tls from 'node:tls';

import { createServer, stats, type TlsSocket } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Checked, Dice, Sequence } from '../support/bytes.js';
import { Authority, type Issued } from '../support/certificates.js';
import { connect, listen } from '../support/disposables.js';
import { Child } from '../support/faults/child.js';
import { has } from '../support/faults/commands.js';
import { until } from '../support/faults/settled.js';
import { attempt } from '../support/faults/tls-client.js';
import { say, scaled, seed } from '../support/scale.js';

const MIB = 1024 * 1024;

let options: Pick<Issued, 'key' | 'cert'>;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
});

/** Freezes clients of a server with these options, one after the other; `watch` its sockets. */
async function ends(own: object, watch: (socket: TlsSocket) => void): Promise<void> {
  const server = createServer({ ...options, ...own });
  await using listening = await listen(server as never);
  for (const talks of [false, true]) {
    const accepted = once(server, 'secureConnection') as Promise<[TlsSocket]>;
    const child = new Child('client.cjs', { env: { PORT: String(listening.port) } });
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const [socket] = await accepted;
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await child.message();
    process.kill(child.pid, 'SIGSTOP');
    // More than the kernels buffer: what is left is held, and bounded.
    if (talks) socket.write(Buffer.alloc(16 * MIB));
    watch(socket);
    socket.resume();
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await new Promise((resolve) => socket.once('close', resolve));
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await until(() => stats().connections.alive === 0, 'the core forgets it');
    expect(stats().memory.sentQueued).toBe(0);
    process.kill(child.pid, 'SIGKILL');
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await child.result;
  }
}

/** A client and its server in a network of their own, which fails. */
function vanishing(own: object, writes: boolean): Child {
  return new Child('vanish.cjs', {
    env: { VANISH: JSON.stringify({ options: { ...options, ...own }, writes }) },
    under: ['unshare', '--net'],
  });
}

describe('a client that is frozen', () => {
  it('is found by limits.idleTimeout, whether the server talks to it or not', async () => {
    await ends({ limits: { idleTimeout: 300 } }, () => {});
  });

  it('is found by setTimeout(), whether the server talks to it or not', async () => {
    await ends({}, (socket) => socket.setTimeout(300, () => socket.destroy()));
  });
});

describe('a client that has vanished', () => {
  const rooted = process.getuid?.() === 0 && has('unshare') && has('ip');
  it.skipIf(!rooted)('is found by keep-alive', async () => {
    const child = vanishing({ keepAlive: true, keepAliveInitialDelay: 1000 }, false);
    expect(await child.message()).toEqual({ codes: ['ETIMEDOUT'], sheds: 0 });
    expect(await child.result).toMatchObject({ code: 0, stderr: '' });
  });

  // While something is on its way, the kernel sends it again instead of probing, for a quarter of
  // an hour.
  it.skipIf(!rooted).each([false, true])(
    'is found by limits.idleTimeout (with something on its way to it: %s)',
    async (writes) => {
      const child = vanishing({ limits: { idleTimeout: 1000 } }, writes);
      expect(await child.message()).toEqual({ codes: [], sheds: 1 });
      expect(await child.result).toMatchObject({ code: 0, stderr: '' });
    },
  );
});

describe('an event loop that is blocked', () => {
  const SECONDS = 10;

  it(`for ${SECONDS} s: bounded buffers, nothing lost`, async () => {
    const child = new Child('block.cjs', {
      env: { BLOCK: JSON.stringify({ options }) },
      bound: 90_000,
    });
    const { port } = await child.message<{ port: number }>();
    const sequence = new Sequence();
    const clients = await Promise.all(
      Array.from({ length: scaled(40) }, async () => {
        const client = connect(port);
        await once(client, 'secureConnect');
        return client;
      }),
    );
    const milliseconds = scaled(SECONDS * 1000);
    child.tell(String(milliseconds));
    expect(await child.message()).toEqual({ blocked: true });
    // New ones come too: their handshakes are done meanwhile.
    const handshakes = Array.from({ length: 20 }, () => attempt(port));
    const each = 4 * MIB;
    const echoes = clients.map((client, i) => talk(client, sequence, each, new Dice(seed + i)));
    const { received } = await child.message<{ received: number }>();
    // 256 KiB each and one read more, 64 MiB over all.
    expect(received).toBeLessThanOrEqual(clients.length * 2 * 256 * 1024);
    await Promise.all(echoes);
    for (const outcome of await Promise.all(handshakes)) {
      expect(outcome).toMatchObject({ code: null, echoed: 'ping' });
    }
    for (const client of clients) client.destroy();
    child.tell('close');
    expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
    say(`${(received / MIB).toFixed(1)} MiB held of ${clients.length} connections`);
  });
});

/** Sends so many bytes and checks their echo. */
async function talk(
  client: tls.TLSSocket,
  sequence: Sequence,
  total: number,
  dice: Dice,
): Promise<void> {
  const checked = new Checked(sequence);
  const echoed = new Promise<void>((resolve, reject) => {
    client.on('error', reject);
    client.on('data', (chunk: Buffer) => {
      try {
        checked.take(chunk);
      } catch (error) {
        reject(error as Error);
      }
      if (checked.received === total) resolve();
    });
  });
  for (let at = 0; at < total;) {
    const size = Math.min(total - at, 1 + dice.next(100_000));
    // oxlint-disable-next-line no-await-in-loop -- at the reader's pace
    if (!client.write(sequence.slice(at, size))) await once(client, 'drain');
    at += size;
  }
  await echoed;
}
