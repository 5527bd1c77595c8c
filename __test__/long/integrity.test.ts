/** 10,000 connections of every kind, both directions at once: each byte is the one that was sent. */
import { once } from 'node:events';
import tls from 'node:tls';

import { createServer } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Checked, Dice, Sequence } from '../support/bytes.js';
import { Authority, type Issued } from '../support/certificates.js';
import { connect, listen, type Listening } from '../support/disposables.js';
import { bounded } from '../support/faults/child.js';
import { SealedClient } from '../support/faults/sealed.js';
import { holdings, restored } from '../support/faults/settled.js';
import { say, scaled, seed } from '../support/scale.js';

const KIB = 1024;
const sequence = new Sequence();

let identity: Pick<Issued, 'key' | 'cert'>;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  identity = { key, cert };
});

/** What one connection does, which both of its ends know. */
interface Plan {
  up: number;
  down: number;
  /** Where in the sequence its bytes begin. */
  offset: number;
  /** The server sends nothing before the client has ended. */
  serverLast: boolean;
}

describe(`with seed ${seed}`, () => {
  it('TLS 1.2 and 1.3, resumed or not, random sizes, splits, pauses and half-closes', async () => {
    const total = scaled(10_000);
    const before = holdings();
    let bytes = 0;
    let resumed = 0;
    {
      const plans = new Map<number, Plan>();
      await using served = await serve(plans, (port) => new Dice(seed + port));
      const sessions: Buffer[] = [];
      await bounded(total, 32, async (i) => {
        const dice = new Dice(seed + i);
        const plan = planned(dice);
        const version = dice.next(2) === 0 ? 'TLSv1.2' : 'TLSv1.3';
        const session =
          dice.next(3) > 0 ? sessions.splice(dice.next(sessions.length || 1), 1)[0] : undefined;
        const client = connect(served.port, {
          maxVersion: version,
          allowHalfOpen: true,
          ...(session !== undefined && { session }),
        } as tls.ConnectionOptions);
        client.on(
          'session',
          (ticket: Buffer) => void (sessions.length < 64 && sessions.push(ticket)),
        );
        client.once('connect', () => plans.set(client.localPort!, plan));
        await once(client, 'secureConnect');
        if (client.isSessionReused()) resumed++;
        await exchange(client, plan.up, plan.down, plan.offset, dice, i);
        plans.delete(client.localPort!);
        bytes += plan.up + plan.down;
      });
    }
    await restored(before);
    expect(resumed).toBeGreaterThan(total / 10);
    say(`${total} connections, ${resumed} resumed, ${(bytes / KIB / KIB).toFixed(0)} MiB checked`);
  });

  it('KeyUpdates in the middle, records of any size, empty ones too', async () => {
    const total = scaled(500);
    const before = holdings();
    let updates = 0;
    {
      const plans = new Map<number, Plan>();
      await using served = await serve(plans, (port) => new Dice(seed + port));
      await bounded(total, 16, async (i) => {
        const dice = new Dice(seed + i);
        const plan = { ...planned(dice), up: 1 + dice.next(200 * KIB), serverLast: false };
        using sealed = await SealedClient.connect(served.port, {}, (port) => plans.set(port, plan));
        const received = receive(sealed.client, plan.down, plan.offset, dice, i);
        for (let at = 0; at < plan.up;) {
          const size = Math.min(plan.up - at, dice.next([2, 200, 16 * KIB][dice.next(3)] + 1));
          await sealed.send(sealed.record(sequence.slice(plan.offset + at, size)));
          at += size;
          if (size > 0 && dice.next(4) === 0) {
            updates++;
            await sealed.send(sealed.keyUpdate(dice.next(2) === 0));
          }
        }
        await sealed.send(sealed.closeNotify());
        await received;
        plans.delete(sealed.socket.localPort!);
      });
    }
    await restored(before);
    say(`${total} connections with ${updates} KeyUpdates`);
  });
});

/** The server's ends check and send what the plan of their client's port says. */
async function serve(
  plans: Map<number, Plan>,
  dice: (port: number) => Dice,
): Promise<Listening<never>> {
  const server = createServer({ ...identity, allowHalfOpen: true } as never, (socket) => {
    const port = socket.remotePort!;
    const { up, down, offset, serverLast } = plans.get(port)!;
    const own = dice(port);
    const received = receive(socket, up, offset, own, port);
    const sent = serverLast
      ? received.then(() => send(socket, down, offset, own))
      : send(socket, down, offset, own);
    // A byte that is wrong here is told to the client by the connection's end.
    Promise.all([received, sent]).catch((error: Error) => {
      failed = error;
      socket.destroy();
    });
  });
  const listening = await listen(server as never, 0, '127.0.0.1');
  return listening as Listening<never>;
}

/** What went wrong at the server's end. */
let failed: Error | null = null;

async function exchange(
  client: tls.TLSSocket,
  up: number,
  down: number,
  offset: number,
  dice: Dice,
  connection: number,
): Promise<void> {
  const over = new Promise((resolve) => client.once('close', resolve));
  const received = receive(client, down, offset, dice, connection);
  // Node's end() in this very turn loses what has come in it: SSL_shutdown skips it.
  await new Promise(setImmediate);
  await Promise.all([send(client, up, offset, dice), received]);
  await over;
  if (failed !== null) throw failed;
}

/** Sends so many bytes in pieces of random sizes, then its end. */
async function send(
  stream: tls.TLSSocket,
  total: number,
  offset: number,
  dice: Dice,
): Promise<void> {
  for (let at = 0; at < total;) {
    const size = Math.min(total - at, 1 + dice.next([40, 2000, 17_000, 100_000][dice.next(4)]));
    if (!stream.write(sequence.slice(offset + at, size)) && !stream.destroyed) {
      await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
    }
    at += size;
    if (dice.next(8) === 0) await pause(dice);
  }
  stream.end();
}

/** Resolves at the end of exactly so many right bytes. */
function receive(
  stream: tls.TLSSocket,
  total: number,
  offset: number,
  dice: Dice,
  connection: number,
): Promise<void> {
  const checked = new Checked(sequence, offset);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.once('end', () => {
      if (checked.received === total) resolve();
      else
        reject(new Error(`connection ${connection} ended at byte ${checked.received} of ${total}`));
    });
    stream.once('close', () =>
      reject(new Error(`connection ${connection} was cut at byte ${checked.received} of ${total}`)),
    );
    stream.on('data', (chunk: Buffer) => {
      try {
        checked.take(chunk);
      } catch (error) {
        reject(error as Error);
      }
      if (dice.next(10) === 0) {
        stream.pause();
        void pause(dice).then(() => stream.resume());
      }
    });
  });
}

function planned(dice: Dice): Plan {
  const size = (): number => dice.next([2, 1000, 20_000, 100_000][dice.next(4)]);
  return { up: size(), down: size(), offset: dice.next(1_000_000), serverLast: dice.next(3) === 0 };
}

function pause(dice: Dice): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, dice.next(3)));
}
