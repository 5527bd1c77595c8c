import { Socket } from 'node:net';
import { addAbortSignal, type Duplex } from 'node:stream';
import { withFamilies } from './addresses.js';
import { Arrival, type ArrivalOptions } from './arrival.js';
import { Connection } from './connection.js';
import type { OffloopError } from './errors.js';
import type { HelloReport } from './hello.js';
import { hub } from './hub.js';
import type { NativeContext } from './native.js';
import type { TlsSocketOptions } from './socket-base.js';
import { TlsSocket } from './tls-socket.js';

/** How a stream becomes a TlsSocket. */
export interface PendingOptions extends Omit<ArrivalOptions, 'ask' | 'later'> {
  /** `allowHalfOpen` is the stream's. */
  socket: Omit<TlsSocketOptions, 'allowHalfOpen'>;
  /** Destroys the socket with an AbortError. Default: none. */
  signal?: AbortSignal | undefined;
  /** What `socket.server` shows. */
  owner: unknown;
  /** Absent: the contexts of the native server. */
  context: NativeContext | null;
  /** Is the ClientHello to be answered by `onHello`? Asked in the next tick. */
  ask?(socket: TlsSocket): boolean;
  onHello?(socket: TlsSocket, hello: HelloReport): void;
}

/**
 * A TlsSocket over `stream` whose handshake is yet to come, as node:tls makes them: reading begins
 * in the next tick. Its end is told by 'secure', or by 'error' and 'close'.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for what is no stream of bytes.
 */
export function pendingSocket(stream: Duplex, options: PendingOptions): TlsSocket {
  const connection = new Connection(hub(), 'shaking');
  // Read now: the arrival changes it on the socket below.
  const allowHalfOpen = stream?.allowHalfOpen ?? false;
  const socket = new TlsSocket(connection, { ...options.socket, allowHalfOpen }, options.owner);
  const { server, settings, context, ask, onHello } = options;
  void new Arrival(
    stream,
    {
      server,
      settings,
      later: true,
      ask: () => ask?.(socket) ?? false,
    },
    context,
    {
      opened: () => socket._onOpen(),
      failed(error, addresses) {
        connection.presetAddresses(withFamilies(addresses));
        socket._onFailed(error as OffloopError);
      },
      lost(error) {
        // As in Node: an error beneath is no error of the socket until the handshake is over.
        if (error !== undefined) socket._emitTLSError(error);
        else socket.destroy();
      },
      asked: (hello) => onHello?.(socket, hello),
    },
    connection,
  );
  if (stream instanceof Socket) follow(socket, stream);
  if (options.signal !== undefined) addAbortSignal(options.signal, socket);
  return socket;
}

/** As Node's constructor over a net.Socket, which may be yet to connect. */
function follow(socket: TlsSocket, beneath: Socket): void {
  const { _handle: handle } = beneath as unknown as { _handle: object | null };
  Object.assign(socket, { _parent: beneath, connecting: beneath.connecting || handle === null });
  beneath.once('connect', () => {
    Object.assign(socket, { connecting: false });
    socket.emit('connect');
  });
}
