/** new TLSSocket(stream, { isServer: true }): TLS on what speaks plainly at first. */
import { once } from 'node:events';
import net from 'node:net';
import nodeTls, { type TLSSocket, type TLSSocketOptions } from 'node:tls';

import { diary } from '../support/diary.js';
import { closed, duplexPair } from '../support/streams.js';
import type { Modules, Row } from './row.js';
import { attempt, problem, promised, type Stage, text } from './stage.js';

interface Upgraded {
  /** The server's end. */
  readonly socket: TLSSocket;
  readonly client: TLSSocket;
  /** What `socket` emitted from its first tick on. */
  readonly events: string[];
  readonly raw: net.Socket;
}

/** Both ends of a plain connection. */
async function plain(stage: Stage, allowHalfOpen = false): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen });
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const port = await stage.listen(server);
  const client = stage.raw(port);
  const [[socket]] = await Promise.all([accepted, once(client, 'connect')]);
  return [stage.keep(socket), client];
}

/** As a server of a protocol with STARTTLS does. */
async function upgrade(
  { tls }: Modules,
  stage: Stage,
  options: TLSSocketOptions | ((modules: Modules) => TLSSocketOptions) = {},
  client: nodeTls.ConnectionOptions = {},
): Promise<Upgraded> {
  const [raw, far] = await plain(stage);
  const socket = stage.end(
    new tls.TLSSocket(raw, {
      isServer: true,
      ...(typeof options === 'function'
        ? options({ tls } as Modules)
        : { ...stage.material.ecdsa, ...options }),
    }),
  );
  const events = diary(socket);
  const secured = promised();
  socket.once('secure', () => secured.resolve());
  const theirs = stage.connect(0, { socket: far, ...client });
  await Promise.all([secured.promise, once(theirs, 'secureConnect')]);
  return { socket, client: theirs, events, raw };
}

const told = (events: readonly string[]): string[] =>
  events.filter((event) => event !== 'pause' && event !== 'resume');

export const starttls: Row[] = [
  {
    name: 'a plain dialogue, then TLS',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      far.write('STARTTLS\r\n');
      const [command] = (await once(raw, 'data')) as [Buffer];
      raw.write('220 go ahead\r\n');
      await once(far, 'data');
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      const client = stage.connect(0, { socket: far });
      client.write('hello');
      const [said] = (await once(socket, 'data')) as [Buffer];
      socket.end('goodbye');
      return [String(command), String(said), await text(client)];
    },
    expect: ['STARTTLS\r\n', 'hello', 'goodbye'],
  },
  {
    name: 'data goes both ways',
    run: async (modules, stage) => {
      const { socket, client } = await upgrade(modules, stage);
      socket.pipe(socket);
      const bytes = Buffer.alloc(1 << 20, 'x');
      client.end(bytes);
      return Buffer.from(await text(client)).equals(bytes);
    },
    expect: true,
  },
  {
    name: 'what it says before and behind the handshake',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const socket = stage.end(
        new tls.TLSSocket(raw, {
          isServer: true,
          ...stage.material.ecdsa,
          ALPNProtocols: ['one'],
        }),
      );
      const say = (): unknown[] => [
        socket.encrypted,
        socket.authorized,
        socket.authorizationError ?? null,
        socket.alpnProtocol,
        (socket as unknown as { servername: unknown }).servername,
        (socket as unknown as { secureConnecting: unknown }).secureConnecting,
        (socket as unknown as { server: unknown }).server,
        socket.connecting,
        socket.readyState,
        socket.remoteAddress,
        socket.remotePort === far.localPort,
        socket instanceof nodeTls.TLSSocket,
        socket.isSessionReused(),
      ];
      const before = say();
      const secured = promised();
      socket.once('secure', () => secured.resolve());
      stage.connect(0, { socket: far, servername: 'a.example', ALPNProtocols: ['one'] });
      await secured.promise;
      return [before, say(), socket.getProtocol()];
    },
  },
  {
    name: 'secure is what it emits, once',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      const events: string[] = [];
      const secured = promised();
      for (const event of ['secure', 'secureConnect', 'connect', 'ready', 'session', 'keylog']) {
        socket.on(event, () => events.push(event));
      }
      socket.once('secure', () => secured.resolve());
      const client = stage.connect(0, { socket: far });
      await Promise.all([secured.promise, once(client, 'secureConnect')]);
      return events.filter((event) => event !== 'keylog');
    },
    expect: ['secure'],
  },
  {
    name: 'a write before the handshake is sent behind it',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      const written = promised();
      const given = socket.write('at once', () => written.resolve());
      const client = stage.connect(0, { socket: far });
      const [said] = (await once(client, 'data')) as [Buffer];
      await written.promise;
      return [typeof given, String(said)];
    },
    expect: ['boolean', 'at once'],
  },
  {
    name: 'secureContext instead of key and cert',
    run: async (modules, stage) => {
      const { client } = await upgrade(modules, stage, ({ tls }) => ({
        secureContext: tls.createSecureContext(stage.material.a),
      }));
      return client.getPeerCertificate().subject.CN;
    },
    expect: 'a.example',
  },
  {
    name: 'requestCert and rejectUnauthorized',
    run: async (modules, stage) => {
      const { ca, client, strangersClient } = stage.material;
      const seen = [];
      for (const identity of [client, strangersClient, undefined]) {
        const { socket } = await upgrade(
          modules,
          stage,
          { ca, requestCert: true, rejectUnauthorized: false },
          identity,
        );
        // Whether it is authorized is for the user to ask.
        const handle = (socket as unknown as { ssl: { verifyError(): { code: string } | null } })
          .ssl;
        seen.push([
          socket.authorized,
          socket.getPeerCertificate().subject?.CN ?? null,
          attempt(() => handle.verifyError()?.code ?? null),
        ]);
      }
      return seen;
    },
  },
  {
    name: 'SNICallback and ALPNCallback',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const asked: unknown[] = [];
      const context = tls.createSecureContext(stage.material.b);
      const socket = stage.end(
        new tls.TLSSocket(raw, {
          isServer: true,
          ...stage.material.a,
          SNICallback: (name, answer) => {
            asked.push(name);
            setImmediate(answer, null, context);
          },
          ALPNCallback: ({ protocols }: { protocols: string[] }) => protocols.at(-1),
        } as TLSSocketOptions),
      );
      const secured = promised();
      socket.once('secure', () => secured.resolve());
      const client = stage.connect(0, {
        socket: far,
        servername: 'b.example',
        ALPNProtocols: ['one', 'two'],
      });
      await Promise.all([secured.promise, once(client, 'secureConnect')]);
      return [
        asked,
        client.getPeerCertificate().subject.CN,
        socket.alpnProtocol,
        (socket as unknown as { servername: unknown }).servername,
      ];
    },
    expect: [['b.example'], 'b.example', 'two', 'b.example'],
  },
  {
    name: 'with a server: its options are not taken, its events are not emitted',
    run: async ({ tls }, stage) => {
      const server = tls.createServer(stage.material.b);
      let events = 0;
      server.on('secureConnection', () => events++);
      const [raw, far] = await plain(stage);
      const socket = stage.end(
        new tls.TLSSocket(raw, { isServer: true, server, ...stage.material.a } as TLSSocketOptions),
      );
      const secured = promised();
      socket.once('secure', () => secured.resolve());
      const client = stage.connect(0, { socket: far });
      await Promise.all([secured.promise, once(client, 'secureConnect')]);
      return [
        client.getPeerCertificate().subject.CN,
        events,
        (socket as unknown as { server: unknown }).server === server,
      ];
    },
  },
  {
    name: 'junk instead of a handshake: an error of the socket',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      const events: unknown[] = [];
      socket.on('error', (error) => events.push(problem(error)));
      socket.on('_tlsError', () => events.push('_tlsError'));
      far.write('this is no handshake, whatever it may be');
      await closed(socket);
      return [events, socket.destroyed, raw.destroyed];
    },
  },
  {
    name: 'the client goes within its handshake',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      const events = diary(socket);
      far.end();
      await closed(socket.resume());
      return [told(events), raw.destroyed];
    },
  },
  {
    name: 'the ends of both sockets: the client ends',
    run: async (modules, stage) => {
      const { socket, client, events, raw } = await upgrade(modules, stage);
      const rawOver = closed(raw);
      client.resume().end();
      socket.resume();
      await Promise.all([closed(socket), rawOver]);
      return [told(events), raw.destroyed];
    },
  },
  {
    name: 'the ends of both sockets: destroy()',
    run: async (modules, stage) => {
      const { socket, events, raw } = await upgrade(modules, stage);
      const rawOver = closed(raw);
      socket.destroy();
      await Promise.all([closed(socket), rawOver]);
      return [told(events), raw.destroyed];
    },
  },
  {
    name: 'the ends of both sockets: the raw one is destroyed',
    run: async (modules, stage) => {
      const { socket, events, raw } = await upgrade(modules, stage);
      raw.destroy();
      await closed(socket);
      return [told(events), socket.destroyed];
    },
  },
  {
    name: 'on a Duplex in memory',
    run: async ({ tls }, stage) => {
      const [near, far] = duplexPair();
      const socket = stage.end(
        new tls.TLSSocket(near as net.Socket, { isServer: true, ...stage.material.ecdsa }),
      );
      const client = stage.connect(0, { socket: far });
      client.write('hello');
      const [said] = (await once(socket, 'data')) as [Buffer];
      socket.write('goodbye');
      const [answer] = (await once(client, 'data')) as [Buffer];
      return [String(said), String(answer), socket.remoteAddress, socket.encrypted];
    },
    expect: ['hello', 'goodbye', undefined, true],
  },
  {
    name: 'TLS within TLS',
    run: async (modules, stage) => {
      const outer = await upgrade(modules, stage, ({ tls }) => ({
        secureContext: tls.createSecureContext(stage.material.a),
      }));
      const socket = stage.end(
        new modules.tls.TLSSocket(outer.socket, { isServer: true, ...stage.material.b }),
      );
      const client = stage.connect(0, { socket: outer.client });
      client.write('hello');
      const [said] = (await once(socket, 'data')) as [Buffer];
      return [
        String(said),
        outer.client.getPeerCertificate().subject.CN,
        client.getPeerCertificate().subject.CN,
      ];
    },
    expect: ['hello', 'a.example', 'b.example'],
  },
  {
    name: 'what was read from the stream before is taken over',
    run: async ({ tls }, stage) => {
      const [raw, far] = await plain(stage);
      const client = stage.connect(0, { socket: far });
      // The hello is there before anybody speaks TLS.
      await once(raw, 'readable');
      const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, ...stage.material.ecdsa }));
      client.write('hello');
      const [said] = (await once(socket, 'data')) as [Buffer];
      return String(said);
    },
    expect: 'hello',
  },
  {
    name: 'a session resumes with the same context',
    run: async ({ tls }, stage) => {
      const secureContext = tls.createSecureContext(stage.material.ecdsa);
      const reused = [];
      let session: Buffer | undefined;
      for (let i = 0; i < 2; i++) {
        const [raw, far] = await plain(stage);
        const socket = stage.end(new tls.TLSSocket(raw, { isServer: true, secureContext }));
        const client = stage.connect(0, {
          socket: far,
          maxVersion: 'TLSv1.2',
          ...(session && { session }),
        });
        const secured = once(client, 'secureConnect');
        client.on('session', (bytes) => (session = bytes));
        await secured;
        client.write('x');
        await once(socket, 'data');
        reused.push([client.isSessionReused(), socket.isSessionReused()]);
      }
      return reused;
    },
    expect: [
      [false, false],
      [true, true],
    ],
  },
  {
    name: 'a TLSSocket of clients stays that of Node',
    unserved: true,
    run: async (modules, stage) => {
      const server = nodeTls.createServer(stage.material.a, (socket) => socket.end('hello'));
      const port = await stage.listen(server);
      stage.served.clear();
      const raw = stage.raw(port);
      const client = stage.keep(new modules.tls.TLSSocket(raw, {}));
      const secured = promised();
      client.once('secure', () => secured.resolve());
      (client as unknown as { _start(): void })._start();
      await secured.promise;
      const said = await text(client);
      stage.served.clear();
      return [said, client.getPeerCertificate().subject.CN];
    },
    expect: ['hello', 'a.example'],
  },
  {
    name: 'options that can not be',
    unserved: true,
    run: ({ tls }, stage) => {
      const [near] = duplexPair();
      stage.keep(near);
      return [
        attempt(
          () => typeof new tls.TLSSocket(near as net.Socket, { isServer: true, key: 1 } as never),
        ),
        attempt(
          () =>
            typeof new tls.TLSSocket(
              near as net.Socket,
              { isServer: true, enableTrace: 1 } as never,
            ),
        ),
        attempt(
          () =>
            typeof new tls.TLSSocket(
              near as net.Socket,
              { isServer: true, secureContext: {} } as never,
            ),
        ),
      ];
    },
  },
];
