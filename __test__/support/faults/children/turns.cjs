// A server that blocks its event loop until so much has been received, and then tells in what turns
// it was handed over: of each turn, records and bytes, and in which turn the last small record came.
'use strict';
const { createInterface } = require('node:readline');

const offloop = require('offloop');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { options, handlerMs = 0 } = JSON.parse(process.env.TURNS);

// A clock of the test's own: a handler takes as long as it says.
let now = performance.now();
performance.now = () => now;

let turns = [];
let turn = null;
let lastSmall = -1;
let between = 0;

/** Microtasks run when a turn is over, and never within one. */
function count(chunk) {
  if (turn === null) {
    turn = { records: 0, bytes: 0 };
    turns.push(turn);
    queueMicrotask(() => (turn = null));
    setImmediate(() => between++);
  }
  turn.records++;
  turn.bytes += chunk.length;
  if (chunk.length < 100) lastSmall = turns.length - 1;
  now += handlerMs;
}

let open = 0;
const server = offloop.createServer(options, (socket) => {
  open++;
  socket.on('error', () => {});
  socket.on('data', count);
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }, () =>
  say({ port: server.address().port }),
);

const queued = () => offloop.stats().memory.receivedQueued;

/** What is received stays in the core until at least so much has come. */
function block(bytes) {
  while (queued() < bytes);
  say({ queued: queued() });
}

const commands = {
  open: () => say({ open }),
  // Blocks until `first` bytes are there, says so, and goes on until `more` have followed.
  block: (first, more = '0') => {
    turns = [];
    between = 0;
    say({ blocked: true });
    block(Number(first));
    if (Number(more) > 0) block(queued() + Number(more));
  },
  turns: () => say({ turns, lastSmall, between }),
  close: () => {
    process.stdin.destroy();
    server.close();
  },
};
createInterface(process.stdin).on('line', (line) => {
  const [command, ...values] = line.split(' ');
  commands[command](...values);
});
