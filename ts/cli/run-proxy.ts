/** A proxy that runs until a signal ends it, and says what happens to it. */
import type { AddressInfo } from 'node:net';
import type { Proxy, ProxyStats } from '../proxy.js';

const LOOK_MS = 1000;

/** Settles with the exit code. */
export async function runProxy(proxy: Proxy, timeout: number): Promise<number> {
  // Whoever read it is gone: that is no reason to stop.
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {});
  proxy.on('reload', () => say('certificates were read again'));
  proxy.on('reloadError', complainOfReload);
  process.on('SIGHUP', () => {
    try {
      proxy.reload();
    } catch (error) {
      complainOfReload(error as Error);
    }
  });
  const watching = watchFigures(proxy);
  const ending = asked();
  // Now that signals find somebody.
  const { backends } = proxy.stats().proxy;
  say(
    `listening on ${placeOf(proxy.address())}, to ${backends.map(({ name }) => name).join(', ')}`,
  );
  const metrics = proxy.metricsAddress();
  if (metrics !== null) say(`figures on ${placeOf(metrics)} at /metrics`);
  const signal = await ending;
  const draining = proxy.drain({ timeout });
  const { alive } = proxy.stats().connections;
  say(`${signal}: accepts no more; ${alive} connections have ${timeout} ms to end`);
  void asked().then(() => process.exit(1));
  const { forced } = await draining;
  clearInterval(watching);
  say(forced === 0 ? 'ended' : `ended; ${forced} connections were cut`);
  return 0;
}

function asked(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

/** Says what an operator must know; figures have the rest. At most a line for each in a second. */
function watchFigures(proxy: Proxy): NodeJS.Timeout {
  const { proxy: none, ...first } = proxy.stats();
  // The first check may be over already: what it found is told too.
  const backends = none.backends.map((backend) => ({ ...backend, up: true }));
  let before: ProxyStats = { ...first, proxy: { ...none, backends } };
  return setInterval(() => {
    const now = proxy.stats();
    changes(before, now).forEach(complain);
    before = now;
  }, LOOK_MS).unref();
}

function changes(before: ProxyStats, now: ProxyStats): string[] {
  const lines: string[] = [];
  for (const [i, { name, up }] of now.proxy.backends.entries()) {
    if (up === before.proxy.backends[i]!.up) continue;
    lines.push(
      up ? `${name} is back` : `${name} takes no connections: it is left alone until it does`,
    );
  }
  const unserved = now.proxy.unserved - before.proxy.unserved;
  if (unserved > 0) lines.push(`${unserved} connections were closed: no backend took them`);
  const refused = now.connections.acceptErrors - before.connections.acceptErrors;
  if (refused > 0)
    lines.push(`accept(2) failed ${refused} times: there may be too few descriptors (ulimit -n)`);
  const bad = failuresOf(now) - failuresOf(before);
  if (bad > 0)
    lines.push(
      `${bad} connections of trusted sources had no good PROXY header: make those send it, or trust fewer`,
    );
  return lines;
}

function failuresOf({ handshakes }: ProxyStats): number {
  return handshakes.failures['ERR_OFFLOOP_PROXY_HEADER'] ?? 0;
}

function complainOfReload({ message }: Error): void {
  complain(`certificates stay as they were: ${message.replaceAll('\n', ' ')}`);
}

function say(line: string): void {
  process.stdout.write(`offloop proxy: ${line}\n`);
}

function complain(line: string): void {
  process.stderr.write(`offloop proxy: ${line}\n`);
}

function placeOf(address: AddressInfo | string | null): string {
  if (typeof address !== 'object' || address === null) return String(address);
  const { family, port } = address;
  return family === 'IPv6' ? `[${address.address}]:${port}` : `${address.address}:${port}`;
}
