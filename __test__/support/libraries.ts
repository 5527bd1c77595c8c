/** node:tls and offloop behind one face: the same program runs on both. */
import type { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';

import * as offloopPackage from 'offloop';

/** What tls.Server and offloop's have in common, as far as tests use it. */
export interface AnyServer extends EventEmitter, AsyncDisposable {
  readonly listening: boolean;
  maxConnections?: number;
  listen(...args: unknown[]): this;
  close(callback?: (error?: Error) => void): this;
  address(): AddressInfo | string | null;
  getConnections(callback: (error: Error | null, count: number) => void): unknown;
  addContext(hostname: string, context: object): void;
  setSecureContext(options: object): void;
  ref(): this;
  unref(): this;
}

export interface Library {
  readonly name: 'node:tls' | 'offloop';
  createServer(options: object, listener?: (socket: tls.TLSSocket) => void): AnyServer;
}

export const nodeTls: Library = {
  name: 'node:tls',
  createServer: (options, listener) => tls.createServer(options, listener) as unknown as AnyServer,
};

export const offloop: Library = {
  name: 'offloop',
  createServer: (options, listener) =>
    offloopPackage.createServer(options, listener as never) as unknown as AnyServer,
};
