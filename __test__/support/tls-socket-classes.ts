/** `new TLSSocket(stream, { isServer: true })` of node:tls and of offloop, behind one face. */
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';

import type * as contexts from '../../dist/node-context.js';
import type * as classes from '../../dist/tls-socket-class.js';

// Not imported: that would be another instance than the package's own.
const require = createRequire(import.meta.url);
const { createSecureContext } = require('../../dist/node-context.js') as typeof contexts;
const { tlsSocketClass } = require('../../dist/tls-socket-class.js') as typeof classes;

export type SocketOptions = tls.TLSSocketOptions & Record<string, unknown>;

export interface SocketLibrary {
  readonly name: 'node:tls' | 'offloop';
  readonly TLSSocket: new (stream?: Duplex | null, options?: SocketOptions) => tls.TLSSocket;
  readonly createSecureContext: typeof tls.createSecureContext;
}

export const nodeSockets: SocketLibrary = {
  name: 'node:tls',
  TLSSocket: tls.TLSSocket as SocketLibrary['TLSSocket'],
  createSecureContext: tls.createSecureContext,
};

export const offloopSockets: SocketLibrary = {
  name: 'offloop',
  TLSSocket: tlsSocketClass({ fallback: false }) as SocketLibrary['TLSSocket'],
  createSecureContext,
};

/** As under `offloop/register`. */
export const FallingBack = tlsSocketClass({ fallback: true });
