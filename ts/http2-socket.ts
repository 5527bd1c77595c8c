import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { failure, type OffloopError } from './errors.js';
import { SLAB_PIECE } from './submission.js';
import { TlsSocket } from './tls-socket.js';

/**
 * A TlsSocket as http2 needs it: with a native stream handle, which Node's own adaptor for
 * JavaScript streams makes, and with all that http2 and its users ask a TLS socket for, so that
 * `session.encrypted`, `alpnProtocol`, `originSet` and `req.socket` are as over node:tls.
 */
export function http2Socket(socket: TlsSocket): tls.TLSSocket {
  adaptor ??= makeAdaptor();
  const adapted = Reflect.construct(adaptor.base, [socket], adaptor.derived) as tls.TLSSocket;
  Object.assign(adapted, { server: socket.server });
  return adapted;
}

/** Node's adaptor for JavaScript streams, as far as it is used here. */
interface Adapted {
  stream: TlsSocket;
  _handle: object;
  finishWrite(handle: object, errno: number): void;
  [request: symbol]: object;
}

type Constructor = abstract new (...args: never[]) => unknown;

const EPIPE = -constants.errno.EPIPE;

let adaptor: { base: Constructor; derived: Constructor } | undefined;

/** What the adaptor itself does; all else is the TlsSocket's. */
const own = new Set<PropertyKey>([
  'constructor',
  // Emitters and streams keep state in the object.
  ...Object.getOwnPropertyNames(Duplex.prototype),
  ...Object.getOwnPropertyNames(Socket.prototype),
]);

/** Of net.Socket, what is about the connection beneath. */
const ofConnection = [
  '_getpeername',
  '_getsockname',
  'address',
  'bytesRead',
  'bytesWritten',
  'localAddress',
  'localFamily',
  'localPort',
  'ref',
  'remoteAddress',
  'remoteFamily',
  'remotePort',
  'resetAndDestroy',
  'setKeepAlive',
  'setNoDelay',
  'unref',
];

/** Set in constructors or computed: not to be found on the prototypes. */
const properties = [
  'ssl',
  'secureConnecting',
  '_secureEstablished',
  '_requestCert',
  '_rejectUnauthorized',
  'alpnProtocol',
  'authorizationError',
  'authorized',
  'encrypted',
  'servername',
];

function makeAdaptor(): { base: Constructor; derived: Constructor } {
  const { base, currentRequest } = javaScriptStreamSocket();
  const derived = function (): void {} as unknown as Constructor;
  // A tls.TLSSocket to `instanceof`, with the adaptor's own methods before those of net.Socket.
  derived.prototype = Object.create(
    tls.TLSSocket.prototype,
    Object.getOwnPropertyDescriptors(base.prototype as object),
  );
  Object.assign(derived.prototype as object, {
    constructor: TlsSocket,
    // Node's own waits one more turn of the event loop for each write, and asserts that nothing is
    // written after the end, which http2 does not keep to: its GOAWAY may follow.
    doWrite(this: Adapted, request: object, buffers: Buffer[]): number {
      const { stream, _handle: handle } = this;
      if (stream.writableEnded || stream.destroyed) return EPIPE;
      this[currentRequest] = request;
      const pieces = joined(buffers);
      stream.cork();
      for (const piece of pieces.slice(0, -1)) stream.write(piece);
      // Never called before write() has returned, as http2 needs it.
      stream.write(pieces.at(-1)!, (error) => {
        if (!error) return this.finishWrite(handle, 0);
        const { errno = EPIPE } = error as OffloopError;
        // Not amid the stream's destruction.
        setImmediate(() => this.finishWrite(handle, errno));
      });
      stream.uncork();
      return 0;
    },
    // Below http2, Node tells of a failed write by its request alone: a peer that is gone shows in
    // what is read, and is no error after its GOAWAY or end.
    emit(
      this: Socket,
      ...event: [name: string, error?: OffloopError, ...rest: unknown[]]
    ): boolean {
      const [name, error] = event;
      if (name === 'error' && error!.syscall === 'write') return false;
      return EventEmitter.prototype.emit.apply(this, event);
    },
  });
  const ofTls = Object.getOwnPropertyNames(tls.TLSSocket.prototype).filter(
    (name) => !own.has(name),
  );
  for (const name of [...ofTls, ...ofConnection, ...properties]) {
    Object.defineProperty(derived.prototype, name, {
      // `stream` is what Node's adaptor calls what it adapts; its constructor asks before that is set.
      get(this: { stream?: Record<string, unknown> }) {
        const value = this.stream?.[name];
        return typeof value === 'function' ? value.bind(this.stream) : value;
      },
      set(this: object, value: unknown) {
        Object.defineProperty(this, name, { value, writable: true, configurable: true });
      },
      configurable: true,
    });
  }
  return { base, derived };
}

/** http2 writes a response as four buffers, those of all its streams at once: one is cheaper. */
function joined(buffers: Buffer[]): Buffer[] {
  let size = 0;
  for (const { length } of buffers) size += length;
  return size <= SLAB_PIECE ? [Buffer.concat(buffers, size)] : buffers;
}

// Before `offloop/register` may put ours in their place.
const { createSecureContext, TLSSocket } = tls;

/**
 * Node's adaptor is not exported: a TLSSocket over a stream without a handle has one. With it comes
 * the name of the property in which it keeps the write that is on its way.
 */
function javaScriptStreamSocket(): { base: Constructor; currentRequest: symbol } {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => callback() });
  const socket = new TLSSocket(stream as never, {
    isServer: true,
    secureContext: createSecureContext(),
  });
  const { _parentWrap: sample } = (socket as unknown as { _handle: { _parentWrap: object } })
    ._handle;
  socket.on('error', () => {}).destroy();
  stream.destroy();
  const currentRequest = Object.getOwnPropertySymbols(sample).find(
    ({ description }) => description === 'kCurrentWriteRequest',
  );
  if (currentRequest === undefined)
    throw failure('ERR_OFFLOOP_INTERNAL', `http2 of Node ${process.version} is not known`);
  return { base: sample.constructor as Constructor, currentRequest };
}
