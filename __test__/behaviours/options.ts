/** How servers are made: argument forms, classes, exports. */
import nodeHttp2 from 'node:http2';
import nodeHttps from 'node:https';
import net from 'node:net';
import nodeTls from 'node:tls';
import { inherits } from 'node:util';

import type { Row } from './row.js';
import { attempt, ignore, serverOfEach, tell } from './stage.js';

export const options: Row[] = [
  {
    name: 'what the modules export',
    unserved: true,
    run: ({ tls, https, http2 }) =>
      [tls, https, http2].map((module) =>
        Object.entries(module)
          .filter(([name]) => name !== 'default')
          .map(([name, value]) => `${name} ${typeof value}`)
          .toSorted(),
      ),
  },
  {
    name: 'what is not of servers is that of Node',
    unserved: true,
    run: ({ tls, https, http2 }) => [
      tls.connect === nodeTls.connect,
      tls.checkServerIdentity === nodeTls.checkServerIdentity,
      tls.rootCertificates === nodeTls.rootCertificates,
      tls.getCiphers === nodeTls.getCiphers,
      tls.DEFAULT_MIN_VERSION,
      tls.DEFAULT_MAX_VERSION,
      tls.DEFAULT_ECDH_CURVE,
      tls.DEFAULT_CIPHERS === nodeTls.DEFAULT_CIPHERS,
      https.request === nodeHttps.request,
      https.get === nodeHttps.get,
      https.Agent === nodeHttps.Agent,
      https.globalAgent === nodeHttps.globalAgent,
      http2.connect === nodeHttp2.connect,
      http2.createServer === nodeHttp2.createServer,
      http2.constants === nodeHttp2.constants,
      http2.getDefaultSettings === nodeHttp2.getDefaultSettings,
    ],
  },
  {
    name: 'argument forms of tls.createServer()',
    unserved: true,
    run: ({ tls }, stage) => {
      return [
        [],
        [stage.material.ecdsa],
        [stage.material.ecdsa, ignore],
        [ignore],
        [undefined, ignore],
        [null, ignore],
        [{}],
        [undefined],
        [null],
        ['options'],
        [1],
        [true],
        [Symbol.iterator],
        [stage.material.ecdsa, 'listener'],
        [stage.material.ecdsa, null],
      ].map((args) =>
        attempt(() => {
          const server = tls.createServer(...(args as []));
          return [server.listenerCount('secureConnection'), server instanceof tls.Server];
        }),
      );
    },
  },
  {
    name: 'argument forms of https.createServer()',
    unserved: true,
    run: ({ https }, stage) => {
      return [
        [],
        [stage.material.ecdsa],
        [stage.material.ecdsa, ignore],
        [ignore],
        [undefined, ignore],
        [null, ignore],
        ['options'],
        [1],
        [stage.material.ecdsa, 'listener'],
      ].map((args) =>
        attempt(() => {
          const server = https.createServer(...(args as []));
          return [server.listenerCount('request'), server instanceof https.Server];
        }),
      );
    },
  },
  {
    name: 'argument forms of http2.createSecureServer()',
    unserved: true,
    run: ({ http2 }, stage) => {
      return [
        [],
        [stage.material.ecdsa],
        [stage.material.ecdsa, ignore],
        [ignore],
        [undefined, ignore],
        [null, ignore],
        ['options'],
        [1],
      ].map((args) =>
        attempt(() => {
          const server = http2.createSecureServer(...(args as []));
          return [server.listenerCount('request'), server instanceof nodeTls.Server];
        }),
      );
    },
  },
  {
    name: 'classes: instanceof, of which modules ever',
    unserved: true,
    run: (modules, stage) =>
      serverOfEach(modules, stage.material.ecdsa).map((server) => [
        server instanceof net.Server,
        server instanceof nodeTls.Server,
        server instanceof modules.tls.Server,
        server instanceof nodeHttps.Server,
        server instanceof modules.https.Server,
        server.constructor.name,
      ]),
  },
  {
    name: 'Server without new, with new, and extended',
    run: async ({ tls, https }, stage) => {
      class Mine extends tls.Server {
        readonly mine = true;
      }
      const bare = tls.Server as unknown as (options: object) => InstanceType<typeof tls.Server>;
      const secure = https.Server as unknown as (
        options: object,
        listener: (...args: never[]) => void,
      ) => InstanceType<typeof https.Server>;
      const heard = [];
      for (const server of [
        bare(stage.material.ecdsa),
        new tls.Server(stage.material.ecdsa),
        new Mine(stage.material.ecdsa),
      ]) {
        const port = await stage.listen(tell(server, () => (server as Mine).mine ?? 'plain'));
        heard.push((await stage.visit(port)).heard, server instanceof tls.Server);
      }
      for (const server of [
        secure(stage.material.ecdsa, (_request, response: { end(text: string): void }) =>
          response.end('bare'),
        ),
        new https.Server(stage.material.ecdsa, (_, response) => response.end('new')),
      ]) {
        const port = await stage.listen(server);
        heard.push((await stage.request(port)).body, server instanceof https.Server);
      }
      return heard;
    },
    expect: ['plain', true, 'plain', true, true, true, 'bare', true, 'new', true],
  },
  {
    name: 'extended in the old style: Server.call(this)',
    run: async ({ tls }, stage) => {
      function Old(this: object, given: object): void {
        (tls.Server as unknown as (this: object, options: object) => void).call(this, given);
        Object.assign(this, { old: true });
      }
      inherits(Old, tls.Server);
      const server = new (Old as unknown as new (given: object) => nodeTls.Server)(
        stage.material.ecdsa,
      );
      const port = await stage.listen(tell(server));
      return [
        (await stage.visit(port)).heard,
        server instanceof tls.Server,
        (server as unknown as { old: boolean }).old,
        server.constructor.name,
      ];
    },
    expect: ['hello', true, true, 'Old'],
  },
  {
    name: 'properties of fresh servers',
    unserved: true,
    run: (modules, stage) =>
      serverOfEach(modules, stage.material.ecdsa).map((made) => {
        const server = made as unknown as Record<string, unknown>;
        return [
          'requestCert',
          'rejectUnauthorized',
          'ALPNProtocols',
          'allowHalfOpen',
          'pauseOnConnect',
          'noDelay',
          'keepAlive',
          'keepAliveInitialDelay',
          'highWaterMark',
          'listening',
          'maxConnections',
          'timeout',
          'keepAliveTimeout',
          'headersTimeout',
          'requestTimeout',
          'maxHeadersCount',
          'maxRequestsPerSocket',
        ].map((name) => [name, server[name]]);
      }),
  },
  {
    name: 'keys of fresh servers',
    unserved: true,
    run: (modules, stage) =>
      serverOfEach(modules, stage.material.ecdsa).map((server) => Object.keys(server)),
  },
  {
    name: 'options are not changed, and may be frozen',
    run: async ({ tls }, stage) => {
      const given = Object.freeze({ ...stage.material.ecdsa, ALPNProtocols: ['one'] });
      const server = tell(tls.createServer(given));
      const { heard } = await stage.visit(await stage.listen(server));
      return [heard, Object.keys(given)];
    },
    expect: ['hello', ['key', 'cert', 'ALPNProtocols']],
  },
  {
    name: 'options are read when the server is made, not later',
    run: async ({ tls }, stage) => {
      const given = { ...stage.material.a };
      const server = tell(tls.createServer(given));
      Object.assign(given, stage.material.b);
      return (await stage.visit(await stage.listen(server))).name;
    },
    expect: 'a.example',
  },
  {
    name: 'options may be inherited',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer(Object.create(stage.material.a)));
      return (await stage.visit(await stage.listen(server))).name;
    },
    expect: 'a.example',
  },
  {
    name: 'unknown options are ignored',
    run: async ({ tls }, stage) => {
      const server = tell(tls.createServer({ ...stage.material.a, nonsense: true } as object));
      return (await stage.visit(await stage.listen(server))).heard;
    },
    expect: 'hello',
  },
  {
    name: 'functions have the names and lengths of those of Node',
    unserved: true,
    run: ({ tls, https, http2 }) =>
      [
        tls.createServer,
        tls.Server,
        tls.TLSSocket,
        tls.createSecureContext,
        https.createServer,
        https.Server,
        http2.createSecureServer,
      ].map(({ name, length }) => [name, length]),
  },
];
