import { readFileSync } from 'node:fs';
import { createServer } from 'offloop/https';
import { WebSocketServer } from 'ws';

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options);
const sockets = new WebSocketServer({ server });

sockets.on('connection', (socket) => {
  socket.on('error', console.error);
  // What one says, all hear.
  socket.on('message', (data, binary) => {
    for (const client of sockets.clients) client.send(data, { binary });
  });
});

server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
