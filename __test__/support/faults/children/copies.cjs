// Two copies of the package in one process: both serve, each with classes of its own.
'use strict';
const path = require('node:path');

const { options, folders } = JSON.parse(process.env.COPIES);
const copies = folders.map((folder) => require(path.join(folder, 'dist/index.js')));
const ports = [];
copies.forEach((offloop, i) => {
  const server = offloop.createServer(options, (socket) => {
    socket.on('error', () => {});
    const mine = socket instanceof offloop.TlsSocket;
    const others = socket instanceof copies[1 - i].TlsSocket;
    socket.on('data', (chunk) => socket.end(`copy ${i}, ${mine}, ${others}: ${chunk}`));
  });
  server.listen(0, '127.0.0.1', () => {
    ports[i] = server.address().port;
    if (Object.keys(ports).length === copies.length) {
      process.stdout.write(`${JSON.stringify({ ports })}\n`);
    }
  });
  process.stdin.once('data', () => {
    process.stdin.destroy();
    server.close();
  });
});
