/** Long streams in random pieces, checked byte by byte; and what is held while nobody reads. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type tls from 'node:tls';

import { stats } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Checked, Dice, Sequence } from './support/bytes.js';
import { Authority, type Issued } from './support/certificates.js';
import { type Pair, pair } from './support/disposables.js';
import { offloop } from './support/libraries.js';
import { settled, until } from './support/streams.js';

const MB = 1 << 20;
/** Most that the core may hold of one connection in one direction. */
const BOUND = 256 * 1024;

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

describe('streams arrive as they were sent', () => {
  test.for<[number, 'TLSv1.2' | 'TLSv1.3', number]>([
    [1, 'TLSv1.2', 1],
    [1, 'TLSv1.3', 2],
    [8, 'TLSv1.2', 3],
    [64, 'TLSv1.3', 4],
  ])(
    '%i MB in both directions at once, %s, random sizes and pauses (seed %i)',
    async ([size, version, seed]) => {
      await using ends = await pair(offloop, {
        server: identity,
        client: { minVersion: version, maxVersion: version },
      });
      const up = new Sequence();
      const down = new Sequence();
      await Promise.all([
        send(ends.client, up, size * MB, new Dice(seed)),
        receive(ends.socket, up, size * MB, new Dice(seed + 100)),
        send(ends.socket, down, size * MB, new Dice(seed + 200)),
        receive(ends.client, down, size * MB, new Dice(seed + 300)),
      ]);
      expect(ends.socket.bytesRead).toBe(size * MB);
      expect(ends.socket.bytesWritten).toBe(size * MB);
    },
  );

  test('64 MB down, in one write', async () => {
    await using ends = await pair(offloop, { server: identity });
    const sequence = new Sequence();
    ends.socket.write(sequence.slice(0, 64 * MB));
    await receive(ends.client, sequence, 64 * MB, new Dice(7));
  });

  test('many tiny writes of both ends', async () => {
    await using ends = await pair(offloop, { server: identity });
    const sequence = new Sequence();
    const tiny = async (stream: Duplex, dice: Dice): Promise<void> => {
      for (let at = 0; at < 300_000;) {
        const size = Math.min(300_000 - at, 1 + dice.next(40));
        if (!stream.write(sequence.slice(at, size))) await once(stream, 'drain');
        at += size;
      }
    };
    await Promise.all([
      tiny(ends.client, new Dice(1)),
      receive(ends.socket, sequence, 300_000, new Dice(2)),
      tiny(ends.socket, new Dice(3)),
      receive(ends.client, sequence, 300_000, new Dice(4)),
    ]);
  });

  test('ten connections at once, 2 MB each way', async () => {
    const pairs: Pair[] = [];
    try {
      for (let i = 0; i < 10; i++) pairs.push(await pair(offloop, { server: identity }));
      await Promise.all(
        pairs.flatMap(({ socket, client }, i) => {
          const sequence = new Sequence();
          return [
            send(client, sequence, 2 * MB, new Dice(i)),
            receive(socket, sequence, 2 * MB, new Dice(i + 50)),
            send(socket, sequence, 2 * MB, new Dice(i + 100)),
            receive(client, sequence, 2 * MB, new Dice(i + 150)),
          ];
        }),
      );
    } finally {
      for (const each of pairs) await each[Symbol.asyncDispose]();
    }
  });
});

describe('a peer that does not read', () => {
  test('write() says false; what the core holds is bounded; all of it arrives later', async () => {
    await using ends = await pair(offloop, { server: identity });
    const sequence = new Sequence();
    let written = 0;
    let most = 0;
    const pump = (): void => {
      for (let more = true; more && written < 64 * MB;) {
        more = ends.socket.write(sequence.slice(written, 40_000));
        written += 40_000;
      }
    };
    ends.socket.on('drain', pump);
    pump();
    await settled(() => {
      most = Math.max(most, stats().memory.sentQueued);
      return written;
    });
    expect(written).toBeLessThan(32 * MB);
    expect(ends.socket.writableNeedDrain).toBe(true);
    expect(ends.socket.writableLength).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(BOUND);
    ends.socket.off('drain', pump);
    await receive(ends.client, sequence, written, new Dice(1));
    expect(ends.socket.writableLength).toBe(0);
  });

  test('writableLength and the callback of one large write tell what is not with the system', async () => {
    await using ends = await pair(offloop, { server: identity });
    let called = false;
    ends.socket.write(Buffer.alloc(64 * MB), () => (called = true));
    const { writableLength } = ends.socket;
    expect(writableLength).toBe(64 * MB);
    await settled(() => ends.socket.writableLength);
    expect([called, ends.socket.writableLength]).toEqual([false, 64 * MB]);
    ends.client.resume();
    await until(() => called, 'the callback');
    expect(ends.socket.writableLength).toBe(0);
  });

  test('writableLength goes down as pieces leave', async () => {
    await using ends = await pair(offloop, { server: identity });
    const lengths: number[] = [];
    for (let i = 0; i < 200; i++) {
      ends.socket.write(Buffer.alloc(100_000), () => lengths.push(ends.socket.writableLength));
    }
    ends.client.resume();
    await until(() => lengths.length === 200, 'the callbacks');
    expect(lengths.at(-1)).toBe(0);
    for (let i = 1; i < lengths.length; i++) expect(lengths[i]).toBeLessThanOrEqual(lengths[i - 1]);
  });
});

describe('a server that does not read', () => {
  test('the peer is held back, the core holds little, all of it arrives later', async () => {
    await using ends = await pair(offloop, { server: { ...identity, pauseOnConnect: true } });
    const sequence = new Sequence();
    const total = 64 * MB;
    let written = 0;
    let most = 0;
    const pump = (): void => {
      for (let more = true; more && written < total;) {
        const size = Math.min(40_000, total - written);
        more = ends.client.write(sequence.slice(written, size));
        written += size;
      }
    };
    ends.client.on('drain', pump);
    pump();
    await settled(() => {
      most = Math.max(most, stats().memory.receivedQueued);
      return written;
    });
    expect(written).toBeLessThan(32 * MB);
    // One read more than the bound may be under way when it is reached.
    expect(most).toBeLessThanOrEqual(2 * BOUND);
    // What lies in JavaScript: one slab of a turn at most, beyond the high water mark.
    expect(ends.socket.readableLength).toBeLessThanOrEqual(4 * BOUND);
    await receive(ends.socket, sequence, total, new Dice(3));
  });

  test('pause() in the middle holds back what follows', async () => {
    await using ends = await pair(offloop, { server: identity });
    ends.client.on('error', () => {});
    let received = 0;
    ends.socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > MB) ends.socket.pause();
    });
    const pump = (): void => {
      while (ends.client.write(Buffer.alloc(65_536)));
    };
    ends.client.on('drain', pump);
    pump();
    await until(() => ends.socket.isPaused(), 'the pause');
    const at = received;
    await settled(() => ends.socket.bytesRead);
    expect(received).toBe(at);
    expect(ends.socket.bytesRead - received).toBeLessThanOrEqual(4 * BOUND);
    ends.client.off('drain', pump);
    ends.socket
      .removeAllListeners('data')
      .on('data', (chunk: Buffer) => (received += chunk.length))
      .resume();
    await until(() => received > 2 * MB, 'the rest');
  });

  test('forty slow readers hold no more than their bounds together', async () => {
    const pairs: Pair[] = [];
    try {
      for (let i = 0; i < 40; i++) {
        const ends = await pair(offloop, { server: { ...identity, pauseOnConnect: true } });
        ends.client.on('error', () => {});
        ends.client.write(Buffer.alloc(4 * MB));
        pairs.push(ends);
      }
      let most = 0;
      await settled(() => {
        most = Math.max(most, stats().memory.receivedQueued);
        return pairs.reduce((sum, { socket }) => sum + socket.bytesRead, 0);
      });
      expect(most).toBeLessThanOrEqual(40 * 2 * BOUND);
    } finally {
      for (const each of pairs) await each[Symbol.asyncDispose]();
    }
    await until(
      () => stats().memory.receivedQueued === 0 && stats().memory.sentQueued === 0,
      'the queues to empty',
    );
  });
});

async function send(
  stream: tls.TLSSocket,
  sequence: Sequence,
  total: number,
  dice: Dice,
): Promise<void> {
  for (let at = 0; at < total;) {
    // Small, around a record, around what is copied, large.
    const size = Math.min(total - at, 1 + dice.next([300, 17_000, 70_000, 600_000][dice.next(4)]));
    if (!stream.write(sequence.slice(at, size))) await once(stream, 'drain');
    at += size;
    if (dice.next(40) === 0) await new Promise((resolve) => setTimeout(resolve, dice.next(4)));
  }
}

function receive(
  stream: tls.TLSSocket,
  sequence: Sequence,
  total: number,
  dice: Dice,
): Promise<void> {
  const checked = new Checked(sequence);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('close', () => reject(new Error(`closed at ${checked.received} of ${total}`)));
    stream.on('data', (chunk: Buffer) => {
      try {
        checked.take(chunk);
      } catch (error) {
        reject(error as Error);
      }
      if (checked.received === total) {
        resolve();
      } else if (dice.next(60) === 0) {
        stream.pause();
        setTimeout(() => stream.resume(), dice.next(4));
      }
    });
    stream.resume();
  });
}
