/** A TCP client that speaks no TLS by itself: it sends the bytes of a test and reads the answer. */
import { once } from 'node:events';
import net from 'node:net';

export class RawClient {
  static async connect(port: number, localAddress?: string): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', ...(localAddress && { localAddress }) });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** What the server sent so far. */
  received = Buffer.alloc(0);
  /** 'end' for a FIN, 'reset' for a RST, null while the server has not closed. */
  closedBy: 'end' | 'reset' | null = null;
  private readonly over: Promise<void>;

  private constructor(readonly socket: net.Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on('end', () => (this.closedBy ??= 'end'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') this.closedBy ??= 'reset';
    });
    this.over = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  /** Resolves when the kernel has the bytes. */
  send(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Resolves when at least so many bytes have come. */
  async receive(bytes: number): Promise<void> {
    while (this.received.length < bytes) {
      // oxlint-disable-next-line no-await-in-loop -- one piece after the other
      await once(this.socket, 'data');
    }
  }

  /** Resolves when both sides are closed. */
  closed(): Promise<void> {
    return this.over;
  }

  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** The fatal alert that the server sent in the clear, or null. */
  alert(): number | null {
    for (const record of records(this.received)) {
      if (record[0] === 21 && record.length === 7 && record[5] === 2) return record[6];
    }
    return null;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Splits what looks like TLS records; a rest that is none is left out. */
export function records(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const size = 5 + bytes.readUInt16BE(at + 3);
    if (at + size > bytes.length) break;
    found.push(bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}
