/** A ClientHello in its parts, so that a test can put it together as no client would. */
import { CLIENT_HELLO, HANDSHAKE, message, record } from './client-hello.js';

export interface Extension {
  type: number;
  body: Buffer;
}

export class Hello {
  version = 0x0303;
  random: Buffer = Buffer.alloc(32);
  sessionId: Buffer = Buffer.alloc(0);
  suites: Buffer = Buffer.alloc(0);
  compression: Buffer = Buffer.from([0]);
  /** Null: not even their length is there. */
  extensions: Extension[] | null = [];
  /** What stands behind the extensions. */
  rest: Buffer = Buffer.alloc(0);

  /** Of a flight that starts with a whole ClientHello in one record. */
  static parse(flight: Buffer): Hello {
    const hello = new Hello();
    const body = new Cursor(flight.subarray(9));
    hello.version = body.number(2);
    hello.random = body.take(32);
    hello.sessionId = body.vector(1);
    hello.suites = body.vector(2);
    hello.compression = body.vector(1);
    const list = new Cursor(body.vector(2));
    hello.extensions = [];
    while (list.left > 0) hello.extensions.push({ type: list.number(2), body: list.vector(2) });
    return hello;
  }

  copy(): Hello {
    return Object.assign(new Hello(), this, {
      extensions: this.extensions?.map((each) => ({ ...each })) ?? null,
    });
  }

  extension(type: number): Extension | undefined {
    return this.extensions?.find((each) => each.type === type);
  }

  /** Puts `body` in the place of the extension's own, or behind the others; null removes it. */
  set(type: number, body: Uint8Array | null): this {
    const found = this.extension(type);
    if (body === null) this.extensions = this.extensions!.filter((each) => each !== found);
    else if (found === undefined) this.extensions!.push({ type, body: Buffer.from(body) });
    else found.body = Buffer.from(body);
    return this;
  }

  /** The message's body, without its header. */
  body(): Buffer {
    const extensions = this.extensions?.map(({ type, body }) =>
      Buffer.concat([number(type, 2), vector(body, 2)]),
    );
    return Buffer.concat([
      number(this.version, 2),
      this.random,
      vector(this.sessionId, 1),
      vector(this.suites, 2),
      vector(this.compression, 1),
      ...(extensions === undefined ? [] : [vector(Buffer.concat(extensions), 2)]),
      this.rest,
    ]);
  }

  /** In one record, however long. */
  bytes(): Buffer {
    return record(HANDSHAKE, message(CLIENT_HELLO, this.body()));
  }
}

export function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

/** With its length in front, which may claim another. */
export function vector(body: Uint8Array, lengthBytes: number, length = body.length): Buffer {
  return Buffer.concat([number(length % 256 ** lengthBytes, lengthBytes), body]);
}

class Cursor {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(bytes: number): Buffer {
    this.at += bytes;
    return Buffer.from(this.bytes.subarray(this.at - bytes, this.at));
  }

  number(bytes: number): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }

  vector(lengthBytes: number): Buffer {
    return this.take(this.number(lengthBytes));
  }
}
