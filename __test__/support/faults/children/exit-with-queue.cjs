// Writes to the first client and exits, in the way that EXIT names, before anything can be sent.
'use strict';
const offloop = require('offloop');

const { options, bytes, exit } = JSON.parse(process.env.EXIT);
const server = offloop.createServer(options, (socket) => {
  socket.on('error', () => {});
  switch (exit) {
    case 'in the same tick':
      socket.write(Buffer.alloc(bytes, 'x'));
      return process.exit(0);
    case 'after end() in the same tick':
      socket.end(Buffer.alloc(bytes, 'x'));
      return process.exit(0);
    case 'in the same tick, corked':
      socket.cork();
      for (let i = 0; i < 64; i++) socket.write(Buffer.alloc(bytes / 64, 'x'));
      socket.uncork();
      return process.exit(0);
    case 'in the same tick, many writes':
      for (let i = 0; i < 64; i++) socket.write(Buffer.alloc(bytes / 64, 'x'));
      return process.exit(0);
    case 'in the next turn':
      socket.write(Buffer.alloc(bytes, 'x'));
      return setImmediate(() => process.exit(0));
    case "in the write's callback":
      return socket.write(Buffer.alloc(bytes, 'x'), () => process.exit(0));
    case 'by an uncaught exception':
      socket.write(Buffer.alloc(bytes, 'x'));
      throw new Error('on purpose');
  }
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
});
