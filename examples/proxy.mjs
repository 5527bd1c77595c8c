// TLS in front of a server that speaks none: the bytes never come to JavaScript.
import { proxy } from 'offloop';

const { PORT = '8443', BACKEND = '127.0.0.1:8080', METRICS_PORT = '9100' } = process.env;

const front = await proxy({
  listen: `127.0.0.1:${PORT}`,
  // Several, and each connection goes to the one with the fewest.
  to: [BACKEND],
  certFile: 'cert.pem',
  keyFile: 'key.pem',
  // Read again when certbot or Kubernetes has replaced them.
  watch: true,
  metrics: `127.0.0.1:${METRICS_PORT}`,
});
console.log(`listening on ${front.address().port}`);
console.log(`figures on ${front.metricsAddress().port}`);

front.on('reload', () => console.log('new certificates'));
front.on('reloadError', (error) => console.error(error.message));

process.once('SIGTERM', async () => {
  const { forced } = await front.drain({ timeout: 25_000 });
  console.log(`drained, ${forced} connections were cut`);
});
