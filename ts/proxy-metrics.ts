import type { BackendStats } from './backends.js';
import type { ProxyStats } from './proxy.js';
import { bucketBounds, type Histogram, type Stats } from './stats.js';

/**
 * Figures of a proxy in Prometheus' text format. Names follow OpenTelemetry's conventions as
 * Prometheus spells them; times are in seconds. Those of `examples/metrics-prometheus.mjs`, and of
 * backends.
 */
export function exposition(server: ProxyStats, core: Stats): string {
  const { connections, handshakes, sheds, bytes, proxy } = server;
  const { alive, waiting, handshaking, open } = connections;
  return [
    family('gauge', 'tls_server_connections', 'Connections by state', 'state', {
      waiting,
      handshaking: Math.max(0, handshaking - waiting),
      open,
      closing: Math.max(0, alive - handshaking - open),
    }),
    single('counter', 'tls_server_accepted_total', 'Connections accepted', connections.accepted),
    single(
      'counter',
      'tls_server_accept_errors_total',
      'Errors of accept(2)',
      connections.acceptErrors,
    ),
    family(
      'counter',
      'tls_server_handshakes_total',
      'Handshakes that succeeded, by protocol version',
      'tls_protocol_version',
      // The version without its name, as tls.protocol.version has it.
      mapped(handshakes.byVersion, (version) => version.replace('TLSv', '')),
    ),
    family(
      'counter',
      'tls_server_handshakes_by_cipher_total',
      'Handshakes that succeeded, by cipher suite',
      'tls_cipher',
      handshakes.byCipher,
    ),
    family(
      'counter',
      'tls_server_handshakes_by_resumption_total',
      'Handshakes that succeeded, full and resumed',
      'tls_resumed',
      { false: handshakes.full, true: handshakes.resumed },
    ),
    family(
      'counter',
      'tls_server_handshake_errors_total',
      'Handshakes that failed, by code',
      'error_type',
      handshakes.failures,
    ),
    family('counter', 'tls_server_sheds_total', 'Connections shed, by limit', 'reason', {
      ...sheds,
    }),
    family('counter', 'tls_server_io_bytes_total', 'Plaintext moved', 'network_io_direction', {
      receive: bytes.received,
      transmit: bytes.sent,
    }),
    histograms(
      'tls_server_handshake_duration_seconds',
      'Handshakes that succeeded, by phase',
      'phase',
      handshakes.phases as unknown as Record<string, Histogram>,
    ),
    single(
      'gauge',
      'tls_server_private_keys',
      'Private keys that the core can sign with',
      core.memory.privateKeys,
    ),
    ...BACKEND_FAMILIES.map(([kind, name, help, of]) =>
      family(
        kind,
        `tls_proxy_backend_${name}`,
        help,
        'backend',
        Object.fromEntries(proxy.backends.map((backend) => [backend.name, of(backend)])),
      ),
    ),
    single(
      'counter',
      'tls_proxy_unserved_total',
      'Connections closed because no backend took them',
      proxy.unserved,
    ),
  ].join('');
}

type Kind = 'counter' | 'gauge';

const BACKEND_FAMILIES: readonly (readonly [Kind, string, string, (of: BackendStats) => number])[] =
  [
    ['gauge', 'up', 'Whether it took the last connection', ({ up }) => Number(up)],
    ['gauge', 'connections', 'Connections to it', ({ connections }) => connections],
    ['counter', 'connections_opened_total', 'Connections made to it', ({ opened }) => opened],
    [
      'counter',
      'connect_failures_total',
      'Connections that could not be made to it',
      ({ failures }) => failures,
    ],
    [
      'counter',
      'connections_broken_total',
      'Connections to it that broke or were cut',
      ({ broken }) => broken,
    ],
  ];

function family(
  kind: Kind,
  name: string,
  help: string,
  label: string,
  values: Readonly<Record<string, number>>,
): string {
  const lines = Object.entries(values).map(
    ([key, value]) => `${name}{${label}="${escaped(key)}"} ${value}\n`,
  );
  return head(kind, name, help) + lines.join('');
}

function single(kind: Kind, name: string, help: string, value: number): string {
  return `${head(kind, name, help)}${name} ${value}\n`;
}

/** Distributions in microseconds, as the core keeps them. */
function histograms(
  name: string,
  help: string,
  label: string,
  values: Readonly<Record<string, Histogram>>,
): string {
  const lines: string[] = [];
  for (const [key, { buckets, count, sum }] of Object.entries(values)) {
    const own = `${label}="${escaped(key)}"`;
    for (const [i, bound] of bucketBounds.entries())
      lines.push(`${name}_bucket{${own},le="${bound / 1e6}"} ${buckets[i]}\n`);
    lines.push(
      `${name}_bucket{${own},le="+Inf"} ${count}\n`,
      `${name}_sum{${own}} ${sum / 1e6}\n`,
      `${name}_count{${own}} ${count}\n`,
    );
  }
  return head('histogram', name, help) + lines.join('');
}

function head(kind: string, name: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
}

function mapped(
  values: Readonly<Record<string, number>>,
  rename: (key: string) => string,
): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [rename(key), value]));
}

/** A label's value: backends are named by their users. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
