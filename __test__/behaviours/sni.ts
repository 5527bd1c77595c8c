/** Server names: addContext, SNICallback, servername. */
import { once } from 'node:events';
import type { SecureContext, TlsOptions, TLSSocket } from 'node:tls';

import { until } from '../support/streams.js';
import type { Modules, Row } from './row.js';
import { attempt, failure, type Stage, tell } from './stage.js';

/** The names of the certificates that clients get who ask for `asked`. */
async function names(stage: Stage, port: number, asked: readonly string[]): Promise<unknown> {
  const got = [];
  for (const servername of asked) {
    const { name, code, heard } = await stage.visit(port, { servername });
    got.push([servername, name ?? code, heard]);
  }
  return got;
}

/** A server whose SNICallback is this; how a connection with a name and one without go. */
async function calledBack(
  { tls }: Modules,
  stage: Stage,
  SNICallback: NonNullable<TlsOptions['SNICallback']>,
): Promise<unknown> {
  const server = tell(tls.createServer({ ...stage.material.a, SNICallback }), said);
  const failed: unknown[] = [];
  server.on('tlsClientError', (error: Error) => failed.push(error.message));
  const port = await stage.listen(server);
  const named = await stage.visit(port, { servername: 'b.example' });
  const nameless = await stage.visit(port);
  return [named, nameless].map(({ name, code, heard }) => [name ?? code, heard]).concat([failed]);
}

const said = (socket: TLSSocket): unknown => (socket as unknown as Named).servername;

interface Named {
  servername: unknown;
}

export const sni: Row[] = [
  {
    name: 'addContext() chooses by name; the default serves the rest',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa), said);
      server.addContext('a.example', stage.material.a);
      server.addContext('b.example', stage.material.b);
      const port = await stage.listen(server);
      const { name, heard } = await stage.visit(port);
      return [
        await names(stage, port, ['a.example', 'b.example', 'c.example', 'x.a.example']),
        [name, heard],
      ];
    },
    expect: [
      [
        ['a.example', 'a.example', 'a.example'],
        ['b.example', 'b.example', 'b.example'],
        ['c.example', 'localhost', 'c.example'],
        ['x.a.example', 'localhost', 'x.a.example'],
      ],
      ['localhost', false],
    ],
  },
  {
    name: 'addContext() with a wildcard: one label, no more, no less',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('*.wild.example', stage.material.wild);
      const port = await stage.listen(server);
      return names(stage, port, ['x.wild.example', 'x.y.wild.example', 'wild.example']);
    },
    expect: [
      ['x.wild.example', '*.wild.example', 'hello'],
      ['x.y.wild.example', 'localhost', 'hello'],
      ['wild.example', 'localhost', 'hello'],
    ],
  },
  {
    name: 'addContext() with wildcards in odd places',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('www*.example', stage.material.a);
      server.addContext('x.*.example', stage.material.b);
      server.addContext('*', stage.material.wild);
      const port = await stage.listen(server);
      return names(stage, port, ['www1.example', 'www.example', 'x.y.example', 'plain', 'p.q']);
    },
  },
  {
    name: 'addContext(): the last match wins',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('x.wild.example', stage.material.a);
      server.addContext('*.wild.example', stage.material.wild);
      server.addContext('y.wild.example', stage.material.a);
      server.addContext('z.wild.example', stage.material.a);
      server.addContext('z.wild.example', stage.material.b);
      const port = await stage.listen(server);
      return names(stage, port, ['x.wild.example', 'y.wild.example', 'z.wild.example']);
    },
    expect: [
      ['x.wild.example', '*.wild.example', 'hello'],
      ['y.wild.example', 'a.example', 'hello'],
      ['z.wild.example', 'b.example', 'hello'],
    ],
  },
  {
    name: 'addContext(): case does not matter, and is kept',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa), said);
      server.addContext('A.Example', stage.material.a);
      const port = await stage.listen(server);
      return names(stage, port, ['a.example', 'A.EXAMPLE', 'a.eXample']);
    },
    different: {
      reason: 'Names have no case (RFC 6066); some versions of Node compare them byte by byte.',
      ours: [
        ['a.example', 'a.example', 'a.example'],
        ['A.EXAMPLE', 'a.example', 'A.EXAMPLE'],
        ['a.eXample', 'a.example', 'a.eXample'],
      ],
    },
  },
  {
    name: 'addContext(): a dot is a dot',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('a.example', stage.material.a);
      return names(stage, await stage.listen(server), ['a-example', 'aaexample']);
    },
    expect: [
      ['a-example', 'localhost', 'hello'],
      ['aaexample', 'localhost', 'hello'],
    ],
  },
  {
    name: 'addContext() while it listens, with options and with a SecureContext',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      const port = await stage.listen(server);
      const before = await names(stage, port, ['a.example']);
      const given = [
        server.addContext('a.example', stage.material.a),
        server.addContext('b.example', tls.createSecureContext(stage.material.b) as object),
      ];
      return [before, given, await names(stage, port, ['a.example', 'b.example'])];
    },
  },
  {
    name: 'addContext() with bad arguments',
    unserved: true,
    run: ({ tls }, stage) => {
      const server = tls.createServer(stage.material.ecdsa);
      return [
        attempt(() => server.addContext('', stage.material.a)),
        attempt(() => server.addContext(undefined as never, stage.material.a)),
        attempt(() => server.addContext(1 as never, stage.material.a)),
        attempt(() => server.addContext('x', 'y' as never)),
        attempt(() => server.addContext('x', { key: 1 } as never)),
        attempt(() => server.addContext('x', undefined as never)),
      ];
    },
  },
  {
    name: 'addContext() on a server without a certificate of its own',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer());
      server.addContext('a.example', stage.material.a);
      const failed: unknown[] = [];
      server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => failed.push(code));
      const port = await stage.listen(server);
      const { code } = await stage.visit(port);
      const got = await names(stage, port, ['a.example', 'b.example']);
      await until(() => failed.length === 2);
      return [got, code, failed];
    },
  },
  {
    name: 'addContext() with versions of its own: those of the server hold',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('a.example', { ...stage.material.a, maxVersion: 'TLSv1.2' });
      const port = await stage.listen(server);
      const { protocol, name } = await stage.visit(port, { servername: 'a.example' });
      return [protocol, name];
    },
  },
  {
    name: 'addContext() with ciphers of its own',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.rsa));
      const { key, cert } = stage.material.rsa;
      server.addContext('a.example', { key, cert, ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' });
      const port = await stage.listen(server);
      const visits = [];
      for (const servername of ['a.example', 'b.example']) {
        const { cipher } = await stage.visit(port, { servername, maxVersion: 'TLSv1.2' });
        visits.push(cipher);
      }
      return visits;
    },
  },
  {
    name: 'addContext() with sigalgs of its own',
    run: async ({ tls }, stage) => {
      const { key, cert } = stage.material.rsa;
      const server = tell(tls.createServer({ key, cert, sigalgs: 'RSA-PSS+SHA256' }), (socket) =>
        socket.getSharedSigalgs(),
      );
      server.addContext('a.example', { key, cert, sigalgs: 'RSA-PSS+SHA512' });
      const port = await stage.listen(server);
      const visits = [];
      for (const servername of ['a.example', 'b.example'])
        visits.push((await stage.visit(port, { servername })).heard);
      return visits;
    },
  },
  {
    name: 'a context without a certificate for a name: that of the server holds',
    run: async ({ tls }, stage) => {
      const { a, ca, client, strangersCa } = stage.material;
      const served = [];
      for (const callback of [false, true]) {
        const empty = tls.createSecureContext({ ca: strangersCa });
        const SNICallback = callback
          ? (_: string, answer: (error: null, context: typeof empty) => void) => answer(null, empty)
          : undefined;
        const options = { ...a, ca, SNICallback, requestCert: true, rejectUnauthorized: false };
        const server = tls.createServer(options as object);
        tell(server, ({ authorized }) => authorized);
        server.addContext('b.example', empty);
        const port = await stage.listen(server);
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          const visited = await stage.visit(port, {
            ...client,
            servername: 'b.example',
            maxVersion,
          });
          served.push([visited.name, visited.heard]);
        }
      }
      return served;
    },
  },
  {
    name: 'addContext() with authorities of its own: client certificates are checked with them',
    run: async ({ tls }, stage) => {
      const { a, ecdsa, ca, strangersCa, client, strangersClient } = stage.material;
      const server = tls.createServer({
        ...ecdsa,
        ca,
        requestCert: true,
        rejectUnauthorized: false,
      });
      tell(server, ({ authorized, authorizationError }) => [
        authorized,
        authorizationError ?? null,
      ]);
      server.addContext('a.example', { ...a, ca: strangersCa });
      const port = await stage.listen(server);
      const outcomes = [];
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        for (const servername of ['a.example', 'other.example']) {
          for (const identity of [client, strangersClient]) {
            const { heard } = await stage.visit(port, { servername, maxVersion, ...identity });
            outcomes.push(heard);
          }
        }
      }
      return outcomes;
    },
  },
  {
    name: 'the order of match and default: a name without match after setSecureContext()',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa));
      server.addContext('a.example', stage.material.a);
      const port = await stage.listen(server);
      server.setSecureContext(stage.material.b);
      return names(stage, port, ['a.example', 'c.example']);
    },
    expect: [
      ['a.example', 'a.example', 'hello'],
      ['c.example', 'b.example', 'hello'],
    ],
  },
  {
    name: 'servername: what the client sent, false when it sent none',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.ecdsa), said);
      const port = await stage.listen(server);
      const heard = [];
      for (const client of [
        {},
        { servername: '' },
        { servername: 'plain' },
        { servername: 'xn--bcher-kva.example' },
        { maxVersion: 'TLSv1.2' as const },
        { maxVersion: 'TLSv1.2' as const, servername: 'old.example' },
      ]) {
        heard.push((await stage.visit(port, client)).heard);
      }
      return heard;
    },
    expect: [false, false, 'plain', 'xn--bcher-kva.example', false, 'old.example'],
  },
  {
    name: 'servername before the handshake and of the https request',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.ecdsa, (request, response) => {
        response.end(String((request.socket as unknown as Named).servername));
      });
      const port = await stage.listen(server);
      const answers = [];
      for (const servername of ['a.example', '']) {
        answers.push((await stage.request(port, { servername })).body);
      }
      return answers;
    },
    expect: ['a.example', 'false'],
  },
  {
    name: 'SNICallback that answers at once',
    run: (modules, stage) => {
      const asked: string[] = [];
      const context = modules.tls.createSecureContext(stage.material.b);
      return calledBack(modules, stage, (name, answer) => {
        asked.push(name);
        answer(null, context);
      }).then((outcome) => [outcome, asked]);
    },
    expect: [[['b.example', 'b.example'], ['a.example', false], []], ['b.example']],
  },
  {
    name: 'SNICallback that answers later',
    run: (modules, stage) =>
      calledBack(modules, stage, (_, answer) => {
        setImmediate(answer, null, modules.tls.createSecureContext(stage.material.b));
      }),
    expect: [['b.example', 'b.example'], ['a.example', false], []],
  },
  {
    name: 'SNICallback that is asynchronous',
    run: (modules, stage) =>
      calledBack(modules, stage, async (_, answer) => {
        await Promise.resolve();
        answer(null, modules.tls.createSecureContext(stage.material.b));
      }),
    expect: [['b.example', 'b.example'], ['a.example', false], []],
  },
  {
    name: 'SNICallback that answers with nothing: the default context',
    run: async (modules, stage) => {
      const outcomes = [];
      for (const nothing of [undefined, null]) {
        outcomes.push(
          await calledBack(modules, stage, (_, answer) => answer(null, nothing as never)),
        );
      }
      outcomes.push(
        await calledBack(modules, stage, (_, answer) => (answer as unknown as () => void)()),
      );
      return outcomes;
    },
  },
  {
    name: 'SNICallback that answers with the raw context of a SecureContext',
    run: (modules, stage) =>
      calledBack(modules, stage, (_, answer) => {
        const { context } = modules.tls.createSecureContext(stage.material.b);
        answer(null, context as SecureContext);
      }),
    expect: [['b.example', 'b.example'], ['a.example', false], []],
  },
  {
    name: 'SNICallback is called for each connection',
    run: async ({ tls }, stage) => {
      let calls = 0;
      const context = tls.createSecureContext(stage.material.b);
      const server = tell(
        tls.createServer({
          ...stage.material.a,
          SNICallback: (_, answer) => answer(null, (calls++, context)),
        }),
      );
      await names(stage, await stage.listen(server), ['x.example', 'x.example', 'y.example']);
      return calls;
    },
    expect: 3,
  },
  {
    name: 'SNICallback goes before addContext()',
    run: async ({ tls }, stage) => {
      const server = tell(
        tls.createServer({ ...stage.material.ecdsa, SNICallback: (_, answer) => answer(null) }),
      );
      server.addContext('a.example', stage.material.a);
      return names(stage, await stage.listen(server), ['a.example']);
    },
    expect: [['a.example', 'localhost', 'hello']],
  },
  {
    name: 'SNICallback: its this',
    run: async ({ tls }, stage) => {
      let seen: unknown[] = [];
      const server: ReturnType<typeof tls.createServer> = tell(
        tls.createServer({
          ...stage.material.ecdsa,
          SNICallback(this: unknown, ...args) {
            seen = [
              this instanceof tls.TLSSocket,
              (this as { server?: unknown }).server === server,
              args.length,
              typeof args[1],
            ];
            args[1](null);
          },
        }),
      );
      await names(stage, await stage.listen(server), ['a.example']);
      return seen;
    },
  },
  {
    name: 'SNICallback does not switch ALPN off',
    run: async ({ tls }, stage) => {
      const context = tls.createSecureContext(stage.material.b);
      const server = tell(
        tls.createServer({
          ...stage.material.a,
          ALPNProtocols: ['one', 'two'],
          SNICallback: (_, answer) => setImmediate(answer, null, context),
        }),
        (socket) => socket.alpnProtocol,
      );
      const port = await stage.listen(server);
      const client = { servername: 'b.example', ALPNProtocols: ['two', 'one'] };
      const { heard, alpn, name } = await stage.visit(port, client);
      return [heard, alpn, name];
    },
    expect: ['one', 'one', 'b.example'],
  },
  {
    name: 'SNICallback sees each certificate checked with its context',
    run: async ({ tls }, stage) => {
      const { a, b, ca, strangersCa, client } = stage.material;
      const contexts = {
        'a.example': tls.createSecureContext({ ...a, ca }),
        'b.example': tls.createSecureContext({ ...b, ca: strangersCa }),
      } as Record<string, SecureContext>;
      const server = tls.createServer({
        ...a,
        requestCert: true,
        rejectUnauthorized: false,
        SNICallback: (name, answer) => answer(null, contexts[name]),
      });
      tell(server, (socket) => [socket.authorized, socket.authorizationError ?? null]);
      const port = await stage.listen(server);
      const heard = [];
      for (const servername of ['a.example', 'b.example', 'c.example']) {
        heard.push((await stage.visit(port, { servername, ...client })).heard);
      }
      return heard;
    },
  },
  {
    name: 'SNICallback that is no function',
    unserved: true,
    run: ({ tls }, stage) =>
      ['name', 1, {}, null].map((SNICallback) =>
        attempt(() => typeof tls.createServer({ ...stage.material.a, SNICallback } as TlsOptions)),
      ),
  },
  {
    name: 'SNICallback that answers with an error',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        SNICallback: (_, answer) => answer(Object.assign(new Error('no'), { code: 'ENO' })),
      });
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code, secure } = await stage.visit(port, { servername: 'b.example' });
      return [await failed, code, secure];
    },
  },
  {
    name: 'SNICallback that answers with no context',
    run: async ({ tls }, stage) => {
      const server = tls.createServer({
        ...stage.material.a,
        SNICallback: (_, answer) => answer(null, {} as SecureContext),
      });
      const port = await stage.listen(server);
      const failed = failure(server);
      const { code, secure } = await stage.visit(port, { servername: 'b.example' });
      return [await failed, code, secure];
    },
  },
  {
    name: 'SNICallback of http2 and https servers',
    run: async ({ tls, http2, https }, stage) => {
      const { a, b } = stage.material;
      const { createSecureContext } = tls;
      const got = [];
      for (const server of [
        https.createServer({
          ...a,
          SNICallback: (_, answer) => answer(null, createSecureContext(b)),
        }),
        http2.createSecureServer({
          ...a,
          SNICallback: (_, answer) => answer(null, createSecureContext(b)),
        }),
      ]) {
        const port = await stage.listen(server);
        const client = stage.connect(port, {
          servername: 'b.example',
          ALPNProtocols: ['h2', 'http/1.1'],
        });
        await once(client, 'secureConnect');
        got.push([client.getPeerCertificate().subject.CN, client.alpnProtocol]);
      }
      return got;
    },
    expect: [
      ['b.example', 'http/1.1'],
      ['b.example', 'h2'],
    ],
  },
];
