// Which clients fail, and why: counted by code, one line each minute.
import { readFileSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';
import { createServer } from 'offloop/https';

const { PORT = 8443, INTERVAL = 60_000 } = process.env;

/** How often, and an address that it came from, by code. */
const failures = new Map();

subscribe('offloop:handshake:error', ({ code, remoteAddress }) => {
  const { count = 0 } = failures.get(code) ?? {};
  failures.set(code, { count: count + 1, last: remoteAddress });
});

setInterval(() => {
  for (const [code, { count, last }] of failures) console.log(`${count} ${code}, last ${last}`);
  failures.clear();
}, Number(INTERVAL)).unref();

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options, (_, response) => response.end('hello\n'));
server.listen(PORT, () => console.log(`listening on ${server.address().port}`));
