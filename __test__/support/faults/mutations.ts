/** ClientHellos as no client sends them: changed in their structure, then perhaps in their bytes. */
import type { Dice } from '../bytes.js';
import { CLIENT_HELLO, HANDSHAKE, message, record } from './client-hello.js';
import type { Extension, Hello } from './hello.js';
import { number, vector } from './hello.js';

/** A flight that starts with a ClientHello, changed one to three times in its structure. */
export function mutatedHello(original: Hello, dice: Dice): Buffer {
  const hello = original.copy();
  for (let i = dice.next(3); i >= 0; i--) pick(structural, dice)(hello, dice);
  const bytes = pick(framings, dice)(hello, dice);
  return dice.next(4) === 0 ? mutatedBytes(bytes, dice) : bytes;
}

/** Bytes changed one to four times: flipped, set, cut, inserted, removed, doubled. */
export function mutatedBytes(original: Buffer, dice: Dice): Buffer {
  let bytes = Buffer.from(original);
  for (let i = dice.next(4); i >= 0 && bytes.length > 0; i--) {
    const at = dice.next(bytes.length);
    const size = 1 + dice.next(Math.min(64, bytes.length - at));
    const front = bytes.subarray(0, at);
    switch (dice.next(6)) {
      case 0:
        bytes[at] ^= 1 << dice.next(8);
        break;
      case 1:
        bytes[at] = [0, 1, 127, 128, 255][dice.next(5)];
        break;
      case 2:
        bytes = Buffer.from(front);
        break;
      case 3:
        bytes = Buffer.concat([front, random(size, dice), bytes.subarray(at)]);
        break;
      case 4:
        bytes = Buffer.concat([front, bytes.subarray(at + size)]);
        break;
      case 5:
        bytes = Buffer.concat([front, bytes.subarray(at, at + size), bytes.subarray(at)]);
        break;
    }
  }
  return bytes;
}

type Change = (hello: Hello, dice: Dice) => void;

const VERSIONS = [0, 0x0200, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0x0305, 0x7f1c, 0xffff];

const structural: Change[] = [
  (hello, dice) => (hello.version = pick(VERSIONS, dice)),
  (hello, dice) => (hello.sessionId = random(dice.next(40), dice)),
  (hello, dice) => (hello.suites = random(dice.next(40), dice)),
  (hello, dice) =>
    (hello.suites = Buffer.concat([hello.suites, Buffer.of(0x56, 0)].slice(dice.next(2)))),
  (hello, dice) => (hello.compression = random(dice.next(4), dice)),
  (hello, dice) => (hello.rest = random(dice.next(40), dice)),
  (hello, dice) => {
    if (dice.next(8) === 0) hello.extensions = null;
  },
  // One extension: gone, twice, somewhere else, of another type, with another body.
  withOne((all, at) => void all.splice(at, 1)),
  withOne((all, at, dice) => void all.splice(dice.next(all.length), 0, { ...all[at] })),
  withOne((all, at, dice) => {
    const [moved] = all.splice(at, 1);
    all.splice(dice.next(all.length + 1), 0, moved);
  }),
  withOne((all, at, dice) => (all[at].type = dice.next(64))),
  withOne((all, at) => (all[at].body = Buffer.alloc(0))),
  withOne((all, at, dice) => (all[at].body = random(dice.next(80), dice))),
  withOne((all, at, dice) => (all[at].body = mutatedBytes(all[at].body, dice))),
  withOne((all, at, dice) => {
    const { body } = all[at];
    all[at].body = body.subarray(0, dice.next(body.length + 1));
  }),
  // Its inner list claims another length.
  withOne((all, at, dice) => {
    if (all[at].body.length < 2) return;
    all[at].body = Buffer.concat([number(dice.next(300), 2), all[at].body.subarray(2)]);
  }),
  // The list twice in itself: groups, shares and versions of which each comes again.
  withOne((all, at) => {
    const list = all[at].body.subarray(2);
    all[at].body = vector(Buffer.concat([list, list]), 2);
  }),
  (hello, dice) => {
    for (let i = dice.next(60); i > 0; i--) {
      hello.extensions?.push({ type: dice.next(65_536), body: random(dice.next(20), dice) });
    }
  },
  (hello, dice) => {
    const all = hello.extensions ?? [];
    for (let i = all.length - 1; i > 0; i--) {
      const other = dice.next(i + 1);
      [all[i], all[other]] = [all[other], all[i]];
    }
  },
];

type Framing = (hello: Hello, dice: Dice) => Buffer;

/** The message in its records; rightly in half of the cases. */
const framings: Framing[] = [
  ...Array.from({ length: 4 }, (): Framing => (hello) => hello.bytes()),
  (hello, dice) => record(HANDSHAKE, message(CLIENT_HELLO, hello.body()), dice.next(65_536)),
  (hello, dice) => record(HANDSHAKE, message(CLIENT_HELLO, hello.body(), dice.next(40_000))),
  (hello, dice) => record(HANDSHAKE, message(dice.next(256), hello.body())),
  (hello, dice) => {
    const whole = message(CLIENT_HELLO, hello.body());
    const size = 1 + dice.next(200);
    const pieces: Buffer[] = [];
    for (let at = 0; at < whole.length; at += size) {
      // Now and then one of another kind in between.
      if (dice.next(20) === 0) pieces.push(record(dice.next(30), random(dice.next(10), dice)));
      pieces.push(record(HANDSHAKE, whole.subarray(at, at + size)));
    }
    return Buffer.concat(pieces);
  },
];

function withOne(change: (all: Extension[], at: number, dice: Dice) => void): Change {
  return (hello, dice) => {
    const all = hello.extensions;
    if (all !== null && all.length > 0) change(all, dice.next(all.length), dice);
  };
}

function random(size: number, dice: Dice): Buffer {
  return Buffer.from(Array.from({ length: size }, () => dice.next(256)));
}

function pick<T>(from: readonly T[], dice: Dice): T {
  return from[dice.next(from.length)];
}
