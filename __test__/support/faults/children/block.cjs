// An echo server that blocks its event loop for so long whenever it is told to.
'use strict';
const { createInterface } = require('node:readline');

const offloop = require('offloop');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { options } = JSON.parse(process.env.BLOCK);

const server = offloop.createServer(options, (socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
createInterface(process.stdin).on('line', (line) => {
  if (line === 'close') {
    process.stdin.destroy();
    server.close();
    return;
  }
  const until = Date.now() + Number(line);
  say({ blocked: true });
  while (Date.now() < until);
  say({ blocked: false, received: offloop.stats().memory.receivedQueued });
});
