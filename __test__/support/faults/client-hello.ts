/** ClientHellos: real ones, as node:tls sends them, and bent ones. */
import { Duplex } from 'node:stream';
import tls from 'node:tls';

/** The first flight of a node:tls client with these options. */
export function clientHello(options: tls.ConnectionOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, callback) {
        callback();
        // Node sends before connect() has returned.
        setImmediate(() => client.destroy());
        resolve(chunk);
      },
    });
    const client = tls.connect({
      servername: 'localhost',
      rejectUnauthorized: false,
      ...options,
      socket: wire,
    });
    client.on('error', reject);
  });
}

/** A record of this content type, TLS 1.0 on its face as first records are. */
export function record(type: number, payload: Uint8Array, length = payload.length): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 1, length >> 8, length & 0xff]), payload]);
}

/** A handshake message; `length` is what its header claims. */
export function message(type: number, body: Uint8Array, length = body.length): Buffer {
  return Buffer.concat([
    Buffer.from([type, length >> 16, (length >> 8) & 0xff, length & 0xff]),
    body,
  ]);
}

export const HANDSHAKE = 22;
export const CLIENT_HELLO = 1;
