import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import Fastify from 'fastify';

import { request } from '../clients.mjs';

export default async function program({ https, way, watch, atEnd, own, note, bytes, server, ca }) {
  const app = Fastify(
    way === 'import'
      ? { serverFactory: (handler) => https.createServer(server, handler) }
      : { https: server },
  );
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_, body, done) =>
    done(null, body),
  );
  app.addHook('onRequest', async (incoming) => own(incoming.raw.socket));
  app.get('/hello', async (incoming) => ({
    protocol: incoming.protocol,
    version: incoming.raw.httpVersion,
    query: incoming.query,
  }));
  app.post('/digest', { bodyLimit: 2 * 1024 * 1024 }, async (incoming) =>
    createHash('sha256').update(incoming.body).digest('hex'),
  );
  app.get('/stream', (_incoming, reply) => reply.send(Readable.from(['one ', 'two ', 'three'])));
  app.get('/broken', async () => {
    throw new Error('on purpose');
  });

  watch(app.server);
  await app.listen({ port: 0, host: '127.0.0.1' });
  atEnd(() => app.close());

  const { port } = app.server.address();
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (path, more) => request(https, { port, path, agent, ...more });
  note((await ask('/hello?a=1')).body.toString());
  const body = bytes(1024 * 1024);
  const headers = { 'content-type': 'application/octet-stream' };
  const digest = await ask('/digest', { method: 'POST', headers, body });
  const expected = createHash('sha256').update(body).digest('hex');
  note(`upload: ${digest.body.toString() === expected ? 'the same bytes' : 'other bytes'}`);
  note((await ask('/stream')).body.toString());
  const broken = await ask('/broken');
  note(`${broken.status} ${broken.body}`);
  agent.destroy();
}
