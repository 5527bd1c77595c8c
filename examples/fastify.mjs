import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import { adopt } from 'offloop';

const app = Fastify({
  http2: true,
  https: { allowHTTP1: true, key: readFileSync('key.pem'), cert: readFileSync('cert.pem') },
});
// The server that Fastify has made, before it listens.
adopt(app.server);

app.get('/', (request) => ({ hello: 'world', httpVersion: request.raw.httpVersion }));

await app.listen({ port: Number(process.env.PORT ?? 8443) });
console.log(`listening on ${app.server.address().port}`);
