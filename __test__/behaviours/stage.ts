/** What the programs of the table share: servers, clients, transcripts, and their end. */
import { once, type EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import nodeHttp from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import nodeHttps from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import nodeTls from 'node:tls';

import { run } from '../support/program.js';
import { closed, watchClose } from '../support/streams.js';
import type { Material } from './material.js';
import type { Modules } from './row.js';

interface Listener extends EventEmitter {
  listen(...args: never[]): unknown;
  close(callback?: (error?: Error) => void): unknown;
  address(): unknown;
}

/** One connection of a client, from its start to its 'close'. */
export interface Visit {
  /** Whether 'secureConnect' came. */
  readonly secure: boolean;
  /** What the server told, see `tell`. */
  readonly heard: unknown;
  /** Of the client's 'error'. */
  readonly code: string | null;
  readonly protocol: string | null;
  readonly alpn: string | false | null;
  readonly reused: boolean;
  /** The common name of the server's certificate. */
  readonly name: string | null;
  readonly cipher: string | null;
  /** Of the last 'session'. */
  readonly session: Buffer | undefined;
}

export interface Ends {
  readonly port: number;
  /** The server's end. */
  readonly socket: nodeTls.TLSSocket;
  readonly client: nodeTls.TLSSocket;
}

export interface Answer {
  readonly status: number;
  readonly headers: nodeHttp.IncomingHttpHeaders;
  readonly body: string;
}

export class Stage implements AsyncDisposable {
  /** The ends of servers that were seen, or whose they were: what proves whose server it was. */
  readonly served = new Set<Duplex | 'node' | 'offloop'>();
  private readonly servers = new Set<Listener>();
  private readonly ends = new Set<Duplex>();
  private readonly cleanUps: (() => void | Promise<void>)[] = [];

  constructor(readonly material: Material) {}

  /** Sees what `server` accepts, without a listener that would change what it does. */
  watch<S extends EventEmitter>(server: S): S {
    const emit = server.emit.bind(server);
    server.emit = (event: string | symbol, ...args: unknown[]) => {
      const end = event === 'secureConnection' ? args[0] : event === 'tlsClientError' && args[1];
      if (end) this.end(end as Duplex);
      return emit(event, ...args);
    };
    return server;
  }

  /** Notes the end of a server: it is checked, and closed with the row. */
  end<D extends Duplex>(socket: D): D {
    this.served.add(socket);
    return this.keep(socket);
  }

  /** Closed with the row; what it may say of its end then is let pass. */
  keep<D extends Duplex>(socket: D): D {
    if (!this.ends.has(socket)) {
      socket.on('error', ignore);
      void watchClose(socket);
    }
    this.ends.add(socket);
    return socket;
  }

  /** Runs when the row ends. */
  finally(cleanUp: () => void | Promise<void>): void {
    this.cleanUps.unshift(cleanUp);
  }

  /** Listens on a free port of 127.0.0.1, or where `args` say. Gives the port, if it has one. */
  async listen(server: Listener, ...args: unknown[]): Promise<number> {
    if (!this.servers.has(server)) {
      this.watch(server);
      this.servers.add(server);
    }
    const listening = once(server, 'listening');
    server.listen(...((args.length > 0 ? args : [0, '127.0.0.1']) as never[]));
    await listening;
    return (server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** A client of node:tls that checks no certificate unless told to. */
  connect(port: number, options: nodeTls.ConnectionOptions = {}): nodeTls.TLSSocket {
    const where = options.socket !== undefined || options.path !== undefined ? {} : { port };
    return this.keep(
      nodeTls.connect({ ...where, host: '127.0.0.1', rejectUnauthorized: false, ...options }),
    );
  }

  /** A client that speaks no TLS by itself. */
  raw(port: number): net.Socket {
    return this.keep(net.connect(port, '127.0.0.1'));
  }

  /** A wire to put below a client, and the bytes that come in through it. */
  tap(port: number): { wire: Duplex; raw: net.Socket; received: Buffer[] } {
    const raw = this.raw(port);
    const received: Buffer[] = [];
    const wire = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, callback) => raw.write(chunk, callback),
      final: (callback) => raw.end(callback),
    });
    raw.on('data', (chunk: Buffer) => {
      received.push(chunk);
      wire.push(chunk);
    });
    raw.once('end', () => wire.push(null));
    return { wire: this.keep(wire), raw, received };
  }

  /** Both ends of an established connection; `onSecure` runs in the 'secureConnection' listener. */
  async pair(
    server: Listener,
    options: nodeTls.ConnectionOptions = {},
    onSecure?: (socket: nodeTls.TLSSocket) => void,
  ): Promise<Ends> {
    const accepted = new Promise<nodeTls.TLSSocket>((resolve, reject) => {
      server.once('tlsClientError', reject);
      server.once('secureConnection', (socket: nodeTls.TLSSocket) => {
        onSecure?.(socket);
        resolve(socket);
      });
    });
    const port = await this.listen(server);
    const client = this.connect(port, options);
    const [socket] = await Promise.all([accepted, once(client, 'secureConnect')]);
    return { port, socket, client };
  }

  /** Connects, listens to what the server tells, waits for the end. */
  async visit(port: number, options: nodeTls.ConnectionOptions = {}): Promise<Visit> {
    const client = this.connect(port, options);
    let said = '';
    let session: Buffer | undefined;
    let code: string | null = null;
    let facts: Omit<Visit, 'heard' | 'code' | 'session'> = {
      secure: false,
      protocol: null,
      alpn: null,
      reused: false,
      name: null,
      cipher: null,
    };
    client.on('data', (chunk) => (said += String(chunk)));
    client.on('session', (bytes) => (session = bytes));
    client.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? error.message));
    client.once('secureConnect', () => {
      facts = {
        secure: true,
        protocol: client.getProtocol(),
        alpn: client.alpnProtocol,
        reused: client.isSessionReused(),
        name: (client.getPeerCertificate().subject?.CN as string | undefined) ?? null,
        cipher: client.getCipher().standardName,
      };
    });
    await closed(client);
    return { ...facts, heard: said === '' ? null : JSON.parse(said), code, session };
  }

  /** A request through node:https; its whole answer. */
  async request(
    port: number,
    options: nodeHttps.RequestOptions = {},
    body?: string | Buffer,
  ): Promise<Answer> {
    const request = nodeHttps.request({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      agent: false,
      ...options,
    });
    request.end(body);
    const [response] = (await once(request, 'response')) as [nodeHttp.IncomingMessage];
    request.on('error', ignore);
    return { status: response.statusCode!, headers: response.headers, body: await text(response) };
  }

  /** Sends `bytes` over TLS, as they are; what comes back until the server's end. */
  async exchange(
    port: number,
    bytes: string | Buffer,
    options: nodeTls.ConnectionOptions = {},
  ): Promise<string> {
    const client = this.connect(port, options);
    client.write(bytes);
    return text(client);
  }

  /**
   * Runs `source` in a process of its own, an ES module with `tls`, `https`, `http2` of `modules`;
   * gives what it passed to `tell`, and its stderr in place of `stderr`, if it told that name.
   * It notes its connections with `served(socket)`; `descriptors` are 3, 4 and so on there.
   */
  async program(
    { names }: Modules,
    source: string,
    input: object = {},
    descriptors: readonly number[] = [],
  ): Promise<unknown> {
    const { code, stdout, stderr } = await run(
      `import { once } from 'node:events';
      import nodeTls from 'node:tls';
      import tls from '${names.tls}';
      import https from '${names.https}';
      import http2 from '${names.http2}';
      import { TlsSocket } from 'offloop';
      const told = { served: [], transcript: undefined };
      const served = (socket) => told.served.push(socket instanceof TlsSocket);
      const tell = (transcript) => (told.transcript = transcript);
      const connect = (server, options) => nodeTls.connect(
        { port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false, ...options },
      ).on('error', () => {});
      process.once('exit', () => process.stdout.write(JSON.stringify(told)));
      ${source}`,
      { identity: this.material.ecdsa, ...input },
      descriptors,
    );
    if (code !== 0) throw new Error(`the program failed: ${stderr}`);
    const told = JSON.parse(stdout) as { served: boolean[]; transcript: unknown };
    for (const ours of told.served) this.served.add(ours ? 'offloop' : 'node');
    return told.transcript === 'stderr' ? stderr : told.transcript;
  }

  /** A directory of the row's own. */
  directory(): string {
    const directory = mkdtempSync(path.join(tmpdir(), 'offloop-table-'));
    this.finally(() => rmSync(directory, { recursive: true, force: true }));
    return directory;
  }

  /** What would have been the process's uncaught exceptions, from now to the end of the row. */
  uncaught(): Error[] {
    const errors: Error[] = [];
    process.setUncaughtExceptionCaptureCallback(null);
    process.setUncaughtExceptionCaptureCallback((error) => errors.push(error));
    this.finally(() => process.setUncaughtExceptionCaptureCallback(null));
    return errors;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Servers' ends first: clients that go with something unread would reset the others.
    for (const end of this.served) if (typeof end !== 'string') end.destroy();
    for (const end of this.ends) end.destroy();
    for (const server of this.servers) {
      const { closeAllConnections } = server as unknown as nodeHttps.Server;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        closeAllConnections?.call(server);
      });
    }
    for (const cleanUp of this.cleanUps) await cleanUp();
  }
}

/** Each connection is told `facts` of itself as JSON, and ended. */
export function tell<S extends EventEmitter>(
  server: S,
  facts: (socket: nodeTls.TLSSocket) => unknown = () => 'hello',
): S {
  return server.on('secureConnection', (socket: nodeTls.TLSSocket) => {
    socket.end(JSON.stringify(facts(socket)));
  });
}

/** Resolves with the next failed handshake of `server`. */
export async function failure(server: EventEmitter): Promise<object> {
  const [error, socket] = (await once(server, 'tlsClientError')) as [Error, nodeTls.TLSSocket];
  return { ...problem(error), socket: socket instanceof nodeTls.TLSSocket };
}

/** An error as plain data. What OpenSSL words is its own; its code is not. */
export function problem(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { thrown: String(error) };
  const { name, code, message } = error as NodeJS.ErrnoException;
  const foreign = code !== undefined && /^ERR_(SSL|OSSL)_/.test(code);
  return { name, ...(code !== undefined && { code }), ...(!foreign && { message }) };
}

/** What `act` gives, or the error that it throws. */
export function attempt(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return problem(error);
  }
}

/** All text until the stream's end, or until it breaks. */
export function text(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const over = (): void => resolve(String(Buffer.concat(chunks)));
    stream.on('data', (chunk: Buffer | string) => chunks.push(Buffer.from(chunk as string)));
    stream.once('end', over).once('close', over).once('error', over);
  });
}

/** Breaks a connection at once: resetAndDestroy() may send a FIN before. */
export function reset(raw: net.Socket): void {
  Object.assign(raw, { resetAndClosing: true });
  raw.destroy();
}

/** Names of these events as they come, with what `say` makes of their arguments. */
export function order(
  emitter: EventEmitter,
  events: readonly string[],
  say: (event: string, ...args: unknown[]) => string = (event) => event,
): string[] {
  const seen: string[] = [];
  for (const event of events) {
    emitter.on(event, (...args: unknown[]) => seen.push(say(event, ...args)));
  }
  return seen;
}

/** A promise with its end. */
export function promised<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** One server of each module, all of the same options. */
export function serverOfEach(
  { tls, https, http2 }: Modules,
  options: object,
): [nodeTls.Server, nodeHttps.Server, Http2SecureServer] {
  return [
    tls.createServer(options),
    https.createServer(options),
    http2.createSecureServer(options),
  ];
}

export function ignore(): void {}
