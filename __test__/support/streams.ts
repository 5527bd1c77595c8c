/** Streams in memory, and what tests await of any stream. */
import { Duplex, type Readable } from 'node:stream';

/** Two ends in memory: what one writes, the other reads, at the reader's pace. */
export function duplexPair(options: { highWaterMark?: number } = {}): [Duplex, Duplex] {
  const ends: [MemoryEnd, MemoryEnd] = [new MemoryEnd(options), new MemoryEnd(options)];
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
}

class MemoryEnd extends Duplex {
  other!: MemoryEnd;
  private proceed: (() => void) | null = null;

  constructor(options: { highWaterMark?: number }) {
    super({ allowHalfOpen: true, ...options });
  }

  override _read(): void {
    const { proceed } = this.other;
    this.other.proceed = null;
    proceed?.();
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error) => void): void {
    if (this.other.destroyed) return callback();
    if (this.other.push(chunk)) callback();
    else this.proceed = callback;
  }

  override _final(callback: () => void): void {
    if (!this.other.destroyed) this.other.push(null);
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.proceed?.();
    // As a connection that breaks: the other end sees its end.
    if (!this.other.destroyed && !this.other.readableEnded) this.other.push(null);
    callback(error);
  }
}

/** All bytes until the stream's end; the stream is left as it is, `for await` would destroy it. */
export function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer | string) => chunks.push(Buffer.from(chunk as string)));
  return new Promise((resolve, reject) => {
    stream.once('error', reject);
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    // Destroyed before its end.
    stream.once('close', () => reject(new Error('closed before its end')));
  });
}

/** The next `size` bytes; what comes behind them is put back. */
export function readExactly(stream: Readable, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let missing = size;
    const settle = (act: () => void): void => {
      stream.off('readable', more).off('error', failed).off('end', ended);
      act();
    };
    const failed = (error: Error): void => settle(() => reject(error));
    const ended = (): void =>
      settle(() => reject(new Error(`ended with ${missing} of ${size} bytes missing`)));
    const more = (): void => {
      for (;;) {
        if (missing === 0) return settle(() => resolve(Buffer.concat(chunks)));
        const chunk = stream.read() as Buffer | null;
        if (chunk === null) return;
        const wanted = chunk.subarray(0, missing);
        chunks.push(wanted);
        missing -= wanted.length;
        if (wanted.length < chunk.length) stream.unshift(chunk.subarray(wanted.length));
      }
    };
    stream.on('readable', more).on('error', failed).on('end', ended);
    more();
  });
}

const closures = new WeakMap<Duplex, Promise<void>>();

/** Resolves when 'close' is emitted, or was since `watchClose`; errors on the way are let pass. */
export function closed(stream: Duplex): Promise<void> {
  // Once, however often it is awaited.
  stream.off('error', ignore).on('error', ignore);
  return watchClose(stream);
}

/** Notes 'close' from now on. (`stream.closed` is true before the event.) */
export function watchClose(stream: Duplex): Promise<void> {
  let closure = closures.get(stream);
  if (closure === undefined) {
    closure = new Promise((resolve) => {
      stream.once('close', () => resolve());
    });
    closures.set(stream, closure);
  }
  return closure;
}

function ignore(): void {}

/** A promise with its ends, as Promise.withResolvers of Node 22. */
export function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Turns of the event loop until `condition` holds. */
export async function until(condition: () => boolean, what = 'a condition'): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Waits until `value` has not changed for 300 ms: nothing moves any more. Returns it. */
export async function settled(value: () => number): Promise<number> {
  for (;;) {
    const before = value();
    let still = true;
    for (let i = 0; i < 6 && still; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      still = value() === before;
    }
    if (still) return before;
  }
}
