// One version of a service: shares its port with the others, and drains on SIGTERM.
import { createSecureServer } from 'offloop/http2';

const { options, port } = JSON.parse(process.env.DEPLOYED);
const server = createSecureServer({ ...options, allowHTTP1: true }, (request, response) => {
  // A little work: requests are under way when the signal comes.
  setTimeout(() => response.end(String(process.pid)), 2);
});
server.listen({ port, host: '127.0.0.1', reusePort: true }, () =>
  process.send({ port: server.address().port }),
);
process.once('SIGTERM', async () => {
  const { forced } = await server.drain({ timeout: 20_000 });
  process.send({ forced }, () => process.disconnect());
});
