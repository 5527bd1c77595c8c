/**
 * Frameworks from npm, each in a small program of its own that says what it saw: with Node alone,
 * with the modules imported from offloop, with `offloop/register` preloaded, and with its servers
 * adopted. What it says is the same, and the sockets are offloop's.
 */
import path from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from '../support/certificates.js';
import { commandIt, run } from '../support/faults/commands.js';
import { OTHER_NODES } from '../support/runtimes.js';

/** A way to offloop, with the flags of Node that it takes. */
const WAYS = {
  node: [],
  import: [],
  register: ['--require', 'offloop/register'],
  'register as ESM': ['--import', 'offloop/register'],
  adopt: [],
} as const;

type Way = keyof typeof WAYS;

/** For servers that the program, or the framework as it is told, makes with Node's modules. */
const ALL: readonly Way[] = ['node', 'import', 'register', 'adopt'];
/** For servers and sockets that the framework makes inside of itself. */
const INSIDE: readonly Way[] = ['node', 'register'];

interface Program {
  readonly name: string;
  readonly ways: readonly Way[];
  readonly says: readonly string[];
}

const PROGRAMS: readonly Program[] = [
  {
    name: 'express',
    ways: [...ALL, 'register as ESM'],
    says: [
      '{"hello":"world","secure":true,"protocol":"https","ip":"127.0.0.1","httpVersion":"1.1"}',
      'echo: 200, the same bytes',
      'alice',
      'file: the same bytes',
      'one\ntwo\n',
      '500 on purpose',
      '404',
    ],
  },
  {
    name: 'fastify',
    ways: ALL,
    says: [
      '{"protocol":"https","version":"1.1","query":{"a":"1"}}',
      'upload: the same bytes',
      'one two three',
      '500 {"statusCode":500,"error":"Internal Server Error","message":"on purpose"}',
    ],
  },
  {
    name: 'fastify-http2',
    ways: ALL,
    says: [
      '{"version":"2.0","alpn":"h2"}',
      'at once: true,true,true',
      '{"version":"1.1","alpn":false}',
    ],
  },
  {
    name: 'koa',
    ways: ALL,
    says: [
      '{"path":"/hello","secure":true,"protocol":"https","version":"1.1"} koa',
      'echo: the same bytes',
      'pipe: the same bytes',
      '{"path":"/hello","secure":true,"protocol":"https","version":"2.0"} koa',
      'echo: the same bytes',
      'pipe: the same bytes',
    ],
  },
  {
    name: 'hono',
    ways: ALL,
    says: [
      '{"protocol":"https:","pathname":"/hello","version":"1.1"}',
      'echo: the same bytes',
      'one two three',
      '{"protocol":"https:","pathname":"/hello","version":"2.0"}',
      'echo: the same bytes',
      'one two three',
    ],
  },
  {
    name: 'ws',
    ways: ALL,
    says: [
      'extensions: permessage-deflate',
      'hello, text',
      'echoes: true,true,true,true,true,true',
      'pong: are you there',
      'closed 4000 enough',
      'closed 4000 enough',
      'Unexpected server response: 400',
    ],
  },
  {
    name: 'socket.io',
    ways: ALL,
    says: [
      'websocket: ä, the same bytes',
      'polling: ä, the same bytes',
      '["hello all","hello all"]',
      'upgraded to websocket: still here',
    ],
  },
  {
    name: 'grpc',
    ways: INSIDE,
    says: [
      '{"sum":3}',
      '3: not a number',
      'echo: the same bytes',
      'counted to 2000, trailer 2000',
      '{"sum":500500}',
      '["HELLO","HELLO!","HELLO!!"]',
      '{"sum":42,"peer":"alice"}',
      'refused: UNAVAILABLE',
      'refused: UNAVAILABLE',
    ],
  },
  {
    name: 'undici',
    ways: ALL,
    says: [
      '{"version":"1.1","path":"/1","peer":"alice"}',
      '{"version":"1.1","path":"/2","peer":"alice"}',
      '{"version":"1.1","path":"/3","peer":"alice"}',
      '{"version":"1.1","path":"/4","peer":"alice"}',
      'request: the same bytes',
      'fetch: 200, the same bytes',
      'WebSocket: hello',
      '{"version":"2.0","path":"/h2"}',
      'request: the same bytes',
    ],
  },
  {
    name: 'got',
    ways: ALL,
    says: [
      '{"version":"1.1","path":"/hello","peer":"alice"}',
      '{"version":"1.1","path":"/found","peer":"alice"}',
      'post: the same bytes',
      'stream: the same bytes',
      '{"version":"2.0","path":"/h2"}',
      'post: the same bytes',
    ],
  },
  {
    name: 'smtp-server',
    ways: INSIDE,
    says: [
      'auth: alice secret, secure: true',
      'mail: bob@example.org, TLS_AES_256_GCM_SHA384, the same bytes',
      '250 OK: message queued',
      'auth: alice secret, secure: true',
      'mail: bob@example.org, TLS_AES_256_GCM_SHA384, the same bytes',
      '250 OK: message queued',
    ],
  },
  {
    name: 'aedes',
    ways: ALL,
    says: [
      'hello alice, true',
      'hello alice, true',
      'bytes/0: qos 0, the same bytes',
      'bytes/1: qos 1, the same bytes',
      'bytes/2: qos 2, the same bytes',
      'kept: still here, retained',
    ],
  },
  {
    name: 'pg',
    ways: ['node', 'import', 'register'],
    says: [
      'encrypted: true',
      '[{"value":"hello"}]',
      '[{"value":"a value"}]',
      'long: the same',
      '["1","2","3","4"]',
    ],
  },
  {
    name: 'http-proxy',
    ways: ALL,
    says: [
      '{"path":"/hello","proto":"https","client":"127.0.0.1"}',
      'echo: the same bytes',
      'WebSocket: the same bytes',
    ],
  },
];

interface Report {
  readonly notes: readonly string[];
  readonly sockets: Record<'node' | 'offloop' | 'neither', number>;
  readonly connections: number;
  readonly handshakes: number;
  readonly warnings: readonly string[];
}

let identities: object;

beforeAll(async () => {
  const authority = await Authority.create();
  const strangers = await Authority.create('Strangers');
  identities = {
    ca: authority.cert,
    server: pair(await authority.issue()),
    client: pair(await authority.issue({ use: 'client', subject: 'CN=alice' })),
    stranger: pair(await strangers.issue({ use: 'client', subject: 'CN=mallory' })),
  };
});

/** Options of a server or a client: `ca` is another matter. */
const pair = ({ key, cert }: Issued): object => ({ key, cert });

const main = path.join(import.meta.dirname, 'run.mjs');

describe.each(PROGRAMS)('$name', (program) => {
  it.each(program.ways)('%s', (way) => check(process.execPath, program, way));

  // The way that reaches into everything, where the inside of Node is another: the newest two.
  for (const { name, binary } of OTHER_NODES.slice(-2)) {
    commandIt(binary, `register, under ${name}`, () => check(binary, program, 'register'));
  }
});

async function check(binary: string, { name, says }: Program, way: Way): Promise<void> {
  const args = [...WAYS[way], main, name, way];
  const { code, stdout, stderr } = await run(binary, args, JSON.stringify(identities));
  // What else stands on stderr are deprecations: its warnings are in the report.
  expect({ code, ...(code !== 0 && { stderr }) }).toEqual({ code: 0 });
  const { notes, sockets, connections, handshakes, warnings } = JSON.parse(stdout) as Report;
  expect(notes).toEqual(says);
  expect(warnings).toEqual([]);
  expect(connections).toBeGreaterThan(0);
  expect(handshakes).toBe(way === 'node' ? 0 : connections);
  // None is the other's.
  expect(sockets).toMatchObject(
    way === 'node' ? { offloop: 0, neither: 0 } : { node: 0, neither: 0 },
  );
}
