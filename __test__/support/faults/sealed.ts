/**
 * A client of TLS 1.3 whose records, once the handshake is done, are those of the test: sealed with
 * the keys that node:tls has logged. What the server sends, node:tls reads.
 */
import { createCipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import { number, vector } from './hello.js';

export const APPLICATION_DATA = 23;
const KEY_UPDATE = 24;
const HANDSHAKE_TYPE = 22;

export class SealedClient {
  /** `connected` hears of the client's own port before the handshake starts. */
  static async connect(
    port: number,
    options: tls.ConnectionOptions = {},
    connected: (localPort: number) => void = () => {},
  ): Promise<SealedClient> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    await once(socket, 'connect');
    connected(socket.localPort!);
    const wire = new Duplex({
      read: () => void socket.resume(),
      write: (chunk, _encoding, callback) => void socket.write(chunk, () => callback()),
      final: (callback) => callback(),
    });
    socket.on('data', (chunk) => {
      if (!wire.push(chunk)) socket.pause();
    });
    socket.once('end', () => wire.push(null));
    const client = tls.connect({
      rejectUnauthorized: false,
      ...options,
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      socket: wire,
    });
    const secret = new Promise<Buffer>((resolve) => {
      client.on('keylog', (line: Buffer) => {
        const [label, , hex] = line.toString().trim().split(' ');
        if (label === 'CLIENT_TRAFFIC_SECRET_0') resolve(Buffer.from(hex, 'hex'));
      });
    });
    await once(client, 'secureConnect');
    client.on('error', () => {});
    return new SealedClient(socket, client, await secret);
  }

  private key!: Buffer;
  private iv!: Buffer;
  private sequence = 0n;

  private constructor(
    readonly socket: net.Socket,
    /** For reading only. */
    readonly client: tls.TLSSocket,
    private secret: Buffer,
  ) {
    this.derive();
  }

  /** A record with this content, which may be empty. */
  record(content: Uint8Array, type = APPLICATION_DATA): Buffer {
    const plaintext = Buffer.concat([content, Buffer.of(type)]);
    const header = Buffer.concat([
      Buffer.of(APPLICATION_DATA, 3, 3),
      number(plaintext.length + 16, 2),
    ]);
    const nonce = Buffer.from(this.iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.sequence++, 4);
    const cipher = createCipheriv('aes-128-gcm', this.key, nonce).setAAD(header);
    return Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  /** A KeyUpdate; what is sealed behind it has the next key. */
  keyUpdate(answer: boolean): Buffer {
    const message = Buffer.of(KEY_UPDATE, 0, 0, 1, answer ? 1 : 0);
    const record = this.record(message, HANDSHAKE_TYPE);
    this.secret = expand(this.secret, 'traffic upd', 32);
    this.derive();
    return record;
  }

  /** close_notify. */
  closeNotify(): Buffer {
    return this.record(Buffer.of(1, 0), 21);
  }

  /** Resolves when the kernel has the bytes, or the connection is gone; a turn later at least. */
  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(bytes, () => setImmediate(resolve));
    });
  }

  [Symbol.dispose](): void {
    this.client.destroy();
    this.socket.destroy();
  }

  private derive(): void {
    this.key = expand(this.secret, 'key', 16);
    this.iv = expand(this.secret, 'iv', 12);
    this.sequence = 0n;
  }
}

/** HKDF-Expand-Label (RFC 8446 section 7.1) with SHA-256, one block at most, without a context. */
function expand(secret: Buffer, label: string, size: number): Buffer {
  const info = Buffer.concat([
    number(size, 2),
    vector(Buffer.from(`tls13 ${label}`), 1),
    Buffer.of(0),
  ]);
  const block = createHmac('sha256', secret).update(info).update(Buffer.of(1)).digest();
  return block.subarray(0, size);
}
