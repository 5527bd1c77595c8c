/** What the kernel knows of a socket's keep-alive. */
import { readFileSync } from 'node:fs';

const KEEP_ALIVE = 2;
/** Of `/proc`, a second. */
const TICKS = 100;

/**
 * Seconds until the kernel probes the peer of a TCP connection over IPv4 from `local` to `remote`,
 * both ports; null where it never will.
 */
export function keepAliveIn(local: number, remote: number): number | null {
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, from, to, , , timer = ''] = line.trim().split(/\s+/);
    if (from?.endsWith(`:${hex(local)}`) !== true || !to.endsWith(`:${hex(remote)}`)) continue;
    const [kind, ticks] = timer.split(':').map((field) => Number.parseInt(field, 16));
    return kind === KEEP_ALIVE ? ticks / TICKS : null;
  }
  throw new Error(`no connection from port ${local} to ${remote}`);
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}
