import { readFileSync } from 'node:fs';
import { createSecureServer } from 'offloop/http2';

const server = createSecureServer({
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  // Clients that do not speak HTTP/2 get HTTP/1.1 on the same port.
  allowHTTP1: true,
});
server.on('request', (request, response) => {
  response.end(`hello by HTTP/${request.httpVersion}\n`);
});
server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
