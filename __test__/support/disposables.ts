/** Servers and connections that end with their block: `await using`. */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

import type { AnyServer, Library } from './libraries.js';
import { watchClose } from './streams.js';

/** A server that listens; disposing ends its connections too. */
export interface Listening<S> extends AsyncDisposable {
  readonly server: S;
  readonly port: number;
}

interface Listener extends NodeJS.EventEmitter {
  listen(...args: never[]): unknown;
  close(callback?: (error?: Error) => void): unknown;
  address(): unknown;
}

/** Listens on a free port of 127.0.0.1, or where `args` say. */
export async function listen<S extends Listener>(
  server: S,
  ...args: unknown[]
): Promise<Listening<S>> {
  const sockets = new Set<Duplex>();
  const track = (socket: Duplex): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  // Whoever listens to 'connection' gets raw sockets, which the core does not make.
  if (!(server instanceof tls.Server)) server.on('connection', track);
  server.on('secureConnection', (socket: Duplex) => {
    track(socket);
    // A client that a test destroys with something unread resets the connection.
    socket.on('error', () => {});
  });
  const where = args.length > 0 ? args : [0, '127.0.0.1'];
  server.listen(...(where as never[]));
  await once(server, 'listening');
  return {
    server,
    port: (server.address() as AddressInfo | null)?.port ?? 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Both ends of an established connection. */
export interface Pair extends AsyncDisposable {
  readonly server: AnyServer;
  readonly port: number;
  /** The server's end. */
  readonly socket: tls.TLSSocket;
  readonly client: tls.TLSSocket;
}

export interface PairOptions {
  /** Of the server: key and cert at least. */
  readonly server: object;
  readonly client?: tls.ConnectionOptions;
  /** Sees the server's end in the 'secureConnection' listener. */
  readonly onSecure?: (socket: tls.TLSSocket) => void;
}

/** Connects node:tls to a server of `library`. */
export async function pair(library: Library, options: PairOptions): Promise<Pair> {
  const server = library.createServer(options.server);
  const accepted = new Promise<tls.TLSSocket>((resolve, reject) => {
    server.once('tlsClientError', reject);
    server.once('secureConnection', (socket: tls.TLSSocket) => {
      void watchClose(socket);
      options.onSecure?.(socket);
      resolve(socket);
    });
  });
  const listening = await listen(server as never as Listener & AnyServer);
  const client = connect(listening.port, options.client);
  void watchClose(client);
  const [socket] = await Promise.all([accepted, once(client, 'secureConnect')]);
  return {
    server,
    port: listening.port,
    socket,
    client,
    async [Symbol.asyncDispose]() {
      socket.on('error', () => {}).destroy();
      client.on('error', () => {}).destroy();
      await listening[Symbol.asyncDispose]();
    },
  };
}

/** A node:tls client that checks no certificate unless told to. */
export function connect(port: number, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  return tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
}

/** Both ends of a plain TCP connection. */
export interface TcpPair extends AsyncDisposable {
  readonly server: net.Server;
  /** The server's end. */
  readonly socket: net.Socket;
  readonly client: net.Socket;
}

export async function tcpPair(options: net.ServerOpts = {}): Promise<TcpPair> {
  const server = net.createServer(options);
  const listening = await listen(server);
  const client = net.connect(listening.port, '127.0.0.1');
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [net.Socket],
    unknown,
  ];
  return {
    server,
    socket,
    client,
    async [Symbol.asyncDispose]() {
      // The server's end first: no reset comes to what may be on top of it.
      await listening[Symbol.asyncDispose]();
      client.on('error', () => {}).destroy();
    },
  };
}
