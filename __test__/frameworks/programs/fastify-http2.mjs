import Fastify from 'fastify';

import { connect, leave, request, stream } from '../clients.mjs';

export default async function program({
  http2,
  https,
  way,
  watch,
  atEnd,
  own,
  note,
  bytes,
  server,
  ca,
}) {
  const options = { allowHTTP1: true, ...server };
  const app = Fastify(
    way === 'import'
      ? { serverFactory: (handler) => http2.createSecureServer(options, handler) }
      : { http2: true, https: options },
  );
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_, body, done) =>
    done(null, body),
  );
  app.addHook('onRequest', async (incoming) => own(incoming.raw.socket));
  app.get('/hello', async (incoming) => ({
    version: incoming.raw.httpVersion,
    alpn: incoming.raw.socket.alpnProtocol,
  }));
  app.post('/echo', { bodyLimit: 4 * 1024 * 1024 }, async (incoming, reply) => {
    reply.type('application/octet-stream');
    return incoming.body;
  });

  await app.listen({ port: 0, host: '127.0.0.1' });
  watch(app.server);
  atEnd(() => app.close());

  const { port } = app.server.address();
  const session = await connect(http2, port, { ca });
  note((await stream(session, { ':path': '/hello' })).body.toString());
  const bodies = [3 * 1024 * 1024, 70_000, 1].map(bytes);
  const headers = {
    ':method': 'POST',
    ':path': '/echo',
    'content-type': 'application/octet-stream',
  };
  const echoes = await Promise.all(bodies.map((body) => stream(session, headers, body)));
  note(`at once: ${echoes.map(({ body }, at) => body.equals(bodies[at]))}`);
  await leave(session);

  note((await request(https, { port, path: '/hello', ca, agent: false })).body.toString());
}
