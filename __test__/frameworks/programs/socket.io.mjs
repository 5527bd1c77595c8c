import { once } from 'node:events';

import { Server } from 'socket.io';
import { io } from 'socket.io-client';

export default async function program({
  https,
  watch,
  atEnd,
  own,
  note,
  bytes,
  server: identity,
  ca,
}) {
  const listener = https.createServer(identity);
  const server = new Server(listener, { maxHttpBufferSize: 4 * 1024 * 1024 });
  server.on('connection', (socket) => {
    own(socket.request.socket);
    socket.on('echo', (value, answer) => answer(value));
    socket.on('join', (room, answer) => {
      socket.join(room);
      answer();
    });
    socket.on('say', (room, text) => server.to(room).emit('said', text));
  });
  watch(listener).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // Closes the listener too.
  atEnd(() => server.close());

  const url = `https://localhost:${listener.address().port}`;
  const connect = async (transports) => {
    const socket = io(url, { ca, transports, forceNew: true, reconnection: false });
    await once(socket, 'connect');
    return socket;
  };
  const body = bytes(1024 * 1024);
  const members = [await connect(['websocket']), await connect(['polling'])];
  for (const member of members) {
    const { name } = member.io.engine.transport;
    const echo = await member.emitWithAck('echo', { text: 'ä', body });
    note(`${name}: ${echo.text}, ${body.equals(echo.body) ? 'the same bytes' : 'other bytes'}`);
    await member.emitWithAck('join', 'room');
  }
  const heard = members.map((member) => once(member, 'said'));
  members[0].emit('say', 'room', 'hello all');
  note((await Promise.all(heard)).map(([text]) => text));

  const changing = await connect(['polling', 'websocket']);
  const { engine } = changing.io;
  if (engine.transport.name === 'polling') await once(engine, 'upgrade');
  note(`upgraded to ${engine.transport.name}: ${await changing.emitWithAck('echo', 'still here')}`);
  for (const member of [...members, changing]) member.disconnect();
}
