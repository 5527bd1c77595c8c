// Loads the package and serves one client whenever it is told to: by then the test may have taken
// something away, and it says what failed. Ends when it has served.
'use strict';
const { createInterface } = require('node:readline');

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const { options } = JSON.parse(process.env.STARVED);

createInterface(process.stdin).on('line', () => {
  const offloop = require('offloop');
  const server = offloop.createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.on('end', () => server.close());
    socket.pipe(socket);
  });
  server.on('error', ({ code, message }) => say({ code, message, listening: server.listening }));
  server.listen(0, '127.0.0.1', () => {
    process.stdin.destroy();
    say({ port: server.address().port });
  });
});
say({ ready: true });
