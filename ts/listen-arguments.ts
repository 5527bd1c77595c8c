import { failure, received } from './errors.js';

/** Where a server listens, as the forms of `net.Server.listen` say it. */
export interface ListenArguments {
  host: string | undefined;
  port: number | undefined;
  path: string | undefined;
  fd: number | undefined;
  /** The descriptor was given as such and is the server's from now on; not that of a handle. */
  ownsDescriptor: boolean;
  backlog: number;
  ipv6Only: boolean;
  reusePort: boolean;
  readableAll: boolean;
  writableAll: boolean;
  signal: AbortSignal | undefined;
  callback: (() => void) | undefined;
}

/** Options of `listen`, as net.Server has them. */
export interface ListenOptions {
  port?: number | string | null | undefined;
  host?: string | undefined;
  path?: string | undefined;
  fd?: number | undefined;
  /** Connections the kernel queues. Default: 511. */
  backlog?: number | undefined;
  /** Don't share the port within a cluster; alone it changes nothing. */
  exclusive?: boolean | undefined;
  /** Let everybody read, or write, the socket at `path`. Default: false. */
  readableAll?: boolean | undefined;
  writableAll?: boolean | undefined;
  /** Don't accept IPv4 on an IPv6 address. Default: false. */
  ipv6Only?: boolean | undefined;
  /** Share the port with other processes (SO_REUSEPORT). Default: false. */
  reusePort?: boolean | undefined;
  /** Closes the server. */
  signal?: AbortSignal | undefined;
}

const BACKLOG = 511;

/** Reads the arguments of `listen` in all of net.Server's forms. */
export function listenArguments(args: readonly unknown[]): ListenArguments {
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const [first] = args;
  const backlog = positive(args[1]) || positive(args[2]);
  const base = { ...nowhere, backlog: backlog || BACKLOG, callback };
  if (typeof first === 'object' && first !== null) return fromOptions(first, base, backlog);
  if (first === undefined || first === null || typeof first === 'function')
    return { ...base, port: 0 };
  if (typeof first === 'string' && positive(first) === false) return { ...base, path: first };
  if (typeof first !== 'string' && typeof first !== 'number') throw placeless(first);
  const host = typeof args[1] === 'string' && args[1] !== '' ? args[1] : undefined;
  return { ...base, port: portNumber(first), host };
}

const nowhere: ListenArguments = {
  host: undefined,
  port: undefined,
  path: undefined,
  fd: undefined,
  ownsDescriptor: false,
  backlog: BACKLOG,
  ipv6Only: false,
  reusePort: false,
  readableAll: false,
  writableAll: false,
  signal: undefined,
  callback: undefined,
};

/** A handle, or a server or socket that has one. */
interface Handled {
  _handle?: Handled | null;
  handle?: Handled | null;
  fd?: number;
}

function fromOptions(
  given: ListenOptions & Handled,
  base: ListenArguments,
  backlogArgument: number | false,
): ListenArguments {
  const source = given._handle || given.handle || given;
  if (typeof source.fd === 'number' && source.fd >= 0) {
    const ownsDescriptor = source === given && source.constructor === Object;
    return { ...base, fd: source.fd, ownsDescriptor, signal: signalOf(given) };
  }
  const options = source as ListenOptions;
  const settings: ListenArguments = {
    ...base,
    backlog: positive(options.backlog) || backlogArgument || BACKLOG,
    ipv6Only: options.ipv6Only === true,
    reusePort: options.reusePort === true,
    readableAll: options.readableAll === true,
    writableAll: options.writableAll === true,
    signal: signalOf(options),
  };
  const { port, host, path } = options;
  if (port === null || (port === undefined && 'port' in options))
    return { ...settings, port: 0, host: host || undefined };
  if (typeof port === 'number' || typeof port === 'string')
    return { ...settings, port: portNumber(port), host: host || undefined };
  if (typeof path === 'string' && positive(path) === false) return { ...settings, path };
  throw placeless(given);
}

function placeless(given: unknown): Error {
  const expected = 'an object with the property "port" or "path"';
  return failure('ERR_INVALID_ARG_VALUE', 'options', expected, received(given));
}

function signalOf(options: ListenOptions): AbortSignal | undefined {
  const { signal } = options;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw failure(
    'ERR_INVALID_ARG_TYPE',
    'options.signal',
    'an instance of AbortSignal',
    received(signal),
  );
}

function portNumber(port: string | number): number {
  const blank = typeof port === 'string' && port.trim() === '';
  const value = Number(port);
  if (!blank && Number.isInteger(value) && value >= 0 && value <= 65535) return value;
  throw failure('ERR_SOCKET_BAD_PORT', 'options.port', received(port));
}

function positive(value: unknown): number | false {
  const number = Number(value);
  return number >= 0 ? number : false;
}
