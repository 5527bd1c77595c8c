/** One server of three kinds behind one face, so that one table of cases runs against each. */
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import {
  acceptTls,
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type ServerOptions,
} from 'offloop';

export type Kind = 'offloop server' | 'acceptTls' | 'acceptTls on a Duplex' | 'node:tls';

/** What a server says about a client that failed. */
export type ClientError = Error & { code: string; alert?: number; errno?: number };

export interface TlsServer extends AsyncDisposable {
  readonly port: number;
  /** Every failure so far, oldest first. */
  readonly failures: ClientError[];
  /** The next failure that nobody has asked for yet. */
  nextFailure(): Promise<ClientError>;
  /** The next connection that opened; each echoes what it gets. */
  nextSocket(): Promise<tls.TLSSocket>;
}

export async function startServer(kind: Kind, options: ServerOptions): Promise<TlsServer> {
  const failures = new Arrivals<ClientError>();
  const sockets = new Arrivals<tls.TLSSocket>();
  const all = new Set<{ destroy(): void }>();
  const opened = (socket: tls.TLSSocket): void => {
    all.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => all.delete(socket));
    socket.pipe(socket);
    sockets.add(socket);
  };
  const server = make(kind, options, opened, (error) => failures.add(error as ClientError));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    failures: failures.all,
    nextFailure: () => failures.next(),
    nextSocket: () => sockets.next(),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of all) socket.destroy();
      await closed;
    },
  };
}

function make(
  kind: Kind,
  options: ServerOptions,
  opened: (socket: tls.TLSSocket) => void,
  failed: (error: Error) => void,
): net.Server {
  switch (kind) {
    case 'offloop server':
      return createServer(options, opened).on('tlsClientError', failed) as unknown as net.Server;
    case 'node:tls':
      return tls.createServer(options, opened).on('tlsClientError', (error, socket) => {
        // Node leaves that to its user.
        if ((error as ClientError).code === 'ERR_TLS_HANDSHAKE_TIMEOUT') socket.destroy();
        failed(error);
      });
    case 'acceptTls':
    case 'acceptTls on a Duplex': {
      const { handshakeTimeout, limits, offload, ...rest } = options;
      const connection = { handshakeTimeout, limits, offload };
      const context = createSecureContext(rest as SecureContextOptions);
      // Half-open, so that the client's end arrives in order with what came before.
      return net.createServer({ allowHalfOpen: kind !== 'acceptTls' }, (socket) => {
        const stream = kind === 'acceptTls' ? socket : behindDuplex(socket);
        acceptTls(stream, { context, ...connection }).then(opened, failed);
      });
    }
  }
}

/** The same bytes on a stream without a descriptor. */
function behindDuplex(socket: net.Socket): Duplex {
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, callback) => void socket.write(chunk, callback),
    final: (callback) => void socket.end(callback),
    destroy(error, callback) {
      socket.destroy();
      callback(error);
    },
  });
  socket.pause();
  socket.on('data', (chunk) => {
    if (!stream.push(chunk)) socket.pause();
  });
  socket.once('end', () => stream.push(null));
  socket.once('error', (error) => stream.destroy(error));
  socket.once('close', () => stream.destroy());
  return stream;
}

/** A queue that can be awaited. */
class Arrivals<T> {
  readonly all: T[] = [];
  private taken = 0;
  private readonly waiting: ((value: T) => void)[] = [];

  add(value: T): void {
    this.all.push(value);
    const next = this.waiting.shift();
    if (next === undefined) return;
    this.taken++;
    next(value);
  }

  next(): Promise<T> {
    if (this.taken < this.all.length) return Promise.resolve(this.all[this.taken++]);
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
