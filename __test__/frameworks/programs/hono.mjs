import { once } from 'node:events';

import { serve as serveHono } from '@hono/node-server';
import { Hono } from 'hono';

import { connect, leave, request, stream } from '../clients.mjs';

export default async function program({
  https,
  http2,
  watch,
  atEnd,
  own,
  note,
  bytes,
  server: identity,
  ca,
}) {
  const app = new Hono();
  app.use(async (context, next) => {
    own(context.env.incoming.socket);
    await next();
  });
  app.get('/hello', (context) => {
    const { protocol, pathname } = new URL(context.req.url);
    return context.json({ protocol, pathname, version: context.env.incoming.httpVersion });
  });
  app.post('/echo', async (context) => context.body(await context.req.arrayBuffer()));
  app.get('/stream', () => {
    const parts = ['one ', 'two ', 'three'];
    return new Response(
      new ReadableStream({
        pull(controller) {
          const part = parts.shift();
          if (part === undefined) controller.close();
          else controller.enqueue(new TextEncoder().encode(part));
        },
      }),
    );
  });

  const start = async (createServer) => {
    const server = serveHono({
      fetch: app.fetch,
      createServer,
      serverOptions: identity,
      port: 0,
      hostname: '127.0.0.1',
    });
    watch(server);
    await once(server, 'listening');
    atEnd(() => new Promise((resolve) => server.close(resolve)));
    return server.address().port;
  };
  const body = bytes(512 * 1024);
  const judge = (echo) => (body.equals(echo.body) ? 'the same bytes' : 'other bytes');

  const port = await start(https.createServer);
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (path, more) => request(https, { port, path, agent, ...more });
  note((await ask('/hello')).body.toString());
  note(`echo: ${judge(await ask('/echo', { method: 'POST', body }))}`);
  note((await ask('/stream')).body.toString());
  agent.destroy();

  const session = await connect(http2, await start(http2.createSecureServer), { ca });
  note((await stream(session, { ':path': '/hello' })).body.toString());
  note(`echo: ${judge(await stream(session, { ':method': 'POST', ':path': '/echo' }, body))}`);
  note((await stream(session, { ':path': '/stream' })).body.toString());
  await leave(session);
}
