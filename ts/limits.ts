import { failure, received } from './errors.js';
import type { NativeAdmission, NativeSettings } from './native.js';
import { count, type Inputs, oneOf, type Option, parseOptions, type Values } from './option.js';
import type { Offload } from './core-options.js';

/** How a handshake is shed. */
export type Shed = 'reset' | 'alert';

/** New connections in a second, and how many of them may come at once. */
export interface Rate {
  /** New connections a second. */
  perSecond: number;
  /** Default: one second's worth. */
  burst?: number | undefined;
}

/** Limits of each connection. */
export const connectionLimits = {
  /**
   * Time from the connection to its whole ClientHello, in ms. Default: the handshake's deadline.
   * Clients send it at once: 10,000 suits all but the slowest networks.
   */
  helloTimeout: count(undefined, 2 ** 31 - 1, 1),
  /**
   * Largest ClientHello, in bytes. Default: 32768, many times what browsers send with post-quantum
   * key shares; a connection that has sent nearly all of one holds as much and 26 KiB at most besides.
   */
  clientHelloSize: count(32 * 1024, 64 * 1024, 512),
  /**
   * Time that a handshake may wait for a thread under overload, in ms: when for a whole second the
   * oldest has waited for longer, more waits than is done in 2.5 s and it becomes no less, those
   * above it are shed, oldest first. Default: 100, which nobody notices in a page load.
   */
  queueTarget: count(100, 2 ** 31 - 1, 1),
  /**
   * Time that a handshake may wait for a thread at all, in ms; what has waited for longer, or could
   * not be answered by the handshake's deadline, is refused before it costs anything. Default:
   * 5000: most clients have given up by then.
   */
  queueAge: count(5000, 2 ** 31 - 1, 1),
  /**
   * Plaintext that the core holds for a connection, in bytes, in each direction: received and not
   * read yet, and written and not sent yet. Default: 262144, enough for a gigabit a second at 2 ms.
   */
  bufferedBytes: count(256 * 1024, 2 ** 30, 16 * 1024),
  /**
   * Records in a row that carry no data, of any kind: empty ones, KeyUpdates, warnings, handshake
   * messages. One more ends the connection by the alert unexpected_message; data in between starts
   * anew. Default: 32, which OpenSSL, BoringSSL and rustls allow of one kind, and the most.
   */
  emptyRecords: count(32, 32, 1),
  /**
   * Time without a byte in either direction after which an open connection is closed, in ms.
   * Default: none; protocols with long polls and web sockets have silences of their own.
   */
  idleTimeout: count(undefined, 2 ** 31 - 1, 1),
  /**
   * How a handshake is shed: by a RST, which costs least, or by the alert internal_error
   * (RFC 8446, 6.2), which clients can tell from a broken network; a client that has not sent its
   * ClientHello gets a RST in any case. Default: reset.
   */
  shed: oneOf<Shed>(['reset', 'alert'], 'reset'),
};

/** Limits of a server. */
export const serverLimits = {
  /**
   * Handshakes in flight. Default: 16384, each some 14 KiB. For one more, that which has waited
   * longest for its client's answer is shed; where none has for 500 ms, the new one is dropped.
   */
  handshakes: count(16_384, 2 ** 24, 1),
  /**
   * Handshakes in flight of one peer, an IPv4 address or an IPv6 /64. Default: none, since behind a
   * load balancer or a NAT many clients share an address. One more is dropped.
   */
  handshakesPerPeer: count(undefined, 2 ** 24, 1),
  /**
   * New connections: so many a second, `{ perSecond, burst }` to let another number than one
   * second's worth come at once. Default: none. One more is dropped.
   */
  connectionRate: rate(),
  /**
   * The same of each peer, as of `handshakesPerPeer`; 65,536 of them are remembered, those not seen
   * for longest are forgotten. Default: none, for the same reason.
   */
  connectionRatePerPeer: rate(),
  /**
   * Connections whose ClientHello is not whole. Default: 8192, each a descriptor and 4 KiB, and more
   * with what it has sent: see `clientHelloSize`. Above it the one that has waited longest is shed:
   * those who mean it wait for milliseconds.
   */
  waitingForHello: count(8192, 2 ** 24, 1),
  ...connectionLimits,
};

/** What a connection may take, and for how long: docs/limits.md explains each. */
export type ConnectionLimits = Inputs<typeof connectionLimits>;
/** The same, and what a server takes on. */
export type ServerLimits = Inputs<typeof serverLimits>;

/** An option that is a table of limits; unlike among other options, a name of none is an error. */
export function limitsOf<T extends typeof connectionLimits>(
  table: T,
): Option<Inputs<T>, Values<T>> {
  return {
    absent: () => parseOptions(table, {}),
    parse(value, name) {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw failure('ERR_INVALID_ARG_TYPE', name, 'of type object', received(value));
      checkNames(value, Object.keys(table), name);
      return parseOptions(table, value, name);
    },
  };
}

/** What the core gets of it for each connection. */
export function settingsOf(
  limits: Values<typeof connectionLimits>,
  rest: { handshakeTimeout: number; offload: Offload },
): NativeSettings {
  const { helloTimeout, clientHelloSize, queueTarget, queueAge } = limits;
  const { bufferedBytes, emptyRecords, idleTimeout, shed } = limits;
  return {
    ...rest,
    ...(helloTimeout !== undefined && { helloTimeout }),
    clientHelloSize,
    queueTarget,
    queueAge,
    bufferedBytes,
    emptyRecords,
    ...(idleTimeout !== undefined && { idleTimeout }),
    shed,
  };
}

/** What the core gets of it for each server. */
export function admissionOf(limits: Values<typeof serverLimits>): NativeAdmission {
  const { handshakes, waitingForHello } = limits;
  const { handshakesPerPeer, connectionRate, connectionRatePerPeer } = limits;
  return {
    handshakes,
    waitingForHello,
    ...(handshakesPerPeer !== undefined && { handshakesPerPeer }),
    ...(connectionRate !== undefined && { connectionRate }),
    ...(connectionRatePerPeer !== undefined && { connectionRatePerPeer }),
  };
}

function rate(): Option<
  number | Rate,
  Required<NonNullable<NativeAdmission['connectionRate']>> | undefined
> {
  const perSecond = count(undefined, 10_000_000, 1);
  return {
    absent: () => undefined,
    parse(value, name) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        const given = value as Partial<Rate>;
        checkNames(given, ['perSecond', 'burst'], name);
        const parsed = perSecond.parse(given.perSecond, `${name}.perSecond`)!;
        const { burst } = given;
        return {
          perSecond: parsed,
          burst: burst == null ? parsed : perSecond.parse(burst, `${name}.burst`)!,
        };
      }
      const parsed = perSecond.parse(value, name)!;
      return { perSecond: parsed, burst: parsed };
    },
  };
}

/** A name that means nothing is an error: most often it is one of these, spelled wrong. */
function checkNames(value: object, names: readonly string[], path: string): void {
  const unknown = Object.keys(value).find((key) => !names.includes(key));
  if (unknown === undefined) return;
  throw failure('ERR_INVALID_ARG_VALUE', path, `one of ${names.join(', ')}`, `'${unknown}'`);
}
