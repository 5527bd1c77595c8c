// An echo server that answers commands on stdin, one a line, with one JSON line each.
'use strict';
const net = require('node:net');
const { createInterface } = require('node:readline');

const offloop = require('offloop');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { kind, options } = JSON.parse(process.env.SERVE);
const failures = [];
const echo = (socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
};

let server;
if (kind === 'acceptTls') {
  const context = offloop.createSecureContext(options);
  server = net.createServer((socket) => {
    offloop.acceptTls(socket, { context }).then(echo, (error) => failures.push(error.code));
  });
} else {
  server = offloop.createServer(options, echo);
  server.on('tlsClientError', (error) => failures.push(error.code));
  server.on('acceptError', (error) => say({ event: 'acceptError', code: error.code }));
}
server.listen({ port: 0, host: '127.0.0.1', backlog: 511 }, () => {
  say({ port: server.address().port });
});

/** Calls back once nothing is left of any connection. */
function whenIdle(then) {
  server.getConnections((_error, connections) => {
    if (connections === 0 && offloop.stats().connections.alive === 0) then();
    else setImmediate(whenIdle, then);
  });
}

const commands = {
  // The memory of a process without connections.
  memory: () =>
    whenIdle(() => {
      globalThis.gc();
      globalThis.gc();
      say({ rss: process.memoryUsage().rss, stats: offloop.stats() });
    }),
  stats: () => say(offloop.stats()),
  // The client may know of its failure before this side does.
  failures: () => {
    if (failures.length > 0) say({ failures: failures.splice(0) });
    else setImmediate(commands.failures);
  },
  close: () => {
    server.close(() => say({ event: 'closed' }));
    process.stdin.destroy();
  },
  drain: () => {
    server.drain({ timeout: 1000 }).then(() => say({ event: 'closed' }));
    process.stdin.destroy();
  },
};
createInterface(process.stdin).on('line', (line) => commands[line]());
