import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { drain } from 'offloop';
import { createServer } from 'offloop/https';

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options, async (request, response) => {
  // A request that takes its time.
  if (request.url === '/slow') await sleep(500);
  response.end('done\n');
});

process.once('SIGTERM', async () => {
  console.log('draining');
  const { forced } = await drain(server, { timeout: 25_000 });
  console.log(`drained, ${forced} connections were cut`);
  process.exit();
});

server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
