/** ALPNProtocols and ALPNCallback. */
import type { TlsOptions, TLSSocket } from 'node:tls';

import type { Modules, Row } from './row.js';
import { attempt, failure, problem, type Stage, tell } from './stage.js';

type Callback = NonNullable<TlsOptions['ALPNCallback']>;

const chosen = (socket: TLSSocket): unknown => socket.alpnProtocol;

/** What both ends agree on, for each offer of a client. */
async function agreed(
  { tls }: Modules,
  stage: Stage,
  server: TlsOptions,
  offers: readonly (readonly string[] | undefined)[],
): Promise<unknown> {
  const port = await stage.listen(
    tell(tls.createServer({ ...stage.material.a, ...server }), chosen),
  );
  const got = [];
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const offer of offers) {
      const { heard, alpn } = await stage.visit(port, {
        maxVersion,
        ...(offer && { ALPNProtocols: [...offer] }),
      });
      got.push([heard, alpn]);
    }
  }
  return got;
}

/** How a connection fails that offers `one` and `two`, by version. */
async function refused({ tls }: Modules, stage: Stage, options: TlsOptions): Promise<unknown> {
  const server = tls.createServer({ ...stage.material.a, ...options });
  const port = await stage.listen(server);
  const failures = [];
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const failed = failure(server);
    const { secure, code } = await stage.visit(port, {
      ALPNProtocols: ['one', 'two'],
      servername: 'a.example',
      maxVersion,
    });
    failures.push([await failed, secure, code]);
  }
  return failures;
}

export const alpn: Row[] = [
  {
    name: 'the order of the server counts',
    run: (modules, stage) =>
      agreed(modules, stage, { ALPNProtocols: ['one', 'two'] }, [
        ['two', 'one'],
        ['two'],
        ['three', 'one'],
      ]),
    expect: [
      ['one', 'one'],
      ['two', 'two'],
      ['one', 'one'],
      ['one', 'one'],
      ['two', 'two'],
      ['one', 'one'],
    ],
  },
  {
    name: 'alpnProtocol is false when the client offers nothing',
    run: (modules, stage) => agreed(modules, stage, { ALPNProtocols: ['one'] }, [undefined]),
    expect: [
      [false, false],
      [false, false],
    ],
  },
  {
    name: 'alpnProtocol is false when the server has none',
    run: (modules, stage) => agreed(modules, stage, {}, [['one'], undefined]),
    expect: Array.from({ length: 4 }, () => [false, false]),
  },
  {
    name: 'ALPNProtocols in its forms',
    run: async (modules, stage) => {
      const wire = Buffer.from('\x03one\x03two', 'latin1');
      const forms = [];
      for (const ALPNProtocols of [
        ['one', 'two'],
        wire,
        new Uint8Array(wire),
        new DataView(wire.buffer, wire.byteOffset, wire.length),
        [Buffer.from('one')],
      ]) {
        try {
          forms.push(
            await agreed(modules, stage, { ALPNProtocols } as TlsOptions, [
              ['two', 'one'],
              ['two'],
            ]),
          );
        } catch (error) {
          forms.push(problem(error));
        }
      }
      return forms;
    },
  },
  {
    name: 'ALPNProtocols that there can not be',
    unserved: true,
    run: ({ tls }, stage) =>
      [['x'.repeat(256)], ['x'.repeat(255)], [1], 'one', 1, [], [''], {}].map((ALPNProtocols) =>
        attempt(() => typeof tls.createServer({ ...stage.material.a, ALPNProtocols } as never)),
      ),
  },
  {
    name: 'an empty list of ALPNProtocols',
    run: (modules, stage) => agreed(modules, stage, { ALPNProtocols: [] }, [undefined, ['one']]),
  },
  {
    name: 'nothing in common fails the handshake',
    run: (modules, stage) => refused(modules, stage, { ALPNProtocols: ['three'] }),
  },
  {
    name: 'a protocol is compared byte by byte',
    run: (modules, stage) =>
      agreed(modules, stage, { ALPNProtocols: ['ONE', 'one '.repeat(20), 'one'] }, [
        ['one', 'ONE'],
        ['one '.repeat(20)],
      ]),
  },
  {
    name: 'ALPNCallback is asked, and its answer holds',
    run: async (modules, stage) => {
      const asked: unknown[] = [];
      const ALPNCallback: Callback = (offer) => {
        asked.push({ ...offer });
        return 'two';
      };
      const outcome = await agreed(modules, stage, { ALPNCallback }, [['one', 'two'], undefined]);
      return [outcome, asked];
    },
  },
  {
    name: 'ALPNCallback: its arguments, and its this',
    run: async ({ tls }, stage) => {
      let seen: unknown[] = [];
      const server = tell(
        tls.createServer({
          ...stage.material.a,
          ALPNCallback(this: unknown, ...args) {
            seen = [args.length, args[0], typeof this];
            return 'one';
          },
        }),
      );
      const port = await stage.listen(server);
      const client = { ALPNProtocols: ['one'], servername: 'a.example' };
      await stage.visit(port, client);
      return seen;
    },
  },
  {
    name: 'ALPNCallback that answers undefined refuses',
    run: (modules, stage) => refused(modules, stage, { ALPNCallback: () => undefined }),
  },
  {
    name: 'ALPNCallback that answers with what was not offered',
    run: (modules, stage) => refused(modules, stage, { ALPNCallback: () => 'three' }),
  },
  {
    name: 'ALPNCallback that answers with no string',
    run: async (modules, stage) => {
      const outcomes = [];
      for (const answer of [null, 1, {}, Buffer.from('one'), ''] as never[]) {
        outcomes.push(await refused(modules, stage, { ALPNCallback: () => answer }));
      }
      return outcomes;
    },
  },
  {
    name: 'ALPNCallback that throws',
    run: (modules, stage) =>
      refused(modules, stage, {
        ALPNCallback: () => {
          throw new RangeError('thrown by the callback');
        },
      }),
  },
  {
    name: 'ALPNCallback that gives a promise',
    run: (modules, stage) =>
      refused(modules, stage, { ALPNCallback: (() => Promise.resolve('one')) as never }),
  },
  {
    name: 'ALPNCallback and SNICallback: who is asked first',
    run: async ({ tls }, stage) => {
      const asked: string[] = [];
      const server = tell(
        tls.createServer({
          ...stage.material.a,
          ALPNCallback: () => (asked.push('ALPN'), 'one'),
          SNICallback: (_, answer) => {
            asked.push('SNI');
            setImmediate(answer, null);
          },
        }),
        chosen,
      );
      const port = await stage.listen(server);
      const client = { ALPNProtocols: ['one'], servername: 'a.example' };
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        asked.push(String((await stage.visit(port, { ...client, maxVersion })).heard));
      }
      return asked;
    },
    different: {
      reason:
        'SNICallback is asked first in every version; Node asks ALPNCallback first in TLS 1.3.',
      ours: ['SNI', 'ALPN', 'one', 'SNI', 'ALPN', 'one'],
    },
  },
  {
    name: 'ALPNCallback beside ALPNProtocols',
    unserved: true,
    run: ({ tls, https, http2 }, stage) =>
      [tls.createServer, https.createServer, http2.createSecureServer].map((create) =>
        attempt(() =>
          (create as (options: object) => object)({
            ...stage.material.a,
            ALPNProtocols: ['one'],
            ALPNCallback: () => 'one',
          }),
        ),
      ),
  },
  {
    name: 'ALPNCallback that is assigned, and taken back, while the server listens',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.a), chosen);
      const port = await stage.listen(server);
      const heard = [];
      for (const callback of [undefined, () => 'two', () => 'one', undefined]) {
        (server as { ALPNCallback?: unknown }).ALPNCallback = callback;
        heard.push((await stage.visit(port, { ALPNProtocols: ['one', 'two'] })).heard);
      }
      return heard;
    },
    expect: [false, 'two', 'one', false],
  },
  {
    name: 'ALPNProtocols that are assigned while the server listens',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(stage.material.a), chosen);
      const port = await stage.listen(server);
      const heard = [];
      for (const protocols of [['two'], Buffer.from('\x03one'), undefined]) {
        (server as { ALPNProtocols?: unknown }).ALPNProtocols = protocols;
        heard.push((await stage.visit(port, { ALPNProtocols: ['one', 'two'] })).heard);
      }
      return heard;
    },
    expect: ['two', 'one', false],
  },
  {
    name: 'https speaks http/1.1 by default',
    run: async ({ https }, stage) => {
      const server = https.createServer(stage.material.a, (_, response) => response.end('"ok"'));
      const port = await stage.listen(server);
      const got = [];
      for (const ALPNProtocols of [['http/1.1'], ['h2', 'http/1.1'], undefined]) {
        const request = { ...(ALPNProtocols && { ALPNProtocols }), agent: false as const };
        got.push((await stage.request(port, request)).status);
      }
      const failed = failure(server);
      got.push((await stage.visit(port, { ALPNProtocols: ['h2'] })).code, await failed);
      return [got, (server as unknown as { ALPNProtocols: Buffer }).ALPNProtocols];
    },
  },
  {
    name: 'https with ALPNProtocols or an ALPNCallback of its own',
    run: async ({ https }, stage) => {
      const got = [];
      for (const options of [
        { ALPNProtocols: ['mine', 'http/1.1'] },
        { ALPNCallback: ({ protocols }: { protocols: string[] }) => protocols.at(-1) },
      ]) {
        const server = https.createServer(
          { ...stage.material.a, ...options },
          (request, response) => {
            response.end(String((request.socket as TLSSocket).alpnProtocol));
          },
        );
        const port = await stage.listen(server);
        const request = { ALPNProtocols: ['http/1.1', 'mine'] };
        got.push((await stage.request(port, request as object)).body);
      }
      return got;
    },
    expect: ['mine', 'mine'],
  },
];
