// Connections of all kinds at once, to a server of this process: handshakes in flight, echoes, and
// clients that are dropped. `onEvent` hears of each thing that happens to the server.
'use strict';
const net = require('node:net');
const tls = require('node:tls');

const offloop = require('offloop');

module.exports = function storm({ options, hello, clients }, onEvent) {
  const server = offloop.createServer(options, (socket) => {
    onEvent();
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      onEvent();
      socket.write(chunk);
    });
  });
  server.on('tlsClientError', onEvent);
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    for (let i = 0; i < clients; i++) {
      if (i % 4 === 0) {
        const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
        client.on('error', () => {});
        client.on('data', (chunk) => client.write(chunk));
        client.write(Buffer.alloc(1000 + i * 100, 'x'));
      } else {
        // A whole ClientHello: the costly part is under way, or queued, when the end comes.
        const client = net.connect(port, '127.0.0.1');
        client.on('error', () => {});
        client.write(Buffer.from(hello, 'base64'));
        if (i % 4 === 2) client.once('data', () => client.destroy());
      }
    }
  });
};
