import { isIP } from 'node:net';
import { failure, received } from './errors.js';
import { NativeBackends } from './native.js';
import { count, type Inputs, oneOf, type Option, own, parseOptions } from './option.js';

/**
 * Where a backend takes connections: `'host:port'`, `'[::1]:port'`, a port of this machine, or the
 * path of a Unix socket, `'/run/app.sock'` or `'unix:app.sock'`.
 */
export type BackendPlace = string | number | { host?: string; port: number } | { path: string };

/** Version of the PROXY protocol. */
export type ProxyProtocolVersion = 'v1' | 'v2';

const MOST_MS = 2 ** 31 - 1;

/** Options of the backends of a server. */
export const backendOptions = {
  /** Where they are; connections go to the one with the fewest. */
  backends: places(),
  /** Tells backends whose a connection is, by a PROXY header in front of it. Default: none. */
  sendProxyProtocol: proxyProtocolVersion(),
  /** Time for a backend to take a connection, in ms; then another one is tried. Default: 5000. */
  connectTimeout: count(5000, MOST_MS, 1),
  /**
   * Time between two checks of a backend by a connection, in ms; 0: none, and one that has failed is
   * left alone for 10 s. Default: 2000.
   */
  checkInterval: count(2000, MOST_MS),
};

/** Backends with how they are used. */
export type BackendOptions = Inputs<typeof backendOptions>;

/** What `proxyTo` takes. */
export type ProxyTarget = BackendPlace | readonly BackendPlace[] | BackendOptions;

/** Figures of the backends of a server. */
export interface BackendsStats {
  /** Connections that were closed because no backend took them. Counter. */
  unserved: number;
  /** Each, in the order of the options. */
  backends: BackendStats[];
}

/** Figures of one backend. */
export interface BackendStats {
  /** Its host and port, or its path. */
  name: string;
  /** Whether it took the last connection that was made to it. */
  up: boolean;
  /** Connections, those that are being made too. Gauge. */
  connections: number;
  /** Connections made. Counter. */
  opened: number;
  /** Connections that could not be made; another backend was tried then. Counter. */
  failures: number;
  /** Connections that broke on either side, or were cut. Counter. */
  broken: number;
}

/** The option `proxyTo`. */
export function proxyTarget(): Option<ProxyTarget, object | undefined> {
  return {
    absent: () => undefined,
    parse(value, name) {
      const isPlaces = typeof value !== 'object' || Array.isArray(value) || isPlace(value);
      const options = isPlaces ? { backends: value } : (value as object);
      for (const key of Object.keys(options)) {
        if (Object.hasOwn(backendOptions, key)) continue;
        const expected = `one of ${Object.keys(backendOptions).join(', ')}`;
        throw failure('ERR_INVALID_ARG_VALUE', name, expected, `'${key}'`);
      }
      const path = isPlaces ? name : `${name}.backends`;
      const given = (options as BackendOptions).backends;
      if (given == null)
        throw failure('ERR_MISSING_ARGS', path, 'where connections are passed on to');
      const { sendProxyProtocol, connectTimeout, checkInterval } = parseOptions(
        backendOptions,
        { ...options, backends: null },
        name,
      );
      return new NativeBackends({
        places: backendOptions.backends.parse(given, path),
        connectTimeout,
        ...(checkInterval > 0 && { checkInterval }),
        ...(sendProxyProtocol && { proxyProtocol: sendProxyProtocol }),
      });
    },
  };
}

/** From which peers a PROXY header is taken, and must come. */
export interface ProxyProtocolOptions {
  /** Addresses, networks such as `10.0.0.0/8`, and `unix` for peers over a Unix socket. */
  trusted: readonly string[];
}

/** The option `proxyProtocol`. */
export function trustedProxies(): Option<ProxyProtocolOptions, readonly string[] | undefined> {
  return own({
    absent: () => undefined,
    parse(value, name) {
      if (typeof value !== 'object' || value === null)
        throw failure('ERR_INVALID_ARG_TYPE', name, 'of type object', received(value));
      const { trusted } = value as Partial<ProxyProtocolOptions>;
      if (!Array.isArray(trusted) || trusted.length === 0) {
        const expected = 'an array of addresses and networks, with one at least';
        throw failure('ERR_INVALID_ARG_VALUE', `${name}.trusted`, expected, received(trusted));
      }
      for (const [i, source] of trusted.entries()) {
        if (isSource(source)) continue;
        const expected = "an address, a network such as '10.0.0.0/8', or 'unix'";
        const got = typeof source === 'string' ? `'${source}'` : received(source);
        throw failure('ERR_INVALID_ARG_VALUE', `${name}.trusted[${i}]`, expected, got);
      }
      return trusted as string[];
    },
  });
}

function isSource(source: unknown): boolean {
  if (typeof source !== 'string') return false;
  if (source === 'unix') return true;
  const [address, prefix, ...more] = source.split('/');
  const family = isIP(address!);
  if (family === 0 || address!.includes('%') || more.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

function proxyProtocolVersion(): Option<ProxyProtocolVersion, ProxyProtocolVersion | undefined> {
  const { parse } = oneOf<ProxyProtocolVersion>(['v1', 'v2'], 'v2');
  return { absent: () => undefined, parse };
}

/** What a place comes to. */
export type Place = { host: string; port: number } | { path: string };

function places(): Option<BackendPlace | readonly BackendPlace[], Place[]> {
  return {
    absent: () => [],
    parse(value, name) {
      if (!Array.isArray(value)) return [place(value, name)];
      if (value.length === 0)
        throw failure('ERR_INVALID_ARG_VALUE', name, 'at least one backend', 'an empty array');
      return value.map((each, i) => place(each, `${name}[${i}]`));
    },
  };
}

function isPlace(value: object | null): boolean {
  return value !== null && !('backends' in value) && ('port' in value || 'path' in value);
}

function place(value: unknown, name: string): Place {
  if (typeof value === 'string') return placeOfText(value, name);
  if (typeof value === 'number') return { host: LOOPBACK, port: portOf(value, name) };
  if (typeof value !== 'object' || value === null || !isPlace(value))
    throw failure('ERR_INVALID_ARG_TYPE', name, EXPECTED, received(value));
  const { host, port, path, ...more } = value as Record<string, unknown>;
  const [stranger] = Object.keys(more);
  if (stranger !== undefined || (path !== undefined && port !== undefined)) {
    const got = stranger === undefined ? 'both' : `'${stranger}' beside it`;
    throw failure('ERR_INVALID_ARG_VALUE', name, 'host and port, or path', got);
  }
  if (path !== undefined) {
    if (typeof path !== 'string')
      throw failure('ERR_INVALID_ARG_TYPE', `${name}.path`, 'of type string', received(path));
    return placeOfPath(path, `${name}.path`);
  }
  if (host !== undefined && typeof host !== 'string')
    throw failure('ERR_INVALID_ARG_TYPE', `${name}.host`, 'of type string', received(host));
  return { host: host || LOOPBACK, port: portOf(port, `${name}.port`) };
}

const LOOPBACK = '127.0.0.1';
const EXPECTED = "'host:port', a port, the path of a Unix socket, or an object with port or path";

function placeOfText(text: string, name: string): Place {
  if (text.startsWith('unix:')) return placeOfPath(text.slice('unix:'.length), name);
  if (text.includes('/')) return placeOfPath(text, name);
  const parts =
    /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? /^()()(\d{1,5})$/.exec(text);
  const host = parts?.[1] || parts?.[2] || LOOPBACK;
  const port = Number(parts?.[3]);
  if (parts === null || !(port >= 1 && port <= 65_535) || (parts[1] && isIP(parts[1]) !== 6))
    throw failure('ERR_INVALID_ARG_VALUE', name, EXPECTED, `'${text}'`);
  return { host, port };
}

/** What the system takes for the path of a Unix socket, on Linux. */
const PATH_MOST = 107;

function placeOfPath(path: string, name: string): Place {
  const bytes = Buffer.byteLength(path);
  if (bytes >= 1 && bytes <= PATH_MOST && !path.includes('\0')) return { path };
  const expected = `a path of 1 to ${PATH_MOST} bytes`;
  throw failure('ERR_INVALID_ARG_VALUE', name, expected, `one of ${bytes}`);
}

function portOf(value: unknown, name: string): number {
  return count(undefined, 65_535, 1).parse(value, name)!;
}
