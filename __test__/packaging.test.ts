/** The package as its users load it: ESM and CommonJS, types for both. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { PACKAGE } from './support/faults/child.js';

const manifest = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')) as {
  version: string;
};

/** A project that has the package in its node_modules. */
let project: string;

beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'offloop-project-'));
  mkdirSync(path.join(project, 'node_modules/@types'), { recursive: true });
  symlinkSync(PACKAGE, path.join(project, 'node_modules/offloop'));
  symlinkSync(
    path.join(PACKAGE, 'node_modules/@types/node'),
    path.join(project, 'node_modules/@types/node'),
  );
});
afterAll(() => rmSync(project, { recursive: true }));

function node(file: string, source: string): string {
  writeFileSync(path.join(project, file), source);
  return execFileSync(process.execPath, [file], { cwd: project, encoding: 'utf8' });
}

describe('the exports', () => {
  it('are one set of classes for import and require', () => {
    const output = node(
      'both.mjs',
      `import { createRequire } from 'node:module';
       import * as esm from 'offloop';
       const cjs = createRequire(import.meta.url)('offloop');
       const names = Object.keys(cjs).sort();
       console.log(JSON.stringify({
         names,
         same: names.every((name) => esm[name] === cjs[name]),
         more: Object.keys(esm).filter((name) => !names.includes(name)),
         default: (await import('offloop')).default === undefined,
       }));`,
    );
    expect(JSON.parse(output)).toEqual({
      names: [
        'Proxy',
        'SecureContext',
        'Server',
        'TlsSocket',
        'acceptTls',
        'adopt',
        'backend',
        'bucketBounds',
        'createSecureContext',
        'createServer',
        'drain',
        'proxy',
        'setDefaultContext',
        'stats',
        'version',
      ],
      same: true,
      more: [],
      default: true,
    });
  });

  it.each(['tls', 'https', 'http2'])('of offloop/%s are those of Node but for servers', (name) => {
    const output = node(
      `${name}.mjs`,
      `import { createRequire } from 'node:module';
       import nodes from 'node:${name}';
       import ours, * as esm from 'offloop/${name}';
       const cjs = createRequire(import.meta.url)('offloop/${name}');
       const names = Object.keys(nodes);
       console.log(JSON.stringify({
         same: cjs === ours && names.every((name) => esm[name] === cjs[name]),
         missing: names.filter((name) => !(name in cjs)),
         replaced: names.filter((name) => cjs[name] !== nodes[name]).sort(),
       }));`,
    );
    const replaced: Record<string, string[]> = {
      tls: ['Server', 'TLSSocket', 'createSecureContext', 'createServer'],
      https: ['Server', 'createServer'],
      http2: ['createSecureServer'],
    };
    expect(JSON.parse(output)).toEqual({ same: true, missing: [], replaced: replaced[name] });
  });

  it('of the drop-in modules can be mocked and restored; data stays that of Node', () => {
    const output = node(
      'mocked.mjs',
      `import { mock } from 'node:test';
       import nodesHttps from 'node:https';
       import nodesTls from 'node:tls';
       import http2 from 'offloop/http2';
       import https, { createServer, request } from 'offloop/https';
       import tls from 'offloop/tls';
       const mocked = [[https, 'request'], [https, 'createServer'], [tls, 'connect'], [http2, 'connect']];
       const results = mocked.map(([module, name]) => {
         const before = module[name];
         mock.method(module, name, () => 'mocked');
         const given = module[name]();
         mock.restoreAll();
         return given === 'mocked' && module[name] === before;
       });
       const named = createServer === https.createServer && request === nodesHttps.request;
       tls.DEFAULT_MIN_VERSION = 'TLSv1.3';
       https.globalAgent = new https.Agent();
       const data = nodesTls.DEFAULT_MIN_VERSION === 'TLSv1.3' && nodesHttps.globalAgent === https.globalAgent;
       const patched = nodesHttps.request = () => 'patched';
       const live = https.request === patched;
       const names = Object.keys(https).join() === Object.keys(nodesHttps).join();
       console.log(JSON.stringify({ results, named, data, live, names }));`,
    );
    expect(JSON.parse(output)).toEqual({
      results: [true, true, true, true],
      live: true,
      names: true,
      named: true,
      data: true,
    });
  });

  it('of offloop/register are the replacements in the modules of Node itself', () => {
    const output = node(
      'register.mjs',
      `import { createRequire } from 'node:module';
       import tls, { createServer } from 'node:tls';
       import https, { Server } from 'node:https';
       import http2, { createSecureServer } from 'node:http2';
       const before = [createServer, Server, createSecureServer];
       await import('offloop/register');
       const after = [createServer, Server, createSecureServer];
       const theirs = createRequire(import.meta.url)('node:tls');
       console.log(JSON.stringify({
         replaced: after.every((each, i) => each !== before[i]),
         same: tls === theirs && tls.createServer === after[0] && https.Server === after[1] &&
           http2.createSecureServer === after[2],
       }));`,
    );
    expect(JSON.parse(output)).toEqual({ replaced: true, same: true });
  });

  it('keep the inside inside', () => {
    const output = node(
      'deep.cjs',
      `for (const inner of ['offloop/dist/hub.js', 'offloop/native/binding.js']) {
         try { require(inner); console.log('loaded'); } catch (error) { console.log(error.code); }
       }
       console.log(require('offloop/package.json').version, require('offloop').version);`,
    );
    expect(output).toBe(
      `ERR_PACKAGE_PATH_NOT_EXPORTED\nERR_PACKAGE_PATH_NOT_EXPORTED\n${manifest.version} ${manifest.version}\n`,
    );
  });

  it('cost a program that only loads them nothing: it ends by itself', () => {
    expect(node('load.cjs', "require('offloop').stats(); console.log('loaded');")).toBe('loaded\n');
  });
});

describe('the types', () => {
  const program = `
    import 'offloop/register';
    import tls, { type TLSSocket as DropInSocket } from 'offloop/tls';
    import https, { createServer as createHttpsServer } from 'offloop/https';
    import http2 from 'offloop/http2';
    import { acceptTls, adopt, type Adopted, createSecureContext, createServer, Server, type AcceptOptions,
      type OffloopError, type SecureContext, type ServerOptions, type Stats, stats,
      TlsSocket } from 'offloop';
    import type { Socket } from 'node:net';
    import type { TLSSocket } from 'node:tls';

    const context: SecureContext = createSecureContext({ key: 'x', cert: ['x'] });
    const options: ServerOptions = { context, offload: 'auto' };
    const server: Server = createServer(options, (socket) => {
      const asNodes: TLSSocket = socket;
      const protocol: string | false = socket.alpnProtocol;
      void [asNodes, protocol];
    });
    server.on('tlsClientError', (error: OffloopError, socket: TlsSocket) => void [error.code, socket]);
    export async function starttls(socket: Socket, more: AcceptOptions): Promise<TlsSocket> {
      return acceptTls(socket, { context, ...more });
    }
    export const open: number = (stats() satisfies Stats).connections.open;
    // Types of the drop-in modules are Node's: by name, in the namespace, and for generics.
    const dropIn: tls.Server = tls.createServer({ key: 'x' }, (socket: DropInSocket) => {
      const asNodes: TLSSocket = socket;
      void asNodes;
    });
    const web: https.Server = createHttpsServer((request, response) => void response.end(request.url));
    const web2: http2.Http2SecureServer = http2.createSecureServer({ allowHTTP1: true });
    const adopted: Adopted[] = [adopt(dropIn), adopt(web), adopt(web2)];
    server.addContext('a.test', context);
    server.addContext('b.test', tls.createSecureContext());
    void adopted;
    // @ts-expect-error -- not a mode
    createServer({ offload: 'sometimes' });
    // @ts-expect-error -- needs a stream
    void acceptTls('x');
  `;
  const settings: [module: string, resolution: string, files: string[], ours: boolean][] = [
    // Declarations are checked once; that takes as long as all else here.
    ['nodenext', 'nodenext', ['esm.mts', 'cjs.cts'], true],
    ['node16', 'node16', ['esm.mts', 'cjs.cts'], false],
    ['preserve', 'bundler', ['bundled.ts'], false],
  ];

  it.each(settings)(
    'are found with module %s, resolution %s',
    (module, resolution, files, ours) => {
      for (const file of files) writeFileSync(path.join(project, file), program);
      const config = path.join(project, 'tsconfig.json');
      const compilerOptions = {
        module,
        moduleResolution: resolution,
        target: 'es2023',
        strict: true,
        noEmit: true,
        types: ['node'],
        skipLibCheck: !ours,
      };
      writeFileSync(config, JSON.stringify({ compilerOptions, files }));
      const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
      let complaints = '';
      try {
        execFileSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' });
      } catch (error) {
        complaints = (error as { stdout: string }).stdout;
      }
      expect(complaints).toBe('');
    },
  );
});
