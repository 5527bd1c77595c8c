/**
 * A socket of `new TLSSocket(stream, { isServer: true })`, what it emits, and the other end: one
 * program runs with node:tls and with offloop.
 */
import { type EventEmitter, once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';

import type { Issued } from './certificates.js';
import type { SocketLibrary, SocketOptions } from './tls-socket-classes.js';

export interface Stage {
  readonly socket: tls.TLSSocket;
  /** The stream beneath. */
  readonly raw: net.Socket;
  /** What the socket emitted; programs add to it. */
  readonly events: string[];
  readonly port: number;
  /** Connects a client; its errors are let pass. */
  connect(options?: tls.ConnectionOptions): tls.TLSSocket;
  /** The other end without TLS. */
  readonly peer: net.Socket;
}

export interface Program {
  readonly options?: (library: SocketLibrary) => SocketOptions;
  /** Runs as soon as the socket is made, before the client says anything. */
  readonly made?: (stage: Stage) => void;
  /** What it gives is compared, with the events until the socket's 'close'. */
  readonly run: (stage: Stage) => unknown;
}

/** A client that says something and ends when it is connected. */
export function visit(stage: Stage, options?: tls.ConnectionOptions, words = ''): tls.TLSSocket {
  const client = stage.connect(options);
  client.once('secureConnect', () => client.resume().end(words));
  return client;
}

export interface Outcome {
  readonly result: unknown;
  readonly events: string[];
}

/** Runs until the socket's 'close'. */
export async function perform(
  library: SocketLibrary,
  identity: Issued,
  program: Program,
): Promise<Outcome> {
  await using ends = await listening();
  const { port } = ends.server.address() as AddressInfo;
  // Without TLS until `connect` puts it on top.
  const peer = net.connect(port, '127.0.0.1').on('error', () => {});
  const [[raw]] = (await Promise.all([once(ends.server, 'connection'), once(peer, 'connect')])) as [
    [net.Socket],
    unknown,
  ];
  const { key, cert } = identity;
  const socket = new library.TLSSocket(raw, {
    isServer: true,
    key,
    cert,
    ...program.options?.(library),
  });
  const events: string[] = [];
  note(socket, events);
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const clients: tls.TLSSocket[] = [];
  const stage: Stage = {
    socket,
    raw,
    events,
    port,
    peer,
    connect(options = {}) {
      const client = tls.connect({ socket: peer, rejectUnauthorized: false, ...options });
      clients.push(client.on('error', () => {}));
      return client;
    },
  };
  program.made?.(stage);
  const result = await program.run(stage);
  await gone;
  for (const client of clients) client.destroy();
  peer.destroy();
  return { result, events };
}

export async function listening(): Promise<{ server: net.Server } & AsyncDisposable> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => void sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

/** Of the programs' own making, or emitted by some versions of Node though nobody listens. */
const UNTOLD = new Set(['newListener', 'removeListener', 'keylog', 'connect', 'readable']);

function note(socket: EventEmitter, events: string[]): void {
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string, ...args: unknown[]) => {
    if (!UNTOLD.has(event)) events.push(described(event, args));
    return emit(event, ...args);
  };
}

function described(event: string, [first]: unknown[]): string {
  switch (event) {
    case 'error':
    case '_tlsError': {
      const { code, syscall = '' } = first as NodeJS.ErrnoException;
      return `${event} ${code} ${syscall}`.trim();
    }
    case 'data':
      return `data ${String(first)}`;
    case 'close':
      // Undefined where it was destroyed in its constructor.
      return `close ${Boolean(first)}`;
    default:
      return event;
  }
}
