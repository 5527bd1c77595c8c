/** Where there is no core, the same API on node:tls: with one warning, and nothing let pass in silence. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { Identities } from './clients/identities.js';
import { PACKAGE } from './support/faults/child.js';

// Before anything loads offloop.
vi.hoisted(() => {
  process.env.OFFLOOP_DISABLE = '1';
});

const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

const load = createRequire(import.meta.url);
const offloop = load('offloop') as typeof import('offloop');
const { acceptTls, adopt, createSecureContext, createServer, stats } = offloop;

let ids: Identities;

beforeAll(async () => {
  ids = await Identities.create();
});
afterAll(() => ids[Symbol.dispose]());

const refused = (name: string): object =>
  expect.objectContaining({
    code: 'ERR_OFFLOOP_UNSUPPORTED_OPTION',
    message: expect.stringContaining(name) as string,
  }) as object;

function withCode(code: string): object {
  return expect.objectContaining({ code }) as object;
}

/** A stream without a descriptor over a socket. */
function foreign(socket: net.Socket): Duplex {
  const stream = new Duplex({
    read() {},
    write: (chunk: Buffer, _encoding, callback) => void socket.write(chunk, callback),
    final: (callback) => void socket.end(callback),
  });
  socket.on('data', (chunk) => stream.push(chunk)).once('end', () => stream.push(null));
  return stream;
}

/** Source that makes the process another platform's. */
function pretend(name: 'platform' | 'arch', value: string): string {
  return `Object.defineProperty(process, '${name}', { value: '${value}' })`;
}

/** What a process without a binary says. */
function said(reason: string): string {
  return `node\nOFFLOOP_FALLBACK offloop does TLS on the event loop: ${reason}\n`;
}

/** Runs `accept` for one client; gives what it came to and what the client heard. */
async function meet(
  accept: (socket: net.Socket) => Promise<tls.TLSSocket>,
  options: tls.ConnectionOptions = {},
): Promise<{ accepted: PromiseSettledResult<tls.TLSSocket>; heard: string }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [accepted] = await Promise.allSettled([accept(socket)]);
  let heard = '';
  client.on('data', (chunk: Buffer) => (heard += String(chunk)));
  const closed = new Promise((resolve) => client.once('close', resolve));
  if (accepted.status === 'fulfilled') accepted.value.end(`hello ${accepted.value.servername}`);
  await closed;
  server.close();
  return { accepted, heard };
}

describe('offloop', () => {
  it('says node, and why by one warning', async () => {
    expect(offloop.backend).toBe('node');
    load('offloop/tls');
    load('offloop/https');
    await new Promise(setImmediate);
    const own = warnings.filter(({ name }) => name === 'OffloopWarning');
    expect(own).toEqual([withCode('OFFLOOP_FALLBACK')]);
    expect(own[0]!.message).toBe('offloop does TLS on the event loop: OFFLOOP_DISABLE is 1');
  });

  it('has the exports, and figures of the same form, that it has with a core', () => {
    const print = `const { stats, bucketBounds, ...rest } = require('offloop');
      const server = rest.createServer({});
      const form = (value) => typeof value !== 'object' ? typeof value : Array.isArray(value) ? value.map(form)
        : Object.fromEntries(Object.keys(value).sort().map((name) => [name, form(value[name])]));
      console.log(JSON.stringify([Object.keys(rest).sort(), bucketBounds, form(stats()), form(server.stats())]));`;
    const [native, node] = ['0', '1'].map((OFFLOOP_DISABLE) => {
      const env = { ...process.env, OFFLOOP_DISABLE, NODE_NO_WARNINGS: '1' };
      return execFileSync(process.execPath, ['-e', print], { cwd: PACKAGE, env, encoding: 'utf8' });
    });
    expect(node).toBe(native);
  });
});

describe('acceptTls', () => {
  it('shakes hands over a socket, and over any stream', async () => {
    const context = createSecureContext(ids.options('server'));
    expect(context).toBeInstanceOf(offloop.SecureContext);
    const over = async (wrap: (socket: net.Socket) => Duplex): Promise<string> => {
      const { accepted, heard } = await meet((socket) => acceptTls(wrap(socket), { context }), {
        servername: 'localhost',
      });
      const { value } = accepted as PromiseFulfilledResult<tls.TLSSocket>;
      expect(value).toBeInstanceOf(offloop.TlsSocket);
      return heard;
    };
    expect(await over((socket) => socket)).toBe('hello localhost');
    expect(await over(foreign)).toBe('hello localhost');
  });

  it('asks for certificates, and tells what came of them', async () => {
    const { ca } = ids;
    const asking = { ...ids.options('server'), ca, requestCert: true };
    const judged = async (client: object, rejectUnauthorized: boolean): Promise<unknown> => {
      const options = { ...asking, rejectUnauthorized };
      const { accepted } = await meet((socket) => acceptTls(socket, options), client);
      if (accepted.status === 'rejected') return (accepted.reason as { code: string }).code;
      return [accepted.value.authorized, accepted.value.authorizationError];
    };
    expect(await judged(ids.options('client'), true)).toEqual([true, null]);
    expect(await judged({}, false)).toEqual([false, 'UNABLE_TO_GET_ISSUER_CERT']);
    expect(await judged({}, true)).toBe('UNABLE_TO_GET_ISSUER_CERT');
  });

  it('rejects as with a core, and lets go of the stream', async () => {
    const options = ids.options('server');
    const { accepted } = await meet((socket) => acceptTls(socket, options), {
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    expect(accepted).toMatchObject({ reason: withCode('ERR_SSL_UNSUPPORTED_PROTOCOL') });

    const silent = async (more: object): Promise<unknown> => {
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
      client.on('error', () => {});
      const [socket] = (await once(server, 'connection')) as [net.Socket];
      const result = await acceptTls(socket, { ...options, ...more }).catch(
        (error: unknown) => error,
      );
      if (!client.destroyed) await once(client, 'close');
      expect(socket.destroyed).toBe(true);
      server.close();
      return result;
    };
    expect(await silent({ handshakeTimeout: 20 })).toEqual(withCode('ERR_TLS_HANDSHAKE_TIMEOUT'));
    const reason = new Error('enough');
    const gaveUp = await silent({ signal: AbortSignal.abort(reason) });
    expect(gaveUp).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    await expect(acceptTls('x' as never, options)).rejects.toEqual(
      withCode('ERR_INVALID_ARG_TYPE'),
    );
    await expect(acceptTls(new net.Socket(), {})).rejects.toEqual(withCode('ERR_MISSING_ARGS'));
  });

  it('refuses clientHello: it would let in whom the program refuses', async () => {
    const options = { ...ids.options('server'), clientHello: () => {} };
    await expect(acceptTls(new net.Socket(), options)).rejects.toEqual(refused('clientHello'));
  });
});

describe('servers', () => {
  it('serve with a context of offloop, and by name', async () => {
    const context = createSecureContext(ids.options('server'));
    const server = createServer({ context }, (socket) => socket.end('hello'));
    server.addContext('other.test', createSecureContext(ids.options('client')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const names = [];
    for (const servername of ['localhost', 'other.test']) {
      const { port } = server.address() as net.AddressInfo;
      const client = tls.connect({
        port,
        host: '127.0.0.1',
        servername,
        rejectUnauthorized: false,
      });
      await once(client, 'secureConnect');
      names.push(client.getPeerCertificate().subject.CN);
      await once(client.resume(), 'close');
    }
    expect(new Set(names).size).toBe(2);
    expect(server.stats().connections.accepted).toBe(2);
    await server.drain();
  });

  it('refuse what would let in too many', () => {
    const identity = ids.options('server');
    const hello = { ...identity, clientHello: () => {} };
    expect(() => createServer(hello)).toThrow(refused('clientHello'));
    expect(() => adopt(tls.createServer(identity), hello)).toThrow(refused('clientHello'));
    const forwarding = { ...identity, proxyTo: 8080 };
    expect(() => createServer(forwarding)).toThrow(refused('proxyTo'));
    const behind = { ...identity, proxyProtocol: { trusted: ['127.0.0.1'] } };
    expect(() => createServer(behind)).toThrow(refused('proxyProtocol'));
    const strict = createSecureContext({ ...identity, requestCert: true });
    const server = createServer(identity);
    expect(() => server.addContext('a.test', strict)).toThrow(withCode('ERR_INVALID_ARG_VALUE'));
  });

  it('say which limits are not kept', async () => {
    createServer({ ...ids.options('server'), limits: { handshakes: 5 } });
    await new Promise(setImmediate);
    expect(warnings.at(-1)!.message).toContain('options.limits has no effect');
  });

  it('are drained: what is open when the time is up is destroyed', async () => {
    const server = createServer(ids.options('server'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    client.on('error', () => {});
    await once(server, 'secureConnection');
    expect(await server.drain({ timeout: 20 })).toEqual({ forced: 1 });
    if (!client.destroyed) await once(client, 'close');
  });

  it('are adopted, and released, in place', () => {
    const adopted = adopt(tls.createServer(ids.options('server')));
    expect(adopted.stats().connections.accepted).toBe(stats().connections.accepted);
    adopted.release();
  });
});

describe('a machine for which there is no binary', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'offloop-none-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const copy = path.join(folder, 'node_modules/offloop');
  const run = (before: string): string => {
    const program = `${before};
      process.on('warning', ({ code, message }) => console.log(code, message));
      console.log(require('offloop').backend);`;
    const env = { ...process.env, OFFLOOP_DISABLE: '0', NODE_NO_WARNINGS: '1' };
    return execFileSync(process.execPath, ['-e', program], { cwd: folder, env, encoding: 'utf8' });
  };
  beforeAll(() => {
    for (const part of ['dist', 'package.json'])
      cpSync(path.join(PACKAGE, part), path.join(copy, part), { recursive: true });
  });

  it('has node:tls, and is told so', () => {
    expect(run(pretend('platform', 'win32'))).toBe(
      said(`there is no binary for win32 on ${process.arch}`),
    );
    expect(run(`${pretend('platform', 'linux')}; ${pretend('arch', 'x64')}`)).toBe(
      said(
        'none for this platform is installed, @offloop/linux-x64-gnu or @offloop/linux-x64-musl',
      ),
    );
  });

  it('does not load the binary of another version', () => {
    const name = '@offloop/linux-x64-gnu';
    const other = path.join(folder, 'node_modules', name);
    mkdirSync(other, { recursive: true });
    writeFileSync(path.join(other, 'package.json'), JSON.stringify({ name, version: '0.0.1' }));
    const linux = `${pretend('platform', 'linux')}; ${pretend('arch', 'x64')}`;
    const { version } = offloop;
    expect(run(linux)).toBe(said(`${name} is 0.0.1, and offloop ${version}`));
  });
});
