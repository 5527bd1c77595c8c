import Koa from 'koa';

import { connect, leave, request, stream, whole } from '../clients.mjs';

export default async function program({ https, http2, serve, own, note, bytes, server, ca }) {
  const app = new Koa();
  app.use(async (context, next) => {
    own(context.socket);
    await next();
    context.set('x-served', 'koa');
  });
  app.use(async (context) => {
    if (context.path === '/echo') {
      context.type = 'application/octet-stream';
      context.body = await whole(context.req);
    } else if (context.path === '/pipe') {
      context.body = context.req;
    } else {
      const { secure, protocol, req } = context;
      context.body = { path: context.path, secure, protocol, version: req.httpVersion };
    }
  });

  const body = bytes(512 * 1024);
  const judge = (echo) => (body.equals(echo.body) ? 'the same bytes' : 'other bytes');

  const port = await serve(https.createServer(server, app.callback()));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (path, more) => request(https, { port, path, agent, ...more });
  const hello = await ask('/hello');
  note(`${hello.body} ${hello.headers['x-served']}`);
  note(`echo: ${judge(await ask('/echo', { method: 'POST', body }))}`);
  note(`pipe: ${judge(await ask('/pipe', { method: 'PUT', body }))}`);
  agent.destroy();

  const second = await serve(http2.createSecureServer(server, app.callback()));
  const session = await connect(http2, second, { ca });
  const answer = await stream(session, { ':path': '/hello' });
  note(`${answer.body} ${answer.headers['x-served']}`);
  const post = { ':method': 'POST' };
  note(`echo: ${judge(await stream(session, { ...post, ':path': '/echo' }, body))}`);
  note(`pipe: ${judge(await stream(session, { ...post, ':path': '/pipe' }, body))}`);
  await leave(session);
}
