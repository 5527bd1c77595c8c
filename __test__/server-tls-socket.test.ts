/**
 * `new tls.TLSSocket(stream, { isServer: true })`: one table of programs, each run with node:tls and
 * with offloop, of which events, values and codes must be the same.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { TlsSocket } from 'offloop';
import { beforeAll, describe, expect, test } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { tcpPair } from './support/disposables.js';
import { listening, perform, type Program, visit } from './support/socket-stage.js';
import { closed, duplexPair, readAll, until } from './support/streams.js';
import {
  FallingBack,
  nodeSockets,
  offloopSockets,
  type SocketOptions,
} from './support/tls-socket-classes.js';

const classFile = fileURLToPath(new URL('../dist/tls-socket-class.js', import.meta.url));

let identity: Issued;
let other: Issued;
let clientIdentity: Issued;

beforeAll(async () => {
  const authority = await Authority.create();
  identity = await authority.issue();
  other = await authority.issue({ names: ['other.test'], subject: 'CN=other.test' });
  clientIdentity = await authority.issue({ use: 'client', subject: 'CN=client' });
});

const garbage = Buffer.alloc(1024, 42);

const endings: Record<string, Program> = {
  'a client that comes, speaks and goes': {
    made: ({ socket }) => void socket.on('data', () => {}),
    run: (stage) => void visit(stage, {}, 'hello'),
  },
  'nobody reads': { run: (stage) => void visit(stage) },
  'paused by its owner': {
    made: ({ socket }) => void socket.pause(),
    run: (stage) => void visit(stage),
  },
  'no TLS': { run: ({ peer }) => void peer.write(garbage) },
  'no TLS, while a listener hears errors': {
    made: ({ socket }) => void socket.on('error', () => {}),
    run: ({ peer }) => void peer.write(garbage),
  },
  'the peer ends before the handshake': { run: ({ peer }) => void peer.end() },
  'the peer ends in the middle of its ClientHello': {
    made: ({ socket }) => void socket.on('data', () => {}),
    run: ({ peer }) => void peer.end(Buffer.from('16030100a5010000', 'hex')),
  },
  'the peer resets': { run: ({ peer }) => void peer.resetAndDestroy() },
  'destroyed at once': {
    made: ({ socket }) => void socket.destroy(),
    run: () => {},
  },
  'destroyed at once with an error': {
    made: ({ socket }) => void socket.destroy(Object.assign(new Error('mine'), { code: 'MINE' })),
    run: () => {},
  },
  "destroyed in the listener of 'secure'": {
    made: ({ socket }) => void socket.on('secure', () => socket.destroy()),
    run: (stage) => void visit(stage),
  },
  'the stream beneath is destroyed': {
    run: ({ raw }) => void raw.destroy(),
  },
  'the stream beneath breaks': {
    run: ({ raw }) => void raw.destroy(Object.assign(new Error('raw'), { code: 'RAW' })),
  },
  'the stream beneath breaks after the handshake': {
    made: ({ socket, raw }) =>
      void socket.on('secure', () =>
        setImmediate(() => raw.destroy(Object.assign(new Error('raw'), { code: 'RAW' }))),
      ),
    run: (stage) => void stage.connect(),
  },
  'ended before the handshake': {
    made: ({ socket }) => void socket.end(),
    run: (stage) => void stage.connect(),
  },
  'a client that does not like the certificate': {
    made: ({ socket }) => void socket.on('data', () => {}),
    run: (stage) => void stage.connect({ rejectUnauthorized: true, maxVersion: 'TLSv1.2' }),
  },
  'idle before the handshake': {
    made: ({ socket, events }) =>
      void socket.setTimeout(20, () => {
        events.push('timed out');
        socket.destroy();
      }),
    run: () => {},
  },
  'an AbortSignal': {
    options: () => ({ signal: AbortSignal.timeout(10) }) as SocketOptions,
    run: () => {},
  },
  'a certificate is asked for and not shown': {
    options: () => ({ requestCert: true, rejectUnauthorized: true }),
    made: ({ socket }) => void socket.on('data', () => {}),
    run: (stage) => void visit(stage),
  },
};

const data: Record<string, Program> = {
  'what is written before the handshake comes after it': {
    made({ socket, events }) {
      socket.resume();
      socket.write('one,', () => events.push('one'));
      socket.write('two,', () => events.push('two'));
      events.push(`waits ${socket.writableLength}`);
      socket.on('secure', () => events.push(`still ${socket.writableLength}`));
    },
    async run(stage) {
      const client = stage.connect();
      const words: Buffer[] = [];
      client.on('data', (chunk: Buffer) => words.push(chunk));
      await until(() => stage.events.includes('two') && Buffer.concat(words).length === 8);
      client.end();
      return String(Buffer.concat(words));
    },
  },
  'corked before the handshake': {
    made({ socket }) {
      socket.resume().cork();
      for (const word of ['one,', 'two,', 'three']) socket.write(word);
      socket.uncork();
    },
    async run(stage) {
      const client = stage.connect();
      await once(client, 'secureConnect');
      stage.socket.end();
      const received = String(await readAll(client));
      client.end();
      return received;
    },
  },
  'settings before the handshake': {
    made({ socket }) {
      socket.setNoDelay(true).setKeepAlive(true, 1000);
      socket.resume();
    },
    run(stage) {
      stage.socket.setMaxSendFragment(1024);
      visit(stage);
    },
  },
  'the client speaks in its last flight': {
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const client = stage.connect({ maxVersion: 'TLSv1.3' });
      client.write('early');
      const [chunk] = (await once(stage.socket, 'data')) as [Buffer];
      client.resume().end();
      return String(chunk);
    },
  },
};

const facts: Record<string, Program> = {
  'before and at the end of the handshake, and once closed': {
    options: () => ({ ALPNProtocols: ['one'] }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const before = snapshot(stage.socket);
      let at = {};
      stage.socket.once('secure', () => (at = snapshot(stage.socket)));
      visit(stage, { servername: 'example.test', ALPNProtocols: ['two', 'one'] });
      await closed(stage.socket);
      return { before, at, after: snapshot(stage.socket) };
    },
  },
  'the addresses before the handshake': {
    run({ socket, peer }) {
      const { remoteAddress, remotePort, remoteFamily, localAddress } = socket;
      const own = socket.localPort === peer.remotePort;
      socket.destroy();
      return [remoteAddress, remotePort === peer.localPort, remoteFamily, localAddress, own];
    },
  },
  'with a certificate of the client': {
    options: () => ({ requestCert: true, ca: identity.ca }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const { key, cert } = clientIdentity;
      visit(stage, { key, cert });
      await once(stage.socket, 'secure');
      const { authorized, authorizationError } = stage.socket;
      const { subject } = stage.socket.getPeerCertificate();
      return [authorized, authorizationError, { ...subject }, verifyError(stage.socket)];
    },
  },
  "with a stranger's certificate": {
    options: () => ({ requestCert: true, ca: identity.ca }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const stranger = await (await Authority.create('Stranger')).issue({ use: 'client' });
      visit(stage, { key: stranger.key, cert: stranger.cert });
      await once(stage.socket, 'secure');
      const { authorized, authorizationError } = stage.socket;
      return [authorized, authorizationError, verifyError(stage.socket)];
    },
  },
  'exportKeyingMaterial() before the handshake': {
    made: ({ socket }) => void socket.resume(),
    run(stage) {
      visit(stage);
      try {
        return stage.socket.exportKeyingMaterial(10, 'label', Buffer.alloc(0));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        return [code, message];
      }
    },
  },
  'a context instead of key and certificate': {
    options: (library) => ({
      key: undefined,
      cert: undefined,
      secureContext: library.createSecureContext({ key: other.key, cert: other.cert }),
    }),
    made: ({ socket }) => void socket.resume(),
    async run(stage) {
      const client = stage.connect();
      await once(client, 'secureConnect');
      const { subject } = client.getPeerCertificate();
      client.resume().end();
      return { ...subject };
    },
  },
  'neither context nor certificate': {
    options: () => ({ key: undefined, cert: undefined }),
    run: (stage) => void stage.connect(),
  },
  keylog: {
    async run(stage) {
      const lines: string[] = [];
      stage.socket.on('keylog', (line: Buffer) => lines.push(String(line)));
      stage.socket.resume();
      visit(stage, { minVersion: 'TLSv1.3' });
      await once(stage.socket, 'secure');
      await until(() => lines.length >= 4);
      return lines
        .map((line) => line.replaceAll(/[0-9a-f]{32,}/g, 'hex'))
        .toSorted()
        .slice(0, 5);
    },
  },
};

describe.each([
  ['endings', endings],
  ['data', data],
  ['facts', facts],
])('%s', (_, programs) => {
  test.for(Object.entries(programs))('%s', async ([, program]) => {
    expect(await perform(offloopSockets, identity, program)).toStrictEqual(
      await perform(nodeSockets, identity, program),
    );
  });
});

describe('what Node has not, or not so', () => {
  test('handshakeTimeout destroys the socket', async () => {
    const { events } = await perform(offloopSockets, identity, {
      options: () => ({ handshakeTimeout: 20 }),
      run: () => {},
    });
    expect(events).toEqual(['_tlsError ERR_TLS_HANDSHAKE_TIMEOUT', 'close false']);
  });

  test('rejectUnauthorized refuses an invalid certificate in the handshake', async () => {
    const { events } = await perform(offloopSockets, identity, {
      options: () => ({ requestCert: true, rejectUnauthorized: true }),
      run: (stage) => void stage.connect({ key: clientIdentity.key, cert: clientIdentity.cert }),
    });
    expect(events.at(-1)).toBe('close true');
    expect(events[0]).toMatch(/^error UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
  });

  test('a write is lost with the handshake, and told so', async () => {
    const { events } = await perform(offloopSockets, identity, {
      made: ({ socket, events: noted }) =>
        void socket.write('lost', (error) => noted.push((error as NodeJS.ErrnoException).code!)),
      run: ({ peer }) => void peer.write(garbage),
    });
    expect(events).toEqual([
      'ERR_SSL_WRONG_VERSION_NUMBER',
      'error ERR_SSL_WRONG_VERSION_NUMBER',
      '_tlsError ERR_SSL_WRONG_VERSION_NUMBER',
      'close true',
    ]);
  });
});

test.for(['enableTrace: true', ''])(
  'a trace of the handshake, asked for by %j or a call',
  async (option) => {
    const source = `
    const { tlsSocketClass } = require(${JSON.stringify(classFile)});
    const tls = require('node:tls');
    const { Duplex } = require('node:stream');
    const [client, server] = [0, 1].map(() => new Duplex({
      read() {},
      write(chunk, encoding, callback) { this.other.push(chunk); callback(); },
    }));
    client.other = server;
    server.other = client;
    const identity = ${JSON.stringify({ key: identity.key, cert: identity.cert })};
    const TLSSocket = tlsSocketClass({ fallback: false });
    const socket = new TLSSocket(server, { isServer: true, ...identity, ${option} });
    ${option === '' ? 'socket.enableTrace();' : ''}
    const ends = tls.connect({ socket: client, rejectUnauthorized: false });
    ends.on('secureConnect', () => ends.write('hello'));
    socket.on('data', () => process.exit());`;
    const { stderr } = await promisify(execFile)(process.execPath, ['-e', source]);
    for (const part of ['Received', 'Sent', 'ClientHello', 'ServerHello'])
      expect(stderr).toContain(part);
  },
);

describe('streams beneath', () => {
  test('any Duplex', async () => {
    const [client, server] = duplexPair();
    const socket = new offloopSockets.TLSSocket(server, { isServer: true, ...identity });
    expect([socket.connecting, socket.encrypted]).toEqual([false, true]);
    const ends = tls.connect({ socket: client as never, rejectUnauthorized: false });
    ends.write('through memory');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(String(chunk)).toBe('through memory');
    ends.resume().end();
    socket.end();
    await closed(socket);
    expect(server.destroyed).toBe(true);
  });

  test.for([nodeSockets, offloopSockets])(
    '$name: a net.Socket that is yet to connect',
    async (library) => {
      await using ends = await listening();
      const raw = new net.Socket();
      const socket = new library.TLSSocket(raw, { isServer: true, ...identity });
      const before = [socket.connecting, socket.pending];
      raw.connect((ends.server.address() as AddressInfo).port, '127.0.0.1');
      const [[peer]] = (await Promise.all([
        once(ends.server, 'connection'),
        once(socket, 'connect'),
      ])) as [[net.Socket], unknown];
      const after = [socket.connecting, socket.pending];
      const client = tls.connect({ socket: peer, rejectUnauthorized: false });
      await Promise.all([once(client, 'secureConnect'), once(socket, 'secure')]);
      client.destroy();
      await closed(socket.resume());
      expect([before, after]).toEqual([
        [true, true],
        [false, false],
      ]);
    },
  );

  test('what was read before belongs to the handshake', async () => {
    await using ends = await tcpPair();
    const client = tls.connect({ socket: ends.client, rejectUnauthorized: false });
    await once(ends.socket, 'readable');
    const socket = new offloopSockets.TLSSocket(ends.socket, { isServer: true, ...identity });
    await Promise.all([once(client, 'secureConnect'), once(socket, 'secure')]);
    client.destroy();
    await closed(socket.resume());
  });

  test.for([undefined, null, 5, 'stream', {}])('%s is none', (stream) => {
    const make = (): unknown =>
      new offloopSockets.TLSSocket(stream as never, { isServer: true, ...identity });
    if (stream == null) (make() as Duplex).on('error', () => {}).destroy();
    else expect(make).toThrow(TypeError);
  });
});

describe('the class', () => {
  test("is Node's to instanceof, in both directions", async () => {
    const { TLSSocket } = offloopSockets;
    const [, stream] = duplexPair();
    const socket = new TLSSocket(stream, { isServer: true, ...identity });
    expect([
      socket instanceof TLSSocket,
      socket instanceof tls.TLSSocket,
      socket instanceof TlsSocket,
      TLSSocket.prototype === tls.TLSSocket.prototype,
    ]).toEqual([true, true, true, true]);
    await closed(socket.destroy());
  });

  test('makes clients, and sockets of subclasses, as Node does', async () => {
    const { TLSSocket } = offloopSockets;
    class Derived extends TLSSocket {}
    const [client, server] = duplexPair();
    const sockets = [
      new TLSSocket(),
      new TLSSocket(client),
      new Derived(server, { isServer: true, ...identity }),
    ];
    expect(sockets.map((socket) => socket instanceof TlsSocket)).toEqual([false, false, false]);
    expect(sockets[2]).toBeInstanceOf(Derived);
    for (const socket of sockets) socket.on('error', () => {}).destroy();
  });

  test.for([
    [{ SNICallback: 5 }, 'ERR_INVALID_ARG_TYPE'],
    [{ ALPNCallback: 'x' }, 'ERR_INVALID_ARG_TYPE'],
    [{ enableTrace: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ secureContext: {} }, 'ERR_TLS_INVALID_CONTEXT'],
    [{ secureContext: 5 }, 'ERR_TLS_INVALID_CONTEXT'],
    [{ key: 'no key' }, 'ERR_OSSL_UNSUPPORTED'],
  ] as const)('refuses %j as Node does', ([options, code]) => {
    for (const { TLSSocket } of [nodeSockets, offloopSockets]) {
      const [, stream] = duplexPair();
      expect(
        () => new TLSSocket(stream, { isServer: true, ...identity, ...options } as SocketOptions),
      ).toThrow(expect.objectContaining({ code }));
    }
  });

  const unsupported: [string, () => SocketOptions][] = [
    ['options.pskCallback', () => ({ pskCallback: () => null })],
    ['options.secureContext', () => ({ secureContext: tls.createSecureContext(identity) })],
    ['minVersion', () => ({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })],
  ];

  test.for(unsupported)('refuses what the core can not do: %s', ([name, options]) => {
    const [, stream] = duplexPair();
    expect(
      () => new offloopSockets.TLSSocket(stream, { isServer: true, ...identity, ...options() }),
    ).toThrow(
      expect.objectContaining({
        code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
        message: expect.stringContaining(name) as string,
      }),
    );
  });

  test.for(unsupported)(
    "or falls back to Node's, with one warning: %s",
    async ([name, options]) => {
      const warnings: Error[] = [];
      const note = (warning: Error): void => void warnings.push(warning);
      process.on('warning', note);
      for (let i = 0; i < 2; i++) {
        const [, stream] = duplexPair();
        const socket = new FallingBack(stream as never, {
          isServer: true,
          ...identity,
          ...options(),
        });
        expect(socket).not.toBeInstanceOf(TlsSocket);
        socket.on('error', () => {}).destroy();
      }
      await until(() => warnings.length > 0);
      await new Promise((resolve) => setImmediate(resolve));
      process.off('warning', note);
      expect(warnings).toMatchObject([
        { code: 'OFFLOOP_FALLBACK', message: expect.stringContaining(name) as string },
      ]);
    },
  );
});

function verifyError(socket: tls.TLSSocket): string | undefined {
  const { ssl } = socket as unknown as { ssl: { verifyError(): NodeJS.ErrnoException | null } };
  return ssl.verifyError()?.code;
}

function snapshot(socket: tls.TLSSocket): object {
  const names = [
    'secureConnecting',
    '_secureEstablished',
    '_controlReleased',
    '_requestCert',
    '_rejectUnauthorized',
    '_securePending',
    '_newSessionPending',
    '_hadError',
    'encrypted',
    'authorized',
    'authorizationError',
    'alpnProtocol',
    'servername',
    'server',
    'connecting',
    'pending',
    'readyState',
    'readable',
    'writable',
    'destroyed',
    'closed',
    'errored',
    'allowHalfOpen',
    'timeout',
    'readableFlowing',
  ];
  const values = socket as unknown as Record<string, unknown>;
  const methods = {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher(),
    peer: socket.getPeerCertificate(),
    x509: socket.getPeerX509Certificate(),
    ephemeral: socket.getEphemeralKeyInfo(),
    ticket: socket.getTLSTicket(),
    reused: socket.isSessionReused(),
    algorithms: socket.getSharedSigalgs()?.includes('ECDSA+SHA256'),
  };
  return {
    ...Object.fromEntries(names.map((name) => [name, values[name]])),
    ...methods,
    tlsOptions: (values._tlsOptions as tls.TLSSocketOptions).isServer,
    ssl: values.ssl === values._handle,
    parent: (values._parent as object | null)?.constructor.name,
  };
}
