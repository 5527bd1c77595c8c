// What is compared: one row for each axis. A figure's `of` takes what lane.mjs measured.
import { execFileSync } from 'node:child_process';
import { run, runHttp2, weigh } from './lane.mjs';

const higher = 'higher is better';
const lower = 'lower is better';

const handshakes = ({ load }) => load.connections_per_second;
const p50 = ({ load }) => load.p50_us;
const bulk = ({ load }) => load.megabytes_per_second;

export const axes = [
  {
    name: 'handshake-p256',
    title: 'full P-256 handshakes, 32 on their way',
    service: 'echo',
    key: 'p256',
    measure: window('handshakes', '--in-flight', '32', '--no-echo'),
    figures: [{ name: 'connections', unit: '/s', better: higher, of: handshakes }],
  },
  {
    name: 'handshake-rsa2048',
    title: 'full RSA-2048 handshakes, 32 on their way',
    service: 'echo',
    key: 'rsa2048',
    measure: window('handshakes', '--in-flight', '32', '--no-echo'),
    figures: [{ name: 'connections', unit: '/s', better: higher, of: handshakes }],
  },
  {
    name: 'connection-main-thread',
    title: 'main thread for one connection: RSA-2048 handshake, one echo, close',
    service: 'echo',
    key: 'rsa2048',
    measure: window('handshakes', '--in-flight', '32'),
    figures: [
      {
        name: 'main thread',
        unit: 'us',
        better: lower,
        of: ({ server }) => (server.all.mainThread * 1000) / server.all.connections,
      },
    ],
  },
  {
    name: 'echo64',
    title: 'echo of 16 bytes on 64 connections',
    service: 'echo',
    key: 'p256',
    measure: window('echo', '--connections', '64', '--size', '16'),
    figures: [
      { name: 'messages', unit: '/s', better: higher, of: ({ load }) => load.messages_per_second },
      {
        name: 'main thread a message',
        unit: 'us',
        better: lower,
        of: ({ load, server }) => (server.all.mainThreadShare * 1e6) / load.messages_per_second,
      },
    ],
  },
  {
    name: 'http64',
    title: 'https keep-alive requests on 64 connections',
    service: 'http',
    key: 'p256',
    measure: window('http', '--connections', '64'),
    figures: [
      { name: 'requests', unit: '/s', better: higher, of: ({ load }) => load.requests_per_second },
    ],
  },
  {
    name: 'echo1',
    title: 'echo of 16 bytes on one quiet connection',
    service: 'echo',
    key: 'p256',
    measure: window('echo', '--connections', '1', '--size', '16'),
    figures: [{ name: 'p50', unit: 'us', better: lower, of: p50 }],
  },
  {
    name: 'http1',
    title: 'https keep-alive requests on one connection',
    service: 'http',
    key: 'p256',
    measure: window('http', '--connections', '1'),
    figures: [{ name: 'p50', unit: 'us', better: lower, of: p50 }],
  },
  {
    name: 'download4',
    title: 'download on 4 connections',
    service: 'download',
    key: 'p256',
    measure: window('download', '--connections', '4'),
    figures: [{ name: 'throughput', unit: 'MB/s', better: higher, of: bulk }],
  },
  {
    name: 'upload4',
    title: 'upload on 4 connections',
    service: 'upload',
    key: 'p256',
    measure: window('upload', '--connections', '4'),
    figures: [{ name: 'throughput', unit: 'MB/s', better: higher, of: bulk }],
  },
  {
    name: 'idle-memory',
    title: 'memory of an idle connection, of 2,000',
    service: 'echo',
    key: 'p256',
    measure: (lane) => weigh(lane, 2000),
    figures: [
      { name: 'memory', unit: 'KiB', better: lower, of: ({ bytesEach }) => bytesEach / 1024 },
    ],
  },
  {
    name: 'idle-memory-https',
    title: 'memory of an idle https connection, of 2,000',
    service: 'http',
    key: 'p256',
    measure: (lane) => weigh(lane, 2000),
    figures: [
      { name: 'memory', unit: 'KiB', better: lower, of: ({ bytesEach }) => bytesEach / 1024 },
    ],
  },
  {
    name: 'http2',
    title: 'HTTP/2 requests, 10 streams on each of 16 connections',
    service: 'http2',
    key: 'p256',
    measure: runHttp2,
    figures: [
      {
        name: 'requests',
        unit: '/s',
        better: higher,
        of: ({ requestsPerSecond }) => requestsPerSecond,
      },
    ],
  },
  {
    name: 'storm',
    title: '650 busy connections, then also 160 new RSA-2048 ones a second',
    service: 'echo',
    key: 'rsa2048',
    measure: (lane, { seconds }) =>
      run(lane, [
        'storm',
        '--clients=650',
        '--rate=160',
        '--size=64',
        `--calm-seconds=${seconds}`,
        `--seconds=${3 * seconds}`,
      ]),
    figures: [
      {
        name: 'new served of 160',
        unit: '/s',
        better: higher,
        of: ({ load }) => load.newcomers.served_per_second,
      },
      {
        name: 'busy messages in the storm',
        unit: '/s',
        better: higher,
        of: ({ load }) => load.storm.messages_per_second,
      },
      {
        name: 'own calm traffic kept',
        unit: '%',
        better: higher,
        of: ({ load }) => (100 * load.storm.messages_per_second) / load.calm.messages_per_second,
      },
      {
        name: 'busy p99 in the storm',
        unit: 'ms',
        better: lower,
        of: ({ load }) => load.storm.p99_us / 1000,
      },
    ],
  },
  {
    name: 'overload',
    title: '650 busy connections beside 10 times the RSA-4096 handshakes that can be done',
    service: 'echo',
    key: 'rsa4096',
    measure: (lane, { seconds }) =>
      run(lane, [
        'overload',
        '--clients=650',
        '--factor=10',
        '--sources=8',
        `--calm-seconds=${seconds}`,
        `--seconds=${3 * seconds}`,
      ]),
    figures: [
      {
        name: 'new served without overload',
        unit: '/s',
        better: higher,
        of: ({ load }) => load.capacity_per_second,
      },
      {
        name: 'of these served in overload',
        unit: '%',
        better: higher,
        of: ({ load }) => (100 * load.newcomers.served_per_second) / load.capacity_per_second,
      },
      {
        name: 'own calm traffic kept',
        unit: '%',
        better: higher,
        of: ({ load }) => (100 * load.overload.messages_per_second) / load.calm.messages_per_second,
      },
      {
        name: 'busy p99 in the overload',
        unit: 'ms',
        better: lower,
        of: ({ load }) => load.overload.p99_us / 1000,
      },
      {
        name: 'the same without overload',
        unit: 'ms',
        better: lower,
        of: ({ load }) => load.capacity.p99_us / 1000,
      },
      {
        name: 'until all is as before',
        unit: 'ms',
        better: lower,
        of: ({ load }) => load.recovery_ms ?? 10_000,
      },
    ],
  },
  ...scale(),
];

/** The same server with more and more connections; measured when it is asked for, since it takes minutes. */
function scale() {
  return [100, 1000, 5000, 10_000, Math.min(20_000, mostConnections())].map((connections) => ({
    name: `scale-${connections}`,
    title: `${connections.toLocaleString('en-US')} connections`,
    onDemand: true,
    connections,
    service: 'echo',
    key: 'p256',
    async measure(lane, { seconds }) {
      const counts = ['--connections', String(connections), '--size', '16'];
      const busy = await run(lane, ['echo', ...counts, '--seconds', String(seconds)]);
      const { bytesEach } = await weigh(lane, connections);
      return { ...busy, bytesEach };
    },
    figures: [
      {
        name: 'messages, all busy',
        unit: '/s',
        better: higher,
        of: ({ load }) => load.messages_per_second,
      },
      {
        name: 'event-loop delay p99, all busy',
        unit: 'ms',
        better: lower,
        of: ({ server }) => server.all.delayP99,
      },
      {
        name: 'memory of each, all idle',
        unit: 'KiB',
        better: lower,
        of: ({ bytesEach }) => bytesEach / 1024,
      },
    ],
  }));
}

/** What the limit on descriptors leaves for connections of one process, in whole hundreds. */
function mostConnections() {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return limit === 'unlimited' ? Infinity : Math.floor((Number(limit) - 300) / 100) * 100;
}

/** Phases of a run that has some. */
const phases = {
  storm: ['calm', 'storm'],
  overload: ['calm', 'capacity', 'overload'],
};

/** Shares of a core in one run: the client's, and what neither client nor server took. */
export function sharesOf({ load, server }) {
  const parts = phases[load.mode] ?? ['all'];
  const rows = parts
    .filter((part) => server?.[part])
    .map((part) => {
      const client = (part === 'all' ? load : load[part]).client_cpu;
      return { client, others: server[part].machineShare - server[part].cpuShare - client };
    });
  if (rows.length === 0) return null;
  return {
    client: Math.max(...rows.map((row) => row.client)),
    others: Math.max(...rows.map((row) => row.others)),
  };
}

/** Connections that failed while it was measured: a run with some is no measurement. */
export function failuresOf({ load }) {
  const parts = phases[load.mode]?.map((phase) => load[phase]) ?? [load];
  const failed = parts.reduce((sum, part) => sum + (part.failed ?? 0), 0);
  return failed ? `${failed} failed: ${parts.find((part) => part.first_error)?.first_error}` : null;
}

function window(...args) {
  return (lane, { seconds }) => run(lane, [...args, '--seconds', String(seconds)]);
}
