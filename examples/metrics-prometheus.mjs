// The core's figures at /metrics, for Prometheus: `npm install prom-client`.
//
// Names follow OpenTelemetry's conventions as Prometheus spells them: dots become underscores,
// units and `_total` are suffixes. Times are in seconds.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { bucketBounds, createServer, stats } from 'offloop';
import client from 'prom-client';

const {
  KEY_FILE = 'key.pem',
  CERT_FILE = 'cert.pem',
  PORT = '8443',
  METRICS_PORT = '9464',
} = process.env;

// The application: whatever it is.
const server = createServer({ key: readFileSync(KEY_FILE), cert: readFileSync(CERT_FILE) }, (s) =>
  s.on('error', () => {}).pipe(s),
);
server.listen(Number(PORT), () => console.log(JSON.stringify({ port: server.address().port })));

/** A counter or gauge whose values are read when Prometheus asks. */
function metric(Kind, name, help, labelNames, read) {
  const made = new Kind({
    registers: [],
    name,
    help,
    labelNames,
    collect() {
      this.reset();
      for (const [labels, value] of read(stats())) {
        if (Kind === client.Counter) this.inc(labels, value);
        else this.set(labels, value);
      }
    },
  });
  client.register.registerMetric(made);
}

/** Entries of an object as values with one label. */
const by = (label, counts) =>
  Object.entries(counts).map(([key, count]) => [{ [label]: key }, count]);

metric(client.Gauge, 'tls_server_connections', 'Connections by state', ['state'], (figures) => {
  const { alive, waiting, handshaking, open } = figures.connections;
  return by('state', {
    waiting,
    handshaking: handshaking - waiting,
    open,
    closing: Math.max(0, alive - handshaking - open),
  });
});
metric(
  client.Counter,
  'tls_server_handshakes_total',
  'Handshakes that succeeded, by protocol version',
  ['tls_protocol_version'],
  // The version without its name, as tls.protocol.version has it.
  ({ handshakes }) =>
    Object.entries(handshakes.byVersion).map(([version, count]) => [
      { tls_protocol_version: version.replace('TLSv', '') },
      count,
    ]),
);
metric(
  client.Counter,
  'tls_server_handshakes_by_cipher_total',
  'Handshakes that succeeded, by cipher suite',
  ['tls_cipher'],
  ({ handshakes }) => by('tls_cipher', handshakes.byCipher),
);
metric(
  client.Counter,
  'tls_server_handshakes_by_resumption_total',
  'Handshakes that succeeded, full and resumed',
  ['tls_resumed'],
  ({ handshakes: { full, resumed } }) => by('tls_resumed', { false: full, true: resumed }),
);
metric(
  client.Counter,
  'tls_server_handshake_errors_total',
  'Handshakes that failed, by code',
  ['error_type'],
  ({ handshakes }) => by('error_type', handshakes.failures),
);
metric(
  client.Counter,
  'tls_server_sheds_total',
  'Connections shed, by limit',
  ['reason'],
  ({ sheds }) => by('reason', sheds),
);
metric(
  client.Counter,
  'tls_server_io_bytes_total',
  'Plaintext moved',
  ['network_io_direction'],
  ({ bytes: { received, sent } }) =>
    by('network_io_direction', { receive: received, transmit: sent }),
);
metric(
  client.Gauge,
  'tls_server_memory_bytes',
  'Bytes held, by use',
  ['use'],
  ({ memory: { receivedQueued, sentQueued, hellos } }) =>
    by('use', { received: receivedQueued, sent: sentQueued, client_hello: hellos }),
);

/** Distributions that the core keeps: prom-client has no way to set one, but shows any metric. */
class Distribution {
  constructor(name, help, read) {
    Object.assign(this, { name, help, read });
  }

  reset() {}

  get() {
    const values = [];
    for (const [labels, times] of this.read(stats())) {
      const add = (suffix, value, more) =>
        values.push({
          metricName: `${this.name}_${suffix}`,
          labels: { ...more, ...labels },
          value,
        });
      for (const [i, bound] of bucketBounds.entries())
        add('bucket', times.buckets[i], { le: bound / 1e6 });
      add('bucket', times.count, { le: '+Inf' });
      add('sum', times.sum / 1e6);
      add('count', times.count);
    }
    return { name: this.name, help: this.help, type: 'histogram', values, aggregator: 'sum' };
  }
}

client.register.registerMetric(
  new Distribution(
    'tls_server_handshake_duration_seconds',
    'Handshakes that succeeded, by phase',
    ({ handshakes }) => Object.entries(handshakes.phases).map(([phase, t]) => [{ phase }, t]),
  ),
);
client.register.registerMetric(
  new Distribution(
    'tls_server_event_loop_turn_duration_seconds',
    'Event loop held by turns of the core',
    ({ eventLoop }) => [[{}, eventLoop.turns]],
  ),
);

const metrics = http.createServer(async (_request, response) => {
  response.setHeader('Content-Type', client.register.contentType);
  response.end(await client.register.metrics());
});
metrics.listen(Number(METRICS_PORT), () =>
  console.log(JSON.stringify({ metrics: metrics.address().port })),
);
