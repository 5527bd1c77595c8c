// A server that, when it is told to, writes much to each of its connections, one after the other, and
// tells the most that the core held of it.
'use strict';
const { createInterface } = require('node:readline');

const offloop = require('offloop');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { options, bytes } = JSON.parse(process.env.FILL);

const sockets = [];
const server = offloop.createServer(options, (socket) => {
  socket.on('error', () => {});
  sockets.push(socket);
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));

let most = 0;
const note = () => (most = Math.max(most, offloop.stats().memory.sentQueued));

function fill(index) {
  note();
  if (index === sockets.length) return say({ most });
  sockets[index].end(Buffer.alloc(bytes, index));
  setImmediate(fill, index + 1);
}

const commands = {
  open: () => say({ open: sockets.length }),
  fill: () => fill(0),
  close: () => {
    process.stdin.destroy();
    server.close();
  },
};
createInterface(process.stdin).on('line', (line) => commands[line]());
