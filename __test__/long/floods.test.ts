/** Clients in masses that want nothing but harm: others are served meanwhile and afterwards. */
import net from 'node:net';
import tls from 'node:tls';

import type { ServerLimits } from 'offloop';
import { beforeAll, describe, expect, it, test } from 'vitest';

import { Dice } from '../support/bytes.js';
import { Authority } from '../support/certificates.js';
import { bounded } from '../support/faults/child.js';
import { clientHello } from '../support/faults/client-hello.js';
import * as extension from '../support/faults/extensions.js';
import { Hello, number, vector } from '../support/faults/hello.js';
import { SealedClient } from '../support/faults/sealed.js';
import { type Footprint, sameFootprint, Served } from '../support/faults/served.js';
import { attempt } from '../support/faults/tls-client.js';
import { say, scaled, seed } from '../support/scale.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Of the server, in ms; floods that hold connections end by it. */
const HANDSHAKE_TIMEOUT = 3000;
/** A good client that gets no answer for so long is not served. */
const PATIENCE = 20_000;

interface Flood {
  /** Attacks, all together. */
  times: number;
  /** So many at once. */
  width: number;
  attack: (port: number, index: number) => Promise<void>;
  /** Of the server. */
  limits?: ServerLimits;
  /** What one attack that is under way may cost the server, in bytes. */
  bytesEach?: number;
  /**
   * More wait than may: a good client may be shed as the one that has waited longest, since its
   * hello comes late while this process makes the flood. Then it comes again, as clients do.
   */
  crowds?: boolean;
}

let options: object;
let hello: Buffer;
let endless: Buffer;
let parsed: { tls12: Hello; tls13: Hello };

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert, handshakeTimeout: HANDSHAKE_TIMEOUT };
  hello = await clientHello();
  endless = largeHello(32 * KIB).subarray(0, -1);
  parsed = {
    tls12: Hello.parse(await clientHello({ maxVersion: 'TLSv1.2' })),
    tls13: Hello.parse(await clientHello({ minVersion: 'TLSv1.3' })),
  };
});

/** Descriptors that this process may have for clients. */
const most = Math.min(20_000, openFiles() - 500);

const floods: Record<string, () => Flood> = {
  'connect and be silent': () => ({
    times: scaled(most),
    width: scaled(most),
    bytesEach: 12 * KIB,
    crowds: true,
    attack: async (port, i) => closed(await connected(port, i)),
  }),
  'a ClientHello, and never the rest': () => ({
    times: scaled(6000),
    width: scaled(3000),
    bytesEach: 64 * KIB,
    attack: (port, i) => sendAndWait(port, i, hello),
  }),
  'a ClientHello, and never the rest, of more clients than may': () => ({
    times: scaled(6000),
    width: scaled(3000),
    limits: { handshakes: scaled(1000) },
    crowds: true,
    attack: (port, i) => sendAndWait(port, i, hello),
  }),
  'a large ClientHello without its end, of more clients than may': () => ({
    times: scaled(6000),
    width: scaled(3000),
    limits: { waitingForHello: scaled(1000) },
    crowds: true,
    attack: (port, i) => sendAndWait(port, i, endless),
  }),
  'slow-loris: a byte now and then': () => ({
    times: scaled(2000),
    width: scaled(2000),
    bytesEach: 16 * KIB,
    attack: async (port, i) => {
      const socket = await connected(port, i);
      let at = 0;
      const drip = setInterval(() => socket.write(hello.subarray(at, ++at)), 100);
      await closed(socket);
      clearInterval(drip);
    },
  }),
  'connect and reset': () => ({
    times: scaled(30_000),
    width: 64,
    attack: async (port, i) => (await connected(port, i)).resetAndDestroy() && undefined,
  }),
  'a ClientHello and a reset': () => ({
    times: scaled(15_000),
    width: 64,
    attack: async (port, i) => {
      const socket = await connected(port, i);
      socket.write(hello, () => socket.resetAndDestroy());
      await closed(socket);
    },
  }),
  'tickets that are garbage': () => ({
    times: scaled(6000),
    width: 64,
    attack: async (port, i) => {
      const socket = await connected(port, i);
      const flight = i & 1 ? tls12Garbage(i) : tls13Garbage(i);
      socket.once('data', () => socket.resetAndDestroy());
      socket.write(flight);
      await closed(socket);
    },
  }),
  'renegotiation in TLS 1.2': () => ({
    times: scaled(1500),
    width: 32,
    attack: async (port, i) => {
      const localAddress = source(i);
      const client = tls.connect({ ...to(port), localAddress, maxVersion: 'TLSv1.2' } as never);
      client.on('error', () => {});
      const over = new Promise((resolve) => client.once('close', resolve));
      client.once('secureConnect', () => {
        client.renegotiate({}, (error) => {
          if (error === null) throw new Error('a renegotiation was accepted');
          client.destroy();
        });
      });
      await over;
    },
  }),
  KeyUpdates: () => ({
    times: scaled(400),
    width: 16,
    attack: (port) => records(port, (client) => client.keyUpdate(true)),
  }),
  'empty records': () => ({
    times: scaled(400),
    width: 16,
    attack: (port) => records(port, (client) => client.record(Buffer.alloc(0))),
  }),
};

describe.each(Object.keys(floods))('%s', (name) => {
  it('holds up nobody else, and leaves nothing behind', async () => {
    const { times, width, attack, bytesEach = 64 * KIB, crowds = false, limits } = floods[name]();
    await using served = await Served.start({ options: { ...options, limits } });
    // What is allocated once: as much as so many at once need.
    await bounded(Math.max(Math.ceil(times / 4), width), width, (i) => attack(served.port, i));
    await served.serves();
    const before = await served.footprint();

    let over = false;
    const good = goodClients(served.port, crowds ? PATIENCE : 0, () => over);
    const peak = peakOf(served, () => over);
    await bounded(times, width, (i) => attack(served.port, i));
    over = true;
    const { count, slowest } = await good;
    const grown = (await peak) - before.rss;

    say(
      `${name}: ${times} attacks, ${width} at once; ${count} good clients meanwhile, slowest ` +
        `${slowest.toFixed(0)} ms; at most ${(grown / MIB).toFixed(0)} MiB more`,
    );
    expect(count).toBeGreaterThan(0);
    // And what Node's heap takes while so many failures are told.
    expect(grown).toBeLessThan(64 * MIB + width * bytesEach);
    await served.serves();
    await noLeak(served, before, () => bounded(times, width, (i) => attack(served.port, i)));
  });
});

/** What an allocator keeps for the next flood is no leak: that grows with each. */
async function noLeak(
  served: Served,
  before: Footprint,
  flood: () => Promise<unknown>,
): Promise<void> {
  let { rss } = before;
  for (let round = 1; ; round++) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one flood after the other
      return await sameFootprint(served, { ...before, rss }, 24 * MIB);
    } catch (error) {
      if (round === 3) throw error;
      // oxlint-disable-next-line no-await-in-loop -- as above
      ({ rss } = await served.footprint());
      // oxlint-disable-next-line no-await-in-loop -- as above
      await flood();
    }
  }
}

test('a ClientHello of 32 KiB that lacks a byte is held once', async () => {
  const count = scaled(2000);
  await using served = await Served.start({ options });
  await served.serves();
  const before = served.rss();
  const sockets = await Promise.all(
    Array.from({ length: count }, (_, i) => connected(served.port, i)),
  );
  for (const socket of sockets) socket.write(endless);
  const came = async (): Promise<boolean> =>
    (await served.stats()).memory.hellos === count * endless.length;
  // oxlint-disable-next-line no-await-in-loop -- until it is so
  while (!(await came()));
  const each = (served.rss() - before) / count;
  say(`an unfinished ClientHello of 32 KiB: ${(each / KIB).toFixed(1)} KiB held`);
  expect(each).toBeLessThan(32 * KIB + 16 * KIB);
  for (const socket of sockets) socket.resetAndDestroy();
});

/** One after the other until it is over; each must be served, those that are shed within `triesFor` ms. */
async function goodClients(
  port: number,
  triesFor: number,
  over: () => boolean,
): Promise<{ count: number; slowest: number }> {
  let count = 0;
  let slowest = 0;
  do {
    const start = performance.now();
    let outcome;
    do {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      outcome = await attempt(port, { timeout: PATIENCE });
    } while (wasReset.has(outcome.code) && performance.now() - start < triesFor);
    expect(outcome).toMatchObject({ code: null, echoed: 'ping' });
    slowest = Math.max(slowest, performance.now() - start);
    count++;
  } while (!over());
  expect(slowest).toBeLessThan(PATIENCE);
  return { count, slowest };
}

/** Of clients that were shed: while they read, or while they wrote. */
const wasReset = new Set<string | null>(['ECONNRESET', 'EPIPE']);

async function peakOf(served: Served, over: () => boolean): Promise<number> {
  let peak = 0;
  while (!over()) {
    peak = Math.max(peak, served.rss());
    // oxlint-disable-next-line no-await-in-loop -- sampling
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return peak;
}

async function sendAndWait(port: number, index: number, bytes: Buffer): Promise<void> {
  const socket = await connected(port, index);
  socket.write(bytes);
  await closed(socket);
}

/** A ClientHello of so many bytes, in full records. */
function largeHello(size: number): Buffer {
  const message = Buffer.concat([Buffer.from([1]), vector(Buffer.alloc(size - 4), 3)]);
  const parts = [];
  for (let at = 0; at < size; at += 16 * KIB) {
    const payload = message.subarray(at, at + 16 * KIB);
    parts.push(Buffer.from([22, 3, 1]), vector(payload, 2));
  }
  return Buffer.concat(parts);
}

/** Ports of several addresses, so that none run out. */
function source(index: number): string {
  return `127.0.0.${1 + (index % 16)}`;
}

function to(port: number): { port: number; host: string; rejectUnauthorized: boolean } {
  return { port, host: '127.0.0.1', rejectUnauthorized: false };
}

async function connected(port: number, index: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: source(index) });
  // A reset is an answer too.
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', resolve);
  });
  return socket;
}

function closed(socket: net.Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

/** Sends the same kind of record until the server has enough. */
async function records(port: number, next: (client: SealedClient) => Buffer): Promise<void> {
  using client = await SealedClient.connect(port);
  client.client.resume();
  const { socket } = client;
  for (let sent = 0; !socket.readableEnded && !socket.closed; sent += 16) {
    expect(sent).toBeLessThan(100_000);
    // oxlint-disable-next-line no-await-in-loop -- as fast as the server takes them
    await client.send(Buffer.concat(Array.from({ length: 16 }, () => next(client))));
  }
}

function tls12Garbage(index: number): Buffer {
  return parsed.tls12.copy().set(extension.SESSION_TICKET, noise(200, index)).bytes();
}

function tls13Garbage(index: number): Buffer {
  const identity = Buffer.concat([vector(noise(200, index), 2), number(index, 4)]);
  const binder = vector(noise(32, index), 1);
  const offer = Buffer.concat([vector(identity, 2), vector(binder, 2)]);
  return parsed.tls13.copy().set(extension.PRE_SHARED_KEY, offer).bytes();
}

function noise(size: number, index: number): Buffer {
  const dice = new Dice(seed + index);
  return Buffer.from(Array.from({ length: size }, () => dice.next(256)));
}

/** `ulimit -n` of this process, which its children have too. */
function openFiles(): number {
  const report = process.report.getReport() as unknown as {
    userLimits: { open_files: { soft: number | string } };
  };
  const { soft } = report.userLimits.open_files;
  return soft === 'unlimited' ? Infinity : Number(soft);
}
