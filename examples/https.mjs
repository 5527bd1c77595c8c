import { readFileSync } from 'node:fs';
import { createServer } from 'offloop/https';

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options, (request, response) => {
  const { version, cipher } = request.socket.handshake;
  response.end(`hello by ${version}, ${cipher}\n`);
});
server.on('tlsClientError', ({ code }, { remoteAddress }) => console.error(remoteAddress, code));

server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
