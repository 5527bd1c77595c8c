/** Numbers that no part of ours would submit: the core ignores them, and serves on. */
import { once } from 'node:events';
import { createRequire } from 'node:module';

import { createServer, type TlsSocket } from 'offloop';
import { beforeAll, expect, test } from 'vitest';

import { Dice } from './support/bytes.js';
import { Authority, type Issued } from './support/certificates.js';
import { connect, listen } from './support/disposables.js';
import { readExactly } from './support/streams.js';

const require = createRequire(import.meta.url);
const { hub } = require('../dist/hub.js') as {
  hub(): {
    native: {
      submit(operations: Uint32Array, count: number, slab: Uint8Array, buffers: Uint8Array[]): void;
    };
  };
};

const STRIDE = 4;
const ROUNDS = 20_000;

let identity: Issued;

beforeAll(async () => {
  identity = await (await Authority.create()).issue();
});

test(`${ROUNDS} random submissions, opcodes, slots and lengths`, async () => {
  const server = createServer(identity);
  await using listening = await listen(server as never);
  const accepted = once(server, 'secureConnection') as Promise<[TlsSocket]>;
  const client = connect(listening.port);
  await once(client, 'secureConnect');
  const [socket] = await accepted;
  const { native } = hub();
  const dice = new Dice(1);
  const number = (): number =>
    [0, dice.next(4), dice.next(40), dice.next(70_000), 0x7fff_ffff, 0xffff_ffff][dice.next(6)];
  for (let round = 0; round < ROUNDS; round++) {
    const operations = new Uint32Array(STRIDE * (1 + dice.next(8)));
    for (let at = 0; at < operations.length; at += STRIDE) {
      // Slots that nobody has, or generations that are not there yet.
      operations.set([dice.next(20), number(), 1000 + number(), number()], at);
    }
    const buffers = Array.from({ length: dice.next(3) }, () => new Uint8Array(dice.next(100)));
    native.submit(operations, number(), new Uint8Array(dice.next(1000)), buffers);
  }
  socket.end('served');
  expect(String(await readExactly(client, 6))).toBe('served');
  client.destroy();
});
