/** Bytes whose position can be told: every place of a long stream is checked, not only its sum. */
import { randomBytes } from 'node:crypto';

/** A prime, so that no buffer size divides it: bytes in a wrong place don't fit by chance. */
const PERIOD = 1_048_573;

/** An endless sequence of bytes. */
export class Sequence {
  private readonly period = randomBytes(PERIOD);

  /** `size` bytes from `offset` on. */
  slice(offset: number, size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    for (let at = 0; at < size;) {
      const from = (offset + at) % PERIOD;
      at += this.period.copy(bytes, at, from, Math.min(PERIOD, from + size - at));
    }
    return bytes;
  }
}

/** Takes a sequence in pieces and throws at the first byte that is not the next one. */
export class Checked {
  received = 0;

  constructor(
    private readonly sequence: Sequence,
    /** Where in the sequence the first byte is. */
    private readonly start = 0,
  ) {}

  take(chunk: Buffer): void {
    const expected = this.sequence.slice(this.start + this.received, chunk.length);
    if (!chunk.equals(expected)) {
      const wrong = chunk.findIndex((byte, i) => byte !== expected[i]);
      throw new Error(`byte ${this.received + wrong} is not the expected one`);
    }
    this.received += chunk.length;
  }
}

/** Random numbers that a seed repeats: `next(n)` is 0 to n-1. */
export class Dice {
  constructor(private state: number) {}

  next(bound: number): number {
    // mulberry32
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  }
}
