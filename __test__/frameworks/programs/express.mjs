import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import express from 'express';

import { request } from '../clients.mjs';

export default async function program({ https, serve, own, note, bytes, server, ca }) {
  const file = fileURLToPath(import.meta.url);
  const app = express();
  app.use((incoming, _response, next) => {
    own(incoming.socket);
    next();
  });
  app.get('/hello/:name', (incoming, response) => {
    const { secure, protocol, ip, httpVersion } = incoming;
    response.json({ hello: incoming.params.name, secure, protocol, ip, httpVersion });
  });
  app.post('/echo', express.raw({ limit: '2mb' }), (incoming, response) => {
    response.type('application/octet-stream').send(incoming.body);
  });
  app.post('/form', express.urlencoded(), (incoming, response) =>
    response.send(incoming.body.name),
  );
  app.get('/file', (_incoming, response) => response.sendFile(file));
  app.get('/stream', (_incoming, response) => {
    response.type('text/plain').write('one\n');
    setImmediate(() => response.end('two\n'));
  });
  app.get('/broken', () => {
    throw new Error('on purpose');
  });
  app.use((error, _incoming, response, _next) => response.status(500).send(error.message));

  const port = await serve(https.createServer(server, app));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (path, more) => request(https, { port, path, agent, ...more });

  note((await ask('/hello/world')).body.toString());
  const body = bytes(1024 * 1024);
  const headers = { 'content-type': 'application/octet-stream' };
  const echo = await ask('/echo', { method: 'POST', headers, body });
  note(`echo: ${echo.status}, ${body.equals(echo.body) ? 'the same bytes' : 'other bytes'}`);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  note((await ask('/form', { method: 'POST', headers: form, body: 'name=alice' })).body.toString());
  const [sent, got] = [await readFile(file), (await ask('/file')).body].map((content) =>
    createHash('sha256').update(content).digest('hex'),
  );
  note(`file: ${sent === got ? 'the same bytes' : 'other bytes'}`);
  note((await ask('/stream')).body.toString());
  const broken = await ask('/broken');
  note(`${broken.status} ${broken.body}`);
  note(`${(await ask('/nowhere')).status}`);
  agent.destroy();
}
