// Starts servers, serves one client with each, stops them; again and again. Says what it holds.
'use strict';
const { once } = require('node:events');
const { readdirSync } = require('node:fs');
const tls = require('node:tls');

const offloop = require('offloop');

const { options, cycles, servers } = JSON.parse(process.env.CYCLES);

async function serveOnce() {
  const server = offloop.createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.end('served');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  client.resume();
  await once(client, 'close');
  server.close();
  await once(server, 'close');
}

async function run(times) {
  for (let i = 0; i < times; i++) await Promise.all(Array.from({ length: servers }, serveOnce));
  globalThis.gc();
  globalThis.gc();
  const { alive, listeners } = offloop.stats().connections;
  const descriptors = readdirSync('/proc/self/fd').length;
  const threads = readdirSync('/proc/self/task').length;
  const { rss } = process.memoryUsage();
  process.stdout.write(`${JSON.stringify({ alive, listeners, descriptors, threads, rss })}\n`);
}

// What is allocated once, then what is to be flat.
run(cycles * 2).then(() => run(cycles));
