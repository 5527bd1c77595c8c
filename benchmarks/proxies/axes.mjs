// What of proxies is compared: one row for each axis.
import { setTimeout as sleep } from 'node:timers/promises';
import { Load } from '../load-program.mjs';

const higher = 'higher is better';
const lower = 'lower is better';

/** `measure` gives a run's figure; `client` and `failed` are of the client. */
export const axes = [
  {
    name: 'handshake-p256',
    title: 'full P-256 handshakes, 32 on their way, each with its backend connection',
    key: 'p256',
    unit: '/s',
    better: higher,
    measure: (at, seconds) => connectionRate(at, seconds, '--no-echo'),
  },
  {
    name: 'handshake-rsa2048',
    title: 'full RSA-2048 handshakes, 32 on their way, each with its backend connection',
    key: 'rsa2048',
    unit: '/s',
    better: higher,
    measure: (at, seconds) => connectionRate(at, seconds, '--no-echo'),
  },
  {
    name: 'connection-p256',
    title: 'new connections with one HTTP/1.1 request each, P-256, 32 on their way',
    key: 'p256',
    unit: '/s',
    better: higher,
    measure: (at, seconds) => connectionRate(at, seconds, '--http'),
  },
  {
    name: 'http64',
    title: 'HTTP/1.1 requests on 64 keep-alive connections',
    key: 'p256',
    unit: '/s',
    better: higher,
    measure: (at, seconds) => requestRate(at, seconds, 64),
  },
  {
    name: 'http1',
    title: 'HTTP/1.1 requests on one keep-alive connection',
    key: 'p256',
    unit: '/s',
    better: higher,
    measure: (at, seconds) => requestRate(at, seconds, 1),
  },
  {
    name: 'idle',
    title: 'memory for an idle connection: 2,000 that have asked once',
    key: 'p256',
    unit: 'B',
    better: lower,
    measure: (at) => weigh(at, 2000),
  },
];

function connectionRate(at, seconds, what) {
  return load(at, seconds, 'connections_per_second', 'handshakes', '--in-flight', '32', what);
}

function requestRate(at, seconds, count) {
  return load(at, seconds, 'requests_per_second', 'http', '--connections', String(count));
}

async function load({ program, address }, seconds, figure, ...args) {
  const end = await new Load(program, [
    ...args,
    '--seconds',
    String(seconds),
    ...address,
  ]).finished();
  return { value: end[figure], failed: end.failed ?? 0, client: end.client_cores };
}

async function weigh({ program, address, proxy }, connections) {
  // What a proxy's first connections make it load is no weight of a connection.
  await hold(program, address, 64, () => {});
  await sleep(1000);
  const before = proxy.memory();
  let after;
  await hold(program, address, connections, async () => {
    await sleep(1500);
    after = proxy.memory();
  });
  return { value: (after - before) / connections, failed: 0 };
}

async function hold(program, address, connections, whileOpen) {
  const args = ['idle', '--connections', String(connections), '--http', ...address];
  const idle = new Load(program, args);
  for await (const line of idle.lines()) {
    if (line.event !== 'open') continue;
    await whileOpen();
    idle.release();
  }
}
