// What the threads of the core have to do, every ten seconds: whether there are enough of them.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { stats } from 'offloop';
import { createServer } from 'offloop/https';

const { PORT = 8443, INTERVAL = 10_000 } = process.env;

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options, (_, response) => response.end('hello\n'));

server.listen(PORT, () => {
  const { io, pool } = stats().threads;
  console.log(`listening on ${server.address().port}`);
  console.log(`${availableParallelism()} cores, ${io} I/O threads, ${pool} pool threads`);
});

setInterval(() => {
  const { handshakes, pool } = stats();
  const { queued, computing } = handshakes.phases;
  const waiting = pool.largeRsa.queued + pool.rsa.queued + pool.other.queued;
  console.log(
    `${handshakes.done} handshakes, ${waiting} wait for a thread; ` +
      `99 % waited for at most ${queued.p99} us and took at most ${computing.p99} us`,
  );
}, Number(INTERVAL)).unref();
