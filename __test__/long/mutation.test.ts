/** Handshakes as no client makes them: none is fatal to anything but itself. */
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import { beforeAll, describe, expect, it } from 'vitest';

import { Dice } from '../support/bytes.js';
import { Authority } from '../support/certificates.js';
import { bounded } from '../support/faults/child.js';
import { clientHello } from '../support/faults/client-hello.js';
import { Hello } from '../support/faults/hello.js';
import { mutatedBytes, mutatedHello } from '../support/faults/mutations.js';
import { sameFootprint, Served } from '../support/faults/served.js';
import { say, scaled, seed } from '../support/scale.js';

/** Of the server, in ms. */
const HANDSHAKE_TIMEOUT = 500;
/** A connection that is still there so long after its last byte hangs. */
const HANG = 10_000;
const BATCH = 1000;

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

let options: object;
let hellos: Hello[];

beforeAll(async () => {
  const authority = await Authority.create();
  const { key, cert } = await authority.issue();
  const asksForCertificates = { ca: authority.cert, requestCert: true, rejectUnauthorized: false };
  options = { key, cert, ...asksForCertificates, handshakeTimeout: HANDSHAKE_TIMEOUT };
  const kinds: tls.ConnectionOptions[] = [
    {},
    { maxVersion: 'TLSv1.2' },
    { minVersion: 'TLSv1.3', ecdhCurve: 'P-256', ALPNProtocols: ['h2', 'http/1.1'] },
  ];
  hellos = (await Promise.all(kinds.map((kind) => clientHello(kind)))).map((flight) =>
    Hello.parse(flight),
  );
});

describe(`with seed ${seed}`, () => {
  it('mutated ClientHellos leave nothing behind, and good clients are served', async () => {
    const total = scaled(16_000);
    await using served = await Served.start({ options });
    await attack(served, total, async (i) => {
      const dice = new Dice(seed + i);
      const bytes = mutatedHello(hellos[dice.next(hellos.length)], dice);
      await send(served.port, bytes, dice.next(8) > 0);
    });
  });

  it('mutated second flights too', async () => {
    const total = scaled(6_000);
    await using served = await Served.start({ options });
    await attack(served, total, async (i) => {
      const dice = new Dice(seed + i);
      // The second is the client's answer, later ones are application data.
      const flight = 2 + (dice.next(4) === 0 ? 1 : 0);
      await shake(served.port, VERSIONS[i & 1], (chunk, number) =>
        number === flight ? mutatedBytes(chunk, dice) : chunk,
      );
    });
  });
});

describe.each(VERSIONS)('%s', (version) => {
  it('a handshake that ends at any of its bytes', async () => {
    await using served = await Served.start({ options });
    const lengths: number[] = [];
    await shake(served.port, version, (chunk) => {
      lengths.push(chunk.length);
      return chunk;
    });
    // ClientHello, the answer to the server, and the application data behind it.
    expect(lengths.length).toBeGreaterThanOrEqual(2);
    const [hello, answer] = lengths;
    const bytes = hello + answer;
    await attack(served, bytes, (cut) => {
      let left = cut;
      return shake(served.port, version, (chunk) => {
        const sent = chunk.subarray(0, left);
        left -= sent.length;
        return left > 0 || sent.length === chunk.length ? sent : [sent];
      });
    });
    say(`${version}: cut at each of ${bytes} bytes`);
  });
});

/** Runs all attacks, in batches; after each a good client is served and nothing is left. */
async function attack(
  served: Served,
  total: number,
  one: (index: number) => Promise<void>,
): Promise<void> {
  // What is allocated once: arenas, code, the buffers of threads.
  await bounded(Math.min(BATCH, total), 64, one);
  await served.serves();
  const before = await served.footprint();
  for (let at = 0; at < total; at += BATCH) {
    const first = at;
    await bounded(Math.min(BATCH, total - at), 128, (i) => one(first + i));
    await served.serves();
  }
  await sameFootprint(served, before);
  const { failures } = (await served.stats()).handshakes;
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  say(`${total} attacks, ${failed} failed handshakes`);
}

/** Sends bytes, then perhaps a FIN; resolves when the server has closed. */
async function send(port: number, bytes: Buffer, end: boolean): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  // A reset is an answer too.
  socket.on('error', () => {});
  socket.resume();
  socket.once('end', () => socket.end());
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await gone(socket);
}

/**
 * A node:tls client whose flights are changed on the wire. An array is the last that goes out, with
 * a FIN behind it.
 */
async function shake(
  port: number,
  version: tls.SecureVersion,
  change: (chunk: Buffer, flight: number) => Buffer | [last: Buffer],
): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  let flight = 0;
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      const sent = change(chunk, ++flight);
      if (Array.isArray(sent)) socket.end(sent[0]);
      else socket.write(sent);
      callback();
    },
    final(callback) {
      socket.end();
      callback();
    },
  });
  socket.on('data', (chunk: Buffer) => wire.push(chunk));
  socket.once('end', () => {
    wire.push(null);
    socket.end();
  });
  const client = tls.connect({
    servername: 'localhost',
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    socket: wire,
  });
  client.on('error', () => socket.end());
  client.once('secureConnect', () => client.end('ping'));
  client.resume();
  await gone(socket);
  client.destroy();
}

/** Resolves at 'close', rejects where that does not come. */
function gone(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const hang = setTimeout(() => {
      reject(new Error(`the server has not closed within ${HANG} ms`));
      socket.destroy();
    }, HANG);
    socket.once('close', () => {
      clearTimeout(hang);
      resolve();
    });
  });
}
