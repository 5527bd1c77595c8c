import { type Channel, channel } from 'node:diagnostics_channel';
import type { Server } from 'node:tls';
import { withFamilies } from './addresses.js';
import type { Connection } from './connection.js';
import { failure, type OffloopError, reported } from './errors.js';
import type { FailureReport } from './hub.js';
import type { NativeAddresses, NativeHandshake, NativeShedCounts, NativeSheds } from './native.js';

/** All channels of offloop. Without a subscriber nothing is made for them. */
export const channels = {
  start: channel('offloop:handshake:start') as Channel<HandshakeStart>,
  end: channel('offloop:handshake:end') as Channel<HandshakeEnd>,
  error: channel('offloop:handshake:error') as Channel<HandshakeError>,
  shed: channel('offloop:shed') as Channel<ConnectionsShed>,
  reload: channel('offloop:context:reload') as Channel<ContextReload>,
};

/** Part of the messages about a handshake. */
interface OfHandshake extends NativeAddresses {
  /** Where it came to; null for `acceptTls`. */
  server: Server | null;
  /** Names the connection in this process, the same in all messages about it. */
  connection: number;
}

/** A whole ClientHello is there; nothing has been computed for it yet. */
export interface HandshakeStart extends OfHandshake {
  /** The name that the client asks for. */
  servername?: string;
  /** The application protocols that it offers. */
  alpnProtocols?: string[];
  /** The MD5 of the JA3 fingerprint, in hex. */
  ja3Hash: string;
  /** The JA4 fingerprint. */
  ja4: string;
}

/** It succeeded; 'secureConnection' follows. */
export interface HandshakeEnd extends OfHandshake {
  /** What `socket.handshake` has. */
  handshake: NativeHandshake;
}

/** It failed, or the program gave it up. */
export interface HandshakeError extends OfHandshake {
  /** That of `error`: docs/errors.md has a section for each. */
  code: string;
  /** What the server's 'tlsClientError' gets. */
  error: OffloopError;
}

/** Connections were refused, or ended before their time, so that others are served. */
export interface ConnectionsShed {
  /** How many since the last message, by the limit that did it. */
  counts: NativeShedCounts;
  /** The first of them, 64 at most. */
  samples: ShedSample[];
}

/** One connection that was shed. */
export interface ShedSample extends NativeAddresses {
  /** Where it came to; null for `acceptTls`. */
  server: Server | null;
  /** The limit: a name of `counts`. */
  reason: keyof NativeShedCounts;
}

/** Connections from now on see another context. */
export interface ContextReload {
  /** Whose context it is. */
  server: Server;
  /** The name that it is for; absent: all others. */
  servername?: string;
}

/** What the core says of a handshake that begins. */
export interface StartReport extends NativeAddresses {
  connection: number;
  servername?: string;
  alpn?: string[];
  ja3Hash: string;
  ja4: string;
}

type Owner = Server | null | undefined;

export function tellStart(report: StartReport, server: Owner): void {
  if (!channels.start.hasSubscribers) return;
  const { connection, servername, alpn, ja3Hash, ja4 } = report;
  channels.start.publish({
    server: server ?? null,
    connection,
    ...withFamilies(report),
    ...(servername !== undefined && { servername }),
    ...(alpn !== undefined && { alpnProtocols: alpn }),
    ja3Hash,
    ja4,
  });
}

export function tellEnd(of: Connection, server: Owner): void {
  if (!channels.end.hasSubscribers) return;
  const handshake = of.handshakeFacts();
  // The client is gone again: nobody will hear of its connection.
  if (handshake === null) return;
  const { connection } = handshake;
  channels.end.publish({ server: server ?? null, connection, ...of.addresses(), handshake });
}

export function tellError(report: FailureReport, server: Owner): void {
  if (channels.error.hasSubscribers)
    tell(server, report.connection ?? 0, withFamilies(report), reported(report));
}

/** The program gave the handshake up. */
export function tellAbandoned({ hello, socket }: Connection, server: Owner): void {
  if (!channels.error.hasSubscribers) return;
  const error = (socket?.errored as OffloopError | null | undefined) ?? failure('ECONNRESET');
  tell(server, hello?.connection ?? 0, {}, error);
}

function tell(
  server: Owner,
  connection: number,
  addresses: NativeAddresses,
  error: OffloopError,
): void {
  channels.error.publish({
    server: server ?? null,
    connection,
    ...addresses,
    code: error.code,
    error,
  });
}

export function tellSheds({ counts, samples }: NativeSheds, serverOf: (id: number) => Owner): void {
  channels.shed.publish({
    counts,
    samples: samples.map(({ server, reason, addresses }) => ({
      server: serverOf(server) ?? null,
      reason: reason as keyof NativeShedCounts,
      ...withFamilies(addresses),
    })),
  });
}

export function tellReload(server: Server, servername?: string): void {
  if (!channels.reload.hasSubscribers) return;
  channels.reload.publish({ server, ...(servername !== undefined && { servername }) });
}

/** Calls `changed` when somebody subscribes or unsubscribes: the core tells on demand. */
export function watch<T>(watched: Channel<T>, changed: (wanted: boolean) => void): void {
  for (const name of ['subscribe', 'unsubscribe'] as const) {
    Object.defineProperty(watched, name, {
      value(this: Channel, subscriber: () => void): unknown {
        // Node gives a channel that somebody subscribes to another prototype.
        const prototype = Object.getPrototypeOf(this) as Record<string, (fn: unknown) => unknown>;
        const answer = prototype[name].call(this, subscriber);
        changed(this.hasSubscribers);
        return answer;
      },
      configurable: true,
      writable: true,
    });
  }
  if (watched.hasSubscribers) changed(true);
}
