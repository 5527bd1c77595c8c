// In a network of its own (`unshare -n`): a server, a client, and then the network fails without a
// FIN or RST reaching anybody. Says how the server's socket ended. Nothing else is listened to: no
// timer of the program ends it.
'use strict';
const { execFileSync } = require('node:child_process');
const { readFileSync, writeFileSync } = require('node:fs');
const tls = require('node:tls');

const offloop = require('offloop');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { options, writes } = JSON.parse(process.env.VANISH);
const ip = (...args) => execFileSync('ip', args);
const set = (name, value) => writeFileSync(`/proc/sys/net/ipv4/${name}`, String(value));

ip('link', 'set', 'lo', 'up');
// Of this network alone: a probe a second, and two without an answer are the end.
set('tcp_keepalive_intvl', 1);
set('tcp_keepalive_probes', 2);

let accepted;
const server = offloop.createServer(options, (socket) => {
  accepted = socket;
  const codes = [];
  socket.on('error', (error) => codes.push(error.code));
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('close', () => {
    say({ codes, sheds: offloop.stats().sheds.idleTimeout });
    process.exit();
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('error', () => {});
  client.write('here');
  client.once('data', () => failWhenQuiet(port));
});

/** The network fails when the client has acknowledged all, or the kernel would send it again. */
function failWhenQuiet(port) {
  if (isUnacknowledged(port)) return setImmediate(failWhenQuiet, port);
  ip('link', 'set', 'lo', 'down');
  if (writes) accepted.write('nobody acknowledges this');
}

function isUnacknowledged(port) {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  // Established, from the server.
  const [, , , , queues] = fields.find(
    ([, from, , state]) => from.endsWith(local) && state === '01',
  );
  return !queues.startsWith('00000000:');
}
