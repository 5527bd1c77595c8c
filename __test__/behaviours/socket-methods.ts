/** Methods and properties of the server's end of a connection. */
import { once } from 'node:events';
import type { SecureVersion, TlsOptions, TLSSocket } from 'node:tls';

import { closed } from '../support/streams.js';
import type { Modules, Row } from './row.js';
import { attempt, type Ends, promised, type Stage, text } from './stage.js';

const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];

/** A program on an established connection, for each version. */
function onBoth(
  program: (ends: Ends, stage: Stage) => unknown,
  server: object = {},
  client: object = {},
): Row['run'] {
  return async (modules, stage) => {
    const transcripts = [];
    for (const maxVersion of versions) {
      const made = modules.tls.createServer({ ...stage.material.rsa, ...server });
      const ends = await stage.pair(made, { maxVersion, ...client });
      transcripts.push(await program(ends, stage));
    }
    return transcripts;
  };
}

/** A program on one established connection. */
function onOne(
  program: (ends: Ends, stage: Stage, modules: Modules) => unknown,
  options: object = {},
): Row['run'] {
  return async (modules, stage) => {
    const server = modules.tls.createServer({ ...stage.material.rsa, ...options });
    return program(await stage.pair(server), stage, modules);
  };
}

/** What isn't in the types. */
interface Inside {
  readonly server: unknown;
  readonly ssl: unknown;
  readonly servername: unknown;
  readonly secureConnecting: boolean;
  readonly _handle: Record<string, unknown> | null;
  readonly _parent: unknown;
  readonly _tlsOptions: Record<string, unknown>;
  readonly _secureEstablished: boolean;
  readonly _requestCert: boolean;
  readonly _rejectUnauthorized: boolean;
  readonly authorizationError: unknown;
  readonly kind?: unknown;
  setServername(name: string): void;
  setKeyCert(context: object): void;
  readonly _server: unknown;
}

const late = {
  name: 'Error',
  code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
  message: 'setKeyCert() is not supported: the handshake is over',
};

const inside = (socket: TLSSocket): Inside => socket as unknown as Inside;

export const socketMethods: Row[] = [
  {
    name: 'exportKeyingMaterial() gives what the client gets',
    run: onBoth(({ socket, client }) => {
      const context = Buffer.from('context');
      return [
        [32, 'EXPERIMENTAL one', undefined],
        [32, 'EXPERIMENTAL one', context],
        [32, 'EXPERIMENTAL two', Buffer.alloc(0)],
        [200, 'EXPORTER-Channel-Binding', Buffer.alloc(0)],
        [1, 'x', context],
      ].map((args) => {
        const [length, label, given] = args as [number, string, Buffer];
        const ours = socket.exportKeyingMaterial(length, label, given);
        const theirs = client.exportKeyingMaterial(length, label, given);
        return [ours.length, ours.equals(theirs)];
      });
    }),
    expect: Array.from({ length: 2 }, () => [
      [32, true],
      [32, true],
      [32, true],
      [200, true],
      [1, true],
    ]),
  },
  {
    name: 'exportKeyingMaterial() with bad arguments',
    run: onBoth(({ socket }) =>
      [
        [0, 'label'],
        [-1, 'label'],
        ['32', 'label'],
        [1.5, 'label'],
        [32],
        [32, 1],
        [32, 'label', 'context'],
        [32, 'label', 1],
        [32, ''],
        [],
      ].map((args) =>
        attempt(() => {
          const made = socket.exportKeyingMaterial(...(args as [number, string, Buffer]));
          return Buffer.isBuffer(made);
        }),
      ),
    ),
  },
  {
    name: 'exportKeyingMaterial() before the handshake and behind the end',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({ ...stage.material.rsa, ALPNProtocols: ['x'] });
      const port = await stage.listen(server);
      const failed = once(server, 'tlsClientError') as Promise<[Error, TLSSocket]>;
      await stage.visit(port, { ALPNProtocols: ['y'] });
      const [, early] = await failed;
      const outcomes = [attempt(() => early.exportKeyingMaterial(32, 'label', undefined as never))];
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      stage.connect(port);
      const [socket] = await accepted;
      socket.destroy();
      outcomes.push(attempt(() => socket.exportKeyingMaterial(32, 'label', undefined as never)));
      return outcomes;
    },
  },
  {
    name: 'getFinished() is getPeerFinished() of the client, and the other way round',
    run: onBoth(({ socket, client }) => {
      const [mine, theirs] = [socket.getFinished(), socket.getPeerFinished()];
      return [
        mine?.length,
        theirs?.length,
        mine && client.getPeerFinished()?.equals(mine),
        theirs && client.getFinished()?.equals(theirs),
      ];
    }),
    different: {
      reason: 'The core does not keep the Finished messages: both methods give undefined.',
      ours: Array.from({ length: 2 }, () => [undefined, undefined, undefined, undefined]),
    },
  },
  {
    name: 'getSharedSigalgs()',
    run: onBoth(({ socket }) => socket.getSharedSigalgs()),
    different: {
      reason: 'Only algorithms that the core has: no SHA-224, DSA, Ed448, RSA-PSS keys or ML-DSA.',
      ours: Array.from({ length: 2 }, () => [
        'ECDSA+SHA256',
        'ECDSA+SHA384',
        'ECDSA+SHA512',
        'Ed25519+UNDEF',
        'RSA-PSS+SHA256',
        'RSA-PSS+SHA384',
        'RSA-PSS+SHA512',
        'RSA+SHA256',
        'RSA+SHA384',
        'RSA+SHA512',
      ]),
    },
  },
  {
    name: 'getSharedSigalgs() with a client of few',
    run: onBoth(
      ({ socket }) => socket.getSharedSigalgs(),
      {},
      { sigalgs: 'RSA-PSS+SHA256:ECDSA+SHA384' },
    ),
  },
  {
    name: 'getEphemeralKeyInfo() is for clients',
    run: onBoth(({ socket }) => socket.getEphemeralKeyInfo()),
    expect: [null, null],
  },
  {
    name: 'getCertificate() and getX509Certificate()',
    run: onBoth(({ socket, client }) => {
      const { subject, fingerprint256, raw } = socket.getCertificate() as {
        subject: object;
        fingerprint256: string;
        raw: Buffer;
      };
      const x509 = socket.getX509Certificate()!;
      return [
        { ...subject },
        fingerprint256 === client.getPeerCertificate().fingerprint256,
        raw.equals(client.getPeerCertificate().raw),
        x509.subject,
        x509.raw.equals(raw),
        Object.keys(socket.getCertificate()!),
      ];
    }),
  },
  {
    name: 'getCertificate() is the one of the name that was asked for',
    run: async ({ tls }, stage) => {
      const { a, b } = stage.material;
      const server = tls.createServer(a);
      server.addContext('b.example', b);
      const { socket } = await stage.pair(server, { servername: 'b.example' });
      const { subject } = socket.getCertificate() as { subject: { CN: string } };
      return [subject.CN, socket.getX509Certificate()?.subject];
    },
    expect: ['b.example', 'CN=b.example'],
  },
  {
    name: 'getProtocol() and getCipher()',
    run: onBoth(({ socket, client }) => [
      socket.getProtocol(),
      socket.getCipher(),
      client.getProtocol(),
      client.getCipher(),
    ]),
  },
  {
    name: 'getSession() and isSessionReused() of a fresh connection',
    run: onBoth(({ socket }) => [
      Buffer.isBuffer(socket.getSession()),
      socket.isSessionReused(),
      socket.getTLSTicket(),
    ]),
    different: {
      reason: 'There is no session of OpenSSL to give: getSession() of a server gives undefined.',
      ours: [
        [false, false, undefined],
        [false, false, undefined],
      ],
    },
  },
  {
    name: 'setMaxSendFragment()',
    run: onBoth(({ socket }) =>
      [512, 16_384, 511, 16_385, 0, -1, 1024].map((size) => socket.setMaxSendFragment(size)),
    ),
    expect: Array.from({ length: 2 }, () => [true, true, false, false, false, false, true]),
  },
  {
    name: 'setMaxSendFragment() with bad values',
    run: onOne(({ socket }) =>
      ['512', 512.5, undefined, null, Number.NaN, {}, 2 ** 32].map((size) =>
        attempt(() => socket.setMaxSendFragment(size as number)),
      ),
    ),
  },
  {
    name: 'setMaxSendFragment(): records are no longer than that',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.rsa);
      const port = await stage.listen(server);
      server.on('secureConnection', (socket) => {
        socket.setMaxSendFragment(512);
        socket.end(Buffer.alloc(2000));
      });
      const { wire, received } = stage.tap(port);
      const client = stage.connect(port, { socket: wire, maxVersion: 'TLSv1.2' });
      await once(client.resume(), 'end');
      const bytes = Buffer.concat(received);
      const data = [];
      for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
        // Application data, without what AES-GCM adds in TLS 1.2.
        if (bytes[at] === 23) data.push(bytes.readUInt16BE(at + 3) - 24);
      }
      return data;
    },
    expect: [512, 512, 512, 464],
  },
  {
    name: 'disableRenegotiation()',
    run: onBoth(({ socket }) => socket.disableRenegotiation()),
    expect: [undefined, undefined],
  },
  {
    name: 'renegotiate() in TLS 1.3',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.rsa);
      const { socket } = await stage.pair(server);
      const called = promised<unknown[]>();
      const given = attempt(() => socket.renegotiate({}, (...args) => called.resolve(args)));
      const [error] = await called.promise;
      const { code } = error as NodeJS.ErrnoException;
      return [
        given,
        code,
        socket.destroyed,
        attempt(() => socket.renegotiate({}, undefined as never)),
      ];
    },
  },
  {
    name: 'renegotiate() with bad arguments',
    run: onBoth(({ socket }) => [
      attempt(() => socket.renegotiate(undefined as never, () => {})),
      attempt(() => socket.renegotiate(1 as never, () => {})),
      attempt(() => socket.renegotiate(null as never, () => {})),
      attempt(() => socket.renegotiate({}, 1 as never)),
      (socket.destroy(), attempt(() => socket.renegotiate({}, () => {}))),
    ]),
  },
  {
    name: 'setServername() is not for servers',
    run: onOne(({ socket }) => [
      attempt(() => inside(socket).setServername('x.example')),
      attempt(() => inside(socket).setServername(1 as never)),
    ]),
  },
  {
    name: 'setKeyCert() after the handshake',
    run: onOne(({ socket }, stage, { tls }) => [
      attempt(() => inside(socket).setKeyCert(stage.material.a)),
      attempt(() => inside(socket).setKeyCert(tls.createSecureContext(stage.material.a))),
      attempt(() => inside(socket).setKeyCert({ key: 1 })),
    ]),
    different: {
      reason: 'Refused once the handshake is over; Node takes it, without effect.',
      ours: [
        late,
        late,
        {
          name: 'TypeError',
          code: 'ERR_INVALID_ARG_TYPE',
          message:
            'The "options.key" property must be of type string or an instance of Buffer, TypedArray, or DataView. Received type number (1)',
        },
      ],
    },
  },
  {
    name: 'setKeyCert() within ALPNCallback: the certificate follows the protocol',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        ALPNCallback(this: TLSSocket, { protocols }: { protocols: string[] }) {
          if (protocols[0] === 'b') inside(this).setKeyCert(stage.material.b);
          return protocols[0];
        },
      } as TlsOptions);
      server.on('secureConnection', (socket) => socket.end('"hello"'));
      const port = await stage.listen(server);
      const names = [];
      for (const maxVersion of versions) {
        for (const protocol of ['a', 'b']) {
          const client = { ALPNProtocols: [protocol], maxVersion };
          names.push((await stage.visit(port, client)).name);
        }
      }
      return names;
    },
    expect: ['a.example', 'b.example', 'a.example', 'b.example'],
  },
  {
    name: 'enableTrace() gives nothing back',
    run: onOne(({ socket }) => (socket.destroy(), socket.enableTrace())),
  },
  {
    name: 'everything that can be asked, of a destroyed socket',
    run: onBoth(async ({ socket }) => {
      const ask = (): unknown[] =>
        (
          [
            'getProtocol',
            'getCipher',
            'getCertificate',
            'getX509Certificate',
            'getPeerCertificate',
            'getPeerX509Certificate',
            'getSession',
            'getTLSTicket',
            'getFinished',
            'getPeerFinished',
            'getSharedSigalgs',
            'getEphemeralKeyInfo',
            'isSessionReused',
            'disableRenegotiation',
          ] as const
        ).map((name) => [name, attempt(() => socket[name]())]);
      socket.destroy();
      const at = ask();
      await closed(socket);
      return [at, ask()];
    }),
  },
  {
    name: 'what a server sees in its listener',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.rsa);
      let seen: unknown;
      await stage.pair(server, {}, (socket) => {
        const within = inside(socket);
        seen = [
          within.server === server,
          within.servername,
          within.secureConnecting,
          within._secureEstablished,
          within._requestCert,
          within._rejectUnauthorized,
          within.authorizationError,
          socket.encrypted,
          socket.authorized,
          socket.alpnProtocol,
          socket.readyState,
          socket.connecting,
          socket.pending,
          socket.destroyed,
          socket.readableFlowing,
          socket.allowHalfOpen,
          socket.timeout,
          socket.bytesRead,
          socket.bytesWritten,
          within._tlsOptions.isServer,
          within._tlsOptions.server === server,
        ];
      });
      return seen;
    },
  },
  {
    name: 'classes: instanceof TLSSocket, Socket and Duplex',
    run: onOne(async ({ socket }, _, { tls }) => {
      const nodeTls = await import('node:tls');
      const net = await import('node:net');
      const stream = await import('node:stream');
      return [
        socket instanceof tls.TLSSocket,
        socket instanceof nodeTls.TLSSocket,
        socket instanceof net.Socket,
        socket instanceof stream.Duplex,
        socket.constructor.name === 'TLSSocket' || socket.constructor.name === 'TlsSocket',
        Object.prototype.toString.call(socket),
      ];
    }),
    expect: [true, true, true, true, true, '[object Object]'],
  },
  {
    name: '_handle: what libraries look at',
    run: onOne(async ({ socket }) => {
      const handle = inside(socket)._handle!;
      const seen: unknown[] = [
        typeof handle,
        typeof handle.fd,
        typeof handle.getAsyncId,
        typeof handle.close,
        typeof handle.readStart,
        typeof handle.readStop,
        typeof handle.ref,
        typeof handle.unref,
        handle.isStreamBase,
        inside(socket).ssl === handle,
      ];
      socket.destroy();
      await closed(socket);
      seen.push(inside(socket)._handle);
      return seen;
    }),
    different: {
      reason:
        '_handle stands for the connection in the core: no stream of libuv (isStreamBase is false).',
      ours: [
        'object',
        'number',
        'function',
        'function',
        'function',
        'function',
        'function',
        'function',
        false,
        true,
        null,
      ],
    },
  },
  {
    name: 'addresses',
    run: onOne(async ({ socket, client, port }) => {
      const {
        address,
        family,
        port: local,
      } = socket.address() as {
        address: string;
        family: string;
        port: number;
      };
      const seen: unknown[] = [
        [address, family, local === port],
        [socket.localAddress, socket.localFamily, socket.localPort === port],
        [socket.remoteAddress, socket.remoteFamily, socket.remotePort === client.localPort],
      ];
      socket.destroy();
      await closed(socket);
      seen.push([socket.address(), socket.localAddress, socket.localPort, socket.localFamily]);
      return seen;
    }),
  },
  {
    name: 'bytesRead and bytesWritten count plaintext',
    run: onOne(
      async ({ socket, client }) => {
        client.end('12345');
        const heard = await text(socket);
        const finished = once(socket, 'close');
        socket.end('1234567');
        const said = await text(client);
        await finished;
        return [heard, said, socket.bytesRead, socket.bytesWritten];
      },
      { allowHalfOpen: true },
    ),
    expect: ['12345', '1234567', 5, 7],
  },
  {
    name: 'bufferSize and writableLength of what has not left',
    run: onOne(({ socket }) => {
      socket.cork();
      socket.write('12345');
      const seen = [socket.writableLength, socket.bufferSize, socket.bytesWritten];
      socket.uncork();
      return seen;
    }),
  },
  {
    name: 'write() with bad values',
    run: onOne(({ socket }) =>
      [null, undefined, 1, {}, true, [1]].map((chunk) =>
        attempt(() => socket.write(chunk as string)),
      ),
    ),
  },
  {
    name: 'write() with encodings',
    run: onOne(async ({ socket, client }) => {
      socket.write('6869', 'hex');
      socket.write('aGk=', 'base64');
      socket.write('\u00e9', 'latin1');
      socket.write(new Uint8Array([33]));
      socket.setDefaultEncoding('hex').end('2e');
      const chunks: Buffer[] = [];
      client.on('data', (chunk: Buffer) => chunks.push(chunk));
      await closed(client);
      return Buffer.concat(chunks).toString('latin1');
    }),
    expect: 'hihi\u00e9!.',
  },
  {
    name: 'setEncoding() decodes across chunks',
    run: onOne(async ({ socket, client }) => {
      const bytes = Buffer.from('\u20ac\u20ac');
      socket.setEncoding('utf8');
      client.write(bytes.subarray(0, 2));
      let heard = '';
      socket.on('data', (chunk: string) => (heard += chunk));
      client.end(bytes.subarray(2));
      await once(socket, 'end');
      return heard;
    }),
    expect: '\u20ac\u20ac',
  },
  {
    name: 'setTimeout() with bad values',
    run: onOne(({ socket }) =>
      [['x'], [-1], [Number.NaN], [undefined], [1, 1]].map((args) =>
        attempt(() => socket.setTimeout(...(args as [number])) === socket),
      ),
    ),
  },
  {
    name: 'setNoDelay(), setKeepAlive(), ref(), unref() give the socket back, also behind its end',
    run: onOne(async ({ socket }) => {
      const ask = (): boolean[] =>
        [
          socket.setNoDelay(),
          socket.setNoDelay(false),
          socket.setKeepAlive(true, 1000),
          socket.setKeepAlive(false),
          socket.unref(),
          socket.ref(),
        ].map((given) => given === socket);
      const at = ask();
      socket.destroy();
      await closed(socket);
      return [at, ask()];
    }),
  },
  {
    name: 'async iteration reads to the end',
    run: onOne(async ({ socket, client }) => {
      client.end('to the end');
      let heard = '';
      for await (const chunk of socket) heard += String(chunk);
      return [heard, socket.destroyed];
    }),
    expect: ['to the end', true],
  },
  {
    name: 'pipe() through both ends',
    run: onOne(async ({ socket, client }) => {
      socket.pipe(socket);
      client.end('there and back');
      return text(client);
    }),
    expect: 'there and back',
  },
  {
    name: 'a megabyte there and back',
    run: onOne(async ({ socket, client }) => {
      const bytes = Buffer.alloc(1 << 20, 'abcdefg');
      socket.pipe(socket);
      client.end(bytes);
      return Buffer.from(await text(client)).equals(bytes);
    }),
    expect: true,
  },
];
