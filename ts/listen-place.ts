import { isIP, type ListenOptions } from 'node:net';
import { failure, received } from './errors.js';

/**
 * Where to listen: `':8443'` (every address), `'127.0.0.1:8443'`, `'[::1]:8443'`, a port, or the path
 * of a Unix socket, `'/run/tls.sock'` or `'unix:tls.sock'`.
 */
export type ListenPlace = string | number;

/** As `server.listen` takes it. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE */
export function listenOptions(place: unknown, name: string): ListenOptions {
  if (typeof place !== 'string' && typeof place !== 'number')
    throw failure('ERR_INVALID_ARG_TYPE', name, 'of type string or number', received(place));
  const text = String(place);
  if (text.startsWith('unix:') && text.length > 5) return { path: text.slice(5) };
  if (text.includes('/')) return { path: text };
  const [, v6, host, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 65_535) || (v6 !== undefined && isIP(v6) !== 6)) {
    const expected = "':port', 'host:port', '[ipv6]:port', a port or the path of a Unix socket";
    throw failure('ERR_INVALID_ARG_VALUE', name, expected, `'${text}'`);
  }
  const address = v6 ?? host;
  return { port, ...(address && { host: address }) };
}
