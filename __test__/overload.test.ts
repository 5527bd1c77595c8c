/** Bounds that hold while more comes than can be done; the server is a process of its own. */
import { once } from 'node:events';
import net from 'node:net';
import type tls from 'node:tls';

import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { connect } from './support/disposables.js';
import { bounded, Child } from './support/faults/child.js';
import { clientHello } from './support/faults/client-hello.js';
import { RawClient } from './support/faults/raw-client.js';
import { Served } from './support/faults/served.js';
import { until } from './support/faults/settled.js';

const KIB = 1024;
const MIB = 1024 * KIB;

type Material = Pick<Issued, 'key' | 'cert'>;

let options: Material;
let rsa: Material;

beforeAll(async () => {
  const authority = await Authority.create();
  options = material(await authority.issue());
  rsa = material(await authority.issue({ key: 'rsa4096' }));
});

function material({ key, cert }: Issued): Material {
  return { key, cert };
}

/** Clients whose handshakes are done. */
async function connected(port: number, count: number): Promise<tls.TLSSocket[]> {
  const clients: tls.TLSSocket[] = [];
  await bounded(count, 32, async (i) => {
    const client = connect(port, { localAddress: `127.0.0.${1 + (i % 8)}` } as never);
    await once(client, 'secureConnect');
    clients.push(client.on('error', () => {}));
  });
  return clients;
}

/** All of them are open for the server too. */
async function opened(child: Child, count: number): Promise<void> {
  for (let open = 0; open < count;) {
    child.tell('open');
    // oxlint-disable-next-line no-await-in-loop -- one answer after the other
    ({ open } = await child.message<{ open: number }>());
  }
}

async function closed(child: Child, clients: readonly tls.TLSSocket[]): Promise<void> {
  for (const client of clients) client.destroy();
  child.tell('close');
  expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
}

/** A server that tells of its turns; a handler takes so long, by a clock of its own. */
function turning(handlerMs = 0): Child {
  return new Child('turns.cjs', { env: { TURNS: JSON.stringify({ options, handlerMs }) } });
}

describe('queueTarget', () => {
  it('sheds what waits above it when more waits than is done in 2.5 s, and it becomes no less', async () => {
    const limits = { queueTarget: 1 };
    await using served = await Served.start({
      options: { ...rsa, limits },
      env: { OFFLOOP_POOL_THREADS: '1' },
    });
    const hello = await clientHello();
    // One thread signs some 600 times a second with RSA-4096.
    const clients: RawClient[] = [];
    let shed = false;
    await bounded(15_000, 64, async (i) => {
      if (shed) return;
      const client = await RawClient.connect(served.port, `127.0.0.${1 + (i % 8)}`);
      clients.push(client);
      void client.closed().then(() => (shed ||= client.closedBy === 'reset'));
      await client.send(hello);
    });
    await until(() => shed, 'one is shed', 30_000);
    for (const client of clients) client.reset();
    const { sheds } = await served.stats();
    expect(sheds.queueTarget).toBeGreaterThan(0);
    expect(Object.values(sheds).reduce((sum, count) => sum + count)).toBe(sheds.queueTarget);
    expect(await served.failures()).toContain('ERR_OFFLOOP_OVERLOADED');
    await served.serves();
  });
});

describe('written bytes over all connections', () => {
  const CONNECTIONS = 40;
  const BYTES = 4 * MIB;

  it.each([
    // Each hands over 256 KiB.
    { all: 64 * MIB, least: 5 * MIB, most: CONNECTIONS * 256 * KIB },
    // Above the bound, 16 KiB; a megabyte and a window may have been on their way to it.
    { all: MIB, least: MIB / 2, most: 2 * MIB + 256 * KIB + CONNECTIONS * 16 * KIB },
  ])('with OFFLOOP_BUFFERED_BYTES=$all at most $most are held', async ({ all, least, most }) => {
    const child = new Child('fill.cjs', {
      env: {
        FILL: JSON.stringify({ options, bytes: BYTES }),
        OFFLOOP_BUFFERED_BYTES: String(all),
      },
    });
    const { port } = await child.message<{ port: number }>();
    const clients = await connected(port, CONNECTIONS);
    await opened(child, CONNECTIONS);
    child.tell('fill');
    const held = await child.message<{ most: number }>();
    expect(held.most).toBeGreaterThan(least);
    expect(held.most).toBeLessThanOrEqual(most);
    // None waits for ever.
    const sizes = await Promise.all(
      clients.map(async (client) => {
        let size = 0;
        for await (const chunk of client) size += (chunk as Buffer).length;
        return size;
      }),
    );
    expect(sizes).toEqual(clients.map(() => BYTES));
    await closed(child, clients);
  });
});

describe('a turn of the event loop', () => {
  interface Turns {
    turns: { records: number; bytes: number }[];
    /** In which the last small record came. */
    lastSmall: number;
    /** How often the loop went on between turns. */
    between: number;
  }
  /** What one record counts beside its bytes while it is queued. */
  const EVENT = 64;
  /** A slab of plaintext, of which a turn starts at most five. */
  const SLAB = 64 * KIB;

  const all = (turns: Turns['turns'], what: 'records' | 'bytes'): number =>
    turns.reduce((sum, turn) => sum + turn[what], 0);

  /** The turns, when all has been handed over that `has` looks for. */
  async function turnsOf(child: Child, has: (turns: Turns) => boolean): Promise<Turns> {
    for (;;) {
      child.tell('turns');
      // oxlint-disable-next-line no-await-in-loop -- one answer after the other
      const turns = await child.message<Turns>();
      if (has(turns)) return turns;
    }
  }

  /** As many small records in the queue as there are clients. */
  async function pingAll(child: Child, clients: readonly tls.TLSSocket[]): Promise<void> {
    const bytes = clients.length * (4 + EVENT);
    child.tell(`block ${bytes}`);
    expect(await child.message()).toEqual({ blocked: true });
    for (const client of clients) client.write('ping');
    expect(await child.message()).toEqual({ queued: bytes });
  }

  it('hands over at most 1,024 records', async () => {
    const child = turning();
    const { port } = await child.message<{ port: number }>();
    const clients = await connected(port, 1100);
    await opened(child, clients.length);
    await pingAll(child, clients);
    const { turns, between } = await turnsOf(
      child,
      (come) => all(come.turns, 'records') === clients.length,
    );
    expect(turns.map(({ records }) => records)).toEqual([1024, 76]);
    expect(between).toBeGreaterThanOrEqual(1);
    await closed(child, clients);
  });

  it('is over when handlers have taken 10 ms, looked at after each 16 records', async () => {
    const child = turning(1);
    const { port } = await child.message<{ port: number }>();
    const clients = await connected(port, 64);
    await opened(child, clients.length);
    await pingAll(child, clients);
    const { turns } = await turnsOf(child, (come) => all(come.turns, 'records') === clients.length);
    for (const { records } of turns) expect(records).toBeLessThanOrEqual(16);
    expect(turns.length).toBeGreaterThanOrEqual(clients.length / 16);
    await closed(child, clients);
  });

  it('hands over 256 KiB and what was left of a slab: quiet ones come behind a loud one', async () => {
    const child = turning();
    const { port } = await child.message<{ port: number }>();
    const [loud, ...quiet] = await connected(port, 41);
    await opened(child, 41);
    const more = quiet.length * (4 + EVENT);
    child.tell(`block ${256 * KIB} ${more}`);
    expect(await child.message()).toEqual({ blocked: true });
    // Without an end: what it may have in the queue is there, the rest waits in the kernel.
    const pump = (): void => {
      while (!loud.destroyed && loud.write(Buffer.alloc(SLAB, 'x')));
    };
    loud.on('drain', pump);
    pump();
    const { queued } = await child.message<{ queued: number }>();
    for (const client of quiet) client.write('ping');
    expect(await child.message()).toEqual({ queued: queued + more });
    const { turns, lastSmall } = await turnsOf(child, ({ lastSmall: last }) => last >= 0);
    // What was queued before them, and no more, although the loud one goes on.
    expect(lastSmall).toBeLessThanOrEqual(Math.ceil(queued / (256 * KIB)));
    for (const { bytes } of turns) expect(bytes).toBeLessThanOrEqual(5 * SLAB);
    await closed(child, [loud, ...quiet]);
  });
});

describe('a flood that is shed', () => {
  it("is told to listeners of 'tlsClientError' 100 times a second, and takes no memory", async () => {
    // The last one, which nobody pushes out, goes by its time.
    const limits = { waitingForHello: 1, helloTimeout: 1000 };
    await using served = await Served.start({ options: { ...options, limits } });
    const flood = (times: number): Promise<void> =>
      bounded(times, 64, async (i) => {
        const localAddress = `127.0.0.${1 + (i % 8)}`;
        const socket = net.connect({ port: served.port, host: '127.0.0.1', localAddress });
        await new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
      });
    const counted = async (): Promise<number> => {
      const { sheds } = await served.stats();
      return sheds.waitingForHello + sheds.helloTimeout;
    };
    await flood(5000);
    await served.failures();
    const before = await served.footprint();
    const shedBefore = await counted();
    const began = performance.now();
    await flood(10_000);
    const after = await served.footprint();
    const seconds = (performance.now() - began) / 1000;
    expect((await counted()) - shedBefore).toBe(10_000);
    const told = (await served.failures()).length;
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(100 * (seconds + 1));
    expect((after.rss - before.rss) / MIB).toBeLessThan(10);
    await served.serves();
  });
});
