import type tls from 'node:tls';
import type { HelloCallbacks } from './hello.js';

/** A TCP or Pipe handle of Node's, as far as it is used here. */
export interface Handle {
  readonly fd?: number;
  listen(backlog: number): number;
  close(callback?: () => void): void;
  ref(): void;
  unref(): void;
  hasRef(): boolean;
  getsockname?(out: object): number;
  onconnection?: unknown;
}

/** What of a Node server the core needs beyond its documented properties. */
export interface ServerInternals {
  _handle: Handle | null;
  _unref: boolean;
  _contexts: [RegExp, object][];
  blockList?: unknown;
  requestCert: boolean;
  rejectUnauthorized: boolean;
  allowHalfOpen: boolean;
  pauseOnConnect: boolean;
  highWaterMark: number;
  noDelay: boolean;
  keepAlive: boolean;
  /** In seconds. */
  keepAliveInitialDelay: number;
  ALPNCallback?: HelloCallbacks['ALPNCallback'];
  _connections: number;
  _emitCloseIfDrained(): void;
}

export type NodeServer = tls.Server & ServerInternals;
