// The core's figures for OpenTelemetry: `npm install @opentelemetry/api @opentelemetry/sdk-metrics`.
//
// Counters and gauges are read from `stats()` at each export. Durations come one by one from
// diagnostics_channel, with attributes; so does a line of log for each handshake, since fingerprints
// are no attributes of metrics: there are too many of them. Names of attributes are those of
// OpenTelemetry's semantic conventions where there are any.
import dc from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { metrics } from '@opentelemetry/api';
import {
  AggregationType,
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { bucketBounds, createServer, stats } from 'offloop';

const { KEY_FILE = 'key.pem', CERT_FILE = 'cert.pem', PORT = '8443' } = process.env;
const { EXPORT_INTERVAL = '10000' } = process.env;

// Any exporter will do: OTLP, Prometheus, the console.
const reader = new PeriodicExportingMetricReader({
  exporter: new ConsoleMetricExporter(),
  exportIntervalMillis: Number(EXPORT_INTERVAL),
});
const seconds = bucketBounds.map((bound) => bound / 1e6);
metrics.setGlobalMeterProvider(
  new MeterProvider({
    readers: [reader],
    views: [
      {
        instrumentName: 'tls.server.handshake.duration',
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: seconds },
        },
      },
    ],
  }),
);
const meter = metrics.getMeter('offloop');

/** An observable instrument; `read` gives [value, attributes]. */
function observe(kind, name, unit, description, read) {
  meter[`createObservable${kind}`](name, { unit, description }).addCallback((result) => {
    for (const [value, attributes] of read(stats())) result.observe(value, attributes);
  });
}

const by = (attribute, counts) =>
  Object.entries(counts).map(([key, count]) => [count, { [attribute]: key }]);

observe(
  'UpDownCounter',
  'tls.server.connections',
  '{connection}',
  'Connections by state',
  ({ connections: { waiting, handshaking, open } }) =>
    by('network.connection.state', { waiting, handshaking: handshaking - waiting, open }),
);
observe(
  'Counter',
  'tls.server.handshake.errors',
  '{handshake}',
  'Handshakes that failed',
  ({ handshakes }) => by('error.type', handshakes.failures),
);
observe('Counter', 'tls.server.sheds', '{connection}', 'Connections shed, by limit', ({ sheds }) =>
  by('offloop.shed.reason', sheds),
);
observe('Counter', 'tls.server.io', 'By', 'Plaintext moved', ({ bytes: { received, sent } }) =>
  by('network.io.direction', { receive: received, transmit: sent }),
);
observe('UpDownCounter', 'tls.server.pool.queued', '{job}', 'Jobs that wait', ({ pool }) =>
  by('offloop.pool.lane', {
    large_rsa: pool.largeRsa.queued,
    rsa: pool.rsa.queued,
    other: pool.other.queued,
  }),
);

const duration = meter.createHistogram('tls.server.handshake.duration', {
  unit: 's',
  description: 'From the first byte to the client’s Finished',
});

dc.subscribe('offloop:handshake:end', ({ handshake, remoteAddress, remotePort, localPort }) => {
  const { version, cipher, resumed, group, servername, alpnProtocol, hello } = handshake;
  const attributes = {
    'tls.protocol.name': 'tls',
    'tls.protocol.version': version.replace('TLSv', ''),
    'tls.cipher': cipher,
    'tls.resumed': resumed,
  };
  duration.record(handshake.phases.total / 1e6, attributes);
  log('tls.handshake', {
    ...attributes,
    'tls.established': true,
    'tls.curve': group,
    'tls.next_protocol': alpnProtocol,
    'tls.client.ja3': hello?.ja3Hash,
    'tls.client.ja4': hello?.ja4,
    'server.address': servername,
    'server.port': localPort,
    'client.address': remoteAddress,
    'client.port': remotePort,
  });
});

dc.subscribe('offloop:handshake:error', ({ code, remoteAddress, remotePort }) => {
  log('tls.handshake', {
    'tls.established': false,
    'error.type': code,
    'client.address': remoteAddress,
    'client.port': remotePort,
  });
});

/** As a LogRecord would have it. */
function log(eventName, attributes) {
  console.log(JSON.stringify({ eventName, attributes }));
}

// The application: whatever it is.
const server = createServer({ key: readFileSync(KEY_FILE), cert: readFileSync(CERT_FILE) }, (s) =>
  s.on('error', () => {}).pipe(s),
);
server.listen(Number(PORT), () => console.log(JSON.stringify({ port: server.address().port })));
