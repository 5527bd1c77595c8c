import { once } from 'node:events';

import httpProxy from 'http-proxy';
import { WebSocket, WebSocketServer } from 'ws';

import { request, whole } from '../clients.mjs';

export default async function program({
  https,
  way,
  serve,
  watch,
  atEnd,
  own,
  note,
  bytes,
  server,
  ca,
}) {
  // What stands behind the proxy speaks TLS too.
  const behind = https.createServer(server, async (incoming, response) => {
    own(incoming.socket);
    const body = await whole(incoming);
    if (incoming.method === 'POST') return response.end(body);
    response.setHeader('content-type', 'application/json');
    const { 'x-forwarded-proto': proto, 'x-forwarded-for': client } = incoming.headers;
    response.end(JSON.stringify({ path: incoming.url, proto, client }));
  });
  const sockets = new WebSocketServer({ server: behind });
  sockets.on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  );
  const target = `https://localhost:${await serve(behind)}`;

  const agent = new https.Agent({ keepAlive: true, ca });
  atEnd(() => agent.destroy());
  const proxy = httpProxy.createProxyServer({
    target,
    agent,
    xfwd: true,
    ws: true,
    ...(way !== 'import' && { ssl: server }),
  });
  proxy.on('error', (error) => note(`proxy: ${error.message}`));
  let front;
  if (way === 'import') {
    front = https.createServer(server, (incoming, response) => proxy.web(incoming, response));
    front.on('upgrade', (incoming, socket, head) => proxy.ws(incoming, socket, head));
    watch(front).listen(0, '127.0.0.1');
  } else {
    proxy.listen(0, '127.0.0.1');
    front = watch(proxy._server);
  }
  front.on('request', (incoming) => own(incoming.socket));
  await once(front, 'listening');
  atEnd(() => new Promise((resolve) => front.close(resolve)));

  const { port } = front.address();
  const clients = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (path, more) => request(https, { port, path, agent: clients, ...more });
  note((await ask('/hello')).body.toString());
  const body = bytes(1024 * 1024);
  const echo = await ask('/echo', { method: 'POST', body });
  note(`echo: ${body.equals(echo.body) ? 'the same bytes' : 'other bytes'}`);
  clients.destroy();

  const socket = new WebSocket(`wss://localhost:${port}/ws`, { ca });
  await once(socket, 'open');
  socket.send(body);
  const [data] = await once(socket, 'message');
  note(`WebSocket: ${body.equals(data) ? 'the same bytes' : 'other bytes'}`);
  socket.close();
  await once(socket, 'close');
}
