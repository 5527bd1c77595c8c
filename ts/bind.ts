import { chmodSync, closeSync, statSync } from 'node:fs';
import { constants, networkInterfaces } from 'node:os';
import { listenError } from './errors.js';
import { hub } from './hub.js';
import type { ListenArguments } from './listen-arguments.js';
import type { NativeListening } from './native.js';

/** Makes a native server listen; returns where, or the error as net would emit it. */
export function bind(
  server: number,
  target: ListenArguments,
  host: string | undefined,
): NativeListening | Error {
  const { port, path, fd: descriptor, backlog, ipv6Only, reusePort } = target;
  const where = { host: host && numberedScope(host), port, path, descriptor };
  let bound: NativeListening;
  try {
    bound = hub().native.listen(server, {
      ...Object.fromEntries(Object.entries(where).filter(([, value]) => value !== undefined)),
      backlog,
      ipv6Only,
      reusePort,
    });
  } catch (error) {
    return error as Error;
  }
  if (bound.errno !== undefined) return refusal(bound.errno, target, host);
  if (path !== undefined) openPath(path, target);
  // The core listens on a duplicate.
  if (descriptor !== undefined && target.ownsDescriptor) closeSync(descriptor);
  return bound;
}

/**
 * libuv's words, which programs match: a missing directory is lack of permission, a descriptor
 * that is no socket an invalid argument.
 */
function refusal(errno: number, { path, port, fd }: ListenArguments, host?: string): Error {
  const { EACCES, EINVAL, ENOENT, ENOTSOCK } = constants.errno;
  let code = errno;
  if (path !== undefined && errno === -ENOENT) code = -EACCES;
  if (fd !== undefined && errno === -ENOTSOCK) code = -EINVAL;
  const place = fd === undefined ? (path ?? host ?? '::') : null;
  return listenError(code, place, port ?? -1);
}

/** `fe80::1%eth0` as `fe80::1%2`: the core knows interfaces by number. 0 is none, for bind(2) to say. */
function numberedScope(host: string): string {
  const [address, scope] = host.split('%');
  if (scope === undefined || /^\d+$/.test(scope)) return host;
  const known = networkInterfaces()[scope]?.find((each) => each.family === 'IPv6' && each.scopeid);
  return `${address}%${known?.family === 'IPv6' ? known.scopeid : 0}`;
}

function openPath(path: string, { readableAll, writableAll }: ListenArguments): void {
  if (!readableAll && !writableAll) return;
  const mode = (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0);
  chmodSync(path, statSync(path).mode | mode);
}
