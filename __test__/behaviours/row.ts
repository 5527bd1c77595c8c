/** What a row of the table is. */
import type http2 from 'node:http2';
import type https from 'node:https';
import type tls from 'node:tls';

import type { Stage } from './stage.js';

/** Node's, or offloop's in their place. */
export interface Modules {
  /** What a program of its own imports them by. */
  readonly names: { readonly tls: string; readonly https: string; readonly http2: string };
  readonly tls: typeof tls;
  readonly https: typeof https;
  readonly http2: typeof http2;
}

export interface Row {
  /** A sentence on the behaviour. */
  readonly name: string;
  /** A program; its transcript must be plain data, the same each time. */
  readonly run: (modules: Modules, stage: Stage) => unknown;
  /** What Node gives, where both being wrong in the same way would not be noticed. */
  readonly expect?: unknown;
  /** No connection gets as far as a TLS socket. */
  readonly unserved?: true;
  /** Not as Node, by design. */
  readonly different?: Difference;
}

export interface Difference {
  /** For users: it stands in the page on compatibility. */
  readonly reason: string;
  /** What offloop gives instead. */
  readonly ours: unknown;
  /** No connection of offloop gets as far as a TLS socket. */
  readonly unserved?: true;
}
