import { Socket } from 'node:net';
import tls from 'node:tls';
import type { Carrier, Gone } from './carrier.js';
import { failure } from './errors.js';
import type { Hub } from './hub.js';
import type { NativeAcceptOptions, NativeContext, NativeSlot } from './native.js';

/** The native handle of a net.Socket, as far as it is used here. */
interface RawHandle {
  fd?: number;
  reading: boolean;
  readStop(): number;
}

/** Can the core take this stream's descriptor? Else its ciphertext is carried by JavaScript. */
export function hasDescriptor(stream: unknown): stream is Socket {
  if (!(stream instanceof Socket) || stream instanceof tls.TLSSocket) return false;
  if (stream.connecting) return true;
  const handle = handleOf(stream);
  const kind = handle?.constructor.name;
  return (kind === 'TCP' || kind === 'Pipe') && typeof handle!.fd === 'number' && handle!.fd >= 0;
}

/**
 * A net.Socket whose descriptor the core has duplicated. The old socket stays, silent: `end()`
 * would send a FIN on the shared connection, and its server counts it until it is destroyed.
 */
export class AdoptedSocket implements Carrier {
  /** The core reads the descriptor: only it sees the end. */
  readonly ended = false;
  private released = false;

  constructor(
    private readonly socket: Socket,
    private readonly gone: Gone,
  ) {
    socket.on('error', this.onError);
    socket.on('close', this.onClose);
  }

  prepare(ready: (error?: Error) => void): void {
    const { socket } = this;
    if (socket.connecting) {
      socket.once('connect', () => this.prepare(ready));
      return;
    }
    this.silence();
    // STARTTLS: the reply that invites the client may still be in our write queue. An empty write
    // is behind everything that was written before.
    if (socket.writableLength > 0 && !socket.writableEnded) {
      socket.write('', (error) => ready(error ?? undefined));
    } else {
      ready();
    }
  }

  start(hub: Hub, options: NativeAcceptOptions, context: NativeContext | null): NativeSlot {
    const handle = handleOf(this.socket);
    if (handle === null || handle.fd === undefined || handle.fd < 0)
      throw failure('ERR_SOCKET_CLOSED');
    return hub.native.adopt(handle.fd, options, context, this.received());
  }

  addresses(): null {
    return null;
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.socket.destroy();
  }

  private silence(): void {
    const { socket } = this;
    const handle = handleOf(socket);
    socket.setTimeout(0);
    // The other end's FIN is the core's to answer.
    socket.allowHalfOpen = true;
    socket._read = () => {};
    if (handle !== null) {
      handle.reading = false;
      handle.readStop();
    }
  }

  /** What the old socket had read already belongs to the handshake. */
  private received(): Uint8Array {
    // A STARTTLS parser that still listens must not see it.
    this.socket.removeAllListeners('data');
    this.socket.removeAllListeners('readable');
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk: Buffer | null = this.socket.read();
      if (chunk === null) break;
      chunks.push(chunk);
    }
    this.socket.pause();
    return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  }

  private readonly onError = (error: Error): void => {
    if (!this.released) this.gone(error);
  };

  private readonly onClose = (): void => {
    if (!this.released) this.gone();
  };
}

function handleOf(socket: Socket): RawHandle | null {
  return (socket as unknown as { _handle: RawHandle | null })._handle;
}
