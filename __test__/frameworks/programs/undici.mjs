import { once } from 'node:events';

import { Client, fetch, Pool, request, WebSocket } from 'undici';
import { WebSocketServer } from 'ws';

import { judging, telling } from '../answers.mjs';

export default async function program({
  https,
  http2,
  serve,
  own,
  note,
  bytes,
  server,
  client: alice,
  ca,
}) {
  const answer = telling(own);
  const body = bytes(1024 * 1024);
  const judge = judging(body);

  const listener = https.createServer(
    { ...server, ca, requestCert: true, rejectUnauthorized: false },
    answer,
  );
  const origin = `https://localhost:${await serve(listener)}`;
  const pool = new Pool(origin, { connections: 1, pipelining: 4, connect: { ca, ...alice } });
  const paths = ['/1', '/2', '/3', '/4'];
  const answers = paths.map((path) => pool.request({ path, method: 'GET' }));
  for (const one of answers) note(await (await one).body.text());
  const echo = await request(`${origin}/echo`, { method: 'POST', body, dispatcher: pool });
  note(`request: ${judge(Buffer.from(await echo.body.arrayBuffer()))}`);
  const fetched = await fetch(`${origin}/echo`, { method: 'POST', body, dispatcher: pool });
  note(`fetch: ${fetched.status}, ${judge(Buffer.from(await fetched.arrayBuffer()))}`);

  const sockets = new WebSocketServer({ server: listener });
  sockets.on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  );
  const socket = new WebSocket(origin.replace('https', 'wss'), { dispatcher: pool });
  await once(socket, 'open');
  socket.send('hello');
  note(`WebSocket: ${(await once(socket, 'message'))[0].data}`);
  socket.close();
  await once(socket, 'close');
  await pool.close();

  const second = `https://localhost:${await serve(http2.createSecureServer(server, answer))}`;
  const client = new Client(second, { allowH2: true, connect: { ca } });
  note(await (await client.request({ path: '/h2', method: 'GET' })).body.text());
  const again = await client.request({ path: '/', method: 'POST', body });
  note(`request: ${judge(Buffer.from(await again.body.arrayBuffer()))}`);
  await client.close();

  // Each ends its session and its side of the connection at once.
  for (let turn = 0; turn < 10; turn++) {
    const one = new Client(second, { allowH2: true, connect: { ca } });
    await (await one.request({ path: '/once', method: 'GET' })).body.dump();
    await one.close();
  }
}
