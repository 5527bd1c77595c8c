import { once } from 'node:events';

import { WebSocket, WebSocketServer } from 'ws';

export default async function program({ https, serve, own, note, bytes, server, ca }) {
  const listener = https.createServer(server);
  const sockets = new WebSocketServer({ server: listener, path: '/ws', perMessageDeflate: true });
  sockets.on('connection', (socket, incoming) => {
    own(incoming.socket);
    // ws writes frames through the socket's own methods, and looks into its state.
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  const port = await serve(listener);
  const url = `wss://localhost:${port}`;

  const socket = new WebSocket(`${url}/ws`, { ca });
  await once(socket, 'open');
  note(`extensions: ${socket.extensions}`);

  socket.send('hello');
  const [text, binary] = await once(socket, 'message');
  note(`${text}, ${binary ? 'binary' : 'text'}`);

  const messages = [1024 * 1024, 0, 125, 126, 65_535, 65_536].map(bytes);
  const echoes = [];
  const all = new Promise((resolve) => {
    socket.on('message', (data) => {
      if (echoes.push(data) === messages.length) resolve();
    });
  });
  for (const message of messages) socket.send(message);
  await all;
  note(`echoes: ${echoes.map((echo, at) => echo.equals(messages[at]))}`);

  socket.ping('are you there');
  note(`pong: ${(await once(socket, 'pong'))[0]}`);

  const second = new WebSocket(`${url}/ws`, { ca, perMessageDeflate: false });
  await once(second, 'open');
  second.terminate();
  await once(second, 'close');

  const [served] = sockets.clients;
  const closes = [socket, served].map((end) => once(end, 'close'));
  socket.close(4000, 'enough');
  for (const [code, reason] of await Promise.all(closes)) note(`closed ${code} ${reason}`);

  const refused = new WebSocket(`${url}/elsewhere`, { ca });
  note((await once(refused, 'error'))[0].message);
}
